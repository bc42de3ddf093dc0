"""The exponential function of what is not positive, and the logarithm, by arithmetic.

XLA's own take two to three times as long on a CPU, and have kernels of their own.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._derivatives import settled
from jaxloss._numerics import horner
from jaxloss._tracing import traced_once

LOWEST = np.float32(-88)  # its n is -127, and 2**n by its bits 0
LOG2_OF_E = np.float32(np.log2(np.e))
# ln 2 in two parts, of which a small whole number times the first is exact.
LN2 = np.float32(0.693359375), np.float32(np.log(2) - 0.693359375)
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
# (log(1 + f) - f + f^2 / 2) / f^3 for 1 + f from sqrt(1/2) to sqrt(2), minimax (Cephes, logf).
LOGARITHM = (
    3.3333331174e-1,
    -2.4999993993e-1,
    2.0000714765e-1,
    -1.6668057665e-1,
    1.4249322787e-1,
    -1.2420140846e-1,
    1.1676998740e-1,
    -1.1514610310e-1,
    7.0376836292e-2,
)
LEAST_FRACTION = np.float32(0.5**0.5)


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


@jax.custom_jvp
def log(x: Array) -> Array:
    """log(x): -inf of 0 and of what is subnormal, NaN below."""
    result: Array = lax.platform_dependent(x, cpu=_vectorised_log, default=jnp.log)
    return result


@log.defjvp
def _log_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return log(*primals), tangents[0] / primals[0]


@traced_once  # and so run as one: `jax_debug_nans` would stop at a NaN that is not selected
def _vectorised_log(x: Array) -> Array:
    """log(x) as n log(2) + log(1 + f), with n whole and f small; right to 1 ulp."""
    if x.dtype != jnp.float32:
        return jnp.log(x)
    bits = lax.bitcast_convert_type(x, jnp.int32)
    n = (bits - LEAST_FRACTION.view(np.int32)) >> 23
    whole = n.astype(x.dtype)
    f = lax.bitcast_convert_type(bits - (n << 23), x.dtype) - 1
    square = f * f
    rest = f * square * horner(f, LOGARITHM) + whole * LN2[1] - 0.5 * square
    value = (f + rest) + whole * LN2[0]
    least = jnp.where(x >= 0, jnp.full((), -jnp.inf, x.dtype), jnp.full((), jnp.nan, x.dtype))
    value = jnp.where(x < jnp.inf, value, x)
    return jnp.where(x < np.finfo(x.dtype).tiny, least, value)
