"""Losses of imbalanced data against formulas in NumPy float64: values, gradients, states."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxloss
from tests.calculus import both, differences
from tests.registry._row import integers, normal

Z, LABELS = normal(12, 4, seed=1, scale=2), integers(12, high=4, seed=2)
COSINES = np.tanh(normal(12, 4, seed=3))
COUNTS = np.array([5000.0, 30.0, 700.0, 2.0])
KEPT = np.arange(12) % 3 != 1
X, Y = normal(9, 3, seed=4, scale=2), integers(9, 3, high=2, seed=5)
SWEEP = np.linspace(-100, 100, 2001)
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


def log_softmax(z):
    return z - np.logaddexp.reduce(z, axis=-1, keepdims=True)


def cost(z, labels):
    return -np.take_along_axis(log_softmax(z), labels[:, None], 1)[:, 0]


def logit_adjusted(z, labels, counts, temperature=1.0):
    return cost(z + temperature * np.log(counts / counts.sum()), labels)


def ldam(c, labels, counts, maximum_margin=0.5, scale=30.0):
    margins = counts ** (-1 / 4)
    margins *= maximum_margin / margins.max()
    return cost(scale * (c - margins * np.eye(len(counts))[labels]), labels)


def seesaw_factors(z, labels, counts, mitigation=0.8, compensation=2.0, floor=0.01):
    """The factors M C of every class, one by one."""
    factors, s = np.ones_like(z), np.exp(log_softmax(z))
    N = np.maximum(counts + np.bincount(labels, minlength=len(counts)), 1)
    for row, i in enumerate(labels):
        for j in set(range(len(counts))) - {i}:
            M = 1.0 if N[j] >= N[i] else (N[j] / N[i]) ** mitigation
            score = max(s[row, i], floor)
            C = 1.0 if s[row, j] <= score else (s[row, j] / score) ** compensation
            factors[row, j] = M * C
    return factors


def harmonized(x, y, running, momentum):
    """Losses and running counts, with the loops of the authors' code."""
    g, bins = np.abs(1 / (1 + np.exp(-x)) - y), len(running)
    weights, running, filled = np.zeros_like(x), running.copy(), 0
    for b in range(bins):
        inside = (g >= b / bins) & (g < (b + 1) / bins)
        if inside.any():
            running[b] = momentum * running[b] + (1 - momentum) * inside.sum()
            weights[inside] = x.size / running[b]
            filled += 1
    return weights / filled * (y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)), running


