"""Total functions: finite in value and in every derivative wherever the exact result is.

They scale by powers of two, which is exact, instead of adding an epsilon, and leave the
differentiation to JAX wherever it is right.
"""

import jax.numpy as jnp
from jax import Array, lax


def relu(x: Array) -> Array:
    """max(x, 0) with derivative 0 at 0; NaN stays NaN."""
    return jnp.where(x <= 0, jnp.zeros((), x.dtype), x)


def absolute(x: Array) -> Array:
    """|x| with derivative 0 at 0, where `jnp.abs` has 1."""
    return x * lax.stop_gradient(jnp.sign(x))


def inverse_power_of_two(x: Array) -> Array:
    """2**-floor(log2 |x|), a constant under differentiation; 0 where x is 0 or subnormal.

    Multiplying by it is exact, and brings |x| into [1, 2): what is divided afterwards can neither
    overflow nor underflow, nor can its derivatives, which JAX writes with 1/x**2 and 1/x**3.
    """
    integer, exponent_bits, twice_bias = {
        jnp.dtype(jnp.float32): (jnp.int32, 0xFF << 23, 254 << 23),
        jnp.dtype(jnp.float64): (jnp.int64, 0x7FF << 52, 2046 << 52),
    }[jnp.dtype(x.dtype)]
    exponent = lax.bitcast_convert_type(lax.stop_gradient(x), integer) & exponent_bits
    inverse = lax.bitcast_convert_type(twice_bias - exponent, x.dtype)
    return jnp.where(exponent > 0, inverse, jnp.zeros((), x.dtype))


def ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and 0 with derivative 0 where the denominator is 0."""
    scale = inverse_power_of_two(denominator)
    scaled = jnp.where(scale > 0, denominator * scale, jnp.ones((), denominator.dtype))
    return (numerator * scale) / scaled
