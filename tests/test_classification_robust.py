"""Losses that bend cross-entropy, against formulas in NumPy float64: values, limits, precision."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from tests.calculus import both, differences, precision
from tests.registry._row import integers, normal
from tests.test_classification import confident_rows, log_softmax, others, softmax_cost

Z, LABELS = normal(12, 5, seed=3, scale=3), integers(12, high=5, seed=4)
DISTRIBUTIONS = np.random.default_rng(5).dirichlet(np.ones(5), 12)
INTEGER = (jaxloss.generalized_cross_entropy, jaxloss.symmetric_cross_entropy)


def poly(z, y, epsilon=2.0):
    return softmax_cost(z, y) + epsilon * (y * (1 - np.exp(log_softmax(z)))).sum(-1)


def generalized(z, labels, exponent=0.7):
    cost = np.log1p(others(z, labels))
    return -np.expm1(-exponent * cost) / exponent if exponent else cost


def symmetric(z, labels, alpha=0.1, beta=1.0, log_floor=-4.0):
    cost = np.log1p(others(z, labels))
    return alpha * cost + beta * log_floor * np.expm1(-cost)


REFERENCES = [
    (jaxloss.safe_softmax_cross_entropy, softmax_cost, DISTRIBUTIONS, {}),
    (jaxloss.poly_loss_cross_entropy, poly, DISTRIBUTIONS, {}),
    (jaxloss.poly_loss_cross_entropy, poly, DISTRIBUTIONS, {"epsilon": -0.7}),
    (jaxloss.generalized_cross_entropy, generalized, LABELS, {}),
    *(
        (jaxloss.generalized_cross_entropy, generalized, LABELS, {"exponent": q})
        for q in (0.0, 1e-5, 0.3, 0.5, 1.0)
    ),
    (jaxloss.symmetric_cross_entropy, symmetric, LABELS, {}),
    (
        jaxloss.symmetric_cross_entropy,
        symmetric,
        LABELS,
        {"alpha": 6.0, "beta": 0.1, "log_floor": np.log(1e-4)},
    ),
]


@pytest.mark.parametrize(("loss", "formula", "labels", "setting"), REFERENCES)
def test_value_and_gradient_are_the_formulas(loss, formula, labels, setting):
    with jax.enable_x64(True):
        found, slope = both(lambda z: loss(z, labels, **setting), Z)
    chex.assert_trees_all_close(found, formula(Z, labels, **setting), rtol=1e-11)
    expected = differences(lambda z: formula(z, labels, **setting), Z)
    chex.assert_trees_all_close(slope, expected, rtol=1e-6, atol=1e-8)


def test_check_values():
    z, label, row = np.array([1.2, -0.3, 0.5]), np.array(0), np.array([1.0, 0, 0])

    def losses():
        return jnp.stack(
            [
                jaxloss.safe_softmax_cross_entropy(z, row),
                jaxloss.poly_loss_cross_entropy(z, row, epsilon=1.0),
                jaxloss.generalized_cross_entropy(z, label),
                jaxloss.symmetric_cross_entropy(z, label),
                jaxloss.symmetric_cross_entropy(z, label, log_floor=np.log(1e-4)),
            ]
        )

    expected = [0.5421588492, 0.9606673054, 0.4511489055, 1.72824971, 3.908821215]
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(losses)(), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["poly", "generalized", "generalized-0.3", "symmetric"])
def test_precision_does_not_depend_on_the_tail(name):
    rows, labels = confident_rows()
    # Of a probability below float32's range only the rounded logarithm is left.
    counted = others(rows.astype(np.float64), labels) < 1e35
    rows, labels = rows[counted], labels[counted]
    losses = {
        "poly": lambda z: jaxloss.poly_loss_cross_entropy(
            z, jax.nn.one_hot(labels, 5, dtype=z.dtype)
        ),
        "generalized": lambda z: jaxloss.generalized_cross_entropy(z, labels),
        "generalized-0.3": lambda z: jaxloss.generalized_cross_entropy(z, labels, exponent=0.3),
        "symmetric": lambda z: jaxloss.symmetric_cross_entropy(z, labels),
    }
    # Poly-1's gradient multiplies two probabilities, whose product has to be in float32's range.
    value, slope = precision(losses[name], rows * np.float32(0.3 if name == "poly" else 1))
    assert value < 2e-6
    # Of a class far below others, or a power of an improbable label: a large logarithm is rounded.
    assert slope < 6e-6


def test_the_generalized_loss_runs_from_cross_entropy_to_being_wrong():
    z = Z.astype(np.float32)
    exact = jaxloss.softmax_cross_entropy_with_integer_labels(z, LABELS)
    for exponent in (0.0, jnp.float32(0.0), 1e-12):
        found = jaxloss.generalized_cross_entropy(z, LABELS, exponent=exponent)
        chex.assert_trees_all_close(found, exact, rtol=1e-6)
    wrong = jaxloss.generalized_cross_entropy(z, LABELS, exponent=1.0)
    own = np.take_along_axis(np.exp(log_softmax(Z)), LABELS[:, None], 1)[:, 0]
    chex.assert_trees_all_close(wrong, (1 - own).astype(np.float32), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", INTEGER)
def test_a_wrong_label_is_nan_and_an_ignored_one_nothing(loss):
    z, labels = Z[:4].astype(np.float32), np.array([0, -1, 5, 255])
    for part in both(lambda z: loss(z, labels, ignore_label=255), z):
        assert np.isnan(part).reshape(4, -1).all(1).tolist() == [False, True, True, False]
        assert not np.any(part[3])


@pytest.mark.parametrize("loss", INTEGER)
def test_classes_may_be_anywhere_and_may_be_removed(loss):
    z = Z.astype(np.float32)
    chex.assert_trees_all_close(loss(z.T, LABELS, axis=0), loss(z, LABELS), rtol=1e-6)
    keep = np.array([True, True, False, True, True])
    hidden, labels = np.where(keep, z, np.float32(np.nan)), np.where(LABELS == 2, 4, LABELS)
    found = loss(hidden, labels, where=np.broadcast_to(keep, z.shape))
    renamed = np.array([0, 1, -1, 2, 3])[labels]
    chex.assert_trees_all_close(found, loss(z[:, keep], renamed), rtol=1e-6)


def test_poly_loss_over_several_axes():
    z, y = (a.reshape(2, 6, 5).astype(np.float32) for a in (Z, DISTRIBUTIONS))
    found = jaxloss.poly_loss_cross_entropy(z, y, axis=(0, 2))
    flat = np.moveaxis(z, 0, 1).reshape(6, 10), np.moveaxis(y, 0, 1).reshape(6, 10)
    chex.assert_trees_all_close(found, jaxloss.poly_loss_cross_entropy(*flat), rtol=1e-6)


def test_temperature_divides_the_logits():
    z = Z.astype(np.float32)
    pairs = [(loss, LABELS) for loss in INTEGER]
    for loss, labels in [*pairs, (jaxloss.poly_loss_cross_entropy, DISTRIBUTIONS)]:
        found = loss(z, labels, temperature=2.5)
        chex.assert_trees_all_close(found, loss(z / np.float32(2.5), labels), rtol=1e-6)


def test_an_impossible_class_costs_nothing_without_a_label():
    z = np.array([[1.0, -np.inf, 2.0]], np.float32)
    y = np.array([[0.25, 0, 0.75]], np.float32)
    for loss in (jaxloss.safe_softmax_cross_entropy, jaxloss.poly_loss_cross_entropy):
        value, slope = both(lambda z, f=loss: f(z, y), z)
        chex.assert_trees_all_close(value, loss(z[:, [0, 2]], y[:, [0, 2]]), rtol=1e-6)
        assert np.isfinite(slope).all()
        assert slope[0, 1] == 0


def test_integer_labels_are_not_gathered_where_classes_may_be_sharded():
    for loss in (*INTEGER, jaxloss.multiclass_hinge_loss):
        program = jax.jit(jax.value_and_grad(lambda z, f=loss: jnp.sum(f(z, LABELS)))).trace(Z)
        text = program.lower(lowering_platforms=("tpu",)).as_text()
        assert "gather" not in text
        assert "scatter" not in text


TEMPERATURES = [(0.8, 1.2), (0.5, 0.7), (1.0, 1.0), (1.0, 1.3), (0.3, 1.0), (0.2, 4.0)]


def tempered_softmax(z, t):
    """By bisection, in float64."""
    if t == 1:
        return np.exp(log_softmax(z))

    def p_of(moved):
        return np.maximum(1 + (1 - t) * (z - moved[:, None]), 0) ** (1 / (1 - t))

    low = z.max(1)
    high = low + (z.shape[1] ** (t - 1) - 1) / (t - 1) + 1e-9
    for _ in range(200):
        middle = (low + high) / 2
        more = p_of(middle).sum(1) > 1
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return p_of(low)


def bi_tempered(z, y, temperature1, temperature2, label_smoothing=0.0):
    def log_t(u):
        power = 1 - temperature1
        return (u**power - 1) / power if power else np.log(u)

    classes, t1 = z.shape[1], temperature1
    y = (1 - classes / (classes - 1) * label_smoothing) * y + label_smoothing / (classes - 1)
    p = tempered_softmax(z, temperature2)
    return (y * (log_t(y) - log_t(p)) - (y ** (2 - t1) - p ** (2 - t1)) / (2 - t1)).sum(1)


@pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)
def test_bi_tempered_loss_is_the_formula(t1, t2):
    def formula(z, y):
        return bi_tempered(z, y, t1, t2, 0.1)

    def loss(z, y):
        return jaxloss.bi_tempered_logistic_loss(
            z, y, temperature1=t1, temperature2=t2, label_smoothing=0.1
        )

    z = Z / 3
    with jax.enable_x64(True):
        found, slope = both(lambda z: loss(z, DISTRIBUTIONS), z)
    chex.assert_trees_all_close(found, formula(z, DISTRIBUTIONS), rtol=1e-9)
    expected = differences(lambda z: formula(z, DISTRIBUTIONS), z)
    chex.assert_trees_all_close(slope, expected, rtol=2e-6, atol=1e-7)


def test_bi_tempered_check_values():
    """The authors' fixed point after 200 steps, and within its error after 5."""
    z, y = np.array([1.2, -0.3, 0.5]), np.array([1.0, 0, 0])
    with jax.enable_x64(True):
        found = jax.jit(jaxloss.bi_tempered_logistic_loss)(z, y)
        # At temperature1 = 0 the gradient of the loss by a one-hot label is -p and a constant.
        loss = partial(jaxloss.bi_tempered_logistic_loss, temperature1=0.0)
        slope = jax.jit(jax.grad(loss, 1))(z, y * 0.5 + 0.1)
    np.testing.assert_allclose(found, 0.4396323115, rtol=2e-10)
    np.testing.assert_allclose(found, 0.4396323048, rtol=2e-8)
    p = y * 0.5 + 0.1 - np.asarray(slope)
    np.testing.assert_allclose(p, [0.5354802304, 0.1654567315, 0.2990630381], rtol=1e-9)


