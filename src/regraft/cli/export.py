"""``regraft export``: a RUN as what other tools load, or on the Hugging Face hub."""

from pathlib import Path
from typing import TYPE_CHECKING

from regraft.cli.terminal import print_json, say, show, show_warnings
from regraft.errors import UsageError

if TYPE_CHECKING:
    from regraft.export import Exported


def run_export(
    run: Path,
    to: str,
    repository: str | None,
    *,
    out: Path | None,
    pixels: bool,
    data: str | None,
    overwrite: bool,
    private: bool,
    network: str | None,
    as_json: bool,
) -> None:
    """Write or push the RUN, and print how it compares."""
    show_warnings()
    _check_words(to, repository, out, pixels, data, private, network)
    if to == "hub":
        _push(run, str(repository), private, overwrite, as_json)
        return
    from regraft.export import export

    made = export(run, to, out, pixels=pixels, data=data, overwrite=overwrite, network=network)
    if as_json:
        print_json(made.to_json())
    else:
        _print(made)


def _check_words(
    to: str,
    repository: str | None,
    out: Path | None,
    pixels: bool,
    data: str | None,
    private: bool,
    network: str | None,
) -> None:
    """Refuse options that do not go with the target; all of them are named.

    Raises:
        UsageError: there are some.
    """
    hub = to == "hub"
    odd = {
        f"OWNER/NAME ({repository}) goes with --to hub alone.": repository is not None and not hub,
        "--private goes with --to hub alone.": private and not hub,
        "--to hub needs OWNER/NAME after RUN.": repository is None and hub,
        "--to hub writes no file, so it takes no --out.": out is not None and hub,
        "--pixels goes with --to onnx and torch alone.": pixels and to not in ("onnx", "torch"),
        "--to hub compares nothing, so it takes no --data.": data is not None and hub,
        "--to hub builds no network, so it takes no --network.": network is not None and hub,
    }
    wrong = [words for words, is_so in odd.items() if is_so]
    if wrong:
        raise UsageError("These do not go together.", wrong)


def _push(run: Path, repository: str, private: bool, overwrite: bool, as_json: bool) -> None:
    from regraft.export.to_hub import push

    pushed = push(run, repository, private=private, overwrite=overwrite)
    say("The names of your image files were not sent: predictions.csv and audit.csv are empty.")
    if as_json:
        print_json({"target": "hub", "url": pushed.url, "files": list(pushed.files)})
    else:
        show(f"Pushed to {pushed.url}")


def _print(made: "Exported") -> None:
    from regraft.export.parity import in_words

    say(*(in_words(each) for each in made.parities))
    if made.target == "serve":
        run = made.path.parent
        say(f"A copy of {run} is served, and predicts, where there is no torch.")
        show(f"Written to {made.path} ({made.size / 1e6:.1f} MB).")
        return
    say(f"It takes {made.input}, and gives {made.output}.")
    show(f"Written to {made.path} ({made.size / 1e6:.1f} MB).")
