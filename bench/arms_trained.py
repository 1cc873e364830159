"""The trained arms of the bench of decisions: what each wins over the frozen network, and why.

Arms: ``full``, all stages trained by the recipe ``tuned``; ``late1`` to ``late3``, the last stages
on held activations; ``light``, scale and shift of norms and biases; ``always``, what is usually
done (LP-FT: the head, then everything at the middle rate, all images, no validation, last epoch).
All begin from one linear head, the mean of the heads that keep the last stage, fitted on the part
that does not validate. ``examined`` asks the frozen network, ``arms_of`` trains; what goes from one
to the other is arrays and plain values, so the two may run on different machines.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arms_evidence import Examined, examined
from arms_judged import Judge
from draws import look
from flat_training import Run, Vector, cropped, order_of, train_together, vector_of
from regraft.data.images import View, inspect
from regraft.finetune.data import room_for_crops
from regraft.networks import trunk_state
from regraft.networks.split import split
from regraft.networks.surgery import TransferNetwork, operate
from regraft.plan.recipes import Training, tuned
from regraft.run.measure import part

ARMS = ("full", "slow-full", "late3", "late2", "late1", "light", "always")
TRIED = (3e-4, 1e-3, 3e-3)
"""Learning rates of every arm."""

SLOW = "slow-"
"""Before an arm's name: at a tenth and a third of the lowest of them."""

ALPHAS = (0.25, 0.5, 0.75)

Read = Callable[[int], bytes]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pixels on the device: ``roomy`` ones to crop from, the others as they are seen."""

    roomy: Tensor
    train: Tensor
    test: Tensor


def pictures(drawn: Examined, read: Read, device: torch.device) -> Pictures:
    """Decode every image once."""
    view = drawn.backbone.view
    recipe = recipe_of(drawn, "full")
    roomy = room_for_crops(view, recipe)

    def squares(rows: NDArray[np.intp], views: Sequence[View]) -> list[Tensor]:
        found = [inspect(read(int(i)), views)[1] for i in rows]
        stacks = [np.stack([one[v] for one in found if one]) for v in range(len(views))]
        return [torch.from_numpy(s).permute(0, 3, 1, 2).contiguous().to(device) for s in stacks]

    both = squares(drawn.train, [view, roomy])
    return Pictures(both[1], both[0], squares(drawn.test, [view])[0])


def recipe_of(drawn: Examined, arm: str) -> Training:
    """The recipe of an arm, to its last epoch."""
    stages, late = drawn.backbone.stages, late_of(arm)
    recipe = tuned(
        drawn.backbone,
        init="pretrained",
        taps=drawn.taps,
        images=len(drawn.train),
        mirror=drawn.mirror,
        weighting="none",
        trainable_from=stages[len(stages) - late].name if late else None,
    )
    if arm.startswith(SLOW):
        return replace(recipe, rates=(0.1 * TRIED[0], 0.3 * TRIED[0]))
    return replace(recipe, rates=TRIED[1:2] if arm == "always" else TRIED)


def late_of(arm: str) -> int:
    """How many of the last stages are trained; 0 for all."""
    base = arm.removeprefix(SLOW)
    return int(base[4:]) if base.startswith("late") else 0


def network_of(drawn: Examined, module: nn.Module, arm: str) -> TransferNetwork:
    """The network that an arm starts from."""
    stages = drawn.backbone.stages
    frozen = [stage.name for stage in stages[: len(stages) - (late_of(arm) or len(stages))]]
    norms = nn.modules.batchnorm._BatchNorm
    network, _ = operate(
        module,
        drawn.backbone,
        taps=drawn.taps,
        classes=drawn.classes,
        frozen=frozen or False,
        head_init=drawn.whole if arm == "always" else drawn.head,
    )
    network.eval_modules |= {p for p, m in module.named_modules() if isinstance(m, norms)}
    if arm == "light":
        for parameter in network.trunk.parameters():
            parameter.requires_grad_(parameter.ndim == 1)
    return network


@dataclass(frozen=True, eq=False)
class Way:
    """An arm's network, and what goes into it of the training, validation and test images."""

    vector: Vector
    feed: Callable[..., tuple[Any, ...]]
    val: tuple[Any, ...]
    test: tuple[Any, ...]


