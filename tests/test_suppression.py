"""Suppression against a loop in float64, with its ties, classes, padding and degenerate sizes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloss import boxes
from jaxloss.boxes import non_max_suppression
from jaxloss.boxes.suppression import Selection
from tests.registry._row import boxes as random_boxes
from tests.registry._row import integers, uniform


def iou_reference(a, b):
    """IoU of one box with many."""
    low, high = np.maximum(a[:2], b[:, :2]), np.minimum(a[2:], b[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), -1)
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[:, 2:] - b[:, :2], axis=-1) - shared)


def diou_reference(a, b):
    low, high = np.minimum(a[:2], b[:, :2]), np.maximum(a[2:], b[:, 2:])
    distance = np.sum(np.square((a[:2] + a[2:] - b[:, :2] - b[:, 2:]) / 2), -1)
    return iou_reference(a, b) - distance / np.sum(np.square(high - low), -1)


def reference(box, score, threshold, classes=None, where=None, similarity=iou_reference):
    """Indices by the definition: look at the boxes in order, keep those that none kept covers."""
    kept: list[int] = []
    for i in np.argsort(-score, kind="stable"):
        if np.isnan(score[i]) or (where is not None and not where[i]):
            continue
        rivals = [k for k in kept if classes is None or classes[k] == classes[i]]
        if not rivals or np.all(similarity(box[i], box[rivals]) <= threshold):
            kept.append(int(i))
    return kept


def chosen(selection):
    indices, valid = (np.asarray(leaf) for leaf in selection)
    assert np.all(indices[~valid] == 0)
    assert np.all(np.sort(~valid) == ~valid)
    return indices[valid].tolist()


def crowd(count, seed, size=100.0):
    """Boxes around the origin whose coordinates are multiples of 1/8, so that IoU is a tie often
    and float32 decides as float64 does."""
    return np.round(8 * (random_boxes(count, seed=seed, size=size) - size / 3)) / 8


jitted = jax.jit(non_max_suppression, static_argnames=("max_outputs", "similarity"))
SIZE = 300


def select(box, score, *, classes=None, where=True, **settings):
    """Selects among boxes padded to one size, so that all examples share a compiled program."""
    defaults = {"max_outputs": SIZE, "iou_threshold": 0.5, "score_threshold": -np.inf}
    padding = SIZE - len(box)
    return jitted(
        np.pad(np.asarray(box, np.float32), ((0, padding), (0, 0)), constant_values=np.nan),
        np.pad(np.asarray(score, np.float32), (0, padding), constant_values=np.inf),
        classes=np.pad(np.zeros(len(box), int) if classes is None else classes, (0, padding)),
        where=np.pad(np.broadcast_to(where, len(box)), (0, padding)),
        **{**defaults, **settings},
    )


@pytest.mark.parametrize("threshold", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_is_the_loop(threshold):
    for seed in range(3):
        box, score = crowd(SIZE, seed), uniform(SIZE, seed=seed + 10)
        expected = reference(box, score, threshold)
        assert chosen(select(box, score, iou_threshold=threshold)) == expected
        few = select(box, score, iou_threshold=threshold, max_outputs=7)
        assert chosen(few) == expected[:7]


@pytest.mark.parametrize("outputs", [5, 60])
def test_heaps_of_boxes(outputs):
    """Many boxes around few objects, as detectors find them: most of a tile is suppressed."""
    count = 1500
    for seed, heaps in ((0, 3), (1, 12), (2, 150)):
        centers = crowd(heaps, seed, size=400.0)[integers(count, high=heaps, seed=seed)]
        box = centers + np.round(8 * uniform(count, 4, seed=seed + 10, low=-3.0, high=3.0)) / 8
        box[:, 2:] = np.maximum(box[:, 2:], box[:, :2] + 1)
        score, classes = uniform(count, seed=seed + 20), integers(count, high=2, seed=seed + 30)
        for labels in (None, classes):
            found = jitted(
                box.astype(np.float32),
                score.astype(np.float32),
                max_outputs=outputs,
                classes=labels,
            )
            expected = reference(box, score.astype(np.float32), 0.5, labels)
            assert chosen(found) == expected[:outputs]


def test_ties_go_to_the_lower_index():
    box, score = crowd(SIZE, 1), np.round(uniform(SIZE, seed=2) * 4) / 4
    assert len(np.unique(score)) == 5
    assert chosen(select(box, score, iou_threshold=0.3)) == reference(box, score, 0.3)


def test_signed_zeros_tie():
    box = np.float32([[0, 0, 1, 1], [3, 0, 4, 1], [6, 0, 7, 1]])
    assert chosen(select(box, np.float32([-0.0, 0.0, -0.0]))) == [0, 1, 2]


def test_only_above_the_threshold_suppresses():
    box = np.float32([[0, 0, 4, 2], [2, 0, 6, 2], [0, 0, 4, 1]])  # IoU 1/3 and 1/2 with the first
    score = np.float32([3, 2, 1])
    assert chosen(select(box, score, iou_threshold=0.5)) == [0, 1, 2]
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert chosen(select(box, score, iou_threshold=below)) == [0, 1]
    assert chosen(select(box, score, iou_threshold=1.0)) == [0, 1, 2]
    assert chosen(select(box, score, iou_threshold=-1.0)) == [0]


def test_classes_do_not_suppress_each_other_even_at_negative_coordinates():
    box, score = crowd(SIZE, 3) - 1000.0, uniform(SIZE, seed=4)
    classes = integers(SIZE, high=5, low=-2, seed=5)
    found = select(box, score, iou_threshold=0.2, classes=classes)
    assert chosen(found) == reference(box, score, 0.2, classes)


def test_distance_suppression():
    box, score = random_boxes(SIZE, seed=6), uniform(SIZE, seed=7)
    found = select(box, score, iou_threshold=0.3, similarity=boxes.diou)
    expected = reference(box, score, 0.3, similarity=diou_reference)
    assert chosen(found) == expected
    assert expected != reference(box, score, 0.3)


def test_padding_is_never_selected_and_never_suppresses():
    box, score, where = crowd(200, 8), uniform(200, seed=9), uniform(200, seed=10) < 0.6
    spoiled = np.where(where[:, None], box, np.nan), np.where(where, score, np.inf)
    found = select(spoiled[0], spoiled[1], where=where)
    assert chosen(found) == reference(box, score, 0.5, where=where)


def test_nan_and_minus_infinity_are_never_selected():
    box, score = crowd(6, 11), np.float32([0.5, np.nan, -np.inf, np.inf, -3, 0.25])
    box[5, 2] = np.nan
    found = select(box, score, iou_threshold=1.0)
    assert chosen(found) == [3, 0, 4]


def test_score_threshold_is_exclusive_and_may_be_traced():
    box, score = crowd(5, 12), np.float32([0.5, 0.25, 0.75, 0.5, 0.125])
    found = select(box, score, iou_threshold=1.0, score_threshold=0.25)
    assert chosen(found) == [2, 0, 3]


def test_batches_and_thresholds_map():
    box = np.stack([crowd(150, seed) for seed in range(4)]).astype(np.float32)
    score, thresholds = uniform(4, 150, seed=13).astype(np.float32), np.float32([0.2, 0.5, 0.9])
    run = partial(non_max_suppression, max_outputs=90)
    over_images = jax.vmap(lambda b, s, t: run(b, s, iou_threshold=t), (0, 0, None))
    found = jax.jit(jax.vmap(over_images, (None, None, 0)))(box, score, thresholds)
    for t, threshold in enumerate(thresholds):
        for image in range(4):
            one = Selection(*[leaf[t, image] for leaf in found])
            expected = reference(box[image], score[image], threshold)
            assert chosen(one) == expected[:90]


@pytest.mark.parametrize(("count", "outputs"), [(0, 3), (0, 0), (5, 0), (129, 200)])
def test_any_sizes(count, outputs):
    box, score = crowd(count, 14), uniform(count, seed=15)
    found = jitted(np.float32(box), np.float32(score), max_outputs=outputs)
    assert found.indices.shape == found.valid.shape == (outputs,)
    assert chosen(found) == reference(box, score, 0.5)[:outputs]


def test_points_suppress_themselves_only():
    box = np.float32([[1, 1, 1, 1], [1, 1, 1, 1], [2, 1, 2, 1]])
    assert chosen(select(box, np.float32([1, 2, 3]))) == [2, 1]


def test_scores_are_not_differentiated():
    def total(score):
        picked = non_max_suppression(jnp.asarray(crowd(9, 16)), score, max_outputs=3).indices
        return jnp.sum(score[picked])

    gradient = jax.grad(total)(jnp.asarray(uniform(9, seed=17)))
    assert sorted(gradient.tolist()) == [0] * 6 + [1] * 3


def test_errors():
    box, score = np.zeros((3, 4), np.float32), np.zeros(3, np.float32)
    with pytest.raises(TypeError, match=r"`max_outputs` is a float, expected a Python integer"):
        non_max_suppression(box, score, max_outputs=2.0)
    with pytest.raises(ValueError, match=r"`max_outputs` is -1, expected 0 or more"):
        non_max_suppression(box, score, max_outputs=-1)
    with pytest.raises(ValueError, match=r"`iou_threshold` has shape \(1,\), expected \(\)"):
        non_max_suppression(box, score, max_outputs=1, iou_threshold=np.ones(1))
    with pytest.raises(TypeError, match=r"`classes` has dtype float32, expected integers"):
        non_max_suppression(box, score, max_outputs=1, classes=score)
    with pytest.raises(ValueError, match=r"`boxes` has shape .*; map over several with `jax.vmap`"):
        non_max_suppression(box[None], score[None], max_outputs=1)
    with pytest.raises(ValueError, match=r"rotated ones need .*`similarity=jaxloss.boxes.rotated_"):
        non_max_suppression(np.zeros((3, 5), np.float32), score, max_outputs=1)


@pytest.mark.parametrize(
    "run",
    [
        non_max_suppression,
        boxes.soft_non_max_suppression,
        boxes.matrix_non_max_suppression,
    ],
)
def test_a_similarity_is_of_boxes_that_broadcast(run):
    box, score = np.zeros((3, 4), np.float32), np.zeros(3, np.float32)
    with pytest.raises(TypeError, match=r"`similarity` is a str, expected a function of two boxes"):
        run(box, score, max_outputs=1, similarity="iou")
    with pytest.raises(ValueError, match=r"`similarity` makes \(1, 2\) of boxes .*, not all pairs"):
        run(box, score, max_outputs=1, similarity=boxes.pairwise(boxes.iou))
