"""The exponential function of what is not positive, by arithmetic.

XLA's own takes two to three times as long on a CPU, and has a kernel of its own.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._derivatives import settled
from jaxloss._logarithm import LN2
from jaxloss._numerics import horner
from jaxloss._tracing import traced_once

LOWEST = np.float32(-88)  # its n is -127, and 2**n by its bits 0
LOG2_OF_E = np.float32(np.log2(np.e))
# exp on [-ln 2 / 2, ln 2 / 2], minimax in relative error with value and slope of 1 at 0. An
# exact 0.5 would be written as an array if a sum beside it has a 0.5, too.
EXPONENTIAL = (
    1.0,
    1.0,
    4.9999993448e-1,
    1.6666520631e-1,
    4.1668388053e-2,
    8.3687169665e-3,
    1.3814598592e-3,
)
ROUNDER = np.float32(1.5 * 2**23)  # added, it leaves a whole number in the last bits
BIAS = 127


@jax.custom_jvp
def falling_exp(x: Array) -> Array:
    """exp(x) of x <= 0: 1 at 0, and 0 where it would be subnormal; NaN of NaN."""
    result: Array = lax.platform_dependent(x, cpu=_vectorised_exp, default=_plain_exp)
    return result


@falling_exp.defjvp
def _falling_exp_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = falling_exp(*primals)
    return value, value * tangents[0]


def _plain_exp(x: Array) -> Array:
    return jnp.where(x == 0, jnp.ones((), x.dtype), jnp.exp(x))  # not every library has a 1 there


@jax.custom_jvp
def _vectorised_exp(x: Array) -> Array:
    """exp(x) as 2**n exp(f), with n whole and f small; right to 1 ulp."""
    if x.dtype != jnp.float32:
        return _plain_exp(x)
    f, power = _reduced(x)
    # Or the library that sums for XLA on CPUs would take the product as its own, and be slower.
    return jnp.where(x < LOWEST, jnp.zeros((), x.dtype), horner(f, EXPONENTIAL) * power)


@_vectorised_exp.defjvp
def _vectorised_exp_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = _vectorised_exp(*primals)
    return value, value * tangents[0]


def _reduced(x: Array) -> tuple[Array, Array]:
    """f and 2**n, with x = n ln 2 + f, for x <= 0; 2**n is 0 where it would be subnormal."""
    x = jnp.where(x < LOWEST, LOWEST, x)
    rounded = settled(x * LOG2_OF_E + ROUNDER)  # or the compiler would take ROUNDER away again
    whole = rounded - ROUNDER
    bits = (lax.bitcast_convert_type(rounded, jnp.int32) + BIAS) << 23
    power = lax.bitcast_convert_type(bits, jnp.float32)
    return (x - whole * LN2[0]) - whole * LN2[1], power


@jax.custom_jvp
def saturating(x: Array) -> Array:
    """1 - exp(-x) of x >= 0, whose derivative exp(-x) keeps its digits, too.

    In float32 it is right to 2 ulp. The arithmetic is fused with what is before and after it, where
    exp would have a kernel of its own.
    """
    if x.dtype == jnp.float64:
        return -jnp.expm1(-x)
    f, power = _reduced(-x)
    return (1 - power) - power * (f * horner(f, EXPONENTIAL[1:]))


@saturating.defjvp
def _saturating_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (change,) = primals, tangents
    return saturating(x), _vectorised_exp(-x) * change


saturating = traced_once(saturating)
