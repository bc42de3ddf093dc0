"""Functions by arithmetic, against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloss._exponential import saturating
from jaxloss._logarithm import logarithm, logarithm_of_one_plus
from jaxloss._numerics import inverse_root, reciprocal, root


def magnitudes(low: float, high: float) -> np.ndarray:
    return 10.0 ** np.random.default_rng(1).uniform(low, high, 100_000)


def numbers(low: float, high: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, 100_000)


SHRINKING = -magnitudes(-30, -0.5)
CASES = {
    "reciprocal": (reciprocal, lambda x: 1 / x, numbers(0.5, 16), 0.51),
    "root": (root, np.sqrt, numbers(1, 16), 0.51),
    "inverse_root": (inverse_root, lambda x: 1 / np.sqrt(x), numbers(1, 16), 1.5),
    "saturating": (saturating, lambda x: -np.expm1(-x), magnitudes(-30, 2), 1.5),
    "logarithm": (logarithm, np.log, magnitudes(-37, 37), 1.0),
    "logarithm near 1": (logarithm, np.log, 1 + magnitudes(-7, -0.2), 1.0),
    "of one plus": (logarithm_of_one_plus, np.log1p, magnitudes(-30, 5), 2.0),
    "of one less": (logarithm_of_one_plus, np.log1p, SHRINKING, 2.5),
}


@pytest.mark.parametrize("name", CASES)
def test_float32_is_right_to_the_last_digits(name):
    function, reference, x, bound = CASES[name]
    x = x.astype(np.float32)
    wanted = reference(x.astype(np.float64))
    found = np.float64(jax.jit(function)(x))
    ulps = np.abs(found - wanted) / np.spacing(np.abs(wanted).astype(np.float32))
    assert ulps.max() <= bound


@pytest.mark.parametrize("name", CASES)
def test_derivatives_and_float64(name):
    function, reference, x, _ = CASES[name]
    with jax.enable_x64(True):
        x = jnp.asarray(x[np.abs(x) > 1e-6][:1000])
        np.testing.assert_allclose(function(x), reference(np.asarray(x)), rtol=1e-14)
        wide = [jax.vmap(jax.grad(function))(x), jax.vmap(jax.grad(jax.grad(function)))(x)]
    narrow = x.astype(jnp.float32)
    found = [jax.vmap(jax.grad(function))(narrow), jax.vmap(jax.grad(jax.grad(function)))(narrow)]
    for one, other in zip(found, wide, strict=True):
        visible = np.abs(other) < 1e30
        np.testing.assert_allclose(one[visible], other[visible], rtol=3e-5, atol=1e-30)


@pytest.mark.parametrize("name", CASES)
def test_nan_stays_nan(name):
    assert np.isnan(CASES[name][0](jnp.float32(jnp.nan)))


def test_what_is_exact():
    assert root(jnp.float32(2.25)) == 1.5
    assert logarithm(jnp.float32(1)) == logarithm_of_one_plus(jnp.float32(0)) == 0
    assert logarithm(jnp.float32(8), jnp.float32(0.125)) == 0
    assert list(saturating(jnp.array([0.0, 90.0, 1e30, jnp.inf]))) == [0, 1, 1, 1]


def test_the_logarithm_of_every_number():
    x = np.exp(np.linspace(-87.3, 88.7, 100_001)).astype(np.float32)
    found = np.asarray(jax.jit(logarithm)(x), np.float64)
    np.testing.assert_allclose(found, np.log(x.astype(np.float64)), rtol=1e-7)
    expected = [-np.inf, -np.inf, -np.inf, np.nan, np.nan, np.nan, np.inf, 0.0]
    for dtype in (np.float32, np.float64):
        subnormal = np.finfo(dtype).tiny / 2
        edges = np.array([0.0, -0.0, subnormal, -1.0, -np.inf, np.nan, np.inf, 1.0], dtype)
        with jax.enable_x64(True):
            np.testing.assert_array_equal(logarithm(jnp.asarray(edges)), expected)
    assert jax.grad(logarithm)(4.0) == 0.25
    assert jax.grad(logarithm)(0.0) == np.inf


def test_the_logarithm_of_a_product_that_is_not_representable():
    factors = [np.float32(x) for x in (3e30, 7e20, 2e-30, 5e-21)]
    expected = np.sum(np.log(np.array(factors, np.float64)))
    np.testing.assert_allclose(logarithm(*map(jnp.float32, factors)), expected, rtol=1e-6)
    slopes = jax.grad(logarithm, tuple(range(4)))(*map(jnp.float32, factors))
    np.testing.assert_allclose(slopes, [1 / x for x in factors], rtol=1e-6)
