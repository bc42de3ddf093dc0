"""Softmax cross-entropies: total, and precise where the label is nearly certain.

What is left of a probability close to 1 is a sum over the other classes, never a difference.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._derivatives import weighted
from jaxloss._logistic import Logit, logistic_cost
from jaxloss._numerics import difference, exp_of_difference


def label_cost(log_odds: Logit) -> Array:
    """-log of the label's probability, from the log-odds of being wrong."""
    zero = jnp.zeros((), log_odds.value.dtype)
    return logistic_cost(log_odds, zero, zero + 1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def log_odds_against(x: Array, at_label: Array, axis: int) -> Logit:
    """Log-odds of all other classes together against the label's; see `_odds`."""
    label = jnp.sum(jnp.where(at_label, x, jnp.zeros((), x.dtype)), axis, keepdims=True)
    log_odds, odds = _odds(x, at_label, label, axis)
    decay = jnp.where(log_odds > 0, 1 / odds, odds)
    return Logit(jnp.squeeze(log_odds, axis), jnp.squeeze(decay, axis))


@log_odds_against.defjvp
def _log_odds_against_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Logit, Logit]:
    x, at_label = primals
    others, highest, total = _others(x, at_label, axis)
    shares = exp_of_difference(others, highest) / jnp.where(total > 0, total, 1)
    slopes = jnp.where(at_label, -jnp.ones((), x.dtype), shares)
    tangent = jnp.sum(slopes * tangents[0], axis)
    return log_odds_against(x, at_label, axis), Logit(tangent, jnp.zeros_like(tangent))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def distribution_cost(x: Array, y: Array, axis: int) -> Array:
    """-sum y log softmax(x), where a class of label 0 adds 0 whatever its logit."""
    highest, rest = _rest(x, axis)
    half_gaps = 0.5 * highest - 0.5 * x
    linear = 2 * jnp.sum(jnp.where(y == 0, jnp.zeros((), y.dtype), y * half_gaps), axis)
    return linear + jnp.sum(y, axis) * jnp.squeeze(jnp.log1p(rest), axis)


def _distribution_cost_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, y = primals
    p, n = _softmax(x, axis)
    highest, rest = _rest(x, axis)
    others = jnp.sum(y, axis, keepdims=True) - y
    slopes = others * p - y * n, (highest - x) + jnp.log1p(rest)
    return distribution_cost(x, y, axis), jnp.sum(weighted(slopes, tangents), axis)


distribution_cost.defjvp(_distribution_cost_jvp, symbolic_zeros=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def distribution_error(x: Array, y: Array, axis: int) -> Array:
    """sum y (1 - softmax(x)): of a distribution, the probability of being wrong."""
    return jnp.sum(y * _softmax(x, axis)[1], axis)


def _distribution_error_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, y = primals
    p, n = _softmax(x, axis)
    error = jnp.sum(y * n, axis, keepdims=True)
    others = jnp.sum(y, axis, keepdims=True) - y
    slopes = p * (others - error), n
    return distribution_error(x, y, axis), jnp.sum(weighted(slopes, tangents), axis)


distribution_error.defjvp(_distribution_error_jvp, symbolic_zeros=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x: Array, axis: int) -> tuple[Array, Array]:
    """p = softmax(x) and 1 - p, which at the highest logit is a sum over the other classes."""
    highest, rest = _rest(x, axis)
    mass = exp_of_difference(x, highest)
    return mass / (1 + rest), jnp.where(x == highest, rest, 1 + rest - mass) / (1 + rest)


@_softmax.defjvp
def _softmax_jvp(
    axis: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    p, n = _softmax(*primals, axis)
    slope = p * (tangents[0] - jnp.sum(p * tangents[0], axis, keepdims=True))
    return (p, n), (slope, -slope)


def _rest(x: Array, axis: int) -> tuple[Array, Array]:
    """The highest logit, and the sum of exp(x - highest) over all classes but one with it."""
    highest = jnp.max(x, axis, keepdims=True)
    at_highest = x == highest
    ties = jnp.sum(at_highest.astype(x.dtype), axis, keepdims=True) - 1
    return highest, ties + _odds(x, at_highest, highest, axis)[1]


def _odds(x: Array, excluded: Array, reference: Array, axis: int) -> tuple[Array, Array]:
    """log(odds) and odds of the classes that are not excluded against one with logit `reference`.

    They are a sum over those classes, never 1 - p, and what the difference of two logits rounds
    away is put back. Of no classes the logarithm is the lowest finite number.
    """
    _, highest, total = _others(x, excluded, axis)
    gap, lost = difference(highest, reference)
    log_odds = jnp.maximum(gap + jnp.log(total), np.finfo(x.dtype).min)
    return log_odds, jnp.exp(gap) * (1 + lost) * total


def _others(x: Array, excluded: Array, axis: int) -> tuple[Array, Array, Array]:
    """Logits with -inf in excluded classes, the highest, and the sum of exp(x - highest)."""
    others = jnp.where(excluded, -jnp.inf, x)
    highest = jnp.max(others, axis, keepdims=True, initial=np.finfo(x.dtype).min)
    highest = lax.stop_gradient(highest)
    return others, highest, jnp.sum(jnp.exp(others - highest), axis, keepdims=True)
