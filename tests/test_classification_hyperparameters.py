"""Classification losses by their own hyperparameters: mapped in one program, and differentiated."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from tests.registry._row import integers, normal, uniform

X, Y = normal(6, 4, seed=1, scale=2), uniform(6, 4, seed=2)
Z, LABELS = normal(6, 5, seed=3, scale=2), integers(6, high=5, seed=4)
ROWS = np.random.default_rng(5).dirichlet(np.ones(5), 6)
PLACES = {
    "sigmoid_focal_loss": (X, Y, {"gamma": (0.3, 1.0, 2.7), "alpha": (0.2, 0.5, 0.9)}),
    "softmax_focal_loss": (Z, LABELS, {"gamma": (0.3, 1.0, 2.7), "temperature": (0.6, 1.0, 2.5)}),
    "sigmoid_binary_cross_entropy": (X, Y, {"positive_weight": (0.3, 1.0, 2.5)}),
    "softmax_cross_entropy": (
        Z,
        ROWS,
        {"label_smoothing": (0.0, 0.1, 0.7), "temperature": (0.6, 1.0, 2.5)},
    ),
    "softmax_cross_entropy_with_integer_labels": (
        Z,
        LABELS,
        {"label_smoothing": (0.0, 0.1, 0.7), "temperature": (0.6, 1.0, 2.5)},
    ),
    "poly_loss_cross_entropy": (Z, ROWS, {"epsilon": (-0.7, 0.0, 2.0)}),
    "quality_focal_loss": (X, Y, {"beta": (0.3, 1.0, 2.7)}),
    "varifocal_loss": (X, Y, {"alpha": (0.2, 0.5, 0.9), "gamma": (0.3, 1.0, 2.7)}),
    "gaussian_focal_loss": (X, Y, {"alpha": (0.3, 1.0, 2.7), "gamma": (0.3, 1.0, 2.7)}),
    "asymmetric_loss": (
        X,
        Y,
        {
            "positive_gamma": (0.3, 1.0, 2.7),
            "negative_gamma": (0.3, 1.0, 2.7),
            "margin": (1e-4, 0.05, 0.3),
        },
    ),
    "generalized_cross_entropy": (Z, LABELS, {"exponent": (1e-4, 0.3, 0.7, 1.0)}),
    "bi_tempered_logistic_loss": (
        Z,
        ROWS,
        {
            "temperature1": (0.2, 0.8, 1.0),
            "temperature2": (0.8, 1.0, 1.2, 3.0),
            "label_smoothing": (0.1, 0.5),
        },
    ),
    "symmetric_cross_entropy": (
        Z,
        LABELS,
        {"alpha": (0.0, 0.1, 6.0), "beta": (0.0, 0.1), "log_floor": (-9.0, -4.0)},
    ),
}
CASES = [(name, parameter) for name, (*_, given) in PLACES.items() for parameter in given]


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        (jaxloss.sigmoid_binary_cross_entropy, ("positive_weight",)),
        (jaxloss.sigmoid_focal_loss, ("alpha", "gamma")),
        (jaxloss.asymmetric_loss, ("positive_gamma", "negative_gamma", "margin")),
        (jaxloss.quality_focal_loss, ("beta",)),
        (jaxloss.varifocal_loss, ("alpha", "gamma")),
        (jaxloss.gaussian_focal_loss, ("alpha", "gamma")),
    ],
)
def test_a_number_a_class_is_one_of_the_result(loss, names):
    """Which has the classes of the labels, too, where the logits are shared by them."""
    x, y = jnp.array([[0.4], [-1.0]]), jnp.array([[1.0, 0.0, 0.3], [0.0, 1.0, 1.0]])
    for name in names:
        values = jnp.array([0.2, 0.5, 0.9])
        expected = loss(jnp.broadcast_to(x, y.shape), y, **{name: values})
        np.testing.assert_array_equal(loss(x, y, **{name: values}), expected)


BINS = uniform(6, seed=6, high=4.0)
FEATURES, KERNEL, BIAS = normal(6, 3, seed=7), normal(3, 5, seed=8), normal(5, seed=9)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, **t: jaxloss.softmax_cross_entropy(x, ROWS, **t),
        lambda x, **t: jaxloss.safe_softmax_cross_entropy(x, ROWS, **t),
        lambda x, **t: jaxloss.softmax_cross_entropy_with_integer_labels(x, LABELS, **t),
        lambda x, **t: jaxloss.softmax_focal_loss(x, LABELS, **t),
        lambda x, **t: jaxloss.distribution_focal_loss(x, BINS, **t),
        lambda x, **t: jaxloss.seesaw_loss(x, LABELS, jaxloss.seesaw_init(5), **t)[0],
    ],
)
def test_a_temperature_divides_the_logits(loss):
    with jax.enable_x64(True):
        np.testing.assert_allclose(loss(Z, temperature=0.6), loss(Z / 0.6), rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.3, 3.0])
def test_a_constant_temperature_keeps_the_digits_of_large_logits_and_confident_rows(temperature):
    """Which a CPU loses where it contracts the quotient and its distance from the largest."""
    x = np.float32([[1e30, -1e30, 0.0, 1.0], [1e30] * 4, [30.0, 1.0, 0.3, 0.1]]) * temperature
    y = np.float32([[0.2, 0.3, 0.1, 0.4]] * 2 + [[1.0, 0.0, 0.0, 0.0]])
    for loss in (jaxloss.softmax_cross_entropy, jaxloss.poly_loss_cross_entropy):
        found = jax.jit(partial(loss, temperature=temperature))(x, y)
        with jax.enable_x64(True):
            exact = loss(*map(np.float64, (x, y)), temperature=temperature)
        np.testing.assert_allclose(found, exact, rtol=1e-5)
    labels = np.int32([1, 2, 0])
    integer = partial(jaxloss.softmax_cross_entropy_with_integer_labels, temperature=temperature)
    with jax.enable_x64(True):
        exact = integer(np.float64(x), labels)
    np.testing.assert_allclose(jax.jit(integer)(x, labels), exact, rtol=1e-5)


def test_a_temperature_divides_the_logits_that_are_never_all_in_memory():
    def fused(features, bias, kernel, temperature):
        return jaxloss.fused_linear_cross_entropy(
            features, kernel, LABELS, bias=bias, chunk_size=2, temperature=temperature
        )

    def dense(features, bias, kernel, temperature):
        return jaxloss.softmax_cross_entropy_with_integer_labels(
            features @ kernel + bias[None], LABELS, temperature=temperature
        )

    weights = np.arange(1.0, 7.0)
    with jax.enable_x64(True):
        found, expected = (
            jax.value_and_grad(lambda *a, f=f: jnp.sum(weights * f(*a)), range(4))(
                FEATURES, BIAS, KERNEL, 0.6
            )
            for f in (fused, dense)
        )
    chex.assert_trees_all_close(found, expected, rtol=1e-10)


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_slope_by_a_hyperparameter_is_the_finite_difference(name, parameter):
    x, y, given = PLACES[name]
    loss = getattr(jaxloss, name)

    @jax.jit
    def value_and_slope(value):
        return jax.jvp(lambda v: loss(x, y, **{parameter: v}), (value,), (jnp.ones_like(value),))

    step = 1e-5
    with jax.enable_x64(True):
        for place in map(np.float64, given[parameter]):
            _, slope = value_and_slope(place)
            above, below = (value_and_slope(place + s)[0] for s in (step, -step))
            expected = (above - below) / (2 * step)
            np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-9)


def test_generalized_cross_entropy_by_its_exponent_at_zero():
    """Its series starts with cost - exponent cost^2 / 2."""
    with jax.enable_x64(True):
        slope = jax.jacfwd(lambda q: jaxloss.generalized_cross_entropy(Z, LABELS, exponent=q))
        cost = jaxloss.softmax_cross_entropy_with_integer_labels(Z, LABELS)
        chex.assert_trees_all_close(slope(0.0), -cost * cost / 2, rtol=1e-12)


@pytest.mark.parametrize("loss", [jaxloss.sigmoid_focal_loss, jaxloss.quality_focal_loss])
def test_sixty_four_gammas_in_one_program(loss):
    name = "gamma" if loss is jaxloss.sigmoid_focal_loss else "beta"
    x, y = X.astype(np.float32), np.round(Y).astype(np.float32)
    gammas = np.linspace(0, 4, 64, dtype=np.float32)
    traces = []

    @jax.jit
    def swept(gammas):
        def one(gamma):
            traces.append(gamma)
            return jax.value_and_grad(lambda x: jnp.sum(loss(x, y, **{name: gamma})))(x)

        return jax.vmap(one)(gammas)

    values, slopes = swept(gammas)
    assert len(traces) == 1
    wrong = np.where(y == 1, 1 / (1 + np.exp(X)), 1 / (1 + np.exp(-X)))
    exact = (wrong ** gammas[:, None, None] * -np.log1p(-wrong)).sum((1, 2))
    np.testing.assert_allclose(values, exact, rtol=2e-6)
    assert slopes.shape == (64, *x.shape)
    assert np.isfinite(slopes).all()


def test_an_infinite_gamma_is_as_a_traced_one():
    for name, labels in (("sigmoid_focal_loss", Y), ("softmax_focal_loss", LABELS)):
        loss, x = getattr(jaxloss, name), X if labels is Y else Z
        traced = jax.jit(lambda gamma, f=loss, x=x, y=labels: f(x, y, gamma=gamma))(jnp.inf)
        np.testing.assert_array_equal(loss(x, labels, gamma=float("inf")), traced)


def test_no_alpha_is_none():
    for loss in (jaxloss.sigmoid_focal_loss, jaxloss.softmax_focal_loss):
        x, labels = (X, Y) if loss is jaxloss.sigmoid_focal_loss else (Z, LABELS)
        with pytest.raises(ValueError, match=r"`alpha` is -1, expected >= 0.*; `alpha=None` is"):
            loss(x, labels, alpha=-1)


def test_class_weights_are_numbers():
    weights = np.array([1, 2, 3, 0, 5])
    np.testing.assert_array_equal(jaxloss.class_weights_of(LABELS, weights), weights[LABELS])
    with pytest.raises(TypeError, match="`class_weights_of`: `class_weights` is boolean"):
        jaxloss.class_weights_of(LABELS, weights > 0)
    with pytest.raises(ValueError, match="`class_weights` holds -1, expected >= 0"):
        jaxloss.softmax_cross_entropy_with_integer_labels(Z, LABELS, class_weights=weights - 1)


def test_an_ignored_label_is_one_integer():
    loss = jaxloss.softmax_cross_entropy_with_integer_labels
    with pytest.raises(TypeError, match=r"`ignore_label` has dtype float32, .*: one label;"):
        loss(Z, LABELS, ignore_label=-1.0)
    with pytest.raises(ValueError, match=r"`ignore_label` has shape \(2,\), .*: one label$"):
        loss(Z, LABELS, ignore_label=np.array([-1, 255]))
