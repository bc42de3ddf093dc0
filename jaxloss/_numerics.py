"""Total functions: finite in value and in every derivative wherever the exact result is.

They scale by powers of two, which is exact, instead of adding an epsilon, and leave the
differentiation to JAX wherever it is right.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._tracing import traced_once

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

# Less the bits of a number of float32, they are about those of its reciprocal.
GUESS = np.int32(0x7EF311C7)

# Less half the bits of a positive number of float32, they are about those of 1 / sqrt of it.
ROOT_GUESS = np.int32(0x5F375A86)


def select(condition: Array, x: Array | float, y: Array | float) -> Array:
    """`jnp.where` of two arrays, or of one and a number.

    Of one shape it has no jit of its own, which takes most of the time that tracing does.
    """
    if not isinstance(x, Array):
        x = lax.full_like(y, x)
    if not isinstance(y, Array):
        y = lax.full_like(x, y)
    if condition.shape == x.shape == y.shape:
        return lax.select(condition, x, y)
    return jnp.where(condition, x, y)


@traced_once
def relu(x: Array) -> Array:
    """max(x, 0) with derivative 0 at 0; NaN stays NaN."""
    return select(x <= 0, 0.0, x)


@traced_once
def absolute(x: Array) -> Array:
    """|x| with derivative 0 at 0, where `jnp.abs` has 1."""
    return x * lax.stop_gradient(jnp.sign(x))


@jax.custom_jvp
def larger(x: Array, y: Array) -> Array:
    """max(x, y) with the mean of both derivatives where they are equal.

    So has `jnp.maximum`, but it writes the derivative with a division, which XLA does not fuse.
    """
    return jnp.maximum(x, y)


@larger.defjvp
def _larger_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, y), (dx, dy) = primals, tangents
    return larger(x, y), select(x > y, dx, select(x < y, dy, 0.5 * (dx + dy)))


larger = traced_once(larger)


def smaller(x: Array, y: Array) -> Array:
    """min(x, y) with the mean of both derivatives where they are equal."""
    return -larger(-x, -y)


@traced_once
def inverse_power_of_two(x: Array) -> Array:
    """2**-floor(log2 |x|), a constant under differentiation; 0 where x is 0 or subnormal.

    Multiplying by it is exact, and brings |x| into [1, 2), the largest numbers into [2, 4): what is
    divided afterwards can neither overflow nor underflow, nor can its derivatives, which JAX writes
    with 1/x**2 and 1/x**3.
    """
    exponent, mask, bias = _exponent(x)
    inverse = jnp.maximum(2 * bias - exponent, mask & -mask)
    return select(exponent > 0, _power(inverse, x), 0.0)


def inverse_root_of_power_of_two(x: Array) -> Array:
    """A power of two that brings |x| into [1/2, 2) if multiplied twice; 0 where x is 0."""
    exponent, mask, bias = _exponent(x)
    root = (bias + (bias >> 1) - (exponent >> 1)) & mask
    return select(exponent > 0, _power(root, x), 0.0)


def _exponent(x: Array) -> tuple[Array, int, int]:
    """The exponent's bits of x, where they are, and what they are of 1."""
    integer, mask, bias = {
        jnp.dtype(jnp.float32): (jnp.int32, 0xFF << 23, 127 << 23),
        jnp.dtype(jnp.float64): (jnp.int64, 0x7FF << 52, 1023 << 52),
    }[jnp.dtype(x.dtype)]
    return lax.bitcast_convert_type(lax.stop_gradient(x), integer) & mask, mask, bias


def _power(bits: Array, like: Array) -> Array:
    """The power of two whose exponent's bits these are."""
    return lax.bitcast_convert_type(bits, like.dtype)


@jax.custom_jvp
def reciprocal(x: Array) -> Array:
    """1 / x of an x of order 1, of either sign, with derivatives that need no division either.

    No compiler repeats a division: kernels that need its result read it from memory, and with it
    what it is made of, kernel by kernel. In float32 this is a guess by the bits of x, right to 5 %,
    and two steps that cube its error, which are fused like any other arithmetic. The products of
    the second one are exact, so that it is as good as a division.
    """
    if x.dtype == jnp.float64:
        return 1 / x
    bits = lax.bitcast_convert_type(x, jnp.int32)
    guess = lax.bitcast_convert_type(GUESS - bits, jnp.float32)
    value = _half(_closer(guess, 1 - x * guess))
    head = _half(x)
    return _closer(value, (1 - head * value) - (x - head) * value)


def _closer(value: Array, error: Array) -> Array:
    return value + value * (error + error * error)


def _half(x: Array) -> Array:
    """`x` without the lower half of its digits: products of such numbers are exact."""
    bits = lax.bitcast_convert_type(x, jnp.int32) & np.int32(-(1 << 12))
    return lax.bitcast_convert_type(bits, jnp.float32)


@reciprocal.defjvp
def _reciprocal_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = reciprocal(*primals)
    return value, -value * (value * tangents[0])


reciprocal = traced_once(reciprocal)


