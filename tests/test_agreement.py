"""Agreement: when an engine's features may stand in for the reference's."""

import numpy as np
import pytest

from regraft.features import engines
from regraft.features.engines import agreement


def scattered(rows: int = 60) -> engines.Features:
    return np.random.default_rng(0).normal(1, 1, (rows, 30)).astype(np.float16)


def test_the_same_features_agree_wholly() -> None:
    found = agreement.compare(scattered(), scattered(), [10, 20])
    assert found.cosine == pytest.approx(1)
    assert (found.same, found.images) == (1, 60)
    assert agreement.objection(found) == ""


def test_one_image_at_one_depth_is_enough_to_refuse() -> None:
    other = scattered()
    other[17, 12:15] *= -1
    found = agreement.compare(scattered(), other, [10, 20])
    assert found.depth == 1
    assert found.cosine < 0.999
    assert "depth 1" in agreement.objection(found)


def test_predictions_that_change_refuse_what_the_cosine_lets_pass() -> None:
    """A large value that all images share hides the small one that tells the classes apart."""
    labels = [n % 2 for n in range(60)]
    x = np.full((60, 8), 100.0)
    x[:, 0] += np.array(labels) * 0.5
    other = x.copy()
    other[:20, 0] += 0.5 - np.array(labels[:20])
    reference, other = x.astype(np.float16), other.astype(np.float16)
    found = agreement.compare(reference, other, [8], labels)
    assert found.cosine > 0.9999
    assert found.same < 0.9
    assert "predictions" in agreement.objection(found)


@pytest.mark.parametrize("labels", [None, [0] * 60])
def test_without_labels_classes_are_made_up(labels: list[int] | None) -> None:
    assert agreement.compare(scattered(), scattered(), [10, 20], labels).same == 1
    shuffled = scattered()[::-1]
    assert agreement.compare(scattered(), shuffled, [10, 20], labels).same < 0.9


def test_dead_channels_and_black_images_agree_with_themselves() -> None:
    x = scattered()
    x[:, :10] = 0
    x[3] = 0
    assert agreement.objection(agreement.compare(x, x.copy(), [10, 20])) == ""
    broken = x.copy()
    broken[3, 5] = 1
    assert agreement.objection(agreement.compare(x, broken, [10, 20]))


def test_what_is_no_number_is_refused() -> None:
    broken = scattered()
    broken[1, 1] = np.nan
    assert agreement.objection(agreement.compare(scattered(), broken, [10, 20]))
