"""Softmax cross-entropies: total, and precise where the label is nearly certain.

What is left of a probability close to 1 is a sum over the other classes, never a difference.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero

from jaxloss._arguments import keep
from jaxloss._classes import Others, Sums, mass_up_to, others_and_gaps, others_of, sums_of
from jaxloss._derivatives import weighted
from jaxloss._exponential import falling_exp
from jaxloss._logistic import Logit, logistic, softplus
from jaxloss._numerics import difference
from jaxloss._target import Target


def log_odds_against(x: Array, target: Target) -> Logit:
    """Log-odds of all other classes together against the label's; see `_logit_of`."""
    return _log_odds_against(x, target.label, target.at, target.axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _log_odds_against(x: Array, label: Array, at: Array, axis: int) -> Logit:
    return _squeezed(_logit_of(others_of(x, label, at, axis, alone=True)), axis)


@_log_odds_against.defjvp
def _log_odds_against_jvp(
    axis: int, primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Logit, Logit]:
    x, label, at = primals
    others = others_of(x, label, at, axis)  # once: a branch by platform is not recognised again
    slopes = jnp.where(at, -jnp.ones((), x.dtype), _shares(x, others))
    tangent = jnp.sum(slopes * tangents[0], axis)
    return _squeezed(_logit_of(others), axis), Logit(tangent, jnp.zeros_like(tangent))


def own_and_cost(x: Array, target: Target) -> tuple[Array, Array]:
    """The label's logit, and minus the logarithm of its probability; the class axis has size 1."""
    others = others_of(x, target.label, target.at, target.axis, alone=True)
    return others.own, softplus(_logit_of(others))


def smoothed_cost(
    x: Array, target: Target, own: Array, shares: Array, kept: Array | None = None
) -> Array:
    """`own` times the cost of the label, and `shares` `[..., C]` times the costs of all classes.

    Classes that are not `kept` have a logit of -inf and a share of 0.
    """
    own = jnp.expand_dims(own, target.axis)
    return _smoothed_cost(x, own, shares, target.label, target.at, kept, target.axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(6,))
def _smoothed_cost(
    x: Array, own: Array, shares: Array, label: Array, at: Array, kept: Array | None, axis: int
) -> Array:
    others, gaps = others_and_gaps(x, shares, label, at, kept, axis)
    return jnp.squeeze(_smoothed(own, shares, others, gaps, axis), axis)


def _smoothed(own: Array, shares: Array, others: Others, gaps: Array, axis: int) -> Array:
    spread = jnp.sum(shares, axis, keepdims=True)
    return (own + spread) * softplus(_logit_of(others)) + gaps


def _smoothed_cost_jvp(
    axis: int, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Array, Array]:
    x, own, shares, label, at, kept = primals
    others, gaps = others_and_gaps(x, shares, label, at, kept, axis)
    cost, wrong = softplus(_logit_of(others)), logistic(_logit_of(others))[0]
    spread = jnp.sum(shares, axis, keepdims=True)
    pull = (own + spread) * wrong
    slopes = (
        jnp.where(at, spread - pull, pull * _shares(x, others)) - shares,
        cost,
        cost + (others.own - keep(kept, x)),
    )
    terms = [
        jnp.sum(slope * tangent, axis)
        for slope, tangent in zip(slopes, tangents[:3], strict=True)
        if not isinstance(tangent, SymbolicZero)
    ]
    value = jnp.squeeze(_smoothed(own, shares, others, gaps, axis), axis)
    return value, sum(terms[1:], terms[0])


_smoothed_cost.defjvp(_smoothed_cost_jvp, symbolic_zeros=True)


def distribution_cost(x: Array, y: Array, axis: int) -> Array:
    """-sum y log softmax(x), where a class of label 0 adds 0 whatever its logit."""
    return distribution_cost_and_error(x, y, axis)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def distribution_cost_and_error(x: Array, y: Array, axis: int) -> tuple[Array, Array]:
    """-sum y log p, and sum y (1 - p): of a distribution y the probability of being wrong.

    p is softmax(x); a class of label 0 adds 0 to the cost whatever its logit.
    """
    return _cost_and_error(sums_of(x, y, axis), axis)


def _cost_and_error(sums: Sums, axis: int) -> tuple[Array, Array]:
    cost = sums.gaps + sums.spread * jnp.log1p(sums.rest)
    return jnp.squeeze(cost, axis), jnp.squeeze(_error(sums), axis)


def _error(sums: Sums) -> Array:
    return (sums.spread * sums.rest + sums.wrong) / (1 + sums.rest)


def _distribution_cost_and_error_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    x, y = primals
    sums = sums_of(x, y, axis)  # once: a branch by platform is not recognised again
    # In another text than that of the sums, or a CPU would write what it can compute again.
    mass = falling_exp(jnp.maximum(x, np.finfo(x.dtype).min) - sums.highest)
    p, n = mass / (1 + sums.rest), (sums.rest + (1 - mass)) / (1 + sums.rest)
    others = sums.spread - y
    of_cost = others * p - y * n, (sums.highest - x) + jnp.log1p(sums.rest)
    of_error = p * (others - _error(sums)), n
    cost, error = (jnp.sum(weighted(slopes, tangents), axis) for slopes in (of_cost, of_error))
    return _cost_and_error(sums, axis), (cost, error)


distribution_cost_and_error.defjvp(_distribution_cost_and_error_jvp, symbolic_zeros=True)


def _shares(x: Array, others: Others) -> Array:
    """What each other class has of their total; at the label no such number."""
    return mass_up_to(others.highest, x) / jnp.where(others.total > 0, others.total, 1)


def _logit_of(others: Others) -> Logit:
    """Log-odds of the other classes against the label's.

    They are a sum over those classes, never 1 - p, and what the difference of two logits rounds
    away is put back. Of no classes the logarithm is the lowest finite number.
    """
    gap, lost = difference(others.highest, others.own)
    log_odds = jnp.maximum(gap + jnp.log(others.total), np.finfo(others.total.dtype).min)
    odds = jnp.exp(gap) * (1 + lost) * others.total
    return Logit(log_odds, jnp.where(log_odds > 0, 1 / odds, odds))


def _squeezed(x: Logit, axis: int) -> Logit:
    return Logit(jnp.squeeze(x.value, axis), jnp.squeeze(x.decay, axis))
