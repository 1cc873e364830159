"""What each of several processes does in a test: run by torchrun, it writes what it found.

``torchrun tests/support/ranks.py FOLDER`` leaves ``FOLDER/RANK.json`` and the weights it trained.
``FOLDER/commands.json`` has commands of regraft's, which are done then, one after the other, for to
start processes takes longer than what they do: ``{NAME: [CACHE, WORDS]}``. What each prints is in
``FOLDER/NAME-RANK.out`` and ``.err``; but ``last`` prints, and they end with its code.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from pictures import encode, photo
from regraft import distributed, finetune
from regraft.cli import main as regraft
from regraft.distributed import rank
from regraft.errors import RegraftError, RunError
from regraft.features.training_mode import Mode
from regraft.plan.recipes import Training, textbook
from regraft.run.together import extract_together, shares
from smallnet import SIZE, record, small

IMAGES = 45
"""Of which 40 are trained on in 13 steps of 3 or 4, which two processes cannot always halve."""


def recipe() -> Training:
    """Without anything drawn, and without batch norm, one process and two do the same sums."""
    plain = textbook(record(), init="pretrained", images=IMAGES, weighting="none")
    return replace(plain, epochs=2, batch=3, crop=1.0, mirror=False, batch_norm="frozen")


def train(training: Training, folder: Path, deadline: float = float("inf")) -> finetune.Trained:
    """Train the small network on photos, in float32."""
    finetune.mode_of = lambda *_: Mode("32-true", True, 1.0)
    photos = [encode(photo(seed, SIZE, SIZE)) for seed in range(IMAGES)]
    labels = np.arange(IMAGES) % 3
    images = finetune.Images(
        lambda i: photos[i], range(IMAGES), labels, np.arange(5, IMAGES), np.arange(5)
    )
    return finetune.train(
        images,
        record(),
        small,
        ["a", "b", "c"],
        training,
        head=lambda rows: None,  # type: ignore[arg-type, return-value]  # this recipe asks for none
        seed=0,
        folder=folder,
        cache=folder / "cache",
        deadline=deadline,
    )


def raised(work: Callable[[], Any]) -> list[str]:
    """The error's text and problems."""
    try:
        work()
    except RegraftError as error:
        return [type(error).__name__, error.headline, *error.problems]
    return []


def fail(where: int) -> int:
    """An error in one of the processes."""
    if rank() == where:
        raise RunError(f"process {where} cannot", ["It is so."])
    return rank()


def gathered() -> list[list[float]] | None:
    """Rows of both that come together in the first, two of them at once."""
    every = np.arange(33, dtype=np.float16).reshape(11, 3)
    whole = np.zeros_like(every) if rank() == 0 else None
    places = shares(11, 2, np.arange(10, -1, -1))
    distributed._BLOCK = 12
    distributed.gather_rows(every[places[rank()]], whole, places)
    return None if whole is None else whole.tolist()


def exchange() -> dict[str, Any]:
    """Each of the ways in which processes meet."""
    looked = extract_together(
        lambda i: b"no image",
        5,
        [record().view],
        3,
        engine=None,
        choose=lambda pixels, indices: None,  # type: ignore[arg-type, return-value]  # none is good
    )
    mine = torch.full((3,), float(rank()))
    distributed.broadcast_tensors([mine])
    return {
        "on_rank_zero": distributed.on_rank_zero(rank),
        "each": distributed.on_all_ranks(rank),
        "together": distributed.all_gather(rank()),
        "any_rank": [distributed.any_rank(rank() == 1), distributed.any_rank(False)],
        "all_reduce_sum": distributed.all_reduce_sum(rank() + 0.5),
        "rows": gathered(),
        "held": looked.features[0].shape,
        "aligned": mine.tolist(),
        "failed": [
            raised(lambda: distributed.on_rank_zero(lambda: fail(0))),
            raised(lambda: distributed.on_all_ranks(lambda: fail(1))),
        ],
    }


def done(folder: Path, name: str, cache: str, words: list[str]) -> int:
    """Do a command as ``regraft`` does it, keep what it prints, and give its code."""
    os.environ["REGRAFT_CACHE"] = cache
    place = folder / f"{name}-{rank()}"
    with (
        place.with_suffix(".out").open("w") as out,
        place.with_suffix(".err").open("w") as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        return regraft(words)


def main(folder: Path) -> int:
    mode, block = finetune.mode_of, distributed._BLOCK
    found = exchange()
    plain = train(recipe(), folder / "plain")
    save_file(dict(plain.state), folder / f"plain-{rank()}.safetensors")
    found["rows_of_log"] = [row.loss for row in plain.rows]
    # batch norm sees only a process's own share: what is kept must be one network all the same
    whole = train(replace(recipe(), batch_norm="trained", averaged=True), folder / "whole")
    save_file(dict(whole.state), folder / f"whole-{rank()}.safetensors")
    late = time.monotonic() + (1e6 if rank() == 0 else -1.0)
    found["out of time"] = train(recipe(), folder / "late", late).problem
    found["diverged"] = train(replace(recipe(), rates=(1e30,)), folder / "wild").problem
    finetune.mode_of, distributed._BLOCK = mode, block
    asked = json.loads((folder / "commands.json").read_text("utf-8"))
    cache, last = asked.pop("last")
    found["codes"] = {name: done(folder, name, *each) for name, each in asked.items()}
    (folder / f"{rank()}.json").write_text(json.dumps(found), "utf-8")
    os.environ["REGRAFT_CACHE"] = cache
    return regraft(last)


if __name__ == "__main__":
    distributed.shutdown(main(Path(sys.argv[1])))
