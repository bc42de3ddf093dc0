"""Losses of dense detectors and of many labels, against formulas in NumPy float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from tests.calculus import both, differences, precision
from tests.registry._row import normal, uniform
from tests.test_classification import SWEEP, sigmoid_cost, softmax_cost, softplus

X = normal(9, 4, seed=1, scale=3)
Y = np.where(normal(9, 4, seed=2) > 0, uniform(9, 4, seed=3), 0)
PEAKS = np.where(Y == 0, 1, Y)
BINS, PLACES = normal(12, 5, seed=4, scale=2), uniform(12, seed=5, high=4)
EXPONENTS = (0.0, 0.5, 1.0, 2.0, 3.3)


def sigmoid(x):
    return np.exp(-softplus(-x))


def quality_focal(x, y, beta=2.0):
    return np.abs(y - sigmoid(x)) ** beta * sigmoid_cost(x, y)


def varifocal(x, y, alpha=0.75, gamma=2.0):
    positive = y * sigmoid_cost(x, y)
    return np.where(y == 0, alpha * sigmoid(x) ** gamma * softplus(x), positive)


def gaussian_focal(x, y, alpha=2.0, gamma=4.0):
    negative = (1 - y) ** gamma * sigmoid(x) ** alpha * softplus(x)
    return np.where(y == 1, sigmoid(-x) ** alpha * softplus(-x), negative)


def asymmetric(x, y, positive_gamma=1.0, negative_gamma=4.0, margin=0.05):
    shifted = np.maximum(sigmoid(x) - margin, 0)
    negative = -(shifted**negative_gamma) * np.log1p(-shifted)
    return y * sigmoid(-x) ** positive_gamma * softplus(-x) + (1 - y) * negative


def distribution_focal(x, y):
    """By the two bins, as the papers have it."""
    low = np.minimum(np.floor(y).astype(int), x.shape[-1] - 2)
    shares = np.zeros_like(x)
    rows = np.arange(len(x))
    shares[rows, low], shares[rows, low + 1] = low + 1 - y, y - low
    return softmax_cost(x, shares)


REFERENCES = [
    *((jaxloss.quality_focal_loss, quality_focal, X, Y, {"beta": e}) for e in EXPONENTS),
    (jaxloss.varifocal_loss, varifocal, X, Y, {}),
    (jaxloss.varifocal_loss, varifocal, X, Y, {"alpha": 0.3, "gamma": 0.7}),
    (jaxloss.gaussian_focal_loss, gaussian_focal, X, PEAKS, {}),
    (jaxloss.gaussian_focal_loss, gaussian_focal, X, PEAKS, {"alpha": 0.7, "gamma": 3.3}),
    (jaxloss.asymmetric_loss, asymmetric, X, Y, {}),
    (jaxloss.asymmetric_loss, asymmetric, X, Y, {"margin": 0.0, "negative_gamma": 0.5}),
    (jaxloss.asymmetric_loss, asymmetric, X, Y, {"margin": 0.2, "positive_gamma": 1.3}),
    (jaxloss.distribution_focal_loss, distribution_focal, BINS, PLACES, {}),
]


@pytest.mark.parametrize(("loss", "formula", "x", "y", "setting"), REFERENCES)
def test_value_and_gradient_are_the_formulas(loss, formula, x, y, setting):
    with jax.enable_x64(True):
        found, slope = both(lambda x: loss(x, y, **setting), x)
    chex.assert_trees_all_close(found, formula(x, y, **setting), rtol=1e-11, atol=1e-15)
    expected = differences(lambda x: formula(x, y, **setting), x)
    chex.assert_trees_all_close(slope, expected, rtol=1e-6, atol=1e-8)


def test_check_values():
    bins = np.array([0.1, 0.5, -0.2, 0.3, 0.0])
    x, y = np.array([0.4, -1.0]), np.array([0.7, 0.0])

    def losses():
        return (
            jaxloss.quality_focal_loss(x, y),
            jaxloss.distribution_focal_loss(bins, np.array(2.3)),
            jaxloss.varifocal_loss(x, y),
            jaxloss.asymmetric_loss(np.array([0.7, -1.5, -4.0]), np.array([1, 0, 0])),
        )

    expected = (
        np.array([0.006497388959, 0.02265805751]),
        np.array(1.828755575),
        np.array([0.4431106767, 0.01699354313]),
        np.array([0.1337820611, 4.368577236e-05, 0]),
    )
    with jax.enable_x64(True):
        chex.assert_trees_all_close(jax.jit(losses)(), expected, rtol=1e-9)


@pytest.mark.parametrize("exponent", [1.5, 2.7])
def test_precision_does_not_depend_on_the_tail(exponent):
    """Of every loss against a no and a yes."""
    logits = np.broadcast_to(SWEEP, (4, 2, SWEEP.size))

    def losses(x):
        y = jnp.zeros_like(x[0]).at[1].set(1)
        gammas = {"positive_gamma": exponent, "negative_gamma": exponent}
        return jnp.stack(
            [
                jaxloss.quality_focal_loss(x[0], y, beta=exponent),
                jaxloss.varifocal_loss(x[1], y, gamma=exponent),
                jaxloss.gaussian_focal_loss(x[2], y, alpha=exponent),
                jaxloss.asymmetric_loss(x[3], y, margin=0.0, **gammas),
            ]
        )

    value, slope = precision(losses, logits)
    assert value < 1.2e-6
    assert slope < 2e-6


def test_cross_entropy_and_focal_loss_are_special_cases():
    x, y = X.astype(np.float32), np.round(Y).astype(np.float32)

    def pairs():
        return [
            (
                jaxloss.quality_focal_loss(x, y, beta=1.5),
                jaxloss.sigmoid_focal_loss(x, y, gamma=1.5),
            ),
            (
                jaxloss.quality_focal_loss(x, y, beta=0.0),
                jaxloss.sigmoid_binary_cross_entropy(x, y),
            ),
            (
                jaxloss.gaussian_focal_loss(x, y, alpha=1.5),
                jaxloss.sigmoid_focal_loss(x, y, gamma=1.5),
            ),
            (
                jaxloss.asymmetric_loss(x, y, positive_gamma=2.0, negative_gamma=2.0, margin=0.0),
                jaxloss.sigmoid_focal_loss(x, y),
            ),
            (
                jaxloss.distribution_focal_loss(BINS, np.arange(12.0) % 5),
                jaxloss.softmax_cross_entropy_with_integer_labels(BINS, np.arange(12) % 5),
            ),
        ]

    for found, expected in jax.jit(pairs)():
        chex.assert_trees_all_close(found, expected, rtol=3e-6, atol=1e-30)


@pytest.mark.parametrize("beta", [1, 2, 3, 0.5, 1.5, np.float32(0.3)])
def test_a_quality_that_is_met_costs_nothing(beta):
    def loss(x):
        return jaxloss.quality_focal_loss(x, jnp.full(x.shape, 0.5), beta=beta)

    value, slope = both(loss, np.zeros(3, np.float32))
    assert not np.any(value)
    assert not np.any(slope)


def test_curvature_where_the_quality_is_met():
    found = jax.grad(jax.grad(lambda x: jaxloss.quality_focal_loss(x, jnp.float32(0.5))))(0.0)
    np.testing.assert_allclose(found, 2 * 0.25**2 * np.log(2), rtol=1e-6)


@pytest.mark.parametrize("negative_gamma", [0.0, 0.5, 1.0, 4.0])
def test_the_easiest_noes_are_forgotten(negative_gamma):
    x = np.log(np.array([0.01, 0.049, 0.2])) - np.log1p(-np.array([0.01, 0.049, 0.2]))
    value, slope = both(
        lambda x: jaxloss.asymmetric_loss(
            x, np.zeros(3, np.int32), negative_gamma=negative_gamma, margin=0.05
        ),
        x.astype(np.float32),
    )
    assert not np.any(value[:2])
    assert not np.any(slope[:2])
    assert value[2] > 0
    assert slope[2] > 0


def test_asymmetric_loss_is_precise_away_from_its_margin():
    """Close to the margin the digits of p - margin are lost whatever one does."""
    margins = np.array([[1e-3], [0.05], [0.5]], np.float32)
    start = np.log(1.5 * margins) - np.log1p(-1.5 * margins)
    x = start + np.linspace(0, 80, 2000, dtype=np.float32)

    def loss(x):
        return jaxloss.asymmetric_loss(x, jnp.zeros_like(x), margin=margins)

    value, slope = precision(loss, x)
    assert value < 3e-6
    assert slope < 3e-6


def test_the_last_bin_is_reached_and_none_beyond():
    x, y = BINS[:4].astype(np.float32), np.array([4.0, 4.001, -1e-6, 0.0], np.float32)
    value, slope = both(lambda x: jaxloss.distribution_focal_loss(x, y), x)
    assert np.isnan(value).tolist() == [False, True, True, False]
    assert np.isnan(slope).all(1).tolist() == [False, True, True, False]
    ends = jaxloss.softmax_cross_entropy_with_integer_labels(x[[0, 3]], np.array([4, 0]))
    chex.assert_trees_all_close(value[jnp.array([0, 3])], ends, rtol=1e-6)


def test_a_bin_is_the_expectation_of_its_neighbours():
    """Least at the distribution that has the target as its mean."""
    shares = jnp.log(jnp.array([1e-30, 1e-30, 0.7, 0.3, 1e-30]))
    slope = jax.grad(jaxloss.distribution_focal_loss)(shares, jnp.float32(2.3))
    np.testing.assert_allclose(slope, np.zeros(5), atol=2e-7)


def test_derivatives_by_targets():
    inside = uniform(9, 4, seed=6, low=0.05, high=0.95)
    pairs = [
        (jaxloss.quality_focal_loss, quality_focal, X, inside),
        (jaxloss.varifocal_loss, varifocal, X, inside),
        (jaxloss.gaussian_focal_loss, gaussian_focal, X, inside),
        (jaxloss.asymmetric_loss, asymmetric, X, inside),
        (jaxloss.distribution_focal_loss, distribution_focal, BINS, PLACES),
    ]
    for loss, formula, x, y in pairs:
        with jax.enable_x64(True):
            _, slope = both(lambda y, f=loss, x=x: f(x, y), y)
        expected = differences(lambda y, f=formula, x=x: f(x, y), y)
        chex.assert_trees_all_close(slope, expected, rtol=1e-6, atol=1e-8)


def test_a_target_that_jumps_has_no_slope():
    x = X[0].astype(np.float32)
    for loss, target in ((jaxloss.varifocal_loss, 0.0), (jaxloss.gaussian_focal_loss, 1.0)):
        _, slope = both(lambda y, f=loss: f(x, y), np.full(4, target, np.float32))
        assert not np.any(slope)


def test_a_heat_outside_its_range_is_nan():
    for target in (-0.1, 1.1):
        found = both(
            lambda x, y=target: jaxloss.gaussian_focal_loss(x, jnp.full(4, y)),
            X[0].astype(np.float32),
        )
        assert all(np.isnan(part).all() for part in found)


def test_a_wrong_integer_is_nan():
    x = X[0].astype(np.float32)
    for part in both(lambda x: jaxloss.asymmetric_loss(x, np.array([0, 2, 1, -1])), x):
        assert np.isnan(part).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    "loss",
    [
        jaxloss.quality_focal_loss,
        jaxloss.varifocal_loss,
        jaxloss.gaussian_focal_loss,
        jaxloss.asymmetric_loss,
    ],
)
def test_little_is_written_between_value_and_gradient(loss):
    shape = jax.ShapeDtypeStruct((8, 1024, 20), jnp.float32)
    program = jax.jit(jax.value_and_grad(lambda x, y: jnp.mean(loss(x, y))))
    memory = program.lower(shape, shape).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 4.1 * shape.size * 4