def check(loss, formula, fixed, x):
    """`fixed` is the formula with its factors held constant."""
    with jax.enable_x64(True):
        found, slope = both(loss, x)
    chex.assert_trees_all_close(found, formula(x), **CLOSE)
    chex.assert_trees_all_close(slope, differences(fixed, x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("setting", [{}, {"temperature": 0.3}])
def test_logit_adjusted_cross_entropy(setting):
    def formula(z):
        return logit_adjusted(z, LABELS, COUNTS, **setting)

    def loss(z):
        return jaxloss.logit_adjusted_cross_entropy(z, LABELS, COUNTS, **setting)

    check(loss, formula, formula, Z)


@pytest.mark.parametrize("setting", [{}, {"maximum_margin": 0.3, "scale": 5.0}])
def test_ldam_loss(setting):
    def formula(c):
        return ldam(c, LABELS, COUNTS, **setting)

    check(lambda c: jaxloss.ldam_loss(c, LABELS, COUNTS, **setting), formula, formula, COSINES)


@pytest.mark.parametrize("setting", [{}, {"mitigation": 0.3, "compensation": 1.0}])
@pytest.mark.parametrize("counts", [COUNTS, np.array([0.0, 3.0, 1.0, 0.0])])
def test_seesaw_loss_differentiates_with_its_factors_fixed(counts, setting):
    state = jaxloss.SeesawState(counts)

    def shifted(z, at):
        return cost(z + np.log(seesaw_factors(at, LABELS, counts, **setting)), LABELS)

    def loss(z):
        return jaxloss.seesaw_loss(z, LABELS, state, **setting)[0]

    check(loss, lambda z: shifted(z, z), lambda z: shifted(z, Z), Z)


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_gradient_harmonized_loss_differentiates_with_its_weights_fixed(momentum):
    running = np.array([4.0, 0.0, 7.5, 1.0, 2.0])
    state = jaxloss.GradientHarmonizedState(running)

    def formula(x):
        return harmonized(x, Y, running, momentum)[0]

    def loss(x):
        return jaxloss.gradient_harmonized_loss(x, Y, state, momentum=momentum)[0]

    check(loss, formula, formula, X)
    _, new = jaxloss.gradient_harmonized_loss(X.astype(np.float32), Y, state, momentum=momentum)
    np.testing.assert_allclose(new.counts, harmonized(X, Y, running, momentum)[1], rtol=1e-6)


def test_check_values():
    @jax.jit
    def found():
        counts, x, y = jnp.array([5000, 500, 50]), jnp.array([2, 1.5, 0.3, -3]), jnp.arange(4) < 3
        cosines, z = jnp.array([[0.3, 0.1, -0.2]]), jnp.array([[1.2, -0.3, 0.5]])
        seen = jaxloss.SeesawState(jnp.array([100.0, 9.0, 1.0]))
        harmonized, _ = jaxloss.gradient_harmonized_loss(x, y, jaxloss.gradient_harmonized_init())
        return [
            *jaxloss.class_balanced_weights(counts.astype(float)),
            *jaxloss.ldam_loss(cosines, jnp.array([2]), counts),
            *jaxloss.seesaw_loss(z, jnp.array([1]), seen)[0],
            jaxloss.mean(harmonized),
            *(harmonized / jaxloss.sigmoid_binary_cross_entropy(x, y)),
        ]

    with jax.enable_x64(True):
        balanced = [0.0341073618, 0.2751672254, 2.690725413]
        harmonized = [0.2557044135, 2 / 3, 2 / 3, 4 / 3, 4 / 3]
        expected = [*balanced, 30.00247569, 4.53006065, *harmonized]
        np.testing.assert_allclose(found(), expected, rtol=1e-9)


def test_class_balanced_weights_at_the_ends_of_beta():
    counts = jnp.array([[8.0, 2.0, 0.0, 10.0], [0.0, 0.0, 0.0, 0.0]])
    found = jaxloss.class_balanced_weights(counts, beta=0.0)
    np.testing.assert_allclose(found, [[1, 1, 0, 1], [0, 0, 0, 0]], rtol=1e-6)
    inverse = 1 / np.array([8, 2, 10])
    found = jaxloss.class_balanced_weights(counts, beta=1.0)
    np.testing.assert_allclose(found[0, [0, 1, 3]], 3 * inverse / inverse.sum(), rtol=1e-6)
    beyond = jaxloss.class_balanced_weights(counts, beta=1 - 1e-12)
    np.testing.assert_allclose(beyond, found, rtol=1e-6)


def test_class_balanced_weights_keep_their_digits_and_dtype():
    counts = np.array([10**7, 10**5, 1000, 1])
    weights = (1 - 0.9999) / -np.expm1(counts * np.log1p(-1e-4))
    weights *= 4 / weights.sum()
    found = jaxloss.class_balanced_weights(counts)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, weights, rtol=2e-6)
    assert jaxloss.class_balanced_weights(jnp.bfloat16([3, 5])).dtype == jnp.float32
    with jax.enable_x64(True):
        assert jaxloss.class_balanced_weights(counts.astype(float)).dtype == jnp.float64


def test_a_class_without_examples_does_not_exist():
    z, labels = Z.astype(np.float32), LABELS % 3
    counts = np.where(np.arange(4) == 3, 0, COUNTS)
    adjusted, ldam = jax.jit(jaxloss.logit_adjusted_cross_entropy), jax.jit(jaxloss.ldam_loss)
    found, slope = both(lambda z: adjusted(z, labels, counts), z)
    np.testing.assert_allclose(found, adjusted(z[:, :3], labels, counts[:3]), rtol=1e-6)
    assert not np.any(slope[:, 3])
    named = adjusted(z, np.full(12, 3), counts, where=KEPT)
    np.testing.assert_array_equal(np.isnan(named), KEPT)

    other = ldam(z, labels, np.where(counts == 0, 30, counts))
    np.testing.assert_allclose(ldam(z, labels, counts), other, rtol=1e-6)
    unknown = ldam(z, labels, np.zeros(4))
    np.testing.assert_allclose(unknown, ldam(z, labels, np.ones(4)), rtol=1e-6)


LOSSES = [
    lambda z, y, **kept: jaxloss.logit_adjusted_cross_entropy(z, y, COUNTS, **kept),
    lambda z, y, **kept: jaxloss.ldam_loss(z, y, COUNTS, **kept),
    lambda z, y, **kept: jaxloss.seesaw_loss(z, y, jaxloss.seesaw_init(4), **kept)[0],
]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_wrong_label_is_nan_in_value_and_gradient_of_its_example(loss):
    z, labels = Z.astype(np.float32), LABELS.copy()
    labels[[2, 5, 7]] = -1, 4, 10**6
    wrong = ~np.isin(labels, range(4))
    found, slope = both(lambda z: loss(z, labels), z)
    np.testing.assert_array_equal(np.isnan(found), wrong)
    np.testing.assert_array_equal(np.isnan(slope).all(-1), wrong)
    ignored, slope = both(lambda z: loss(z, labels, ignore_label=4), z)
    np.testing.assert_array_equal(np.isnan(ignored), wrong & (labels != 4))
    assert ignored[5] == 0
    assert not np.any(slope[5])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_removed_class_is_sliced_away(loss):
    z = Z.astype(np.float32)
    mask = np.arange(4) < 3
    spoiled = np.where(mask, z, np.nan)
    y = LABELS % 3
    found = loss(spoiled, y, where=np.broadcast_to(mask, z.shape))
    # Beside a class whose logit is out of sight.
    expected = loss(np.where(mask, z, -1e4).astype(np.float32), y)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("loss", "tolerance"), [(LOSSES[0], 2e-5), (LOSSES[1], 3e-4)])
