"""Total functions: finite in value and in every derivative wherever the exact result is.

They scale by powers of two, which is exact, instead of adding an epsilon, and leave the
differentiation to JAX wherever it is right.
"""

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

# log(1 + e) / e as a polynomial on [0, 1], minimax in relative error: 2.1e-7 once evaluated.
LOGARITHM_OF_ONE_PLUS = (
    0.9999999403953552,
    -0.4999949336051941,
    0.3331909775733948,
    -0.2484298199415207,
    0.19106006622314453,
    -0.13663245737552643,
    0.07822595536708832,
    -0.029505237936973572,
    0.0052326940931379795,
)

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


@jax.custom_jvp
def larger(x: Array, y: Array) -> Array:
    """max(x, y) with the mean of both derivatives where they are equal.

    So has `jnp.maximum`, but it writes the derivative with a division, which XLA does not fuse.
    """
    return jnp.maximum(x, y)


@larger.defjvp
def _larger_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, y), (dx, dy) = primals, tangents
    return larger(x, y), jnp.where(x > y, dx, jnp.where(x < y, dy, 0.5 * (dx + dy)))


def smaller(x: Array, y: Array) -> Array:
    """min(x, y) with the mean of both derivatives where they are equal."""
    return -larger(-x, -y)


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


def logarithm(x: Array, unit: Array | float = 1.0) -> Array:
    """ln(unit x) of a positive x, with derivatives that do not pass through powers of a small x.

    The unit is a power of two, and constant.
    """
    scale = inverse_power_of_two(x)
    return jnp.log(x * scale) - jnp.log(scale / unit)


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


class Logit(NamedTuple):
    """A logit, and exp(-|logit|), which its maker may know better than the rounded logit tells."""

    value: Array
    decay: Array


def logit(x: Array) -> Logit:
    return Logit(x, jnp.exp(-jnp.abs(x)))


@jax.custom_jvp
def logistic(x: Logit) -> tuple[Array, Array]:
    """sigmoid(x) and sigmoid(-x), each right to the last digits in its own tail."""
    larger = 1 / (1 + x.decay)
    smaller = x.decay * larger
    positive = x.value >= 0
    return jnp.where(positive, larger, smaller), jnp.where(positive, smaller, larger)


