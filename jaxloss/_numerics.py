"""Total functions: finite in value and in every derivative wherever the exact result is.

They scale by powers of two, which is exact, instead of adding an epsilon, and leave the
differentiation to JAX wherever it is right.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

# arctan(t) / t as a polynomial of t^2 on [0, 1], minimax in relative error: 1.5e-8.
ARCTANGENT = (
    1.0,
    -0.33333073,
    0.19992619,
    -0.14203645,
    0.10640934,
    -0.07504295,
    0.04269152,
    -0.01606862,
    0.00284989,
)


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


@jax.custom_jvp
def angle(sine: Array, cosine: Array) -> Array:
    """Angle of the vector (cosine, sine) in (-pi, pi], and 0 with derivative 0 at the origin.

    The vector is of order 1, or the origin. In float32 the value is a polynomial, right to 2 ulp,
    that vectorises.
    """
    if sine.dtype == jnp.float64:
        return jnp.arctan2(sine, cosine)
    s, c = jnp.abs(sine), jnp.abs(cosine)
    tangent = ratio(jnp.minimum(s, c), jnp.maximum(s, c))
    octant = tangent * _horner(jnp.square(tangent), ARCTANGENT)
    quadrant = jnp.where(s > c, 0.5 * jnp.pi - octant, octant)
    half = jnp.where(cosine < 0, jnp.pi - quadrant, quadrant)
    return jnp.where(sine < 0, -half, half)


@angle.defjvp
def _angle_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (sine, cosine), (dsine, dcosine) = primals, tangents
    square = jnp.square(sine) + jnp.square(cosine)
    square = jnp.where(square == 0, jnp.ones_like(square), square)
    return angle(sine, cosine), (cosine / square) * dsine - (sine / square) * dcosine


def _horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value