@pytest.mark.parametrize("t2", [0.3, 0.9, 1.0, 1.0001, 1.5, 4.0])
def test_tempered_probabilities_are_normalised(t2):
    """Read off the slope by labels, which is log(y) - log(p) at temperature1 = 1."""
    rng = np.random.default_rng(7)
    z = rng.standard_normal((40, 300)) * np.logspace(-2, 3, 40)[:, None]
    y = np.full(z.shape, 1 / 300)
    with jax.enable_x64(True):
        slope = jax.jit(
            jax.grad(
                lambda y: jnp.sum(
                    jaxloss.bi_tempered_logistic_loss(z, y, temperature1=1.0, temperature2=t2)
                )
            )
        )(y)
    np.testing.assert_allclose((y * np.exp(-slope)).sum(1), np.ones(40), rtol=1e-10)


def test_bi_tempered_loss_at_temperature_one_is_cross_entropy():
    z, labels = Z.astype(np.float32), np.eye(5, dtype=np.float32)[LABELS]
    ones = {"temperature1": 1.0, "temperature2": 1.0}
    found, slope = both(lambda z: jaxloss.bi_tempered_logistic_loss(z, labels, **ones), z)
    expected = both(lambda z: jaxloss.softmax_cross_entropy(z, labels), z)
    chex.assert_trees_all_close((found, slope), expected, rtol=1e-5, atol=1e-6)


def test_bi_tempered_loss_is_bounded():
    z, y = np.array([[0, 1e30], [0, 1e4]], np.float32), np.array([[1.0, 0], [1, 0]], np.float32)
    loss = partial(jaxloss.bi_tempered_logistic_loss, temperature1=0.2, temperature2=1.0)
    found = jax.jit(loss)(z, y)
    np.testing.assert_allclose(found, np.full(2, 1 / 0.8), rtol=1e-6)


def test_a_removed_class_has_no_share_of_the_tail():
    z, y = Z.astype(np.float32), DISTRIBUTIONS.astype(np.float32)
    keep = np.array([True, True, False, True, True])
    hidden, where = np.where(keep, z, np.float32(np.nan)), np.broadcast_to(keep, z.shape)
    loss = partial(jaxloss.bi_tempered_logistic_loss, label_smoothing=0.2, temperature2=3.0)
    found = jax.jit(lambda: loss(hidden, y, where=where))()
    expected = jax.jit(loss)(z[:, keep], y[:, keep])
    chex.assert_trees_all_close(found, expected, rtol=1e-5)
