"""The measured curves as SVG that takes the page's colours."""

from collections.abc import Callable, Sequence

from regraft.look.words import ProbedTask, chance, percent
from regraft.report.charts.frame import Frame, band, dot, line, path, short, svg, text, turned

WIDE, NARROW, HIGH = 480, 380, 300
LEFT, RIGHT = 44, 14
NOTE = 13  # px, the size of letters

MARKS = ("circle", "square", "triangle")
"""How the tasks are marked, so that not colour alone tells them apart."""


def together(tasks: Sequence[ProbedTask], stages: Sequence[str]) -> str:
    """All tasks in one chart, as a share of what can be had above chance.

    0 is chance and 1 is no mistake (Cohen's kappa against always naming the commonest class); the
    place where each is highest is filled.
    """
    frame = _frame(stages, WIDE)
    drawn = _axes(frame, stages, lambda share: f"{share:g}")
    for n, task in enumerate(tasks):
        values = [above_chance(task, accuracy) for accuracy in task.curve.accuracies]
        drawn.append(path(frame, list(enumerate(values)), f"t{n}"))
        drawn += [
            _mark(MARKS[n], frame.x(d), frame.y(value), f"t{n}", full=d == task.curve.peak)
            for d, value in enumerate(values)
        ]
    peaks = "; ".join(f"{t.short} highest after {stages[t.curve.peak]}" for t in tasks)
    title = f"How well each stage tells {_joined([t.short for t in tasks])}: {peaks}."
    return svg(frame, title, drawn)


def alone(task: ProbedTask, number: int, stages: Sequence[str]) -> str:
    """One task: accuracy with its 95 % interval, random weights dashed, chance dotted."""
    frame = _frame(stages, NARROW)
    curve, style = task.curve, f"t{number}"
    drawn = _axes(frame, stages, percent)
    drawn.append(band(frame, range(len(stages)), curve.intervals, style))
    y = frame.y(curve.chance)
    drawn.append(line(frame.left, y, frame.wide - frame.right, y, "chance"))
    if task.untrained is not None:
        untrained = list(enumerate(task.untrained.accuracies))
        drawn.append(path(frame, untrained, f"{style} untrained"))
    drawn.append(path(frame, list(enumerate(curve.accuracies)), style))
    drawn += [
        _mark(MARKS[number], frame.x(d), frame.y(value), style, full=d == curve.peak)
        for d, value in enumerate(curve.accuracies)
    ]
    listed = ", ".join(f"{s} {percent(a)}" for s, a in zip(stages, curve.accuracies, strict=True))
    return svg(frame, f"{task.name}: {listed}. Chance is {chance(curve)}.", drawn)


def swatch(number: int) -> str:
    """Return a task's mark for the legend."""
    mark = _mark(MARKS[number], 15, 8, f"t{number}", full=True)
    stroke = f'<path class="line t{number}" d="M1 8H29"/>'
    return f'<svg class="swatch" viewBox="0 0 30 16" aria-hidden="true">{stroke}{mark}</svg>'


def above_chance(task: ProbedTask, accuracy: float) -> float:
    """0 for chance, 1 for no mistake; below chance counts as chance."""
    return max((accuracy - task.curve.chance) / max(1 - task.curve.chance, 1e-9), 0.0)


def _frame(stages: Sequence[str], wide: int) -> Frame:
    """Where things lie: stages along x, each in the middle of its share; 0 to 1 along y."""
    longest = min(max(map(len, stages)), 18)
    foot = round(longest * NOTE * 0.38 + 22) if _crowded(stages, wide) else 28
    ends = (-0.5, len(stages) - 0.5)
    return Frame(ends, (0, 1), wide, HIGH + foot, left=LEFT, right=RIGHT, foot=foot)


def _crowded(stages: Sequence[str], wide: float) -> bool:
    """Return whether the stages' names are too long to stand side by side."""
    return max(map(len, stages)) * NOTE * 0.6 * len(stages) > wide - RIGHT - LEFT


def _axes(frame: Frame, stages: Sequence[str], label: Callable[[float], str]) -> list[str]:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = frame.y(share)
        parts.append(line(frame.left, y, frame.wide - frame.right, y, "grid"))
        parts.append(text(frame.left - 6, y + 4, label(share), anchor="end"))
    crowded = _crowded(stages, frame.wide)
    for depth, name in enumerate(map(short, stages)):
        x, y = frame.x(depth), frame.floor + 18
        parts.append(turned(x + 3.1, y - 2.6, name, 40) if crowded else text(x, y, name))
    return parts


def _mark(kind: str, x: float, y: float, style: str, *, full: bool) -> str:
    size = 6 if full else 4
    style = f"{style}{' full' * full}"
    if kind == "circle":
        return dot(x, y, style, size)
    if kind == "square":
        return (
            f'<rect class="mark {style}" x="{x - size:.1f}" y="{y - size:.1f}" '
            f'width="{2 * size}" height="{2 * size}"/>'
        )
    wide = 1.2 * size
    corners = f"M{x:.1f} {y - wide:.1f}L{x + wide:.1f} {y + size:.1f}H{x - wide:.1f}Z"
    return f'<path class="mark {style}" d="{corners}"/>'


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
