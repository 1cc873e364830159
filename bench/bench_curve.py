"""How many more images: what a quarter of a set's images foretells of half and of all of them.

    python bench/bench_curve.py --data FOLDER --backbones efficientnet-lite0,demonstration \
        --points FOLDER --out bench_curve.json [--write src/regraft/plan/curve.json]

For each set, network and draw three in ten images (at most 2,000) judge, and of the others so many
a class are learnt from; each of these is a quarter and a half of what is learnt from later. Two
questions. *On fixed images*: the curve is drawn through the accuracy on the judging images
themselves, as where a person has a test set; then what is judged is the law alone, without the
luck of those images. *As a plan has it*: by cross-validation of the quarter, and the judging images
were never seen. Told of both: the mean error of the accuracy foretold; how often it lies within 90
per cent (its interval made wider by the luck of the judging images, where they are others); how far
the images needed for the accuracy that half and all then had are over-estimated. Beside it a power
law through the same points, and that all stays as it is. What is known of other sets is fitted
without the set that is judged; ``--write`` writes that of all sets.
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from math import exp, log, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import machine
from draws import look
from regraft.heads.average import fit_average
from regraft.heads.ridge import columns
from regraft.plan.curve import SURE, KnownCurves, Law, law
from regraft.plan.evidence import candidates_of, gather
from regraft.plan.subsets import FEWEST, ranks, subsets_of, within
from regraft.run.measure import Measured

SIZES = (5, 10, 20, 40, 80, 160, 320)
JUDGE, MOST = 0.3, 2_000
LEARN = 3_300  # images that are learnt from, at most
SHARES = {1 / 8: 8, 1 / 4: 4, 1 / 2: 2, 1.0: 1}  # on fixed images, and how often each is drawn
BEYOND = 64.0  # times the images, where an estimate of those needed ends

Rows = NDArray[np.intp]


class Curve(NamedTuple):
    """What was measured of so many images: points, and which images were then got wrong."""

    images: NDArray[np.float64]
    wrong: NDArray[np.float64]
    draws: Rows


class Fitted(NamedTuple):
    """So many images of a set: both curves, and what they came to on the judging images."""

    of: str
    network: str
    draw: int
    size: int
    total: int
    learnt: bool
    seconds: tuple[float, float]  # to gather the evidence, and to draw the curve of a plan
    fixed: Curve
    plan: Curve
    error: float
    judging: int


class Told(NamedTuple):
    """One foretelling: of the error at so many times the images."""

    quarter: Fitted
    times: float
    error: float
    seen: float
    inside: bool
    needed: float
    power: float
    power_needed: float


def main() -> None:
    """Measure, fit, judge; print the tables, write the JSON."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--sets", default="", help="names, by commas; all where empty")
    words.add_argument("--backbones", default="efficientnet-lite0,demonstration")
    words.add_argument("--draws", type=int, default=3)
    words.add_argument("--points", type=Path, required=True, help="where what is measured is kept")
    words.add_argument("--out", type=Path, default=Path("bench_curve.json"))
    words.add_argument("--write", type=Path, help="what is known of all sets")
    given = words.parse_args()
    sets = given.sets.split(",") if given.sets else sorted(p.name for p in given.data.iterdir())
    found: list[Fitted] = []
    for network in given.backbones.split(","):
        for name in sets:
            found += measured(given, network, name)
    kept = [one for one in found if one.learnt]
    told: dict[str, list[Told]] = {"fixed": [], "plan": []}
    for name in sets:
        prior = fitted([one for one in kept if one.of != name])
        for kind, rows in told.items():
            rows += foretold([one for one in kept if one.of == name], kept, prior, kind)
    for kind, rows in told.items():
        show(kind, rows)
    spent = np.array([one.seconds for one in found if 500 <= one.total <= 2_000])
    each, (evidence, curve) = np.median(spent[:, 1] / spent[:, 0]), spent.sum(0)
    print(f"seconds of the curve, of those of the evidence, at 500 to 2,000 images: {each:.2f}")
    print(f"(median), {curve / evidence:.2f} in all")
    prior = fitted(kept)
    print(prior)
    if given.write:
        given.write.write_text(json.dumps(asdict(prior), indent=1) + "\n")
    tables = {
        kind: [summed(some, kind) for _, _, some in parted(rows)] for kind, rows in told.items()
    }
    given.out.write_text(json.dumps({"machine": machine.describe(), "tables": tables}, indent=1))
    print(json.dumps(machine.describe()))


def measured(given: argparse.Namespace, network: str, name: str) -> list[Fitted]:
    """All sizes and draws of a set under a network, or what an earlier run measured of them."""
    given.points.mkdir(parents=True, exist_ok=True)
    place, rows = given.points / f"{network}-{name}.npz", list[Fitted]()
    if not place.exists():
        images = look(given.data / name, network, 0)
        for draw in range(given.draws):
            rows += drawn(images, network, name, draw)
        np.savez_compressed(place, rows=np.array(rows, dtype=object), allow_pickle=True)
        print(f"{network}, {name}: {len(rows)} sizes", flush=True)
    return [_read(row) for row in np.load(place, allow_pickle=True)["rows"]]