def test_small_losses_keep_their_digits(loss, tolerance):
    z = np.stack([SWEEP, np.zeros_like(SWEEP), -SWEEP / 3, SWEEP / 7], -1).astype(np.float32)
    y = np.arange(len(z)) % 4
    found, slope = both(lambda z: loss(z, y), z)
    with jax.enable_x64(True):
        pair = both(lambda z: loss(z, y), z.astype(np.float64))
        expected, exact = (np.asarray(array) for array in pair)
    shown = expected > 1e-37
    # Adding the logarithm of a count, or scaling a cosine, rounds what the exponential magnifies.
    np.testing.assert_allclose(np.asarray(found)[shown], expected[shown], rtol=tolerance)
    np.testing.assert_allclose(slope, exact, rtol=tolerance, atol=1e-36)


def test_a_new_seesaw_state_counts_labels():
    labels = np.array([2, 2, 0, 3, -1, 9, 2])
    z = np.zeros((7, 4), np.float32)
    _, state = jaxloss.seesaw_loss(z, labels, jaxloss.seesaw_init(4))
    np.testing.assert_array_equal(state.counts, [1, 0, 3, 1])
    mask = np.arange(7) != 0
    _, state = jaxloss.seesaw_loss(z, labels, state, where=mask, ignore_label=3)
    np.testing.assert_array_equal(state.counts, [2, 0, 5, 1])
    assert state.counts.dtype == jnp.float32


def test_classes_may_be_any_axis():
    z, y = normal(3, 4, 5, seed=6).astype(np.float32), integers(3, 5, high=4, seed=7)
    loss = jax.jit(jaxloss.seesaw_loss, static_argnames="axis")
    found = loss(z, y, jaxloss.seesaw_init(4), axis=1)
    expected = loss(np.moveaxis(z, 1, -1), y, jaxloss.seesaw_init(4))
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


STATEFUL = [
    (jaxloss.seesaw_loss, jaxloss.seesaw_init(4), Z, LABELS, {}),
    (
        jaxloss.gradient_harmonized_loss,
        jaxloss.gradient_harmonized_init(6),
        Z,
        np.eye(4, dtype=np.int32)[LABELS],
        {"momentum": 0.75},
    ),
]


@pytest.mark.parametrize(("loss", "state", "x", "y", "setting"), STATEFUL)
def test_the_state_goes_through_a_scan(loss, state, x, y, setting):
    x = x.astype(np.float32)
    batches = x.reshape(3, 4, *x.shape[1:]), y.reshape(3, 4, *y.shape[1:])

    def step(state, batch):
        losses, state = loss(*batch, state, **setting)
        return state, losses

    last, found = jax.jit(lambda state: jax.lax.scan(step, state, batches))(state)
    assert jax.tree.structure(last) == jax.tree.structure(state)
    for i in range(3):
        state, losses = step(state, (batches[0][i], batches[1][i]))
        np.testing.assert_allclose(found[i], losses, rtol=1e-5)
    chex.assert_trees_all_close(last, state, rtol=1e-6)


