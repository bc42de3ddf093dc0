"""Checks of the evaluation, with the pycocotools quirks that it steps around."""

import numpy as np
import pytest

from .evaluation import Detections, average_precisions, corner_and_size

random = np.random.default_rng(0)


def blocks(*counts: int) -> list[np.ndarray]:
    """Boxes of 20 by 30 pixels that do not overlap."""
    corners = [np.stack([np.arange(n) * 25.0, np.full(n, 7.0)], axis=-1) for n in counts]
    return [np.concatenate([c, c + np.array([20.0, 30.0])], axis=-1) for c in corners]


def scored(boxes: list[np.ndarray]) -> list[Detections]:
    return [Detections(b, random.uniform(size=len(b))) for b in boxes]


def test_perfect_detections_score_one():
    truths = blocks(3, 40)
    assert average_precisions(truths, scored(truths)) == pytest.approx(
        {"AP50": 1.0, "AP40": 1.0, "AP": 1.0}
    )


def test_more_than_a_hundred_trees_on_a_block_all_count():
    truths = blocks(250)
    assert average_precisions(truths, scored(truths))["AP50"] == pytest.approx(1.0)


def test_no_detections_score_zero():
    truths = blocks(3, 40)
    nothing = [Detections(np.zeros((0, 4)), np.zeros(0))] * 2
    assert average_precisions(truths, nothing) == {"AP50": 0.0, "AP40": 0.0, "AP": 0.0}


def test_the_first_annotation_counts_and_blocks_are_not_confused():
    truths = blocks(1, 1)
    shifted = [Detections(truths[0], np.ones(1)), Detections(truths[1] + 100.0, np.ones(1))]
    assert average_precisions(truths, shifted)["AP50"] == pytest.approx(51 / 101)


def test_a_loose_box_counts_at_0_4_only():
    truths = blocks(1)
    loose = [Detections(truths[0] + np.array([0.0, 0.0, 20 * 1.2, 0.0]), np.ones(1))]  # IoU 0.4545
    result = average_precisions(truths, loose)
    assert result == pytest.approx({"AP50": 0.0, "AP40": 1.0, "AP": 0.0})


def test_corner_and_size():
    assert corner_and_size(np.array([1.0, 2.0, 4.0, 8.0])) == [1.0, 2.0, 3.0, 6.0]
