"""Entropies, divergences and smoothed labels against formulas in NumPy float64, and their zeros."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss
from tests.registry._row import normal, uniform

P, T = (np.random.default_rng(seed).dirichlet(np.ones(5), 9) for seed in (1, 2))
MASSES, LOGARITHMS = uniform(9, 5, seed=3, low=0.1, high=3), normal(9, 5, seed=4)
HALF = np.array([0.0, 0.5, 0.5], np.float32)
LAST = np.array([0.0, 0.0, 1.0], np.float32)


def entropy(p):
    return -np.sum(p * np.log(p), -1)


def cross_entropy(p, t):
    return -np.sum(t * np.log(p), -1)


def divergence(log_q, t):
    return np.sum(t * (np.log(t) - log_q), -1)


def divergence_of_logarithms(log_q, log_t):
    return divergence(log_q, np.exp(log_t))


def bregman(log_q, t):
    return divergence(log_q, t) + np.sum(np.exp(log_q) - t, -1)


def shannon(p, q):
    m = (p + q) / 2
    return 0.5 * (divergence(np.log(m), p) + divergence(np.log(m), q))


def differences(function, arrays, index, step=1e-6):
    """Central differences of a sum by one of the arrays, one element at a time."""
    slopes = np.zeros_like(arrays[index])
    for place in np.ndindex(slopes.shape):
        sides = []
        for sign in (1, -1):
            moved = [array.copy() for array in arrays]
            moved[index][place] += sign * step
            sides.append(function(*moved).sum())
        slopes[place] = (sides[0] - sides[1]) / (2 * step)
    return slopes


REFERENCES = [
    (jaxloss.entropy, entropy, (P,)),
    (jaxloss.cross_entropy, cross_entropy, (P, T)),
    (jaxloss.kl_divergence, divergence, (np.log(P), T)),
    (jaxloss.kl_divergence_with_log_targets, divergence_of_logarithms, (np.log(P), np.log(T))),
    (jaxloss.generalized_kl_divergence, bregman, (LOGARITHMS, MASSES)),
    (jaxloss.jensen_shannon_divergence, shannon, (P, T)),
]


@pytest.mark.parametrize(("loss", "formula", "arrays"), REFERENCES)
def test_value_and_gradients_are_the_formulas(loss, formula, arrays):
    with jax.enable_x64(True):
        found, pull = jax.vjp(loss, *arrays)
        slopes = pull(jnp.ones_like(found))
        bits = loss(*arrays, base=2)
    np.testing.assert_allclose(found, formula(*arrays), rtol=1e-12)
    np.testing.assert_allclose(bits, formula(*arrays) / np.log(2), rtol=1e-12)
    for index, slope in enumerate(slopes):
        np.testing.assert_allclose(slope, differences(formula, arrays, index), 1e-6, 1e-8)


@pytest.mark.parametrize(("loss", "formula", "arrays"), REFERENCES)
def test_classes_may_be_anywhere(loss, formula, arrays):
    folded = [np.moveaxis(array.reshape(3, 3, 5), -1, 0).astype(np.float32) for array in arrays]
    expected = formula(*arrays).reshape(3, 3)
    np.testing.assert_allclose(loss(*folded, axis=0), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(*folded, axis=(2, 0)), expected.sum(1), rtol=1e-5)
    np.testing.assert_allclose(loss(*folded, axis=None), expected.sum(), rtol=1e-5)


@pytest.mark.parametrize(("loss", "formula", "arrays"), REFERENCES)
def test_a_removed_class_does_not_exist(loss, formula, arrays):
    kept = np.array([True, False, True, True, False])
    arrays = [array.astype(np.float32) for array in arrays]
    hidden = [np.where(kept, array, np.float32(np.nan)) for array in arrays]
    where = np.broadcast_to(kept, (9, 5))
    found, pull = jax.vjp(lambda *arrays: loss(*arrays, where=where), *hidden)
    np.testing.assert_allclose(found, formula(*(array[:, kept] for array in arrays)), rtol=1e-5)
    for slope in pull(jnp.ones_like(found)):
        assert np.all(np.isfinite(slope))
        assert not np.any(slope[:, ~kept])
    assert not np.any(loss(*hidden, where=np.zeros_like(where)))


def test_check_values():
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.3, 0.4])
    with jax.enable_x64(True):
        found = jaxloss.jensen_shannon_divergence(p, q), jaxloss.kl_divergence(np.log(q), p)
        tutorial = jaxloss.cross_entropy(
            np.array([[0.3, 0.3, 0.4], [0.3, 0.2, 0.5]]), np.array([[1.0, 0, 0], [0, 0, 1]])
        )
    np.testing.assert_allclose(found, [0.05191225924, 0.2007768011], rtol=1e-9)
    np.testing.assert_allclose(tutorial, -np.log([0.3, 0.5]), rtol=1e-12)


@pytest.mark.parametrize(("base", "unit"), [(None, 1), (2, np.log(2)), (10.0, np.log(10))])
def test_information_content_is_the_formula(base, unit):
    p = uniform(7, seed=5, low=1e-3)
    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda p: jaxloss.information_content(p, base=base), p)
        slope = pull(jnp.ones_like(found))[0]
    np.testing.assert_allclose(found, -np.log(p) / unit, rtol=1e-12)
    np.testing.assert_allclose(slope, -1 / (p * unit), rtol=1e-12)
    assert jaxloss.information_content(jnp.float32(0)) == jnp.inf


def slopes(loss, *arrays):
    value, pull = jax.vjp(loss, *arrays)
    return value, *pull(jnp.ones_like(value))


def test_classes_that_are_absent_add_nothing():
    log_half = np.log(HALF, where=HALF > 0, out=np.full(3, -np.inf, np.float32))
    log_last = np.log(LAST, where=LAST > 0, out=np.full(3, -np.inf, np.float32))
    two = np.float32(np.log(2))
    for loss, arrays, expected in (
        (jaxloss.entropy, (HALF,), [two, [0, two - 1, two - 1]]),
        (jaxloss.cross_entropy, (HALF, LAST), [two, [0, 0, -2], [0, two, two]]),
        (jaxloss.kl_divergence, (log_half, LAST), [two, [0, 0, -1], [0, 0, two + 1]]),
        (
            jaxloss.kl_divergence_with_log_targets,
            (log_half, log_last),
            [two, [0, 0, -1], [0, 0, two + 1]],
        ),
        (
            jaxloss.generalized_kl_divergence,
            (log_half, LAST),
            [two, [0, 0.5, -0.5], [0, 0, two]],
        ),
    ):
        for found, wanted in zip(slopes(loss, *arrays), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    for found in slopes(jaxloss.jensen_shannon_divergence, HALF, LAST):
        assert np.all(np.isfinite(found))


def test_a_class_that_cannot_happen_and_does_is_infinite():
    log_half = np.array([-np.inf, np.log(0.5), np.log(0.5)], np.float32)
    first = np.array([1, 0, 0], np.float32)
    log_first = np.array([0, -np.inf, -np.inf], np.float32)
    assert jaxloss.cross_entropy(HALF, first) == np.inf
    assert jaxloss.kl_divergence(log_half, first) == np.inf
    assert jaxloss.kl_divergence_with_log_targets(log_half, log_first) == np.inf
    assert jaxloss.generalized_kl_divergence(log_half, first) == np.inf


def test_the_gradient_through_a_softmax_with_a_zero_is_the_limit():
    """The entropy of softmax((x, 0, 1)), whose first probability is 0 in float32."""

    def loss(x):
        return jaxloss.entropy(jax.nn.softmax(jnp.stack([x, 0 * x, 0 * x + 1])))

    assert jax.grad(loss)(jnp.float32(-200)) == 0
    assert abs(jax.grad(loss)(jnp.float32(-40))) < 1e-15


@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-5, 1e-7])
def test_nearly_equal_distributions_keep_their_distance(distance):
    p = np.float32([[0.1, 0.2, 0.3, 0.4]])
    q = (p * (1 + distance * np.array([0.6, -0.3, 0.7, -0.5]))).astype(np.float32)
    s = (np.float64(p) - q) / (np.float64(p) + q)
    # 2 s artanh(s) + log(1 - s^2) by its series: a plain sum cancels even in float64.
    series = sum(s ** (2 * k) / (k * (2 * k - 1)) for k in range(1, 40))
    exact = np.sum((np.float64(p) + q) / 4 * series)
    value, slope, _ = slopes(jaxloss.jensen_shannon_divergence, p, q)
    np.testing.assert_allclose(value[0], exact, rtol=1e-6)
    np.testing.assert_allclose(slope, 0.5 * np.log1p(s), rtol=1e-6)
    assert jaxloss.generalized_kl_divergence(np.log(q), p)[0] >= 0


def test_jensen_shannon_is_symmetric_and_at_most_a_bit():
    found = jaxloss.jensen_shannon_divergence(P, T)
    np.testing.assert_allclose(found, jaxloss.jensen_shannon_divergence(T, P), rtol=1e-6)
    one, two = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    assert jaxloss.jensen_shannon_divergence(one, two, base=2) == 1
    assert jaxloss.jensen_shannon_divergence(one, one) == 0


def test_divergence_is_cross_entropy_without_entropy():
    found = jaxloss.cross_entropy(P, T) - jaxloss.entropy(T)
    np.testing.assert_allclose(jaxloss.kl_divergence(np.log(P), T), found, rtol=1e-4)


def test_negative_numbers_and_nan_are_never_a_number():
    bad = np.array([0.5, 0.7, -0.2], np.float32)
    for wrong in (bad, np.where(bad < 0, np.float32(np.nan), bad)):
        for loss, arrays in (
            (jaxloss.entropy, (wrong,)),
            (jaxloss.cross_entropy, (wrong, HALF)),
            (jaxloss.kl_divergence, (np.log(P[0, :3]), wrong)),
            (jaxloss.generalized_kl_divergence, (np.log(P[0, :3]), wrong)),
            (jaxloss.jensen_shannon_divergence, (wrong, HALF)),
        ):
            assert jnp.isnan(loss(*arrays)), loss.__name__


def test_both_smoothings_and_the_map_between_them():
    labels = np.eye(4)[[2, 0, 3]]
    soft = np.random.default_rng(6).dirichlet(np.ones(4), 3)
    with jax.enable_x64(True):
        for y in (labels, soft):
            over_all, over_others = (
                jaxloss.smooth_labels(y, 0.2),
                jaxloss.smooth_labels_over_others(y, 0.2 * 3 / 4),
            )
            np.testing.assert_allclose(over_all, 0.8 * y + 0.05, rtol=1e-12)
            np.testing.assert_allclose(over_others, over_all, rtol=1e-12)
        tutorial = jaxloss.smooth_labels_over_others(np.eye(3)[1], 0.1)
        mean = jaxloss.smooth_labels_over_others(np.array([0.3, 0.7, 0, 0]), 0.1)
        parts = jaxloss.smooth_labels_over_others(np.eye(4)[:2], 0.1)
    np.testing.assert_allclose(tutorial, [0.05, 0.9, 0.05], rtol=1e-12)
    np.testing.assert_allclose(mean, [0.3, 0.7] @ np.asarray(parts), rtol=1e-12)


@pytest.mark.parametrize("smooth", [jaxloss.smooth_labels, jaxloss.smooth_labels_over_others])
def test_a_removed_class_gets_no_share(smooth):
    y = T.astype(np.float32)
    kept = np.array([True, False, True, True, False])
    found = smooth(np.where(kept, y, np.float32(np.nan)), 0.3, where=np.broadcast_to(kept, y.shape))
    chex.assert_trees_all_close(found[:, kept], smooth(y[:, kept], 0.3), rtol=1e-6)
    assert not np.any(found[:, ~kept])
    with pytest.raises(ValueError, match=r"`where` has shape \(9,\)"):
        smooth(y, 0.3, where=np.ones(9, bool))


def test_check_values_of_smoothed_cross_entropy():
    z, y = np.array([1.2, -0.3, 0.5]), np.eye(3)[0]
    with jax.enable_x64(True):
        found = [
            jaxloss.softmax_cross_entropy(z, smooth(y, 0.1))
            for smooth in (jaxloss.smooth_labels, jaxloss.smooth_labels_over_others)
        ]
    np.testing.assert_allclose(found, [0.6154921825, 0.6521588492], rtol=1e-9)


def test_optax_has_the_same_numbers():
    p, t, masses, logarithms = (a.astype(np.float32) for a in (P, T, MASSES, LOGARITHMS))
    kept = np.arange(45).reshape(9, 5) % 4 > 0
    for name, arrays in (
        ("kl_divergence", (np.log(p), t)),
        ("kl_divergence_with_log_targets", (np.log(p), np.log(t))),
        ("generalized_kl_divergence", (logarithms, masses)),
        ("smooth_labels", (t, 0.3)),
    ):
        settings = [{}, {"axis": 0}, {"axis": None}]
        if name != "smooth_labels":
            settings += [{"axis": (0, 1)}, {"axis": -1, "where": kept}]
        for setting in settings:
            ours, theirs = getattr(jaxloss, name), getattr(optax.losses, name)
            chex.assert_trees_all_close(
                ours(*arrays, **setting), theirs(*arrays, **setting), rtol=2e-5, atol=1e-6
            )