def _read(row: Any) -> Fitted:
    one = Fitted(*row)
    return one._replace(fixed=Curve(*one.fixed), plan=Curve(*one.plan))


def drawn(images: Measured, network: str, name: str, draw: int) -> Iterable[Fitted]:
    """Each size of a draw, those that are too few of a set left out."""
    order, judging = judged_apart(images, draw)
    before = 0
    for size in SIZES:
        rows = some_of_each(images, order, size)
        fewest = np.bincount(images.labels[rows], minlength=len(images.classes)).min()
        if not 1.3 * before <= len(rows) <= LEARN or fewest < 2:
            continue
        before = len(rows)
        yield one_of(images, rows, judging)._replace(of=name, network=network, draw=draw, size=size)


def judged_apart(images: Measured, draw: int) -> tuple[Rows, Rows]:
    """Return the images to learn from, in the order of a draw, and those that judge."""
    random, groups = np.random.default_rng(draw), images.audit.groups
    apart = np.unique(groups, return_inverse=True)[1]
    judge = (random.permutation(apart.max() + 1) < JUDGE * (apart.max() + 1))[apart]
    order = random.permutation(np.flatnonzero(~judge))
    return order, random.permutation(np.flatnonzero(judge))[:MOST]


def some_of_each(images: Measured, order: Rows, size: int) -> Rows:
    """Return the first so many images of each class, ascending."""
    y = images.labels[order]
    return np.sort(np.concatenate([order[y == c][:size] for c in range(len(images.classes))]))


def one_of(images: Measured, rows: Rows, judging: Rows) -> Fitted:
    """Draw both curves of some images."""
    x, y, groups = images.features, images.labels[rows], images.audit.groups[rows]
    widths = images.network.backbone.widths
    start = time.perf_counter()
    gathered = gather(
        x[rows], widths, y, images.classes, groups, candidates=candidates_of(len(widths)), seed=0
    )
    evidence, middle = gathered.evidence, time.perf_counter()
    parts = evidence.probes[evidence.chosen].made_of
    of_plan = subsets_of(gathered, x[rows], widths, y, groups, parts=parts, seed=0)
    seconds = middle - start, time.perf_counter() - middle
    points = {}
    for share, draws in SHARES.items():
        if share * len(rows) < FEWEST * len(images.classes):
            continue
        tries = []
        for draw in range(draws):
            ordered = ranks(y, groups, np.random.default_rng((1, draw)))
            some = rows[within(ordered, y, share)]
            head = fit_average(
                x, widths, images.labels[some], len(images.classes), parts, rows=some
            )
            said = head.logits(x[judging][:, columns(widths, head.taps)]).argmax(1)
            tries.append((len(some), said != images.labels[judging]))
        points[np.mean([n for n, _ in tries])] = (
            np.mean([wrong for _, wrong in tries], axis=0),
            draws,
        )
    fixed = Curve(
        np.array(list(points)),
        np.stack([wrong for wrong, _ in points.values()], 1),
        np.array([draws for _, draws in points.values()]),
    )
    error = float(fixed.wrong[:, -1].mean())
    plan = Curve(of_plan.images, of_plan.wrong, of_plan.draws)
    count = len(rows)
    return Fitted("", "", 0, 0, count, evidence.learnt, seconds, fixed, plan, error, len(judging))


def later(one: Fitted, every: Sequence[Fitted]) -> list[Fitted]:
    """The same draw with about twice and four times as many images."""
    same = [o for o in every if (o.of, o.network, o.draw) == (one.of, one.network, one.draw)]
    return [o for o in same if 1.5 * one.total <= o.total <= 4.6 * one.total]


def fitted(rows: Sequence[Fitted]) -> KnownCurves:
    """What makes the errors seen later likeliest, on fixed images; every set counts the same."""
    counts = {one.of: 0 for one in rows}
    pairs = [(one, later(one, rows)) for one in rows]
    for one, after in pairs:
        counts[one.of] += len(after)
    shift = np.array([0.2, log(0.16), log(0.1), log(0.08), log(0.7)])

    def made(p: NDArray[np.float64]) -> KnownCurves:
        spread, bent, drift, draw = (float(np.exp(value)) for value in p[1:])
        return KnownCurves(float(p[0]), spread, exp(-bent), drift, draw)

    def surprise(p: NDArray[np.float64]) -> float:
        prior, total = made(p), 0.0
        for one, after in pairs:
            if not after:
                continue
            own = law(*one.fixed, one.total, prior, sampled=False)
            for then in after:
                mean, error = own.at(then.total)
                variance = error**2 + prior.draw / then.total
                seen = log(smoothed(then))
                total += (log(variance) + (seen - mean) ** 2 / variance) / counts[one.of]
        return total + float((((p - shift) / [9, 0.7, 1.5, 1.0, 1.0]) ** 2).sum())

    best = minimize(
        surprise,
        shift,
        method="Nelder-Mead",
        options={"maxiter": 300, "xatol": 0.01, "fatol": 0.01},
    )
    return replace(made(best.x), sets=tuple(sorted(counts)))


