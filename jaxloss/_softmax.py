"""Softmax cross-entropies: total, and precise where the label is nearly certain.

What is left of a probability close to 1 is a sum over the other classes, never a difference.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from jaxloss._derivatives import weighted
from jaxloss._logistic import Logit, logistic, softplus
from jaxloss._numerics import difference
from jaxloss._platform import undivided
from jaxloss._target import Target, picked

BLOCK = 64  # classes, at most


class _Others(NamedTuple):
    """What there is beside one class of each row, the label's; the class axis is kept with size 1.

    Attributes:
      own: the label's logit.
      highest: the highest of the other logits, constant under differentiation.
      total: the sum of exp(x - highest) over the others.
    """

    own: Array
    highest: Array
    total: Array


def log_odds_against(x: Array, target: Target) -> Logit:
    """Log-odds of all other classes together against the label's; see `_logit_of`."""
    return _log_odds_against(x, target.label, target.at, target.axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _log_odds_against(x: Array, label: Array, at: Array, axis: int) -> Logit:
    return _squeezed(_logit_of(_others(x, label, at, axis)), axis)


@_log_odds_against.defjvp
def _log_odds_against_jvp(
    axis: int, primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Logit, Logit]:
    x, label, at = primals
    others = _others(x, label, at, axis)  # once: a branch by platform is not recognised again
    slopes = jnp.where(at, -jnp.ones((), x.dtype), _shares(x, at, others))
    tangent = jnp.sum(slopes * tangents[0], axis)
    return _squeezed(_logit_of(others), axis), Logit(tangent, jnp.zeros_like(tangent))


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
    return jnp.squeeze(_smoothed(x, own, shares, _others(x, label, at, axis), kept, axis), axis)


def _smoothed(
    x: Array, own: Array, shares: Array, others: _Others, kept: Array | None, axis: int
) -> Array:
    # Halved, so that the difference of two large logits does not overflow.
    half_gaps = 0.5 * others.own - 0.5 * _finite(x, kept)
    gaps = 2 * jnp.sum(shares * half_gaps, axis, keepdims=True)
    spread = jnp.sum(shares, axis, keepdims=True)
    return (own + spread) * softplus(_logit_of(others)) + gaps


def _smoothed_cost_jvp(
    axis: int, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Array, Array]:
    x, own, shares, label, at, kept = primals
    others = _others(x, label, at, axis)
    cost, wrong = softplus(_logit_of(others)), logistic(_logit_of(others))[0]
    spread = jnp.sum(shares, axis, keepdims=True)
    pull = (own + spread) * wrong
    slopes = (
        jnp.where(at, spread - pull, pull * _shares(x, at, others)) - shares,
        cost,
        cost + (others.own - _finite(x, kept)),
    )
    terms = [
        jnp.sum(slope * tangent, axis)
        for slope, tangent in zip(slopes, tangents[:3], strict=True)
        if not isinstance(tangent, SymbolicZero)
    ]
    value = jnp.squeeze(_smoothed(x, own, shares, others, kept, axis), axis)
    return value, sum(terms[1:], terms[0])


_smoothed_cost.defjvp(_smoothed_cost_jvp, symbolic_zeros=True)


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
    lower = _lower(x, highest)
    mass = jnp.where(x == highest, jnp.ones((), x.dtype), lower)
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
    highest = lax.stop_gradient(jnp.max(x, axis, keepdims=True))
    ties = jnp.sum((x == highest).astype(x.dtype), axis, keepdims=True) - 1
    return highest, ties + jnp.sum(_lower(x, highest), axis, keepdims=True)


def _lower(x: Array, highest: Array) -> Array:
    """exp(x - highest), and 0 at the highest logits."""
    return jnp.where(x == highest, jnp.zeros((), x.dtype), jnp.exp(x - highest))


def _finite(x: Array, kept: Array | None) -> Array:
    return x if kept is None else jnp.where(kept, x, jnp.zeros((), x.dtype))


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _others(x: Array, label: Array, at: Array, axis: int) -> _Others:
    """By passes that a CPU vectorises; elsewhere by one, unless a mesh may divide the classes."""
    passes = functools.partial(_by_passes, axis=axis)
    if not jax.typeof(x).sharding.mesh.empty:
        return passes(x, label, at)
    found: _Others = lax.platform_dependent(
        x, label, at, cpu=passes, default=functools.partial(_by_one_pass, axis=axis)
    )
    return found


@_others.defjvp
def _others_jvp(
    axis: int, primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[_Others, _Others]:
    x, label, at = primals
    others = _others(x, label, at, axis)
    own = jnp.sum(jnp.where(at, tangents[0], jnp.zeros((), x.dtype)), axis, keepdims=True)
    total = jnp.sum(_mass(x, at, others.highest) * tangents[0], axis, keepdims=True)
    return others, _Others(own, jnp.zeros_like(others.highest), total)


def _by_passes(x: Array, label: Array, at: Array, axis: int) -> _Others:
    highest = jnp.maximum(_highest(x, label, at, axis), np.finfo(x.dtype).min)
    total = jnp.sum(_mass(x, at, highest), axis, keepdims=True)
    return _Others(jnp.expand_dims(picked(x, label, at, axis), axis), highest, total)


def _highest(x: Array, label: Array, at: Array, axis: int) -> Array:
    """The highest logit but the label's.

    That of each block of classes first, which a CPU finds without writing the logits again; then
    once more that of the label's block, without the label.
    """
    size = x.shape[axis]
    block = next((b for b in range(BLOCK, 1, -1) if size % b == 0), 1) if undivided() else 1
    if block == 1 or axis != x.ndim - 1:
        return jnp.max(jnp.where(at, -jnp.inf, x), axis, keepdims=True, initial=-jnp.inf)
    blocks = x.reshape(*x.shape[:-1], size // block, block)
    number, place = jnp.expand_dims(label // block, -1), jnp.expand_dims(label % block, -1)
    own = jnp.take_along_axis(blocks, number[..., None], -2, mode="promise_in_bounds")[..., 0, :]
    without = _without(own, place), _without(jnp.max(blocks, -1), number)
    return functools.reduce(jnp.maximum, (jnp.max(part, -1, keepdims=True) for part in without))


def _without(values: Array, place: Array) -> Array:
    """`values` with -inf at one place of the last axis."""
    shape = (1,) * (values.ndim - 1) + values.shape[-1:]
    places = lax.broadcasted_iota(place.dtype, shape, values.ndim - 1)
    return jnp.where(places == place, -jnp.inf, values)


def _by_one_pass(x: Array, label: Array, at: Array, axis: int) -> _Others:
    """The highest so far, and the sum relative to it, are carried along together."""
    zero, lowest = jnp.zeros((), x.dtype), jnp.full((), np.finfo(x.dtype).min, x.dtype)
    absent = at | (x == -jnp.inf)

    def join(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        highest = jnp.maximum(a[1], b[1])
        total = a[2] * jnp.exp(a[1] - highest) + b[2] * jnp.exp(b[1] - highest)
        return a[0] + b[0], highest, total

    operands = (
        jnp.where(at, x, zero),
        jnp.where(absent, lowest, x),
        jnp.where(absent, zero, zero + 1),
    )
    found = lax.reduce(operands, (zero, lowest, zero), join, (axis,))
    return _Others(*(jnp.expand_dims(part, axis) for part in found))


def _mass(x: Array, at: Array, highest: Array) -> Array:
    """exp(x - highest), and 0 at the label; in one text, so that a CPU computes it once."""
    return jnp.exp(jnp.where(at, -jnp.inf, x) - highest)


def _shares(x: Array, at: Array, others: _Others) -> Array:
    """What each other class has of their total."""
    return _mass(x, at, others.highest) / jnp.where(others.total > 0, others.total, 1)


def _logit_of(others: _Others) -> Logit:
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
