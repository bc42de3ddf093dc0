"""Logarithms by arithmetic, which is fused with what is before and after it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._exponential import BIAS, LN2, LOGARITHM
from jaxloss._numerics import horner, inverse_power_of_two, reciprocal, select
from jaxloss._tracing import traced_once

SQUARE_ROOT_OF_2 = float(np.sqrt(2))


@jax.custom_jvp
def logarithm(x: Array, unit: Array | float = 1.0) -> Array:
    """ln(unit x) of a positive x, with derivatives that do not pass through powers of a small x.

    The unit is a power of two, and constant.
    """
    if x.dtype == jnp.float64:
        scale = inverse_power_of_two(x)
        return jnp.log(x * scale) - jnp.log(scale / unit)
    near, powers = _near_one(x)
    return _combined(near - 1, powers + _exponent(unit * jnp.ones_like(x)))


@logarithm.defjvp
def _logarithm_jvp(
    primals: tuple[Array, Array | float], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    return logarithm(*primals), _inverse(primals[0]) * tangents[0]


@jax.custom_jvp
def logarithm_of_one_plus(x: Array) -> Array:
    """ln(1 + x) of x > -1."""
    if x.dtype == jnp.float64:
        return jnp.log1p(x)
    near, powers = _near_one(1 + x)
    return _combined(select(powers == 0, x, near - 1), powers)


@logarithm_of_one_plus.defjvp
def _logarithm_of_one_plus_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (x,) = primals
    return logarithm_of_one_plus(x), _inverse(1 + x) * tangents[0]


def _near_one(x: Array) -> tuple[Array, Array]:
    """x by a power of two, in [sqrt(1/2), sqrt(2)], and the power's exponent.

    Of a subnormal number these are the smallest normal one's.
    """
    x = jnp.maximum(x, np.finfo(x.dtype).tiny)
    scale = inverse_power_of_two(x)
    scaled = x * scale
    high = scaled > SQUARE_ROOT_OF_2
    return select(high, 0.5 * scaled, scaled), select(high, 1.0, 0 * scale) - _exponent(scale)


def _exponent(power: Array) -> Array:
    """log2 of a power of two."""
    return ((lax.bitcast_convert_type(power, jnp.int32) >> 23) - BIAS).astype(power.dtype)


def _combined(x: Array, powers: Array) -> Array:
    """ln(2^powers (1 + x)) of a small x."""
    square = x * x
    curved = x * square * horner(x, LOGARITHM) - 0.5 * square
    return powers * LN2[0] + (x + (curved + powers * LN2[1]))


def _inverse(x: Array) -> Array:
    scale = inverse_power_of_two(x)
    return scale * reciprocal(x * scale)


logarithm = traced_once(logarithm)
logarithm_of_one_plus = traced_once(logarithm_of_one_plus)
