"""Softmax cross-entropies: total, and precise where the label is nearly certain.

What is left of a probability close to 1 is a sum over the other classes, never a difference.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from jaxloss._derivatives import weighted
from jaxloss._exponential import falling_exp
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
    others, gaps = _others_and_gaps(x, shares, label, at, kept, axis)
    return jnp.squeeze(_smoothed(own, shares, others, gaps, axis), axis)


def _smoothed(own: Array, shares: Array, others: _Others, gaps: Array, axis: int) -> Array:
    spread = jnp.sum(shares, axis, keepdims=True)
    return (own + spread) * softplus(_logit_of(others)) + gaps


def _smoothed_cost_jvp(
    axis: int, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Array, Array]:
    x, own, shares, label, at, kept = primals
    others, gaps = _others_and_gaps(x, shares, label, at, kept, axis)
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
    value = jnp.squeeze(_smoothed(own, shares, others, gaps, axis), axis)
    return value, sum(terms[1:], terms[0])


_smoothed_cost.defjvp(_smoothed_cost_jvp, symbolic_zeros=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def distribution_cost(x: Array, y: Array, axis: int) -> Array:
    """-sum y log softmax(x), where a class of label 0 adds 0 whatever its logit."""
    highest, _, rest = _masses(x, axis)
    half_gaps = 0.5 * highest - 0.5 * x
    linear = 2 * jnp.sum(jnp.where(y == 0, jnp.zeros((), y.dtype), y * half_gaps), axis)
    return linear + jnp.sum(y, axis) * jnp.squeeze(jnp.log1p(rest), axis)


def _distribution_cost_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, y = primals
    p, n = _softmax(x, axis)
    highest, _, rest = _masses(x, axis)
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
    _, mass, rest = _masses(x, axis)
    return mass / (1 + rest), (rest + (1 - mass)) / (1 + rest)


@_softmax.defjvp
def _softmax_jvp(
    axis: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    p, n = _softmax(*primals, axis)
    slope = p * (tangents[0] - jnp.sum(p * tangents[0], axis, keepdims=True))
    return (p, n), (slope, -slope)


def _masses(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """The highest logit, exp(x - highest), and the sum of that over all classes but one of 1."""
    highest = lax.stop_gradient(jnp.max(x, axis, keepdims=True))
    mass = falling_exp(x - highest)
    ones = jnp.floor(mass)
    ties, lower = (jnp.sum(part, axis, keepdims=True) for part in (ones, mass - ones))
    return highest, mass, (ties - 1) + lower


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
    return others, _tangent_of(others, x, at, tangents[0], axis)


def _tangent_of(others: _Others, x: Array, at: Array, tangent: Array, axis: int) -> _Others:
    own = jnp.sum(jnp.where(at, tangent, jnp.zeros((), x.dtype)), axis, keepdims=True)
    total = jnp.sum(_mass(x, at, others.highest) * tangent, axis, keepdims=True)
    return _Others(own, jnp.zeros_like(others.highest), total)


@functools.partial(jax.custom_jvp, nondiff_argnums=(5,))
def _others_and_gaps(
    x: Array, shares: Array, label: Array, at: Array, kept: Array | None, axis: int
) -> tuple[_Others, Array]:
    """What `_others` finds, and the sum of the shares times what each logit is below the label's.

    A GPU would read the logits once more for that sum; a TPU joins the two passes itself.
    """
    by_passes = functools.partial(_gaps_apart, _by_passes, axis)
    if not jax.typeof(x).sharding.mesh.empty:
        return by_passes(x, shares, label, at, kept)
    found: tuple[_Others, Array] = lax.platform_dependent(
        *(x, shares, label, at, kept),
        cpu=by_passes,
        tpu=functools.partial(_gaps_apart, _by_one_pass, axis),
        default=functools.partial(_gaps_by_one_pass, axis),
    )
    return found


def _others_and_gaps_jvp(
    axis: int, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[tuple[_Others, Array], tuple[_Others, Array]]:
    x, shares, label, at, kept = primals
    others, gaps = _others_and_gaps(x, shares, label, at, kept, axis)
    tangent = _tangent_of(others, x, at, tangents[0], axis)
    terms = shares * (tangent.own - tangents[0]) + (others.own - _finite(x, kept)) * tangents[1]
    return (others, gaps), (tangent, jnp.sum(terms, axis, keepdims=True))


_others_and_gaps.defjvp(_others_and_gaps_jvp)


def _gaps_apart(
    find: Callable[..., _Others],
    axis: int,
    x: Array,
    shares: Array,
    label: Array,
    at: Array,
    kept: Array | None,
) -> tuple[_Others, Array]:
    others = find(x, label, at, axis)
    # Halved, so that the difference of two large logits does not overflow.
    half_gaps = 0.5 * others.own - 0.5 * _finite(x, kept)
    return others, 2 * jnp.sum(shares * half_gaps, axis, keepdims=True)


def _gaps_by_one_pass(
    axis: int, x: Array, shares: Array, label: Array, at: Array, kept: Array | None
) -> tuple[_Others, Array]:
    """By how much the logits are below the highest so far is carried along, too, in halves."""
    zero, lowest = jnp.zeros((), x.dtype), jnp.full((), np.finfo(x.dtype).min, x.dtype)
    spread = jnp.where(at, zero, shares)
    below = jnp.where((x == -jnp.inf) & (spread > 0), jnp.inf, zero)

    def join(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        own, highest, total = _joined(a[:3], b[:3])
        left, right = (part[4] + part[3] * (0.5 * highest - 0.5 * part[1]) for part in (a, b))
        return own, highest, total, a[3] + b[3], left + right

    operands = (*_alone(x, at), spread, below)
    found = lax.reduce(operands, (zero, lowest, zero, zero, zero), join, (axis,))
    own, highest, total, spread, below = (jnp.expand_dims(part, axis) for part in found)
    gaps = 2 * (below + spread * (0.5 * own - 0.5 * highest))
    return _Others(own, highest, total), gaps


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
    found = lax.reduce(_alone(x, at), (zero, lowest, zero), _joined, (axis,))
    return _Others(*(jnp.expand_dims(part, axis) for part in found))


def _alone(x: Array, at: Array) -> tuple[Array, Array, Array]:
    """What there is in each class alone: the label's logit, the highest other, and their total."""
    zero, lowest = jnp.zeros((), x.dtype), jnp.full((), np.finfo(x.dtype).min, x.dtype)
    absent = at | (x == -jnp.inf)
    return (
        jnp.where(at, x, zero),
        jnp.where(absent, lowest, x),
        jnp.where(absent, zero, zero + 1),
    )


def _joined(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """What there is in the classes of both."""
    highest = jnp.maximum(a[1], b[1])
    total = a[2] * jnp.exp(a[1] - highest) + b[2] * jnp.exp(b[1] - highest)
    return a[0] + b[0], highest, total


def _mass(x: Array, at: Array, highest: Array) -> Array:
    """exp(x - highest), and 0 at the label; in one text, so that a CPU computes it once."""
    return falling_exp(jnp.where(at, -jnp.inf, x) - highest)


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
