"""Residual losses against formulas in NumPy float64, check values, invariances and kinks."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from tests.registry._row import normal

P, T = normal(7, 3, seed=1, scale=2), normal(7, 3, seed=2)
R = P - T


def huber(r, delta):
    return np.where(np.abs(r) <= delta, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))


REFERENCES = [
    (jaxloss.squared_error, {}, R**2, 2 * R),
    (jaxloss.l2_loss, {}, R**2 / 2, R),
    (jaxloss.absolute_error, {}, np.abs(R), np.sign(R)),
    (jaxloss.huber_loss, {"delta": 0.7}, huber(R, 0.7), np.clip(R, -0.7, 0.7)),
    (jaxloss.smooth_l1_loss, {"beta": 0.7}, huber(R, 0.7) / 0.7, np.clip(R / 0.7, -1, 1)),
    (jaxloss.smooth_l1_loss, {"beta": 0.0}, np.abs(R), np.sign(R)),
]


@pytest.mark.parametrize(("loss", "setting", "value", "slope"), REFERENCES)
def test_value_and_gradient_are_the_formulas(loss, setting, value, slope):
    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda p, t: loss(p, t, **setting), P, T)
        chex.assert_trees_all_close(found, value, rtol=1e-12)
        down, up = pull(jnp.ones_like(found))
    chex.assert_trees_all_close((down, up), (slope, -slope), rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "setting", "at_03", "at_17"),
    [
        (jaxloss.smooth_l1_loss, {}, 0.045, 1.2),
        (jaxloss.smooth_l1_loss, {"beta": 1 / 9}, 0.2444444444, 1.644444444),
        (jaxloss.huber_loss, {"delta": 0.5}, 0.045, 0.725),
    ],
)
def test_check_values(loss, setting, at_03, at_17):
    with jax.enable_x64(True):
        found = loss(np.array([0.3, -1.7]), **setting)
    np.testing.assert_allclose(found, [at_03, at_17], rtol=1e-9)


def test_huber_is_delta_times_smooth_l1_even_by_column():
    delta = np.array([0.1, 0.7, 3.0], np.float32)
    huber = jaxloss.huber_loss(R.astype(np.float32), delta=delta)
    smooth = jaxloss.smooth_l1_loss(R.astype(np.float32), beta=delta)
    chex.assert_trees_all_close(huber, delta[None] * smooth, rtol=1e-6)


@pytest.mark.parametrize(
    "loss", [jaxloss.absolute_error, lambda r: jaxloss.smooth_l1_loss(r, beta=0.0)]
)
def test_the_kink_has_derivative_zero(loss):
    assert jax.grad(loss)(0.0) == 0


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10])
def test_smooth_l1_scales_with_its_unit(scale):
    residual = jnp.float32(0.3)
    plain = jaxloss.smooth_l1_loss(residual, beta=0.5)
    scaled = jaxloss.smooth_l1_loss(residual * scale, beta=0.5 * scale)
    np.testing.assert_allclose(scaled, plain * scale, rtol=1e-6)


def test_nan_is_never_a_number():
    for loss, setting, *_ in REFERENCES:
        assert jnp.isnan(loss(jnp.float32(jnp.nan), **setting))


def test_dimensions_of_one_broadcast_and_nothing_else():
    assert jaxloss.squared_error(jnp.ones((4, 1)), jnp.ones((1, 3))).shape == (4, 3)
    with pytest.raises(ValueError, match=r"`huber_loss`: `targets` has shape \(4,\).*\(4, 1\)"):
        jaxloss.huber_loss(jnp.ones((4, 1)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"`huber_loss`: `delta` has shape \(4,\)"):
        jaxloss.huber_loss(jnp.ones((4, 3)), delta=jnp.ones(4))