@pytest.mark.parametrize(("loss", "state", "x", "y", "setting"), STATEFUL)
def test_replicas_agree(loss, state, x, y, setting):
    """Over shards of unequal masks: one state, and the losses of the whole batch."""
    x, y, where = np.tile(x, (2, 1)).astype(np.float32), np.tile(y.T, 2).T, np.arange(24) % 5 != 2
    where = where.reshape(24, *[1] * (y.ndim - 1))

    def sharded(state, x, y, where):
        return loss(x, y, state, axis_name="batch", where=where, **setting)

    mesh = jax.make_mesh((8,), ("batch",))
    specs, arrays = (P(), P("batch"), P("batch"), P("batch")), (state, x, y, where)
    program = jax.jit(
        jax.shard_map(sharded, mesh=mesh, in_specs=specs, out_specs=(P("batch"), P()))
    )
    with jax.set_mesh(mesh):
        placed = map(jax.device_put, arrays, [NamedSharding(mesh, spec) for spec in specs])
        found = jax.tree.map(np.asarray, program(*placed))
    expected = jax.tree.map(np.asarray, loss(x, y, state, where=where, **setting))
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)


def test_what_is_masked_is_not_counted_in_a_bin():
    x = np.where(KEPT[:, None], Z, np.nan).astype(np.float32)
    y, state = np.eye(4, dtype=np.int32)[LABELS], jaxloss.gradient_harmonized_init(6)
    loss = jax.jit(jaxloss.gradient_harmonized_loss)
    losses, new = jax.tree.map(np.asarray, loss(x, y, state, where=KEPT[:, None]))
    kept, expected = loss(x[KEPT], y[KEPT], state)
    np.testing.assert_allclose(losses[KEPT], kept, rtol=1e-6)
    np.testing.assert_array_equal(losses[~KEPT], 0)
    np.testing.assert_array_equal(new.counts, expected.counts)
    assert new.counts.sum() == 4 * KEPT.sum()


def test_every_bin_weighs_the_same_in_a_harmonized_gradient():
    """Without momentum: bins have one total of weights, whatever they hold."""
    x, state = X.astype(np.float32), jaxloss.gradient_harmonized_init(5)
    losses, _ = jaxloss.gradient_harmonized_loss(x, Y, state)
    weights = losses / jaxloss.sigmoid_binary_cross_entropy(x, Y)
    g = np.abs(1 / (1 + np.exp(-X)) - Y)
    totals = np.bincount((g * 5).astype(int).ravel(), np.ravel(weights))
    np.testing.assert_allclose(totals[totals > 0], x.size / np.sum(totals > 0), rtol=1e-5)


def test_a_gradient_of_one_falls_into_the_last_bin():
    x, y = np.float32([1e30, -1e30, 50, 0]), np.array([0, 1, 1, 1])
    losses, state = jaxloss.gradient_harmonized_loss(x, y, jaxloss.gradient_harmonized_init(4))
    np.testing.assert_array_equal(state.counts, [1, 0, 1, 2])
    assert np.isfinite(losses).all()


def test_a_wrong_integer_label_is_nan():
    x, y = np.float32([0.5, 0.5]), np.array([1, 2])
    losses, _ = jaxloss.gradient_harmonized_loss(x, y, jaxloss.gradient_harmonized_init(4))
    np.testing.assert_array_equal(np.isnan(losses), [False, True])


def test_errors_name_what_is_wrong():
    z = Z.astype(np.float32)
    with pytest.raises(
        TypeError, match=r"`seesaw_loss`: `state` is an array of shape \(4,\), .* `seesaw_init`"
    ):
        jaxloss.seesaw_loss(z, LABELS, COUNTS)
    with pytest.raises(TypeError, match=r"`state` is a SeesawState, expected a GradientHarm"):
        jaxloss.gradient_harmonized_loss(z, z, jaxloss.seesaw_init(4))
    with pytest.raises(ValueError, match=r"`state.counts` has shape \(5,\)"):
        jaxloss.seesaw_loss(z, LABELS, jaxloss.seesaw_init(5))
    with pytest.raises(ValueError, match=r"`counts` has shape \(3,\)"):
        jaxloss.ldam_loss(z, LABELS, COUNTS[:3])
    with pytest.raises(TypeError, match="`classes` is a float"):
        jaxloss.seesaw_init(3.0)
    with pytest.raises(ValueError, match="`bins` is -1"):
        jaxloss.gradient_harmonized_init(-1)
    with pytest.raises(TypeError, match="`counts` is a list"):
        jaxloss.class_balanced_weights([1, 2])
    with pytest.raises(TypeError, match="`counts` has dtype bool"):
        jaxloss.class_balanced_weights(np.array([True]))
