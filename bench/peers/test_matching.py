"""Matches, mined negatives and suppressed boxes against torchvision's."""

import jax
import numpy as np
import pytest
import torch
from torchvision import ops
from torchvision.models.detection._utils import Matcher, SSDMatcher

from jaxloss.boxes import non_max_suppression, ssd_anchors
from jaxloss.matching import match_anchors, mine_hard_negatives
from tests.registry._row import boxes as random_boxes
from tests.registry._row import integers, uniform

match = jax.jit(match_anchors, static_argnames="force_match")
select = jax.jit(non_max_suppression, static_argnames="max_outputs")


def codes(matches):
    """Matches as torchvision writes them: the object, -1 for negative, -2 for neither."""
    unmatched = np.where(matches.negative, Matcher.BELOW_LOW_THRESHOLD, Matcher.BETWEEN_THRESHOLDS)
    return np.where(matches.positive, matches.indices, unmatched)


def quality(anchors, objects):
    return ops.box_iou(torch.tensor(np.asarray(objects)), torch.tensor(np.asarray(anchors)))


def objects_in_view(count, seed):
    """Objects without a tie for their best anchor, which rounding would decide."""
    objects = random_boxes(3 * count, seed=seed, size=300.0).astype(np.float32)
    anchors = np.asarray(ssd_anchors(), np.float64)
    best = quality(anchors, objects.astype(np.float64)).topk(2).values
    return objects[np.asarray(best[:, 0] > 1.00001 * best[:, 1])][:count]


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("seed", range(5))
def test_ssd(count, seed):
    anchors, objects = ssd_anchors(), objects_in_view(count, seed)
    expected = SSDMatcher(0.5)(quality(anchors, objects))
    np.testing.assert_array_equal(codes(match(anchors, objects)), expected)


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("seed", range(5))
def test_retinanet(count, seed):
    anchors, objects = ssd_anchors(), objects_in_view(count, seed)
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    found = match(anchors, objects, negative_threshold=0.4, force_match="own")
    np.testing.assert_array_equal(codes(found), matcher(quality(anchors, objects)))


def test_plain_thresholds():
    anchors, objects = ssd_anchors(), objects_in_view(20, 9)
    found = match(
        anchors, objects, positive_threshold=0.6, negative_threshold=0.3, force_match=None
    )
    expected = Matcher(0.6, 0.3)(quality(anchors, objects))
    np.testing.assert_array_equal(codes(found), expected)


def test_ssd_mining():
    losses = uniform(4, 500, seed=1).astype(np.float32)
    positive = uniform(4, 500, seed=2) < np.array([0.0, 0.01, 0.05, 0.2])[:, None]
    ranked = torch.where(torch.tensor(positive), -torch.inf, torch.tensor(losses))
    rank = ranked.sort(1, descending=True)[1].sort(1)[1]
    expected = rank < 3 * torch.tensor(positive).sum(1, keepdim=True)
    found = jax.vmap(mine_hard_negatives)(losses, positive)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_suppression(threshold):
    box = random_boxes(2000, seed=3, size=300.0).astype(np.float32) - 100
    score = uniform(2000, seed=4).astype(np.float32)
    found = select(box, score, max_outputs=2000, iou_threshold=threshold)
    expected = ops.nms(torch.tensor(box), torch.tensor(score), threshold)
    np.testing.assert_array_equal(found.indices[found.valid], expected)


@pytest.mark.parametrize("count", [400, 2000])  # both of torchvision's ways
def test_suppression_by_class(count):
    box = random_boxes(count, seed=5, size=100.0).astype(np.float32)
    score, classes = uniform(count, seed=6).astype(np.float32), integers(count, high=7, seed=7)
    found = select(box, score, max_outputs=count, iou_threshold=0.45, classes=classes)
    expected = ops.batched_nms(*(torch.tensor(a) for a in (box, score, classes)), 0.45)
    np.testing.assert_array_equal(found.indices[found.valid], expected)


def test_torchvision_suppresses_across_classes_at_negative_coordinates():
    score, classes = np.float32([0.9, 0.8]), np.array([0, 1])
    for low, kept_by_torchvision in ((1, 2), (-9, 1)):
        box = np.float32([[low, low, low + 8, low + 8]] * 2)
        assert np.all(select(box, score, max_outputs=2, classes=classes).valid)
        theirs = ops.batched_nms(*(torch.tensor(a) for a in (box, score, classes)), 0.5)
        assert len(theirs) == kept_by_torchvision
