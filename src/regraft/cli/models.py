"""``regraft models``: the backbones on hand."""

from rich.table import Table

from regraft import backbones
from regraft.cli.terminal import print_json, results, say


def run_models(as_json: bool) -> None:
    """List the bundled backbones, and say how to name any other."""
    records = backbones.bundled()
    if as_json:
        print_json([{**b.to_json(), "on_hand": backbones.on_hand(b)} for b in records])
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("name", "stages", "input", "parameters", "trained on", "licence", "weights"):
        table.add_column(name, justify="right" if name in ("stages", "parameters") else "left")
    for b in records:
        here = "installed" if backbones.on_hand(b) else "pip install 'regraft[lite]'"
        size = f"{b.view.size} px"
        row = (b.name, str(len(b.stages)), size, f"{b.parameters:,}", b.source, b.licence, here)
        table.add_row(*row)
    results().print(table)
    say(
        "Any timm model goes by its name too: --backbone resnet18 --weights FILE, or without",
        "--weights, and timm fetches them from its hub.",
    )
