"""Fit the model of what training wins, and judge it on sets that it was not fitted on.

    python bench/fit_gain.py --rows decision.jsonl --out src/regraft/plan/gain.json

``rows`` is what ``bench_decision.py --arms trained`` wrote. Of each set, size, draw and network:
what the recipe of ``fit`` gets on the test images (every stage trained, one learning rate below
:data:`RACE` training images, two from there on) above the frozen network, its head fitted on the
same images. The model is linear in the logarithm of the number of images and in the similarity;
the printed figures are of rows of sets that were left out, all networks and sizes of them at once.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.plan.gain import FACTS, facts_of
from regraft.plan.recipes import RACE, RATES

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
    if given.out is not None:
        model = fit(x, won) | {"spread": spread, "rows": len(rows), "sets": len(np.unique(sets))}
        given.out.write_text(json.dumps(model, indent=1) + "\n")


def facts(row: dict[str, Any]) -> Sequence[float]:
    return facts_of(row["train"], row["evidence"]["similarity"])


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


if __name__ == "__main__":
    main()