def way_of(drawn: Examined, arm: str, module: nn.Module, pixels: Pictures) -> Way:
    """Make an arm's network ready: late stages read what the frozen ones gave, once."""
    record, device = drawn.backbone, pixels.train.device
    training = recipe_of(drawn, arm)
    needs = trunk_state.of_module(module, record).needs
    depths = {name: d for d in reversed(range(len(needs))) for name in needs[d]}
    network = network_of(drawn, module, arm).to(device)
    own = np.arange(len(drawn.train)) if arm == "always" else drawn.part
    rows_of = torch.from_numpy(own).to(device)
    val = torch.from_numpy(drawn.val).to(device)

    mean, std = (
        255 * torch.tensor(v, device=device)[:, None, None] for v in (record.mean, record.std)
    )

    def clean(some: Tensor) -> Tensor:
        return (some.float() - mean) / std

    if not late_of(arm):
        size = record.view.size

        def look(rows: Tensor, flip: Tensor, box: Tensor) -> tuple[Tensor]:
            some = pixels.roomy[rows_of[rows]].float()
            return (clean(cropped(some, flip, box, size)),)

        vector = vector_of(network, network, depths, training)
        return Way(vector, look, (clean(pixels.train[val]),), (clean(pixels.test),))
    parts = split(network, training.trainable_from, record)
    assert parts is not None
    front, back = parts

    def held(some: Tensor, turned: bool) -> list[Tensor]:
        chunks = [front(clean(c.flip(-1) if turned else c)) for c in some.split(128)]
        value, taps = [c[0] for c in chunks], zip(*(c[1] for c in chunks), strict=True)
        return [torch.cat(value), *(torch.cat(tap) for tap in taps)]

    plain = held(pixels.train, False)
    both = [torch.stack(p) for p in zip(plain, held(pixels.train, True), strict=True)]
    test = held(pixels.test, False)

    def take(rows: Tensor, flip: Tensor, box: Tensor) -> tuple[Tensor, list[Tensor]]:
        value, *taps = (one[flip.long(), rows_of[rows]] for one in both)
        return value, taps

    seen = (plain[0][val], [tap[val] for tap in plain[1:]])
    vector = vector_of(network, back, depths, training)
    return Way(vector, take, seen, (test[0], test[1:]))


def arms_of(
    drawn: Examined,
    read: Read,
    build: Callable[[], nn.Module],
    arms: Sequence[str],
    device: torch.device,
    tell: Callable[[dict[str, Any]], None],
) -> None:
    """Train each arm at each of its rates and ``tell`` what it got."""
    pixels, module = pictures(drawn, read, device), build()
    begins = [[arm] for arm in arms]
    if (
        device.type == "cuda"
    ):  # small networks leave most of a GPU idle: those in step train at once
        same = [arm for arm in arms if arm != "always"]
        begins = [group for group in (same, ["always"][: len(arms) - len(same)]) if group]
    for group in begins:
        for row in trained(drawn, group, module, pixels):
            tell(row)


def trained(
    drawn: Examined, arms: Sequence[str], module: nn.Module, pixels: Pictures
) -> Iterator[dict[str, Any]]:
    """Train arms of as many steps together, and judge each."""
    began, device = time.perf_counter(), pixels.train.device
    ways = {arm: way_of(drawn, arm, module, pixels) for arm in arms}
    runs = {arm: runs_of(drawn, arm, way, pixels) for arm, way in ways.items()}
    ready, truth = time.perf_counter(), drawn.y_train[drawn.val]
    together = [run for some in runs.values() for run in some]
    train_together(together, recipe_of(drawn, arms[0]).epochs, truth, device)
    done = time.perf_counter()
    for arm, way in ways.items():
        started = time.perf_counter()
        states = judged_states(drawn, way, runs[arm])
        seconds = {"ready": ready - began, "train": done - ready}
        seconds["judge"] = time.perf_counter() - started
        yield record_of(drawn, arm, runs[arm], states) | {
            "seconds": seconds,
            "together": list(arms),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        }


