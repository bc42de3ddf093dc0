"""Classification losses against formulas in NumPy float64: values, gradients, precision, labels."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss
from jaxloss import _classes, _derivatives, _sums
from jaxloss._exponential import falling_exp
from tests.calculus import assert_total, both, differences, few, precision
from tests.registry._row import integers, normal, uniform

X, Y = normal(9, 4, seed=1, scale=3), uniform(9, 4, seed=2)
Z, LABELS = normal(12, 5, seed=3, scale=3), integers(12, high=5, seed=4)
DISTRIBUTIONS = np.random.default_rng(5).dirichlet(np.ones(5), 12)
WEIGHTS = np.array([0.5, 1.0, 4.0, 0.25, 2.0])
GAMMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 0.7, 2.2)
SWEEP = np.linspace(-100, 100, 4001).astype(np.float32)


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid_cost(x, y, positive_weight=1.0):
    return positive_weight * y * softplus(-x) + (1 - y) * softplus(x)


def sigmoid_focal(x, y, alpha=None, gamma=2.0):
    wrong = y * np.exp(-softplus(x)) + (1 - y) * np.exp(-softplus(-x))
    weight = 1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return weight * wrong**gamma * sigmoid_cost(x, y)


def others(z, labels):
    """Sum of exp(z_j - z_label) over the other classes: the odds of being wrong."""
    odds = np.exp(z - np.take_along_axis(z, labels[:, None], 1))
    np.put_along_axis(odds, labels[:, None], 0, 1)
    return odds.sum(1)


def softmax_focal(z, labels, alpha=None, gamma=2.0):
    odds = others(z, labels)
    weight = 1 if alpha is None else alpha[labels]
    return weight * (odds / (1 + odds)) ** gamma * np.log1p(odds)


def log_softmax(z):
    return z - np.logaddexp.reduce(z, axis=-1, keepdims=True)


def softmax_cost(z, labels, class_weights=1.0, label_smoothing=0.0):
    smooth = (1 - label_smoothing) * labels + label_smoothing / z.shape[-1]
    return -(class_weights * smooth * log_softmax(z)).sum(-1)


def integer_cost(z, labels, **setting):
    return softmax_cost(z, np.eye(z.shape[-1])[labels], **setting)


REFERENCES = [
    (jaxloss.sigmoid_binary_cross_entropy, sigmoid_cost, X, Y, {}),
    (jaxloss.sigmoid_binary_cross_entropy, sigmoid_cost, X, Y, {"positive_weight": 2.5}),
    (jaxloss.sigmoid_focal_loss, sigmoid_focal, X, Y, {"alpha": 0.2}),
    *((jaxloss.sigmoid_focal_loss, sigmoid_focal, X, Y, {"gamma": g}) for g in GAMMAS),
    (jaxloss.softmax_cross_entropy, softmax_cost, Z, DISTRIBUTIONS, {}),
    (
        jaxloss.softmax_cross_entropy,
        softmax_cost,
        Z,
        DISTRIBUTIONS,
        {"class_weights": WEIGHTS, "label_smoothing": 0.2},
    ),
    (jaxloss.softmax_cross_entropy_with_integer_labels, integer_cost, Z, LABELS, {}),
    (
        jaxloss.softmax_cross_entropy_with_integer_labels,
        integer_cost,
        Z,
        LABELS,
        {"class_weights": WEIGHTS, "label_smoothing": 0.2},
    ),
    (jaxloss.softmax_focal_loss, softmax_focal, Z, LABELS, {"alpha": WEIGHTS}),
    *((jaxloss.softmax_focal_loss, softmax_focal, Z, LABELS, {"gamma": g}) for g in GAMMAS),
]


@pytest.mark.parametrize(("loss", "formula", "x", "labels", "setting"), REFERENCES)
def test_value_and_gradient_are_the_formulas(loss, formula, x, labels, setting):
    with jax.enable_x64(True):
        found, slope = both(lambda x: loss(x, labels, **setting), x)
    chex.assert_trees_all_close(found, formula(x, labels, **setting), rtol=1e-12, atol=1e-15)
    expected = differences(lambda x: formula(x, labels, **setting), x)
    chex.assert_trees_all_close(slope, expected, rtol=1e-6, atol=1e-8)


def test_check_values():
    x, y = np.array([0.7, -1.5]), np.array([1, 0])
    z, label = np.array([1.2, -0.3, 0.5]), np.array(0)
    integer = jaxloss.softmax_cross_entropy_with_integer_labels
    with jax.enable_x64(True):
        found = [
            *jaxloss.sigmoid_focal_loss(x, y, alpha=0.25),
            integer(z, label),
            jaxloss.softmax_focal_loss(z, label),
            integer(z, label, label_smoothing=0.1),
        ]
    expected = [0.01109763094, 0.005027135195, 0.5421588492, 0.09495875806, 0.6154921825]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("gamma", few(None, 2.0, 0.7, 0.0, 0.5, 1.0, 1.5, 3.0, 2.2, 4.3))
def test_sigmoid_precision_does_not_depend_on_the_tail(gamma, label):
    def loss(x):
        y = jnp.full(x.shape, label)
        if gamma is None:
            return jaxloss.sigmoid_binary_cross_entropy(x, y)
        return jaxloss.sigmoid_focal_loss(x, y.astype(x.dtype), gamma=gamma)

    value, slope = precision(loss, SWEEP)
    assert value < 1e-6
    assert slope < 1.5e-6


def confident_rows():
    """Rows of logits in [-100, 100] whose label is anything between certain and absurd."""
    rng = np.random.default_rng(6)
    wide = rng.uniform(-100, 100, (2000, 5))
    one = np.where(np.arange(5) == 1, rng.uniform(-100, 100, (2000, 1)), rng.normal(size=(2000, 5)))
    return np.concatenate([wide, one]).astype(np.float32), rng.permuted(
        np.tile(np.arange(5, dtype=np.int32), 800)
    )


@pytest.mark.parametrize("gamma", few(None, "one-hot", 2.0, *GAMMAS))
def test_softmax_precision_does_not_depend_on_the_tail(gamma):
    rows, labels = confident_rows()

    def loss(x):
        if gamma is None:
            return jaxloss.softmax_cross_entropy_with_integer_labels(x, labels)
        if gamma == "one-hot":
            return jaxloss.softmax_cross_entropy(x, jax.nn.one_hot(labels, 5, dtype=x.dtype))
        return jaxloss.softmax_focal_loss(x, labels, gamma=gamma)

    # Classes far below a certain one underflow before the distribution's loss does.
    value, slope = precision(loss, rows, least=1e-30 if gamma == "one-hot" else 1e-35)
    assert value < 4.2e-6 if gamma == "one-hot" else value < 1.2e-6
    assert slope < 4.2e-6  # of a class far below others, whose distance from the highest is rounded


EXTREMES = np.array([0, 1e-38, 17, 88.5, 104, 1e30, 3e38], np.float32)
EXTREMES = np.concatenate([EXTREMES, -EXTREMES])


SIGMOID_EXTREMES, ANSWERS = (
    a.ravel() for a in np.meshgrid(EXTREMES, np.array([0, 1, 0.3], np.float32))
)


@pytest.mark.thorough
@pytest.mark.parametrize("gamma", [*GAMMAS, *map(jnp.float32, (0, 0.5, 1, 2.2))])
def test_sigmoid_focal_loss_is_total(gamma):
    def loss(x):
        return jaxloss.sigmoid_focal_loss(x, ANSWERS, alpha=0.25, gamma=gamma)

    assert_total(loss, SIGMOID_EXTREMES, order=3 if gamma == 0.5 else 2)


def test_sigmoid_cross_entropy_is_total():
    assert_total(
        lambda x: jaxloss.sigmoid_binary_cross_entropy(x, ANSWERS), SIGMOID_EXTREMES, order=3
    )


@pytest.mark.thorough
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 1.7])
def test_softmax_focal_loss_is_total(gamma):
    rows = np.array(list(itertools.product(EXTREMES, EXTREMES, [0, 1e30])), np.float32)
    rows, labels = np.tile(rows, (3, 1)), np.repeat(np.arange(3, dtype=np.int32), len(rows))
    own = np.take_along_axis(rows, labels[:, None], 1)[:, 0]
    representable = rows.max(1) / 2 - own / 2 < 1.6e38
    rows, labels = rows[representable], labels[representable]
    assert_total(lambda x: jaxloss.softmax_focal_loss(x, labels, gamma=gamma), rows, order=3)


def test_traced_gamma_agrees_and_is_differentiable():
    x, y = X.astype(np.float32), Y.astype(np.float32)
    traced = jax.jit(lambda g: jaxloss.sigmoid_focal_loss(x, y, gamma=g))
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(lambda g: jnp.sum(jaxloss.sigmoid_focal_loss(X, Y, gamma=g))))
        slopes = [slope(gamma) for gamma in GAMMAS]
    for gamma, found in zip(GAMMAS, slopes, strict=True):
        known = sigmoid_focal(X, Y, gamma=gamma).astype(np.float32)
        chex.assert_trees_all_close(traced(jnp.float32(gamma)), known, rtol=2e-6)
        step = 1e-5
        rise = sigmoid_focal(X, Y, gamma=gamma + step) - sigmoid_focal(X, Y, gamma=gamma - step)
        np.testing.assert_allclose(found, rise.sum() / (2 * step), rtol=1e-6)


def test_soft_labels_are_differentiable():
    with jax.enable_x64(True):
        _, slope = both(lambda y: jaxloss.sigmoid_focal_loss(X, y, 0.3, 1.5), Y)
        _, hard = both(lambda y: jaxloss.sigmoid_focal_loss(X, y, 0.3, 1.5), np.round(Y))
        _, rows = both(lambda y: jaxloss.softmax_cross_entropy(Z, y), DISTRIBUTIONS)
    expected = differences(lambda y: sigmoid_focal(X, y, 0.3, 1.5), Y)
    chex.assert_trees_all_close(slope, expected, rtol=1e-6)
    assert np.isfinite(hard).all()
    chex.assert_trees_all_close(rows, -log_softmax(Z), rtol=1e-9)


@pytest.mark.parametrize("x", [[0.3, 1.2, -0.5], [1.2, 1.2, -0.5]], ids=["one highest", "two"])
def test_the_slope_along_soft_labels_has_the_slope_of_the_logits(x):
    x, y = jnp.array(x), jnp.array([0.2, 0.5, 0.3])
    mixed = jax.jacfwd(jax.grad(jaxloss.softmax_cross_entropy, 1), 0)(x, y)
    expected = np.asarray(jax.nn.softmax(x)) - np.eye(3)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


def test_the_exponential_of_what_is_not_positive():
    x = jnp.concatenate([jnp.linspace(-87.3, 0, 100_001), -jnp.logspace(-12, 1, 10_001)])
    exact = np.exp(np.asarray(x, np.float64))
    found = jax.jit(falling_exp)(x)
    np.testing.assert_allclose(found, exact, rtol=1.2e-7)
    assert jnp.max(found) == 1
    edges = falling_exp(jnp.array([0.0, -0.0, -jnp.inf, -1e30, jnp.nan]))
    np.testing.assert_array_equal(edges, [1, 1, 0, 0, np.nan])
    assert jax.grad(falling_exp)(0.0) == 1


def test_labels_of_every_kind_agree():
    y = np.round(Y)
    for loss in (jaxloss.sigmoid_binary_cross_entropy, jaxloss.sigmoid_focal_loss):
        found = [loss(X.astype(np.float32), y.astype(kind)) for kind in (bool, np.int8, np.float16)]
        chex.assert_trees_all_equal(found[0], found[1], found[2])


def test_the_other_answer_is_the_mirror_image():
    forward = jaxloss.sigmoid_focal_loss(X, Y, alpha=0.2, gamma=0.7)
    chex.assert_trees_all_close(
        forward, jaxloss.sigmoid_focal_loss(-X, 1 - Y, alpha=0.8, gamma=0.7), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("loss", "x", "labels", "wrong"),
    [
        (jaxloss.sigmoid_binary_cross_entropy, X[0], [0, 1, 1, 0], (-1, 2)),
        (jaxloss.sigmoid_focal_loss, X[0], [0, 1, 1, 0], (-1, 2)),
        (jaxloss.binary_cross_entropy, Y[0], [0, 1, 1, 0], (-1, 2)),
        (jaxloss.softmax_cross_entropy_with_integer_labels, Z[:4], [0, 4, 2, 1], (-1, 5, 255)),
        (jaxloss.softmax_focal_loss, Z[:4], [0, 4, 2, 1], (-1, 5, 255)),
        (jaxloss.negative_log_likelihood, Z[:4], [0, 4, 2, 1], (-1, 5, 255)),
    ],
)
def test_a_wrong_label_is_nan_unless_masked(loss, x, labels, wrong):
    x, labels = x.astype(np.float32), np.array(labels, np.int32)
    plain = jax.jit(lambda x, y: both(lambda x: loss(x, y), x))
    masked = jax.jit(lambda x, y, w: both(lambda x: loss(x, y, where=w), x))
    for label in wrong:
        mixed = np.where(np.arange(4) == 2, label, labels)
        for found in plain(x, mixed):
            nan = np.isnan(found).reshape(4, -1)
            assert nan[2].all()
            assert not nan[[0, 1, 3]].any()
        for found in masked(x, mixed, np.arange(4) != 2):
            assert not np.isnan(found).any()
            assert not np.any(found[2])


def test_unsigned_and_small_labels_do_not_wrap_around():
    logits = np.zeros((2, 300), np.float32)
    found = jaxloss.softmax_cross_entropy_with_integer_labels(logits, np.array([3, 255], np.uint8))
    np.testing.assert_allclose(found, np.log(300), rtol=1e-6)
    found = jaxloss.softmax_cross_entropy_with_integer_labels(
        logits, np.array([3, 2**32 - 1], np.uint32), ignore_label=-1
    )
    np.testing.assert_allclose(found, [np.log(300), 0], rtol=1e-6)


@pytest.mark.parametrize("alone", [True, False])
def test_there_may_be_no_rows_but_not_no_classes(alone, monkeypatch):
    for module in (_classes, _sums):
        monkeypatch.setattr(module, "undivided", lambda: alone)
    jax.clear_caches()
    none, labels = jnp.zeros((0, 0)), jnp.zeros(0, jnp.int32)
    assert jaxloss.info_nce_loss(none, none, temperature=1.0).shape == (0,)
    assert jaxloss.supervised_contrastive_loss(none, labels, temperature=1.0).shape == (0,)
    jax.clear_caches()
    x, y = jnp.zeros((2, 0)), jnp.zeros(2, jnp.int32)
    calls = [
        lambda: jaxloss.softmax_cross_entropy(x, x),
        lambda: jaxloss.softmax_cross_entropy_with_integer_labels(x, y),
        lambda: jaxloss.softmax_cross_entropy_with_integer_labels(x[None], y[:1], axis=(1, 2)),
        lambda: jaxloss.multiclass_hinge_loss(x, y),
        lambda: jaxloss.class_weights_of(y, x[0]),
        lambda: jaxloss.center_loss(x, y, x[:0]),
        lambda: jaxloss.cosface_logits(x, x[:0], y),
        lambda: jaxloss.fused_linear_cross_entropy(jnp.zeros((2, 3)), jnp.zeros((3, 0)), y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="`: there are no classes along ax"):
            call()
    without_features = jaxloss.fused_linear_cross_entropy(x, jnp.zeros((0, 3)), y)
    np.testing.assert_allclose(without_features, np.log(3), rtol=1e-6)


def test_a_wide_label_to_ignore_does_not_wrap_around_to_a_narrow_one():
    logits, kernel = np.zeros((3, 4), np.float32), np.eye(4, dtype=np.float32)
    labels = np.array([-1, 1, 0], np.int32)
    with jax.enable_x64(True):
        for ignored in (np.iinfo(np.int64).max, 2**32 + 1, -(2**32) - 1):
            setting = {"ignore_label": np.int64(ignored)}
            losses = jaxloss.softmax_cross_entropy_with_integer_labels(logits, labels, **setting)
            np.testing.assert_allclose(losses, [np.nan, np.log(4), np.log(4)], rtol=1e-6)
            rows = jaxloss.arcface_logits(kernel[:3], kernel, labels, **setting)
            assert np.isnan(rows[0]).all()
            assert np.any(rows[1])


@pytest.mark.parametrize(
    "loss",
    [
        jaxloss.softmax_cross_entropy_with_integer_labels,
        jaxloss.softmax_focal_loss,
        jaxloss.negative_log_likelihood,
    ],
)
def test_an_ignored_label_counts_for_nothing(loss):
    x, labels = Z.astype(np.float32), np.where(np.arange(12) % 3 == 0, -100, LABELS)
    counted = labels >= 0
    found = loss(x, labels, ignore_label=-100)
    chex.assert_trees_all_equal(found[~counted], jnp.zeros(4))
    chex.assert_trees_all_close(found[counted], loss(x[counted], labels[counted]), rtol=1e-6)
    hidden = np.where(counted[:, None], x, np.float32(np.nan))
    _, slope = both(lambda x: loss(x, labels, ignore_label=-100), hidden)
    chex.assert_trees_all_equal(slope[~counted], jnp.zeros((4, 5)))
    assert np.isfinite(slope).all()


def test_the_weighted_mean_divides_by_the_weights_of_the_labels():
    labels = np.where(np.arange(12) % 4 == 0, 255, LABELS)
    setting = {"class_weights": WEIGHTS.astype(np.float32), "ignore_label": 255}
    losses = jaxloss.softmax_cross_entropy_with_integer_labels(
        Z.astype(np.float32), labels, label_smoothing=0.1, **setting
    )
    found = jaxloss.mean(losses, normalizer=jaxloss.class_weights_of(labels, **setting))
    kept = labels != 255
    exact = integer_cost(Z[kept], labels[kept], class_weights=WEIGHTS, label_smoothing=0.1)
    np.testing.assert_allclose(found, exact.sum() / WEIGHTS[labels[kept]].sum(), rtol=1e-6)


@pytest.mark.parametrize("axis", few(1, (3, 1), -3, (1, 3), first=2))
def test_classes_may_be_anywhere(axis):
    x = normal(2, 3, 4, 5, seed=7).astype(np.float32)
    axes = axis if isinstance(axis, tuple) else (axis,)
    last = np.moveaxis(x, axes, range(-len(axes), 0))
    batch = last.shape[: 4 - len(axes)]
    last = last.reshape(*batch, -1)
    labels = integers(*batch, high=last.shape[-1], seed=8)
    weights = uniform(last.shape[-1], seed=9).astype(np.float32)
    for loss in (
        jaxloss.softmax_cross_entropy_with_integer_labels,
        jaxloss.softmax_focal_loss,
        jaxloss.negative_log_likelihood,
    ):
        name = "alpha" if loss is jaxloss.softmax_focal_loss else "class_weights"
        found = loss(x, labels, axis=axis, **{name: weights})
        chex.assert_trees_all_close(found, loss(last, labels, **{name: weights}), rtol=1e-6)
    found = jaxloss.softmax_cross_entropy(x, jnp.exp(x), axis=axis, class_weights=weights)
    expected = jaxloss.softmax_cross_entropy(last, jnp.exp(last), class_weights=weights)
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


def test_a_removed_class_does_not_exist():
    x, keep = Z.astype(np.float32), np.array([True, False, True, True, False])
    labels = np.array([0, 2, 3] * 4, np.int32)
    hidden = np.where(keep, x, np.float32(np.nan))
    where = np.broadcast_to(keep, x.shape)
    renamed = np.array([0, -1, 1, 2, -1], np.int32)[labels]
    for loss, setting in (
        (jaxloss.softmax_cross_entropy_with_integer_labels, {"label_smoothing": 0.2}),
        (jaxloss.softmax_focal_loss, {"gamma": 0.5}),
        (jaxloss.negative_log_likelihood, {}),
    ):
        found, slope = both(lambda x, f=loss, s=setting: f(x, labels, where=where, **s), hidden)
        chex.assert_trees_all_close(found, loss(x[:, keep], renamed, **setting), rtol=1e-6)
        chex.assert_trees_all_equal(slope[:, ~keep], jnp.zeros((12, 2)))
        assert np.isnan(loss(x, np.full(12, 1, np.int32), where=where)).all()
        assert not np.any(loss(hidden, labels, where=np.zeros_like(where)))
    y = DISTRIBUTIONS.astype(np.float32)
    found = jaxloss.softmax_cross_entropy(hidden, y, where=where, label_smoothing=0.2)
    expected = jaxloss.softmax_cross_entropy(x[:, keep], y[:, keep], label_smoothing=0.2)
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


def test_optax_has_the_same_numbers():
    x, y = X.astype(np.float32), Y.astype(np.float32)
    z, p = Z.reshape(2, 6, 5).astype(np.float32), DISTRIBUTIONS.reshape(2, 6, 5).astype(np.float32)
    labels = LABELS.reshape(2, 6)
    rows = np.arange(12).reshape(2, 6) % 5 > 0
    classes = (np.arange(60).reshape(2, 6, 5) % 7 > 0) | (labels[..., None] == np.arange(5))
    pairs = [
        ("sigmoid_binary_cross_entropy", (x, y), {}),
        ("sigmoid_focal_loss", (x, y), {"alpha": 0.3, "gamma": 1.5}),
        ("softmax_cross_entropy", (z, p), {}),
        ("softmax_cross_entropy", (z, p, (0, 2)), {}),
        ("softmax_cross_entropy", (z, p, None), {}),
        ("softmax_cross_entropy", (z, p, -1, classes), {}),
        ("softmax_cross_entropy", (z, p, -1, rows), {}),
        ("softmax_cross_entropy_with_integer_labels", (z, labels), {}),
        ("softmax_cross_entropy_with_integer_labels", (z, labels, -1, classes), {}),
        ("softmax_cross_entropy_with_integer_labels", (z, labels[:, 0] * 5, (1, 2)), {}),
    ]
    for name, (logits, *rest), setting in pairs:
        ours, theirs = getattr(jaxloss, name), getattr(optax, name)
        found, expected = (
            both(lambda x, f=f, r=rest, s=setting: f(x, *r, **s), logits) for f in (ours, theirs)
        )
        chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=1e-6)


def test_an_infinite_logit_is_an_impossible_class():
    z = np.array([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, 3.0]], np.float32)
    labels = np.array([0, 2], np.int32)
    for loss in (jaxloss.softmax_cross_entropy_with_integer_labels, jaxloss.softmax_focal_loss):
        value, slope = both(lambda z, f=loss: f(z, labels), z)
        np.testing.assert_allclose(value[0], loss(z[:1, [0, 2]], np.array([0]))[0], rtol=1e-6)
        assert value[1] == 0
        assert np.isfinite(slope).all()
        assert slope[0, 1] == slope[1, 0] == 0
    certain = np.array([[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]], np.float32)
    for found in both(lambda z: jaxloss.softmax_cross_entropy(z, certain), z):
        assert np.isfinite(found).all()


def test_only_one_class_costs_nothing():
    labels = np.zeros(2, np.int32)
    found = both(
        lambda z: jaxloss.softmax_focal_loss(z, labels, gamma=0.5),
        np.array([[3.0], [-3e38]], np.float32),
    )
    assert not np.any(found[0])
    assert not np.any(found[1])


def test_only_differences_of_logits_count():
    shifted = Z + np.arange(12.0)[:, None]
    found = jaxloss.softmax_focal_loss(shifted.astype(np.float32), LABELS, gamma=0.5)
    exact = softmax_focal(Z, LABELS, gamma=0.5)
    chex.assert_trees_all_close(found, exact.astype(np.float32), rtol=3e-5)


def test_temperature_divides_the_logits():
    cool = jnp.asarray(Z / 2.5, jnp.float32)
    for loss, labels in (
        (jaxloss.softmax_cross_entropy, DISTRIBUTIONS.astype(np.float32)),
        (jaxloss.softmax_cross_entropy_with_integer_labels, LABELS),
        (jaxloss.softmax_focal_loss, LABELS),
    ):
        found = loss(Z.astype(np.float32), labels, temperature=2.5)
        chex.assert_trees_all_close(found, loss(cool, labels), rtol=1e-5)


def test_likelihood_of_log_probabilities_is_the_cross_entropy():
    found = jaxloss.negative_log_likelihood(
        jax.nn.log_softmax(Z.astype(np.float32)), LABELS, class_weights=WEIGHTS
    )
    exact = integer_cost(Z, LABELS) * WEIGHTS[LABELS]
    chex.assert_trees_all_close(found, exact.astype(np.float32), rtol=1e-5, atol=1e-6)


def test_binary_cross_entropy_of_probabilities():
    p, y = uniform(50, seed=10), uniform(50, seed=11)
    with jax.enable_x64(True):
        found, pull = jax.vjp(jaxloss.binary_cross_entropy, p, y)
        down, up = pull(jnp.ones(50))
    chex.assert_trees_all_close(found, -y * np.log(p) - (1 - y) * np.log1p(-p), rtol=1e-12)
    chex.assert_trees_all_close(down, (p - y) / (p * (1 - p)), rtol=1e-10)
    chex.assert_trees_all_close(up, np.log1p(-p) - np.log(p), rtol=1e-10)


@pytest.mark.parametrize(
    ("p", "y", "value", "slope"),
    [
        (0.0, 0, 0.0, 0.0),
        (1.0, 1, 0.0, 0.0),
        (0.0, 1, 100.0, -1e12),
        (1.0, 0, 100.0, 1e12),
        (1e-30, 0, 1e-30, 1e-18),
    ],
)
def test_binary_cross_entropy_at_its_floors(p, y, value, slope):
    found = jax.value_and_grad(lambda p: jaxloss.binary_cross_entropy(p, np.array(y)))(
        np.float32(p)
    )
    np.testing.assert_allclose(found, (value, slope), rtol=1e-6)


def test_integer_labels_are_not_gathered_where_classes_may_be_sharded():
    for loss in (
        jaxloss.softmax_cross_entropy_with_integer_labels,
        jaxloss.softmax_focal_loss,
        jaxloss.negative_log_likelihood,
    ):
        program = jax.jit(jax.value_and_grad(lambda z, f=loss: jnp.sum(f(z, LABELS)))).trace(Z)
        text = program.lower(lowering_platforms=("tpu",)).as_text()
        assert "gather" not in text
        assert "scatter" not in text


def losses_of_one_row(x, labels, shares):
    """Every softmax loss with its own way through the classes."""
    integer = jaxloss.softmax_cross_entropy_with_integer_labels
    return (
        integer(x, labels, ignore_label=7),
        integer(x, labels, ignore_label=7, label_smoothing=0.2, where=x > -jnp.inf),
        jaxloss.softmax_cross_entropy(x, shares),
        jaxloss.poly_loss_cross_entropy(x, shares),
    )


@pytest.mark.parametrize("classes", [20, 67, 80, 130, 256])
def test_one_device_has_the_values_of_many(monkeypatch, classes):
    """The forms for a CPU that is one device: blocks of classes, and vectors added to one."""
    rng = np.random.default_rng(classes)
    x = np.round(3 * rng.normal(size=(40, classes))).astype(np.float32)  # ties
    x[::3] = np.where(rng.random(x[::3].shape) < 0.5, -np.inf, x[::3])
    x[:, :2] = 0.5
    shares = np.where(x > -np.inf, rng.dirichlet(np.ones(classes), 40), 0).astype(np.float32)
    labels = rng.integers(0, 2, 40).astype(np.int32)
    labels[0], labels[1], labels[2] = -1, classes, 7
    found = []
    for alone in (False, True):
        for module in (_classes, _sums):
            monkeypatch.setattr(module, "undivided", lambda alone=alone: alone)

        def loss(x):
            losses = losses_of_one_row(x, labels, shares)
            return sum(jnp.sum(part[2:]) for part in losses), losses

        values = jax.jit(lambda x: losses_of_one_row(x, labels, shares))(x)
        found.append((values, jax.jit(jax.value_and_grad(loss, has_aux=True))(x)))
    for one, many in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(one, many, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("label", [False, True])
def test_one_pass_finds_what_passes_find(label):
    """The form of accelerators, on the same numbers."""
    rng = np.random.default_rng(3)
    x = np.round(9 * rng.normal(size=(60, 33))).astype(np.float32)  # ties
    x[::3] = np.where(rng.random(x[::3].shape) < 0.5, -np.inf, x[::3])
    x[1::6, 4] += 90  # nearly certain
    x[2], x[3, 0], x[4, 5] = 3e38, 3e38, -3e38
    y = rng.dirichlet(np.ones(33), 60).astype(np.float32)
    y[:50] = np.where(x[:50] > -np.inf, y[:50], 0)
    labels = rng.integers(0, 33, 60).astype(np.int32)
    at = np.arange(33) == labels[:, None]
    by_passes = functools.partial(_classes._sums_by_passes, add=_classes._separate_sums)
    forms = (
        (_classes._by_one_pass, _classes._by_passes)
        if label
        else (_classes._sums_by_one_pass, by_passes)
    )
    inputs = (x, labels, at) if label else (x, y)
    one, passes = (
        jax.jit(functools.partial(form, axis=1))(*map(jnp.asarray, inputs)) for form in forms
    )
    for name in one._fields:  # passes have no subnormal numbers
        left, right = getattr(one, name), getattr(passes, name)
        np.testing.assert_allclose(left, right, rtol=5e-6, atol=1e-34, err_msg=name)


@pytest.mark.parametrize("x", [[jnp.nan, 0.0], [jnp.inf, 0.0], [-jnp.inf, -jnp.inf]])
def test_a_row_without_a_softmax_is_not_a_number_in_one_pass(x):
    found = jax.jit(functools.partial(_classes._sums_by_one_pass, axis=1))
    sums = found(jnp.array([x]), jnp.array([[1.0, 0.0]]))
    cost = sums.gaps + sums.spread * jnp.log1p(sums.rest)
    assert np.isnan(cost).all()


@pytest.mark.parametrize("wide", [False, True])
def test_vectors_have_the_values_of_arrays(monkeypatch, wide):
    """The form for a CPU that is one device: elementwise losses with all axes made one."""
    with jax.enable_x64(wide):
        x, y = (jnp.asarray(z, float) for z in (8 * normal(3, 5, 7), uniform(3, 5, 7, seed=1)))
        x = x.at[0, 0].set(jnp.array([jnp.nan, -0.0, 0.0, 3e38, -3e38, 1e-30, -1e-30]))
        alpha = jnp.linspace(0.2, 0.9, 7)
        found = []
        for alone in (False, True):
            monkeypatch.setattr(_derivatives, "undivided", lambda alone=alone: alone)

            def loss(x, y, alpha):
                losses = jaxloss.sigmoid_focal_loss(x, y, alpha=alpha, gamma=1.5)
                huber = jaxloss.huber_loss(x, y, delta=alpha) + jaxloss.smooth_l1_loss(x, y)
                squares = jaxloss.squared_error(0.1 * y) + jaxloss.l2_loss(y)
                return jnp.sum((losses + huber)[1:]), losses + jaxloss.log_cosh(x) + squares

            step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
            found.append((step(x, y, alpha), jax.jit(loss)(x, y, alpha)))
        for one, many in zip(*map(jax.tree.leaves, found), strict=True):
            assert one.dtype == many.dtype == x.dtype
            np.testing.assert_allclose(one, many, rtol=1e-6)


@pytest.mark.parametrize("loss", [jaxloss.sigmoid_binary_cross_entropy, jaxloss.sigmoid_focal_loss])
def test_losses_and_a_probability_are_all_that_is_written_between_value_and_gradient(loss):
    shape = jax.ShapeDtypeStruct((8, 1024, 20), jnp.float32)
    program = jax.jit(jax.value_and_grad(lambda x, y: jnp.mean(loss(x, y))))
    memory = program.lower(shape, shape).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 2.1 * shape.size * 4