@jax.custom_jvp
def inverse_root(x: Array) -> Array:
    """1 / sqrt(x) of a positive x, by arithmetic that is fused, as in `reciprocal`; to 3 ulp."""
    if x.dtype == jnp.float64:
        return lax.rsqrt(x)
    bits = lax.bitcast_convert_type(x, jnp.int32)
    value = lax.bitcast_convert_type(ROOT_GUESS - (bits >> 1), jnp.float32)
    for _ in range(2):
        error = 1 - (x * value) * value
        value = value + value * (error * (0.5 + 0.375 * error))
    return value


@inverse_root.defjvp
def _inverse_root_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = inverse_root(*primals)
    return value, -0.5 * value * (value * value) * tangents[0]


@jax.custom_jvp
def root(x: Array) -> Array:
    """sqrt(x) of a positive x, to the last digit by its inverse."""
    if x.dtype == jnp.float64:
        return jnp.sqrt(x)
    inverse = inverse_root(x)
    value = x * inverse
    head = _half(value)
    return value + (0.5 * inverse) * ((x - head * head) - (value - head) * (value + head))


@root.defjvp
def _root_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return root(*primals), 0.5 * inverse_root(*primals) * tangents[0]


@jax.custom_jvp
def quotient(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, with derivatives that divide by the denominator and no power of it.

    The denominator is not 0.
    """
    return numerator / denominator


@quotient.defjvp
def _quotient_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    value = quotient(*primals)
    return value, (tangents[0] - value * tangents[1]) / primals[1]


@traced_once
def ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and 0 with derivative 0 where the denominator is 0."""
    scale, scaled = _of_order_one(denominator)
    return (numerator * scale) / scaled


@traced_once
def scaled_ratio(numerator: Array, denominator: Array) -> Array:
    """`ratio` by a reciprocal: a last digit less, and no division in it and its derivatives."""
    scale, scaled = _of_order_one(denominator)
    return (numerator * scale) * reciprocal(scaled)


def _of_order_one(x: Array) -> tuple[Array, Array]:
    """A power of two and x times it, of order 1; 0 and 1 where x is 0."""
    scale = inverse_power_of_two(x)
    return scale, select(scale > 0, x * scale, 1.0)


@jax.custom_jvp
def norm(*lengths: Array) -> Array:
    """Euclidean norm of lengths of any size, with derivatives 0 where all are 0."""
    scale, squares = _scaled_squares(*lengths)
    return jnp.sqrt(squares) * inverse_power_of_two(scale)


@norm.defjvp
def _norm_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    scale, squares = _scaled_squares(*primals)
    return norm(*primals), _along(primals, tangents, scale, reciprocal(jnp.sqrt(squares)))


@jax.custom_jvp
def fused_norm(*lengths: Array) -> Array:
    """`norm` by arithmetic, which is fused with what is before and after it."""
    scale, squares = _scaled_squares(*lengths)
    return root(squares) * inverse_power_of_two(scale)


@fused_norm.defjvp
def _fused_norm_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    scale, squares = _scaled_squares(*primals)
    return fused_norm(*primals), _along(primals, tangents, scale, inverse_root(squares))


def _along(
    lengths: tuple[Array, ...], tangents: tuple[Array, ...], scale: Array, inverse: Array
) -> Array:
    slopes = (x * scale * inverse * dx for x, dx in zip(lengths, tangents, strict=True))
    return functools.reduce(jnp.add, slopes)


def _scaled_squares(*lengths: Array) -> tuple[Array, Array]:
    """A power of two, and the squares of lengths times it, of order 1, and 1 where all are 0."""
    scale = inverse_power_of_two(functools.reduce(jnp.maximum, map(jnp.abs, lengths)))
    squares = sum(jnp.square(length * scale) for length in lengths)
    return scale, select(scale == 0, 1.0, squares)


fused_norm = traced_once(fused_norm)


@jax.custom_jvp
def angle(sine: Array, cosine: Array) -> Array:
    """Angle of the vector (cosine, sine) in (-pi, pi], and 0 with derivative 0 at the origin.

    The vector is of order 1, or the origin. In float32 the value is a polynomial, right to 2 ulp,
    that vectorises.
    """
    if sine.dtype == jnp.float64:
        return jnp.arctan2(sine, cosine)
    s, c = jnp.abs(sine), jnp.abs(cosine)
    longer = jnp.maximum(s, c)
    tangent = jnp.minimum(s, c) * reciprocal(select(longer == 0, 1.0, longer))
    octant = tangent * horner(jnp.square(tangent), ARCTANGENT)
    quadrant = select(s > c, 0.5 * jnp.pi - octant, octant)
    half = select(cosine < 0, jnp.pi - quadrant, quadrant)
    return select(sine < 0, -half, half)


@angle.defjvp
def _angle_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (sine, cosine), (dsine, dcosine) = primals, tangents
    square = jnp.square(sine) + jnp.square(cosine)
    square = select(square == 0, 1.0, square)
    return angle(sine, cosine), (cosine * dsine - sine * dcosine) * reciprocal(square)


def horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def difference(a: Array, b: Array) -> tuple[Array, Array]:
    """a - b rounded, and what the rounding lost (Knuth's two-sum), 0 where |a - b| is large."""
    rounded = a - b
    near = jnp.abs(rounded) < 1e4
    a, b, head = (select(near, x, 0.0) for x in (a, b, rounded))
    minus_b = head - a
    return rounded, (a - (head - minus_b)) - (b + minus_b)