def runs_of(drawn: Examined, arm: str, way: Way, pixels: Pictures) -> list[Run]:
    """An arm at each of its rates, at its start."""
    training, device = recipe_of(drawn, arm), pixels.train.device
    labels = drawn.y_train if arm == "always" else drawn.y_train[drawn.part]
    order = order_of(labels, training, pixels.roomy.shape[-1], drawn.seed, device)
    return [
        Run(
            vector=way.vector,
            rate=rate,
            feed=way.feed,
            labels=torch.from_numpy(labels).to(device),
            order=order,
            judged=() if arm == "always" else way.val,
            smoothing=training.smoothing,
        )
        for rate in training.rates
    ]


def judged_states(drawn: Examined, way: Way, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Every state of the rates, means of them, and what lies between them and the start."""
    truths = drawn.y_train[drawn.val], drawn.y_test
    judge = Judge(way.vector, (way.val, way.test), truths, drawn.frozen["val"])
    start = way.vector.start
    states = {"start": start} | {f"last {run.rate:g}": run.mean for run in runs}
    if not runs[0].judged:
        return judge.hear_of(states)
    for run in runs:
        states[f"best {run.rate:g}"] = run.best
        for alpha in ALPHAS:
            states[f"wise {alpha:g} {run.rate:g}"] = start.lerp(run.best, alpha)
    states["soup last"] = torch.stack([run.mean for run in runs]).mean(0)
    states["soup best"] = torch.stack([run.best for run in runs]).mean(0)
    for alpha in ALPHAS:
        states[f"wise {alpha:g} soup"] = start.lerp(states["soup best"], alpha)
    judge.hear_of(states)
    for kind in ("last", "best"):
        judge.mix(f"mix {kind}", [f"{kind} {run.rate:g}" for run in runs])
    return judge.mix("mix start", ["start", *(f"best {run.rate:g}" for run in runs)])


def record_of(
    drawn: Examined, arm: str, runs: Sequence[Run], states: Mapping[str, dict[str, float]]
) -> dict[str, Any]:
    """A line of the file."""
    training = recipe_of(drawn, arm)
    images = len(drawn.train) if arm == "always" else len(drawn.part)
    return {
        **drawn.row,
        "arm": arm,
        "rates": training.rates,
        "epochs": training.epochs,
        "batch": training.batch,
        "crop": training.crop,
        "shown": images * training.epochs,
        "weights": len(runs[0].vector.start),
        "best_epochs": [run.best_epoch for run in runs],
        "curves": [run.losses for run in runs],
        "problems": [run.problem for run in runs],
        "states": states,
    }


def bench(
    folders: Sequence[Path],
    backbones: Sequence[str],
    px: int,
    draws: Sequence[tuple[int, int]],
    out: Path,
) -> list[dict[str, Any]]:
    """Every arm on every draw (images a class, seed) of every set; all lines of the file."""
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    known = {key_of(row) for row in rows}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def tell(row: dict[str, Any]) -> None:
        rows.append(row)
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")

    for backbone, folder in itertools.product(backbones, folders):
        keys = [(backbone, px, folder.name, size, draw) for size, draw in draws]
        if all((*key, arm) in known for key in keys for arm in ARMS):
            continue
        measured = look(folder, backbone, px)
        for key in keys:
            arms = [arm for arm in ARMS if (*key, arm) not in known]
            if arms:
                drawn, whole = examined(measured, *key[2:], px=px), np.arange(len(measured.labels))
                read = part(measured, whole).read
                arms_of(drawn, read, measured.network.build, arms, device, tell)
        print(f"{backbone} {folder.name}: {len(rows)} lines", flush=True)
    return rows


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells a line from others."""
    return tuple(row[k] for k in ("backbone", "px", "set", "size", "draw", "arm"))
