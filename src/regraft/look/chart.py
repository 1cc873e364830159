"""The measured curves as SVG that takes the page's colours."""

from collections.abc import Callable, Sequence
from html import escape

from regraft.look.words import ProbedTask, chance, percent

WIDE, NARROW, HIGH = 480, 380, 300
LEFT, RIGHT, TOP = 44, 14, 14
NOTE = 13  # px, the size of letters

MARKS = ("circle", "square", "triangle")
"""How the tasks are marked, so that not colour alone tells them apart."""


def together(tasks: Sequence[ProbedTask], stages: Sequence[str]) -> str:
    """All tasks in one chart, as a share of what can be had above chance.

    0 is chance and 1 is no mistake (Cohen's kappa against always naming the commonest class); the
    place where each is highest is filled.
    """
    frame = _Frame(stages, WIDE)
    drawn = [_axes(frame, lambda share: f"{share:g}")]
    for n, task in enumerate(tasks):
        values = [above_chance(task, accuracy) for accuracy in task.curve.accuracies]
        drawn.append(_line(frame, values, f"t{n}"))
        drawn += [
            _mark(MARKS[n], frame.x(d), frame.y(value), f"t{n}", full=d == task.curve.peak)
            for d, value in enumerate(values)
        ]
    peaks = "; ".join(f"{t.short} highest after {stages[t.curve.peak]}" for t in tasks)
    title = f"How well each stage tells {_joined([t.short for t in tasks])}: {peaks}."
    return _svg(frame, title, drawn)


def alone(task: ProbedTask, number: int, stages: Sequence[str]) -> str:
    """One task: accuracy with its 95 % interval, random weights dashed, chance dotted."""
    frame = _Frame(stages, NARROW)
    curve, style = task.curve, f"t{number}"
    drawn = [_axes(frame, percent), _band(frame, curve.intervals, style)]
    y = frame.y(curve.chance)
    drawn.append(f'<line class="chance" x1="{LEFT}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
    if task.untrained is not None:
        drawn.append(_line(frame, task.untrained.accuracies, f"{style} untrained"))
    drawn.append(_line(frame, curve.accuracies, style))
    drawn += [
        _mark(MARKS[number], frame.x(d), frame.y(value), style, full=d == curve.peak)
        for d, value in enumerate(curve.accuracies)
    ]
    listed = ", ".join(f"{s} {percent(a)}" for s, a in zip(stages, curve.accuracies, strict=True))
    return _svg(frame, f"{task.name}: {listed}. Chance is {chance(curve)}.", drawn)


def swatch(number: int) -> str:
    """A task's mark for the legend."""
    mark = _mark(MARKS[number], 15, 8, f"t{number}", full=True)
    line = f'<path class="line t{number}" d="M1 8H29"/>'
    return f'<svg class="swatch" viewBox="0 0 30 16" aria-hidden="true">{line}{mark}</svg>'


def above_chance(task: ProbedTask, accuracy: float) -> float:
    """0 for chance, 1 for no mistake; below chance counts as chance."""
    return max((accuracy - task.curve.chance) / max(1 - task.curve.chance, 1e-9), 0.0)


class _Frame:
    """Where things lie: stages along x, 0 to 1 along y."""

    def __init__(self, stages: Sequence[str], wide: int) -> None:
        self.stages = stages
        self.right = wide - RIGHT
        self.wide = wide
        longest = max(len(name) for name in stages)
        self.turned = longest * NOTE * 0.6 * len(stages) > self.right - LEFT
        self.foot = min(longest, 18) * NOTE * 0.38 + 22 if self.turned else 28
        self.high = HIGH + self.foot

    def x(self, depth: int) -> float:
        return LEFT + (self.right - LEFT) * (depth + 0.5) / len(self.stages)

    def y(self, share: float) -> float:
        return TOP + (HIGH - TOP) * (1 - share)


def _svg(frame: _Frame, title: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {frame.wide} {frame.high:.0f}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(drawn)}</svg>'
    )


def _axes(frame: _Frame, label: Callable[[float], str]) -> str:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = frame.y(share)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label(share)}</text>'
        )
    for depth, name in enumerate(frame.stages):
        x, y = frame.x(depth), HIGH + 18
        short = escape(name if len(name) <= 18 else f"{name[:8]}…{name[-8:]}")
        turn = f'text-anchor="end" transform="rotate(-40 {x:.1f} {y})"'
        how = turn if frame.turned else 'text-anchor="middle"'
        parts.append(f'<text x="{x + 4 * frame.turned:.1f}" y="{y}" {how}>{short}</text>')
    return "".join(parts)


def _line(frame: _Frame, values: Sequence[float], style: str) -> str:
    points = "L".join(f"{frame.x(d):.1f} {frame.y(value):.1f}" for d, value in enumerate(values))
    return f'<path class="line {style}" d="M{points}"/>'


def _band(frame: _Frame, intervals: Sequence[tuple[float, float]], style: str) -> str:
    upper = [f"{frame.x(d):.1f} {frame.y(high):.1f}" for d, (_, high) in enumerate(intervals)]
    lower = [f"{frame.x(d):.1f} {frame.y(low):.1f}" for d, (low, _) in enumerate(intervals)]
    return f'<path class="band {style}" d="M{"L".join([*upper, *reversed(lower)])}Z"/>'


def _mark(kind: str, x: float, y: float, style: str, *, full: bool) -> str:
    size = 6 if full else 4
    style = f"mark {style}{' full' * full}"
    if kind == "circle":
        return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
    if kind == "square":
        return (
            f'<rect class="{style}" x="{x - size:.1f}" y="{y - size:.1f}" '
            f'width="{2 * size}" height="{2 * size}"/>'
        )
    wide = 1.2 * size
    corners = f"M{x:.1f} {y - wide:.1f}L{x + wide:.1f} {y + size:.1f}H{x - wide:.1f}Z"
    return f'<path class="{style}" d="{corners}"/>'


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
