"""A plan and a result on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from regraft import diagram
from regraft.cli.rows import Fitting, Rows, lines
from regraft.cli.terminal import show_sections
from regraft.data.audit import Audit
from regraft.data.dataset import few
from regraft.data.splits import EACH_ONCE
from regraft.heads.tasks.words import words_of
from regraft.networks.changes import Change
from regraft.plan import kind_wording, wording
from regraft.plan.definition import Plan
from regraft.plan.evidence import Evidence
from regraft.plan.naming import probe_named, stages_named
from regraft.plan.similarity import SIMILAR
from regraft.plan.size import LARGE
from regraft.results.tables import suspects_of

BAR, FEWEST_CELLS = 30, 8
"""Cells of a full bar, and how few are not worth one."""
BESIDE_BAR = 36
"""Columns for what stands after the name and the bar."""

KINDS = ("frozen", "kept", "reinitialised", "dropped", "added")


def show_plan(console: Console, plan: Plan, audit: Audit, seconds: str) -> None:
    """Print the whole plan: data, audit, depth curve, plane, surgery, accuracy, reasons."""
    sections = {
        f"{plan.dataset}: what there is": _data(plan, audit),
        **_network(plan),
        f"How much each depth tells ({words_of(plan.kind).measure}, cross-validated)": _curve(plan),
        "Where it lies": _plane(plan.evidence),
        plan.title: _surgery(plan),
        f"What to expect {'of the frozen network ' if plan.trainings else ''}"
        "on images never seen": _expected(plan),
        **_how_many(plan),
        "What else could be done": _alternatives(plan),
        "What it costs": Text(seconds),
        "Why": _reasons(plan),
    }
    show_sections(sections, console)


def _network(plan: Plan) -> dict[str, RenderableType]:
    """Return how the network was chosen, where it was."""
    if plan.ranking is None:
        return {}
    from regraft.cli.rank import ranked_table, table_notes

    notes = lines(table_notes(plan.ranking), "dim")
    return {"Which network": Group(ranked_table(plan.ranking), Text(plan.ranking.why), notes)}


def _data(plan: Plan, audit: Audit) -> RenderableType:
    held = {
        "test": "its own test images",
        "val": "its own validation images",
    }.get(plan.split, f"chosen by seed {plan.seed}")
    lines = [
        f"{plan.train:,} images to train on, {kind_wording.asked(plan)}",
        f"{_each(plan)} held out once, in turn: a fifth alone would prove little"
        if plan.split == EACH_ONCE
        else f"{plan.test:,} images held out ({held}), not read before the end",
    ]
    if plan.left_out:
        lines.append(f"{plan.left_out:,} images left out: {_why_left_out(audit)}")
    if audit.notes:
        noted = ", ".join(f"{count:,} {note}" for note, count in sorted(audit.notes.items()))
        lines.append(f"noted and handled: {noted}")
    return Group(*(Text(line) for line in [*lines, *audit.warnings]))


def _each(plan: Plan) -> str:
    return "each of them is" if plan.test == plan.train else f"{plan.test:,} of them are each"


def _why_left_out(audit: Audit) -> str:
    counts: dict[str, int] = {}
    for left in audit.left_out:
        counts[left.reason] = counts.get(left.reason, 0) + 1
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))


def _curve(plan: Plan) -> RenderableType:
    said = wording.by_loss(plan)
    drawn = Fitting(lambda wide: _depths(plan, wide))
    return Group(drawn, Text(said)) if said else drawn


def _depths(plan: Plan, wide: int) -> Rows:
    """Return the accuracy of each depth, with a bar where there is room for one."""
    table = Rows([""] * 5, right=(2,), spare=1, lead=3)
    evidence, chosen = plan.evidence, plan.evidence.probes[plan.evidence.chosen]
    words = words_of(plan.kind)
    counts = chosen.weights if evidence.averages else {}
    names = [probe_named(plan.backbone, probe) for probe in evidence.probes]
    cells = min(wide - max(map(len, names)) - BESIDE_BAR, BAR)
    for i, (probe, name) in enumerate(zip(evidence.probes, names, strict=True)):
        mark = "← read" if i == evidence.chosen else ""
        if evidence.averages and len(probe.taps) == 1 and not mark:
            mark = f"counts {counts.get(probe.taps[0], 0.0):.0%}"
        style = "bold green" if probe is chosen else ("cyan" if len(probe.taps) == 1 else "blue")
        bar = Text(_bar(max(probe.accuracy, 0.0), cells), style=style)
        span = Text(words.span(probe.interval), style="dim")
        table.add(name, bar, words.told(probe.accuracy), span, mark)
    return table


def _bar(share: float, cells: int) -> str:
    """Return a bar of eighths of a cell; none where there are few."""
    if cells < FEWEST_CELLS:
        return ""
    eighths = round(share * cells * 8)
    parts: tuple[str, ...] = ("", *"▏▎▍▌▋▊▉")
    return "█" * (eighths // 8) + parts[eighths % 8]


def _plane(evidence: Evidence) -> RenderableType:
    """Return the plane, size across and similarity up, with the cases as quarters and the set."""
    wide, high = 12, 4
    column = min(int(evidence.size * 2 * wide), 2 * wide - 1)
    row = 2 * high - 1 - min(int(evidence.similarity * 2 * high), 2 * high - 1)
    lines = []
    for y in range(2 * high):
        cells = [" "] * (2 * wide)
        left, right = ("case 1", "case 3") if y < high else ("case 2", "case 4")
        if y % high == (2 if row % high == 1 else 1):  # beside the point, not under it
            cells[1 : 1 + len(left)] = left
            cells[2 * wide - 1 - len(right) : 2 * wide - 1] = right
        if y == row:
            cells[column] = "●"
        name = {0: "similar", 2 * high - 1: "different"}.get(y, "")
        line = Text(f"{name:<10}", style="dim")
        line.append("".join(cells[:wide]) + " │ " + "".join(cells[wide:]), style="not dim")
        line.highlight_words(["●"], style="bold green")
        lines.append(line)
        if y == high - 1:
            lines.append(Text(" " * 10 + "─" * wide + "─┼─" + "─" * wide, style="dim"))
    lines.append(Text(f"{'':10}{'small':<{wide}}   {'large':>{wide}}", style="dim"))
    lines.append(
        Text(
            f"similarity {evidence.similarity:.2f} (similar from {SIMILAR}), "
            f"size {evidence.size:.2f} (large from {LARGE})"
        )
    )
    return Group(*lines)


def _surgery(plan: Plan) -> RenderableType:
    table = Rows(["", ""], fold=1)
    table.add("first frozen" if plan.trainings else "frozen", Text(", ".join(plan.kept)))
    dropped = ", ".join([*plan.dropped, "the old head"])
    table.add("dropped", Text(dropped))
    reads = stages_named(plan.backbone, plan.taps)
    outputs = "one number" if plan.kind == "number" else f"{len(plan.evidence.classes)}"
    new = f"one fully connected layer, {plan.inputs:,} to {outputs}, reading {reads}"
    table.add("new", Text(new))
    for training in plan.trainings:
        names = [stage.name for stage in plan.backbone.stages]
        these = ", ".join(names[names.index(training.trainable_from) :])
        start = "from the pretrained weights" if training.init == "pretrained" else "from random"
        table.add("then trained", Text(f"{these}, {start}; handed over where that helps"))
    return Group(_drawn(plan), Text(), table)


def _expected(plan: Plan) -> RenderableType:
    evidence, words = plan.evidence, words_of(plan.kind)
    return Text(
        f"{words.got(evidence.expected)} ({words.span(evidence.expected_interval)}, 95%); "
        f"{words.guessing} gives {words.told(evidence.guess)}, "
        f"the five nearest neighbours {words.told(evidence.neighbours)}"
    )


def _how_many(plan: Plan, metrics: Mapping[str, Any] | None = None) -> dict[str, RenderableType]:
    """Return what more images would bring, where that was asked."""
    said = wording.how_many(plan, metrics)
    return {"How many more": Group(*(Text(line) for line in said))} if said else {}


def _alternatives(plan: Plan) -> RenderableType:
    words = words_of(plan.kind)
    head = ("case", "reads", words.measure, "95%", "parameters")
    table = Rows(head, right=(0, 2, 3, 4), fold=1, lead=2)
    best_first = sorted(plan.alternatives, key=lambda other: -other.accuracy)
    for other in best_first[:5]:
        got, span = words.told(other.accuracy), words.span(other.interval)
        table.add(str(other.case), other.name, got, span, f"{other.parameters:,}")
    return table


def _reasons(plan: Plan) -> RenderableType:
    return Group(*_reason_lines(plan))


def _reason_lines(plan: Plan) -> Iterator[Text]:
    for reason in plan.reasons:
        yield Text(f"{reason.rule} {reason.fact}").append(f"  [{reason.source}]", style="dim")


def left_out_lines(audit: Audit, most: int = 5) -> list[str]:
    """Return what is left out, in short: the first few by name, the rest as a number."""
    lines = [f"left out {left.path}: {left.detail or left.reason}" for left in audit.left_out]
    return few(lines, most, "... and {:,} more (fit: RUN/audit.csv has all)")


def show_result(
    console: Console, plan: Plan, metrics: Mapping[str, Any], changes: Sequence[Change], cost: str
) -> None:
    """Print what a run got on the images that judge it, and what it did to get it."""
    sections = {
        f"What it got on {metrics['n']:,} {plan.judged}": _scores(plan, metrics),
        **_labels(metrics),
        **_unknown(plan, metrics),
        plan.title: _done(plan, changes),
        "Why": _reasons(plan),
        **({"What ran": _ran(plan, metrics)} if plan.ran else {}),
        **_network(plan),
        **_how_many(plan, metrics),
        "What it cost": Text(
            "\n".join(filter(None, (cost, _spent(metrics["seconds"]), wording.overrun(metrics))))
        ),
    }
    show_sections(sections, console)


def _done(plan: Plan, changes: Sequence[Change]) -> RenderableType:
    anew = "random" if plan.unchanged else "trained from random"
    words = {"kept": "trained on", "reinitialised": anew}
    counts = [
        f"{count:,} {words.get(kind, kind)}"
        for kind in KINDS
        if (count := sum(change.parameters for change in changes if change.kind == kind))
    ]
    said = [
        f"parameters: {'; '.join(counts)}",
        f"reads {stages_named(plan.backbone, plan.taps)}",
        wording.unchanged(plan),
    ]
    return Group(_drawn(plan), Text(), lines(filter(None, said)))


def _drawn(plan: Plan) -> RenderableType:
    scene = diagram.of_plan(plan)
    return Fitting(lambda wide: diagram.text(scene, wide))


def _scores(plan: Plan, metrics: Mapping[str, Any]) -> RenderableType:
    if plan.kind != "one":
        return lines(kind_wording.scores(plan, metrics))
    low, high = metrics["accuracy_interval"]
    said = [
        f"accuracy: right for {metrics['accuracy']:.1%} ({low:.1%} to {high:.1%}, 95%), against "
        f"{metrics['guess']:.1%} by always naming the commonest class",
    ]
    weak, more = wording.weakest(metrics)
    named = ", ".join(f"{name} {share}" for name, share in weak)
    unknown = ", ".join(wording.unjudged(metrics))
    said += [
        f"weakest: {named}{more}" if named else "",
        f"{wording.NO_IMAGE}, so nothing known, of: {unknown}" if unknown else "",
        f"balanced accuracy {metrics['balanced_accuracy']:.1%} (every class counts the same); log "
        f"loss {metrics['log_loss']:.3f} and calibration error {metrics['ece']:.1%} (how far "
        "confidence is from accuracy)",
        wording.surprise(plan, metrics),
    ]
    return Group(*(Text(line) for line in said if line))


def _labels(metrics: Mapping[str, Any]) -> dict[str, RenderableType]:
    """Return how many labels look wrong, and the least believed ones."""
    if not (said := wording.suspects(metrics)):
        return {}
    worst = [
        f"{one.path}: labelled {one.label}, looks like {one.suggestion}"
        for one in suspects_of(metrics)[:3]
    ]
    return {"Labels": Group(*(Text(line) for line in [said, *worst]))}


def _unknown(plan: Plan, metrics: Mapping[str, Any]) -> dict[str, RenderableType]:
    said = wording.unknown(plan, metrics)
    return {"None of these": Text(said)} if said else {}


def _ran(plan: Plan, metrics: Mapping[str, Any]) -> RenderableType:
    """Return the candidates on the validation images, their cost, and why one was handed over."""
    head = ("case", "candidate", "validation", "95%", "seconds", "", "")
    table = Rows(head, right=(0, 2, 3, 4), fold=5, lead=2)
    words = words_of(plan.kind)
    for ran, row in zip(plan.ran, metrics["candidates"], strict=True):
        table.add(
            str(ran.case),
            ran.name,
            words.told(ran.accuracy),
            words.span(ran.interval),
            f"{row['seconds']:.1f}",
            ran.note,
            "← handed over" if ran.handed_over else "",
        )
    return Group(table, Text(plan.why))


def _spent(seconds: Mapping[str, float]) -> str:
    parts = [f"{name} {value:.2f} s" for name, value in wording.spent(seconds)]
    return f"{seconds['total']:.1f} s in all: {', '.join(parts)}"
