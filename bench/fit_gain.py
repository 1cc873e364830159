"""Fit the model of what training wins, and judge it on sets that it was not fitted on.

    python bench/fit_gain.py --rows decision.jsonl --out src/regraft/plan/gain.json

``rows`` is what ``bench_decision.py --arms trained`` wrote. Of each set, size, draw and network:
what the recipe of ``fit`` gets on the test images (every stage trained, one learning rate below
:data:`RACE` training images, two from there on) above the frozen network, its head fitted on the
same images. The model is linear (:data:`regraft.plan.gain.FACTS`); the printed figures are of rows
of sets that were left out, all networks and sizes of them at once.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.plan.gain import FACTS, UNASKED, Gain, facts_of, pays
from regraft.plan.recipes import RACE, RATES, hopeless_of
from regraft.run.selection import gain_by_both

PENALTY = 3.0
"""Of the standardised coefficients: there are a hundred rows, and half as many would do."""

REACH = 0.12
"""Points beyond this (won) and two thirds of it (lost) count as that much: tests are small."""

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    every = [json.loads(line) for line in given.rows.read_text().splitlines()]
    rows = [row for row in every if row["arm"] == "full"]
    sets = np.array([row["set"] for row in rows])
    x = np.array([facts(row) for row in rows])
    won = np.array([gain_of_row(row) for row in rows])
    noise = np.array([noise_of(row) for row in rows])
    left_out = np.zeros(len(rows))
    for name in np.unique(sets):
        out = sets == name
        left_out[out] = predict(fit(x[~out], won[~out]), x[out])
    apart = won - left_out
    spread = float(np.sqrt(max(np.mean(apart**2) - np.mean(noise**2), 0.0)))
    show(rows, won, left_out, spread)
    hand_over(every, rows, left_out, spread)
    if given.out is not None:
        model = fit(x, won) | {
            "spread": spread,
            "spread_by_images": spread_by_images(x, won, noise),
        }
        model |= {"rows": len(rows), "sets": len(np.unique(sets))}
        given.out.write_text(json.dumps(model, indent=1) + "\n")


def spread_by_images(x: Floats, won: Floats, noise: Floats) -> float:
    """The standard deviation of what is won where the number of images alone is known."""
    apart = won - np.polyval(np.polyfit(x[:, 0], won, 1), x[:, 0])
    return float(np.sqrt(max(np.mean(apart**2) - np.mean(noise**2), 0.0)))


def facts(row: dict[str, Any]) -> list[float]:
    """Those of a network with batch norm."""
    evidence = row["evidence"]
    found = facts_of(row["train"], evidence["similarity"], evidence["shift"])
    return [fact for fact in found if fact is not None]


def handed(row: dict[str, Any]) -> dict[str, Any]:
    """What the recipe hands over: of the rates that race, the one that validation prefers."""
    states = [row["states"][f"best {rate:g}"] for rate in RATES]
    racing = states if row["train"] >= RACE else states[:1]
    best: dict[str, Any] = min(racing, key=lambda state: float(state["val_squared"]))
    return best


def gain_of_row(row: dict[str, Any]) -> float:
    """Accuracy above that of the frozen network, as a share."""
    return float(handed(row)["test_accuracy"] - row["frozen_part"]["test_accuracy"])


def noise_of(row: dict[str, Any]) -> float:
    """The standard error that a test of so few images gives that difference.

    By the share of the validation images of which one of the two is right and the other wrong.
    """
    state = handed(row)
    return float(np.sqrt((state["won"] + state["lost"]) / state["n"] / row["test"]))


def fit(x: Floats, won: Floats) -> dict[str, Any]:
    """A linear model of standardised facts (ridge regression)."""
    middle, scale = x.mean(0), x.std(0)
    z, y = (x - middle) / scale, np.clip(won, -REACH * 2 / 3, REACH)
    slope = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ (y - y.mean())) / scale
    return {
        "facts": list(FACTS),
        "slopes": slope.tolist(),
        "intercept": float(y.mean() - slope @ middle),
        "usual": middle.tolist(),
    }


def predict(model: dict[str, Any], x: Floats) -> Floats:
    said: Floats = x @ np.array(model["slopes"]) + model["intercept"]
    return said


def show(rows: Sequence[dict[str, Any]], won: Floats, said: Floats, spread: float) -> None:
    """What the model is worth on sets that were left out."""
    print(f"{len(rows)} rows; spread beside the noise of the tests {100 * spread:.1f} points")
    print(f"root mean square error {100 * np.sqrt(np.mean((won - said) ** 2)):.2f} points; of the")
    print(f"mean alone {100 * won.std():.2f}; correlation {np.corrcoef(won, said)[0, 1]:.2f}")
    print("| trained where it expects more than | rows | won a row | best in hindsight |")
    print("|--:|--:|--:|--:|")
    for line in (-1.0, 0.0, 0.01, 0.02, 0.025, 0.03):
        tried = said > line
        gained = 100 * np.where(tried, won, 0).mean()
        best = 100 * np.maximum(won, 0).mean()
        print(f"| {100 * line:g} | {100 * tried.mean():.0f} % | {gained:.2f} | {best:.2f} |")


COST = {"full": 1.0, "late1": 0.12, "late2": 0.56, "late3": 0.67, "light": 0.9, "always": 1.0}
"""Seconds of an image forward and back, of those where every stage is trained: held activations
spare the late ones the rest (``docs/benchmarks.md``, "Speed of training")."""


def hand_over(
    every: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    said: Floats,
    spread: float,
) -> None:
    """What ``fit`` would hand over by models that did not see the set, against the best arm.

    All in points above the frozen network whose head saw the same images; an arm that raced its
    rates counts as its pick by validation. Cost: images shown, times those seconds.
    """
    arms: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in every:
        arms.setdefault(key(row), {})[row["arm"]] = row
    rules: dict[str, Callable[[Gain], bool]] = {
        "frozen": lambda gain: False,
        "fit, unasked": lambda gain: pays(gain, None),
        "fit, with a budget": lambda gain: pays(gain, UNASKED),
        "the recipe, always": lambda gain: True,
    }
    found: dict[str, list[tuple[float, float, float]]] = {}
    for row, points in zip(rows, said, strict=True):
        mine = arms[key(row)]
        gains, whole = {"frozen": 0.0}, 0.0
        for arm, one in mine.items():
            if arm in COST:
                gains[arm] = arm_gain(one)
                whole += COST[arm] * one["shown"] * len(one["rates"])
        best = max(*gains.values(), gain_of_row(row))
        gain = Gain(points, points - spread, points + spread, spread)
        share = share_of(row) / whole
        for name, tries in rules.items():
            tried = tries(gain)
            got = gain_of_row(row) if tried and kept(row, gain) else 0.0
            found.setdefault(name, []).append((best, got, share if tried else 0.0))
        if "always" in mine:
            always = COST["always"] * mine["always"]["shown"] / whole
            found.setdefault("LP-FT, always", []).append((best, gains["always"], always))
            for name in ("frozen", "fit, unasked"):
                found.setdefault(f"{name}, on those rows", []).append(found[name][-1])
    print("| what is handed over | rows | above frozen | below the best arm | 95 % | cost |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, triples in found.items():
        best, got, cost = np.array(triples).T
        lost = 100 * (best - got)
        print(
            f"| {name} | {len(got)} | {100 * got.mean():+.2f} | {lost.mean():.2f} | "
            f"{np.percentile(lost, 95):.1f} | {100 * cost.mean():.0f} % |"
        )


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("backbone", "px", "set", "size", "draw"))


def arm_gain(row: dict[str, Any]) -> float:
    """What an arm wins: its pick by validation, or without one its last epoch."""
    states = {name: state for name, state in row["states"].items() if name.startswith("best")}
    if not states:
        [last] = [state for name, state in row["states"].items() if name.startswith("last")]
        return float(last["test_accuracy"] - row["frozen_all"]["test_accuracy"])
    pick = min(states.values(), key=lambda state: float(state["val_squared"]))
    return float(pick["test_accuracy"] - row["frozen_part"]["test_accuracy"])


def share_of(row: dict[str, Any]) -> float:
    """Images that the recipe shows: the race, to the end or until it is hopeless, and once more."""
    epochs, each = row["epochs"], row["shown"] / row["epochs"]
    rung = epochs // 2  # as regraft.plan.recipes.rung_of
    curves = [row["curves"][row["rates"].index(rate)] for rate in RATES]
    racing = curves if row["train"] >= RACE else curves[:1]
    hopeless = hopeless_of(epochs)
    some = [curve for curve in racing if min(curve[1 : hopeless + 1]) < curve[0]]
    again = epochs * each * row["train"] / row["part"] if some else 0.0
    return float(
        each * (len(racing) * (rung if some else hopeless) + (epochs - rung) * bool(some)) + again
    )


def kept(row: dict[str, Any], gain: Gain) -> bool:
    """Whether the trained network is handed over, as `regraft.run.selection.beats` says."""
    state = handed(row)
    own = np.arange(state["n"]) < state["won"]
    its = np.roll(np.arange(state["n"]) < state["lost"], state["won"])
    return gain_by_both(gain, own, its) > 0


if __name__ == "__main__":
    main()
