"""The logistic function and its logarithms: total, and precise in both tails.

They are closed under differentiation: every derivative is written with the same functions.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxloss._derivatives import weighted
from jaxloss._numerics import horner, logarithm, quotient, ratio, relu

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
    """`value` if it is a Python number >= 0, known while tracing, else None."""
    return float(value) if isinstance(value, int | float) and value >= 0 else None


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def logistic_focus(x: Logit, y: Array, gamma: Array, known: float | None) -> Array:
    """q**gamma of the probability q = y sigmoid(-x) + (1 - y) sigmoid(x) of being wrong.

    `known` is gamma where it is a Python number, else None. The derivative has no power of q with
    a negative exponent, which would not be finite where q is 0.
    """
    p, n = logistic(x)
    q = y * n + (1 - y) * p
    return _power(q, gamma) if known is None else _known_power(q, known)


def _logistic_focus_jvp(
    known: float | None,
    primals: tuple[Logit, Array, Array],
    tangents: tuple[Logit, Array, Array],
) -> tuple[Array, Array]:
    x, y, gamma = primals
    p, n = logistic(x)
    q = y * n + (1 - y) * p
    power = logistic_focus(*primals, known)
    slopes = (
        power * (gamma * (1 - 2 * y) * ratio(p * n, q)),
        ratio(gamma * power, q) * (n - p),
        power * logarithm(jnp.where(q <= 0, jnp.ones_like(q), q)),
    )
    return power, weighted(slopes, (tangents[0].value, *tangents[1:]))


logistic_focus.defjvp(_logistic_focus_jvp, symbolic_zeros=True)


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


def _log_of_one_plus(e: Array) -> Array:
    """log(1 + e) for e in [0, 1]; a polynomial in float32, since it vectorises."""
    if e.dtype == jnp.float64:
        return jnp.log1p(e)
    return e * horner(e, LOGARITHM_OF_ONE_PLUS)


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
