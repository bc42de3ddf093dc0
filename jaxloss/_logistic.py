"""The logistic function and its logarithms: total, and precise in both tails.

They are closed under differentiation: every derivative is written with the same functions.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxloss._derivatives import weighted
from jaxloss._logarithm import logarithm
from jaxloss._numerics import horner, quotient, ratio, relu
from jaxloss._platform import for_tpu

# -log(1 - s) / s as a polynomial on [0, 1/2], minimax in relative error: 1.6e-7 once evaluated.
MINUS_LOGARITHM_OF_ONE_MINUS = (
    1.0,
    0.49999284744262695,
    0.33370062708854675,
    0.24280507862567902,
    0.26961272954940796,
    -0.20353879034519196,
    1.2576693296432495,
    -1.6958115100860596,
    1.4411076307296753,
)


class Logit(NamedTuple):
    """A logit, and exp(-|logit|), which its maker may know better than the rounded logit tells."""

    value: Array
    decay: Array


def logit(x: Array) -> Logit:
    return Logit(x, jnp.exp(-jnp.abs(x)))


@jax.custom_jvp
def logistic(x: Logit) -> tuple[Array, Array]:
    """sigmoid(x) and sigmoid(-x), each right to the last digits in its own tail."""
    if for_tpu():
        rest = jnp.log1p(x.decay)
        return jnp.exp(jnp.minimum(x.value, 0) - rest), jnp.exp(-(jnp.maximum(x.value, 0) + rest))
    smaller = _smaller(x.decay)
    larger = 1 - smaller
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
def softplus(x: Logit) -> Array:
    """-log(sigmoid(-x)): the cost of a no, or of a label whose log-odds of being wrong are x."""
    return jnp.maximum(x.value, 0) + _log_of_one_plus(x.decay)


@softplus.defjvp
def _softplus_jvp(primals: tuple[Logit], tangents: tuple[Logit]) -> tuple[Array, Array]:
    return softplus(*primals), logistic(*primals)[0] * tangents[0].value


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


@jax.custom_jvp
def shifted_cost(x: Logit, margin: Array) -> Array:
    """-log(1 - max(sigmoid(x) - margin, 0)), for a margin in [0, 1); 0 up to the margin."""
    p, n = logistic(x)
    shifted, rest, tiny = _shifted(p, n, margin)
    return jnp.where(tiny, x.value, jnp.log1p(shifted / rest))


def _shifted_cost_jvp(
    primals: tuple[Logit, Array], tangents: tuple[Logit, Array]
) -> tuple[Array, Array]:
    x, margin = primals
    p, n = logistic(x)
    shifted, rest, tiny = _shifted(p, n, margin)
    zero = jnp.zeros_like(rest)
    by_logit = jnp.where(tiny, jnp.ones_like(rest), quotient(p * n, rest))
    by_margin = jnp.where(tiny, zero, -quotient(jnp.ones_like(rest), rest))
    slopes = (jnp.where(shifted > 0, slope, zero) for slope in (by_logit, by_margin))
    return shifted_cost(x, margin), weighted(tuple(slopes), (tangents[0].value, tangents[1]))


shifted_cost.defjvp(_shifted_cost_jvp, symbolic_zeros=True)


def _shifted(p: Array, n: Array, margin: Array) -> tuple[Array, Array, Array]:
    """max(p - margin, 0), 1 less that, and where the latter is too small to divide by.

    There the margin is 0, and the logit so high that it is the cost.
    """
    rest = n + margin
    tiny = rest < 4 * np.finfo(rest.dtype).tiny
    return relu(p - margin), jnp.where(tiny, jnp.ones_like(rest), rest), tiny


def known_number(value: ArrayLike) -> float | None:
    """`value` if it is a finite Python number >= 0, known while tracing, else None."""
    return float(value) if isinstance(value, int | float) and 0 <= value < math.inf else None


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def logistic_focus(x: Logit, y: Array | None, gamma: Array, known: float | None) -> Array:
    """q**gamma of the probability q = y sigmoid(-x) + (1 - y) sigmoid(x) of being wrong.

    A `y` of None is 0. `known` is gamma where it is a Python number, else None. The derivative has
    no power of q with a negative exponent, which would not be finite where q is 0.
    """
    q = _wrong(y, *logistic(x))
    return _power(q, gamma) if known is None else _known_power(q, known)


def _logistic_focus_jvp(
    known: float | None,
    primals: tuple[Logit, Array | None, Array],
    tangents: tuple[Logit, Array | None, Array],
) -> tuple[Array, Array]:
    x, y, gamma = primals
    p, n = logistic(x)
    q = _wrong(y, p, n)
    steepness = p * n if y is None else (1 - 2 * y) * (p * n)
    power = logistic_focus(*primals, known)
    if known is not None and known.is_integer():
        slope = known * logistic_focus(*primals, max(known - 1, 0.0))
        by_logit, by_label = slope * steepness, slope * (n - p)
    else:
        by_logit = power * (gamma * ratio(steepness, q))
        by_label = ratio(gamma * power, q) * (n - p)
    by_gamma = power * logarithm(jnp.where(q <= 0, jnp.ones_like(q), q))
    slopes = [(by_logit, tangents[0].value), (by_label, tangents[1]), (by_gamma, tangents[2])]
    given = [(slope, tangent) for slope, tangent in slopes if tangent is not None]
    return power, weighted(*zip(*given, strict=True))


logistic_focus.defjvp(_logistic_focus_jvp, symbolic_zeros=True)


def _wrong(y: Array | None, p: Array, n: Array) -> Array:
    """The probability of being wrong, from those of yes and no."""
    return p if y is None else y * n + (1 - y) * p


def power(base: Array, exponent: Array, known: float | None) -> Array:
    """base**exponent for a base >= 0 and an exponent >= 0.

    `known` is the exponent where it is a Python number, else None. A whole one is a product with
    its own derivatives; of any other the derivatives at base 0 are 0.
    """
    if known is not None and known.is_integer():
        return base ** int(known)
    return _differentiable_power(base, exponent, known)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _differentiable_power(base: Array, exponent: Array, known: float | None) -> Array:
    value = _power(base, exponent) if known is None else _known_power(base, known)
    return jnp.where((base == 0) & (exponent > 0), jnp.zeros((), base.dtype), value)


def _differentiable_power_jvp(
    known: float | None, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    base, exponent = primals
    value = _differentiable_power(base, exponent, known)
    logarithm_of_base = logarithm(jnp.where(base <= 0, jnp.ones_like(base), base))
    slopes = (ratio(exponent * value, base), value * logarithm_of_base)
    return value, weighted(slopes, tangents)


_differentiable_power.defjvp(_differentiable_power_jvp, symbolic_zeros=True)


def _smaller(decay: Array) -> Array:
    """The smaller of sigmoid(x) and sigmoid(-x): all else is cheap once it is known."""
    return decay / (1 + decay)


def _log_of_one_plus(decay: Array) -> Array:
    """log(1 + decay); in float32 a polynomial of the smaller probability, which is shared.

    A TPU has a fast logarithm, which it shares with both probabilities, and no fast division.
    """
    if decay.dtype == jnp.float64 or for_tpu():
        return jnp.log1p(decay)
    smaller = _smaller(decay)
    return smaller * horner(smaller, MINUS_LOGARITHM_OF_ONE_MINUS)


def _power(base: Array, exponent: Array) -> Array:
    """base**exponent for a base in [0, 1] and an exponent >= 0, right to the last digits.

    exp magnifies the rounding of exponent * log(base) as many times as that is large: so the
    nearest multiple of 1/2 is done by products, and only what is left of the exponent by exp.
    """
    half_steps = jnp.clip(jnp.round(2 * exponent), 0, 15)
    power = _small_power(base, exponent - half_steps / 2)
    for bit, factor in enumerate((jnp.sqrt(base), base, base**2, base**4)):
        odd = jnp.floor(half_steps / 2**bit) % 2 == 1
        power = power * jnp.where(odd, factor, jnp.ones_like(factor))
    return power


def _known_power(base: Array, exponent: float) -> Array:
    """The same for an exponent that is known while tracing, without exp for multiples of 1/2."""
    whole, half = divmod(round(2 * exponent), 2)
    power = base**whole * jnp.sqrt(base) if half else base**whole
    rest = exponent - whole - half / 2
    return power * _small_power(base, jnp.full((), rest, base.dtype)) if rest else power


def _small_power(base: Array, exponent: Array) -> Array:
    """base**exponent for an exponent near 0, of either sign; 1 where the base is 0."""
    return jnp.exp(exponent * jnp.log(jnp.where(base <= 0, jnp.ones_like(base), base)))
