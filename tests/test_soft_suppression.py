"""Soft and matrix suppression, and penalised distances, against loops in float64."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxloss import boxes
from tests.registry._row import integers, uniform
from tests.registry.rotated import rotated_boxes
from tests.test_boxes_rotated import iou_reference as rotated_reference
from tests.test_suppression import crowd, diou_reference, iou_reference, reference

SIZE = 120
DECAYS = [("linear", 0.1), ("linear", 0.5), ("linear", 0.9), ("gaussian", 0.1), ("gaussian", 2.0)]
soft = jax.jit(
    boxes.soft_non_max_suppression, static_argnames=("max_outputs", "decay", "similarity")
)
matrix = jax.jit(
    boxes.matrix_non_max_suppression,
    static_argnames=("max_outputs", "max_candidates", "decay", "similarity"),
)


def soft_reference(box, score, decay, parameter, lowest=0.001, classes=None, where=None):
    """Indices and decayed scores; the parameter is that of the decay."""
    score, chosen = score.astype(np.float64).copy(), []
    score[~(np.isfinite(score) if where is None else np.isfinite(score) & where)] = -np.inf
    while score.size and (best := np.max(score)) > lowest:
        i = int(np.argmax(score))
        chosen.append((i, best))
        overlap = iou_reference(box[i], box)
        gaussian = np.exp(-np.square(overlap) / parameter)
        linear = np.where(overlap > parameter, 1 - overlap, 1)
        kept = linear if decay == "linear" else gaussian
        kept = kept if classes is None else np.where(classes == classes[i], kept, 1)
        score *= np.where(np.isfinite(score), kept, 1)
        score[i] = -np.inf
    return chosen


def matrix_reference(box, score, decay, sigma, lowest=0.001, classes=None, candidates=512):
    """By the definition, pair after pair."""
    order = np.argsort(-score, kind="stable")[:candidates]
    decayed = []
    for place, j in enumerate(order):
        factor = 1.0
        for before, i in enumerate(order[:place]):
            if classes is not None and classes[i] != classes[j]:
                continue
            rivals = [k for k in order[:before] if classes is None or classes[k] == classes[i]]
            covered = np.max(iou_reference(box[i], box[rivals]), initial=0) if rivals else 0.0
            overlap = iou_reference(box[i], box[j : j + 1])[0]
            if decay == "gaussian":
                factor = min(factor, np.exp(-sigma * (overlap**2 - covered**2)))
            elif covered < 1:
                factor = min(factor, (1 - overlap) / (1 - covered))
        decayed.append((int(j), score[j] * factor))
    decayed = [pair for pair in decayed if pair[1] > lowest]
    return sorted(decayed, key=lambda pair: (-pair[1], pair[0]))


def check(found, expected, length):
    indices, valid, scores = (np.asarray(leaf) for leaf in found)
    assert indices.shape == (length,)
    expected = expected[:length]
    assert valid.tolist() == [True] * len(expected) + [False] * (length - len(expected))
    assert not indices[~valid].any()
    assert not scores[~valid].any()
    np.testing.assert_allclose(scores[valid], [score for _, score in expected], rtol=1e-4)
    assert indices[valid].tolist() == [index for index, _ in expected]


@pytest.mark.parametrize(("decay", "parameter"), DECAYS)
def test_soft_is_the_loop(decay, parameter):
    for seed in range(3):
        box, score = crowd(SIZE, seed) - 30.0, uniform(SIZE, seed=seed + 10)
        name = "sigma" if decay == "gaussian" else "iou_threshold"
        settings = {"decay": decay, name: parameter, "max_outputs": 90}
        found = soft(np.float32(box), np.float32(score), **settings)
        check(found, soft_reference(box, np.float32(score), decay, parameter), 90)


@pytest.mark.parametrize(("decay", "sigma"), [("linear", 1.0), ("gaussian", 0.5), ("gaussian", 2)])
def test_matrix_is_the_loop(decay, sigma):
    for seed in range(2):
        box, score = crowd(SIZE, seed) - 30.0, uniform(SIZE, seed=seed + 10)
        found = matrix(np.float32(box), np.float32(score), decay=decay, sigma=sigma, max_outputs=90)
        check(found, matrix_reference(box, np.float32(score), decay, sigma), 90)


def test_classes_do_not_decay_each_other():
    box, score = crowd(SIZE, 3) - 1000.0, np.float32(uniform(SIZE, seed=4))
    classes = integers(SIZE, high=4, low=-2, seed=5)
    found = soft(np.float32(box), score, classes=classes, max_outputs=150)
    check(found, soft_reference(box, score, "gaussian", 0.5, classes=classes), 150)
    found = matrix(np.float32(box), score, classes=classes, max_outputs=150)
    check(found, matrix_reference(box, score, "gaussian", 2.0, classes=classes), 150)


def test_ties_go_to_the_lower_index():
    box = np.float32([[0, 0, 1, 1], [3, 0, 4, 1], [6, 0, 7, 1], [3, 0, 4, 1]])
    score = np.float32([0.5, 0.75, 0.5, 0.75])
    for run in (soft, matrix):
        found = run(box, score, decay="linear", max_outputs=4)
        assert found.indices.tolist() == [1, 0, 2, 0]
        assert found.valid.tolist() == [True, True, True, False]


def test_copies_of_one_box_decay_no_others():
    """The linear decay of the second and the third is 0, although 0 / 0 stands between them."""
    box = np.float32([[0, 0, 4, 2]] * 3 + [[1, 0, 5, 2]])
    found = matrix(box, np.float32([4, 3, 2, 1]), decay="linear", max_outputs=4)
    assert found.indices[:2].tolist() == [0, 3]
    np.testing.assert_allclose(found.scores, [4, 0.4, 0, 0], rtol=1e-6)


def test_known_decays():
    """IoU of 0.6 leaves 0.4 and exp(-0.36 / 0.5)."""
    box = np.float32([[0, 0, 4, 1], [1, 0, 5, 1]])
    for decay, left in (("linear", 0.4), ("gaussian", 0.486752256)):
        found = soft(box, np.float32([1, 0.999999]), decay=decay, max_outputs=2)
        np.testing.assert_allclose(found.scores[1], left, rtol=1e-5)


@pytest.mark.parametrize("run", [soft, matrix])
def test_padding_nan_and_minus_infinity_are_gone(run):
    box, score = crowd(40, 8), np.float32(uniform(40, seed=9))
    where = uniform(40, seed=10) < 0.6
    expected = run(np.float32(box[where]), score[where], max_outputs=20)
    for nothing, mask in ((np.inf, where), (np.nan, None), (-np.inf, None)):
        spoiled = np.where(where, score, np.float32(nothing))
        corners = np.float32(np.where(where[:, None], box, np.nan if mask is not None else box))
        found = run(corners, spoiled, where=mask, max_outputs=20)
        np.testing.assert_array_equal(np.flatnonzero(where)[expected.indices], found.indices)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)


def test_candidates_are_chosen_first():
    box, score = crowd(SIZE, 11), np.float32(uniform(SIZE, seed=12))
    found = matrix(np.float32(box), score, max_candidates=15, max_outputs=30)
    check(found, matrix_reference(box, score, "gaussian", 2.0, candidates=15), 30)


@pytest.mark.parametrize("run", [soft, matrix])
@pytest.mark.parametrize(("count", "outputs"), [(0, 3), (5, 0), (3, 8)])
def test_any_sizes(run, count, outputs):
    box, score = np.float32(crowd(count, 14)), np.float32(uniform(count, seed=15))
    found = run(box, score, max_outputs=outputs)
    assert [leaf.shape for leaf in found] == [(outputs,)] * 3
    assert found.valid.sum() == min(count, outputs)


@pytest.mark.parametrize("run", [soft, matrix])
def test_batches_and_sigmas_map(run):
    box = np.float32([crowd(30, seed) for seed in range(3)])
    score, sigmas = np.float32(uniform(3, 30, seed=13)), np.float32([0.2, 1.0])
    one = partial(run, max_outputs=9)
    images = jax.vmap(lambda b, s, sigma: one(b, s, sigma=sigma), (0, 0, None))
    found = jax.vmap(images, (None, None, 0))(box, score, sigmas)
    expected = one(box[2], score[2], sigma=sigmas[1])
    np.testing.assert_array_equal(found.indices[1, 2], expected.indices)
    np.testing.assert_allclose(found.scores[1, 2], expected.scores, rtol=1e-6)


def test_penalised_distance():
    a, b = np.float32(crowd(50, 16)), np.float32(crowd(50, 17))
    np.testing.assert_allclose(
        boxes.distance_penalized_iou(a, b), boxes.diou(a, b), rtol=1e-5, atol=1e-6
    )
    score = uniform(50, seed=18)
    similarity = partial(boxes.distance_penalized_iou, exponent=0.6)
    found = boxes.non_max_suppression(
        a, np.float32(score), max_outputs=50, iou_threshold=0.1, similarity=similarity
    )

    def powered(one, many):
        iou, diou = iou_reference(one, many), diou_reference(one, many)
        return iou - np.maximum(iou - diou, 0) ** 0.6

    expected = reference(np.float64(a), score, 0.1, similarity=powered)
    assert found.indices[found.valid].tolist() == expected
    assert expected != reference(np.float64(a), score, 0.1, similarity=diou_reference)


@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_rotated_boxes(threshold):
    box, score = rotated_boxes(80, seed=19, size=50.0), uniform(80, seed=20)
    found = boxes.non_max_suppression(
        np.float32(box),
        np.float32(score),
        max_outputs=80,
        iou_threshold=threshold,
        similarity=boxes.rotated_iou,
    )
    expected = reference(
        box, score, threshold, similarity=lambda a, b: rotated_reference(a[None], b)
    )
    assert found.indices[found.valid].tolist() == expected
    softened = soft(np.float32(box), np.float32(score), max_outputs=5, similarity=boxes.rotated_iou)
    assert softened.indices[0] == np.argmax(score)


def test_errors():
    box, score = np.zeros((3, 4), np.float32), np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"`decay` is 'hard', expected one of 'linear'"):
        boxes.soft_non_max_suppression(box, score, max_outputs=1, decay="hard")
    with pytest.raises(ValueError, match=r"`max_candidates` is -1, expected 0 or more"):
        boxes.matrix_non_max_suppression(box, score, max_outputs=1, max_candidates=-1)