@logistic.defjvp
def _logistic_jvp(
    primals: tuple[Logit], tangents: tuple[Logit]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    p, n = logistic(*primals)
    slope = p * n * tangents[0].value
    return (p, n), (slope, -slope)


@jax.custom_jvp
def logistic_cost(x: Logit, positive: Array, negative: Array) -> Array:
    """-positive log(sigmoid(x)) - negative log(sigmoid(-x)), for masses whose sum is not negative.

    The linear part is a maximum, so that no two terms cancel; the rest lies in [0, log 2].
    """
    linear = jnp.maximum(negative * x.value, positive * -x.value)
    return linear + (positive + negative) * _log_of_one_plus(x.decay)


def _logistic_cost_jvp(
    primals: tuple[Logit, Array, Array], tangents: tuple[Logit, Array, Array]
) -> tuple[Array, Array]:
    x, positive, negative = primals
    p, n = logistic(x)
    slopes = (
        negative * p - positive * n,
        logistic_cost(x, jnp.ones_like(positive), jnp.zeros_like(negative)),
        logistic_cost(x, jnp.zeros_like(positive), jnp.ones_like(negative)),
    )
    return logistic_cost(*primals), weighted(slopes, (tangents[0].value, *tangents[1:]))


logistic_cost.defjvp(_logistic_cost_jvp, symbolic_zeros=True)


def half_steps_of(gamma: ArrayLike) -> int | None:
    """2 gamma where that is a whole number known while tracing, else None."""
    if isinstance(gamma, int | float) and gamma >= 0 and float(2 * gamma).is_integer():
        return int(2 * gamma)
    return None


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def logistic_focus(x: Logit, y: Array, gamma: Array, half_steps: int | None) -> Array:
    """q**gamma of the probability q = y sigmoid(-x) + (1 - y) sigmoid(x) of being wrong.

    `half_steps` is 2 gamma where that is a whole number known while tracing, else None. The
    derivative has no power of q with a negative exponent: it would not be finite where q is 0.
    """
    p, n = logistic(x)
    q = y * n + (1 - y) * p
    if half_steps is None:
        return _power(q, gamma)
    whole, half = divmod(half_steps, 2)
    return q**whole * jnp.sqrt(q) if half else q**whole


def _logistic_focus_jvp(
    half_steps: int | None,
    primals: tuple[Logit, Array, Array],
    tangents: tuple[Logit, Array, Array],
) -> tuple[Array, Array]:
    x, y, gamma = primals
    p, n = logistic(x)
    q = y * n + (1 - y) * p
    power = logistic_focus(*primals, half_steps)
    slopes = (
        power * (gamma * (1 - 2 * y) * ratio(p * n, q)),
        ratio(gamma * power, q) * (n - p),
        power * logarithm(jnp.where(q > 0, q, jnp.ones_like(q))),
    )
    return power, weighted(slopes, (tangents[0].value, *tangents[1:]))


logistic_focus.defjvp(_logistic_focus_jvp, symbolic_zeros=True)


def exp_of_product(a: Array, b: Array) -> Array:
    """exp(a b) without the rounding of the product, which exp would magnify |a b| times."""
    a_head, b_head = _head(a), _head(b)
    return jnp.exp(a_head * b_head) * jnp.exp((a - a_head) * b + a_head * (b - b_head))


def difference(a: Array, b: Array) -> tuple[Array, Array]:
    """a - b rounded, and what the rounding lost (Knuth's two-sum), 0 where |a - b| is large."""
    rounded = a - b
    near = jnp.abs(rounded) < 1e4
    a, b, head = (jnp.where(near, x, jnp.zeros_like(rounded)) for x in (a, b, rounded))
    minus_b = head - a
    return rounded, (a - (head - minus_b)) - (b + minus_b)


def settled(losses: Array) -> Array:
    """`losses`, unchanged. Ends an elementwise loss.

    XLA for CPUs hands arithmetic that ends in a sum to a library that does one operation at a
    time over whole arrays, 3 times as slow here; it does not look behind a rounding.
    """
    precision = np.finfo(losses.dtype)
    return lax.reduce_precision(losses, precision.nexp, precision.nmant)


def weighted(slopes: tuple[Array, ...], tangents: tuple[Array, ...]) -> Array:
    """The sum of slopes times tangents, over the tangents that are not known to be 0."""
    pairs = zip(slopes, tangents, strict=True)
    terms = [slope * tangent for slope, tangent in pairs if not isinstance(tangent, SymbolicZero)]
    return functools.reduce(operator.add, terms)


def _log_of_one_plus(e: Array) -> Array:
    """log(1 + e) for e in [0, 1]; a polynomial in float32, since it vectorises."""
    if e.dtype == jnp.float64:
        return jnp.log1p(e)
    return e * _horner(e, LOGARITHM_OF_ONE_PLUS)


def _power(base: Array, exponent: Array) -> Array:
    """base**exponent for a base in [0, 1] and an exponent >= 0, right to the last digits."""
    positive = jnp.where(base > 0, base, jnp.ones_like(base))
    logarithm = jnp.log(positive)
    lost = positive * jnp.exp(-logarithm) - 1
    power = exp_of_product(exponent, logarithm) * jnp.exp(exponent * lost)
    return jnp.where(base <= 0, (exponent == 0).astype(power.dtype), power)


def _head(x: Array) -> Array:
    """The first half of the digits of `x`: the product of two such halves is exact."""
    precision = np.finfo(x.dtype)
    return lax.reduce_precision(x, precision.nexp, (precision.nmant - 1) // 2)
