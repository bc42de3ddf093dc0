"""Hinge losses: values, kinks and labels."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from tests.calculus import both, differences
from tests.registry._row import integers, normal

S, SIGNS = normal(9, 4, seed=1), np.where(normal(9, 4, seed=2) > 0, 1.0, -1.0)
Z, LABELS = normal(12, 5, seed=3), integers(12, high=5, seed=4)


def multiclass_hinge(s, labels):
    own = np.take_along_axis(s, labels[:, None], 1)[:, 0]
    others = np.where(np.arange(s.shape[1]) == labels[:, None], -np.inf, s)
    return np.maximum(0, 1 + others.max(1) - own)


@pytest.mark.parametrize(
    ("loss", "formula", "s", "y"),
    [
        (jaxloss.hinge_loss, lambda s, y: np.maximum(0, 1 - s * y), S, SIGNS),
        (jaxloss.multiclass_hinge_loss, multiclass_hinge, Z, LABELS),
    ],
)
def test_value_and_gradient_are_the_formulas(loss, formula, s, y):
    with jax.enable_x64(True):
        found, slope = both(lambda s: loss(s, y), s)
    chex.assert_trees_all_close(found, formula(s, y), rtol=1e-12)
    chex.assert_trees_all_close(slope, differences(lambda s: formula(s, y), s), atol=1e-9)


def test_slopes_at_the_kinks_are_zero():
    for part in both(
        lambda s: jaxloss.hinge_loss(s, np.array([1, -1])), np.array([1, -1], np.float32)
    ):
        assert not np.any(part)
    scores = np.array([[2, 1, 0.5]], np.float32)
    for part in both(lambda s: jaxloss.multiclass_hinge_loss(s, np.array([0])), scores):
        assert not np.any(part)


def test_equally_high_classes_share_the_slope():
    scores = np.array([[0.5, 1, 1, -3]], np.float32)
    value, slope = both(lambda s: jaxloss.multiclass_hinge_loss(s, np.array([0])), scores)
    chex.assert_trees_all_close(value, np.array([1.5], np.float32))
    chex.assert_trees_all_close(slope, np.array([[-1, 0.5, 0.5, 0]], np.float32))


def test_the_gradient_of_a_score_that_is_nan_is_nan():
    assert np.isnan(jax.grad(jaxloss.hinge_loss)(jnp.float32(jnp.nan), jnp.float32(1)))


def test_wrong_targets_are_nan_unless_masked():
    scores, targets = np.full(5, 3, np.float32), np.array([1, 0, 2, -1, -2])
    wrong = [False, True, True, False, True]
    for part in both(lambda s: jaxloss.hinge_loss(s, targets), scores):
        assert np.isnan(part).tolist() == wrong
    for part in both(lambda s: jaxloss.hinge_loss(s, targets, where=~np.array(wrong)), scores):
        assert not np.isnan(part).any()
        assert not np.any(np.where(wrong, part, 0))
    for part in both(lambda s: jaxloss.hinge_loss(s, targets > 0), scores):
        assert np.isnan(part).tolist() == [False, True, False, True, True]


def test_wrong_labels_are_nan_unless_ignored():
    """A row far beyond its margin, too, where all slopes are 0."""
    scores, labels = np.array([[9, 0, 0]] * 4, np.float32), np.array([0, -1, 3, 255])
    for part in both(lambda s: jaxloss.multiclass_hinge_loss(s, labels), scores):
        assert np.isnan(part).reshape(4, -1).all(1).tolist() == [False, True, True, True]
    for part in both(
        lambda s: jaxloss.multiclass_hinge_loss(s, labels, ignore_label=255, where=labels != 3),
        scores,
    ):
        assert np.isnan(part).reshape(4, -1).any(1).tolist() == [False, True, False, False]


def test_classes_may_be_anywhere_and_may_be_removed():
    scores = Z.astype(np.float32)
    keep = np.array([True, True, False, True, True])
    moved = jaxloss.multiclass_hinge_loss(scores.T, LABELS, axis=0)
    chex.assert_trees_all_close(moved, jaxloss.multiclass_hinge_loss(scores, LABELS))
    hidden, labels = np.where(keep, scores, np.float32(np.nan)), np.where(LABELS == 2, 4, LABELS)
    found = jaxloss.multiclass_hinge_loss(hidden, labels, where=np.broadcast_to(keep, scores.shape))
    renamed = np.array([0, 1, -1, 2, 3])[labels]
    expected = jaxloss.multiclass_hinge_loss(scores[:, keep], renamed)
    chex.assert_trees_all_close(found, expected)


def test_one_class_costs_nothing():
    value, slope = both(
        lambda s: jaxloss.multiclass_hinge_loss(s, jnp.zeros(2, jnp.int32)),
        np.array([[3.0], [-3e38]], np.float32),
    )
    assert not np.any(value)
    assert not np.any(slope)