def smoothed(one: Fitted) -> float:
    """The error on the judging images, as the law takes it: never 0."""
    return (one.error * one.judging + 0.5) / (one.judging + 1)


def foretold(
    rows: Sequence[Fitted], every: Sequence[Fitted], prior: KnownCurves, kind: str
) -> Iterable[Told]:
    """Say what each quarter foretells, and what then was."""
    for one in rows:
        curve = one.fixed if kind == "fixed" else one.plan
        own = law(*curve, one.total, prior, sampled=kind != "fixed")
        line = power(curve)
        for then in later(one, every):
            mean, error = own.at(then.total)
            variance = error**2 + prior.draw / then.total
            if kind != "fixed":
                share = exp(min(mean, -0.01))
                variance += (1 - share) / (share * then.judging)
            miss = abs(log(smoothed(then)) - mean)
            yield Told(
                one,
                then.total / one.total,
                exp(min(mean, 0.0)),
                then.error,
                miss <= SURE * sqrt(variance),
                needed(own, smoothed(then)) / then.total,
                min(exp(np.polyval(line, log(then.total))), 1.0),
                needed_by(line, smoothed(then), one.total) / then.total,
            )


def power(curve: Curve) -> Sequence[float]:
    """Exponent and level of a power law through all points; flat where there is one alone."""
    if len(curve.images) < 2:
        return 0.0, log(errors(curve)[0])
    slope, level = np.polyfit(np.log(curve.images), np.log(errors(curve)), 1)
    return float(slope), float(level)


def errors(curve: Curve) -> NDArray[np.float64]:
    """The errors of a curve, never 0."""
    found: NDArray[np.float64] = (curve.wrong.sum(0) + 0.5) / (len(curve.wrong) + 1)
    return found


def needed(own: Law, error: float) -> float:
    """Images that the law needs for an error, from today's to :data:`BEYOND` times as many."""
    times = np.exp(np.linspace(0, log(BEYOND), 400))
    enough = [t for t in times if own.at(own.today * t)[0] <= log(error)]
    return own.today * float(enough[0] if enough else BEYOND)


def needed_by(line: Sequence[float], error: float, today: float) -> float:
    """The same of a power law."""
    slope, level = line
    if slope >= 0:
        return today * BEYOND
    return float(np.clip(exp(min((log(error) - level) / slope, 50.0)), today, today * BEYOND))


def parted(rows: Sequence[Told]) -> Iterable[tuple[str, str, list[Told]]]:
    """All, and by the size of the quarter; half and all apart."""
    for name, low, high in (("all", 0, 999), ("5", 0, 5), ("10, 20", 6, 20), ("40, 80", 21, 999)):
        for times, least, most in (("half and all", 0, 9), ("half", 0, 2.9), ("all", 2.9, 9)):
            some = [r for r in rows if low <= r.quarter.size <= high and least < r.times < most]
            if some:
                yield name, times, some


def summed(rows: Sequence[Told], kind: str) -> dict[str, float]:
    """What some foretellings come to: points, shares and factors; sets weigh by their rows."""
    stay = [now(r, kind) for r in rows]
    seen = np.array([r.seen for r in rows])
    missed = 100 * np.abs(np.array([r.error for r in rows]) - seen)
    grew = [r for r in rows if r.seen < r.quarter.error]
    factors, powers = ([getattr(r, name) for r in grew] for name in ("needed", "power_needed"))
    return {
        "n": len(rows),
        "error": float(missed.mean()),
        "median": float(np.median(missed)),
        "inside": float(np.mean([r.inside for r in rows])),
        "power law": float(100 * np.abs([r.power - r.seen for r in rows]).mean()),
        "as it is": float(100 * np.abs(np.array(stay) - seen).mean()),
        "needed, geometric mean": float(np.exp(np.log(factors).mean())),
        "needed, median": float(np.median(factors)),
        "needed, off by": float(np.exp(np.abs(np.log(factors)).mean())),
        "power law needs": float(np.exp(np.log(powers).mean())),
        "power law, off by": float(np.exp(np.abs(np.log(powers)).mean())),
    }


def now(row: Told, kind: str) -> float:
    """The error of the quarter as that kind of curve has it."""
    curve = row.quarter.fixed if kind == "fixed" else row.quarter.plan
    return float(curve.wrong[:, -1].mean())


def show(kind: str, rows: Sequence[Told]) -> None:
    """Print a table."""
    print({"fixed": "\nOn fixed images", "plan": "\nAs a plan has it"}[kind])
    for n, (size, times, some) in enumerate(parted(rows)):
        found = summed(some, kind)
        if n == 0:
            print(" | ".join(["quarter, a class", "of", *found]))
        print(" | ".join([size, times, *(f"{value:.4g}" for value in found.values())]))


if __name__ == "__main__":
    main()
