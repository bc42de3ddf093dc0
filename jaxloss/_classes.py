"""Sums over the classes of each row, in the form that each platform computes fastest."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._arguments import keep
from jaxloss._exponential import falling_exp
from jaxloss._platform import undivided
from jaxloss._sums import sums_on_cpu
from jaxloss._target import picked

BLOCK = 64  # classes, at most
VECTORS, WIDTH = 5, 8  # how many are added to one, at most, and how many numbers one holds


class Others(NamedTuple):
    """What there is beside one class of each row, the label's; the class axis is kept with size 1.

    Attributes:
      own: the label's logit.
      highest: the highest of the other logits, constant under differentiation.
      total: the sum of exp(x - highest) over the others.
    """

    own: Array
    highest: Array
    total: Array


class Sums(NamedTuple):
    """What there is in the classes of each row with its labels y; the class axis has size 1.

    Attributes:
      highest: the highest logit, constant under differentiation.
      rest: the sum of exp(x - highest) over all classes but one of the highest.
      spread: the sum of y.
      gaps: the sum of y (highest - x), in which a class of label 0 adds 0 whatever its logit.
      wrong: the sum of y (1 - exp(x - highest)).
    """

    highest: Array
    rest: Array
    spread: Array
    gaps: Array
    wrong: Array


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def others_of(x: Array, label: Array, at: Array, axis: int, alone: bool = False) -> Others:
    """By passes that a CPU vectorises; elsewhere by one, unless a mesh may divide the classes.

    Others that are found `alone` need no exponentials in memory, which a gradient takes from there.
    """
    passes = functools.partial(_by_passes, axis=axis, alone=alone)
    if not jax.typeof(x).sharding.mesh.empty:
        return passes(x, label, at)
    found: Others = lax.platform_dependent(
        x, label, at, cpu=passes, default=functools.partial(_by_one_pass, axis=axis)
    )
    return found


@others_of.defjvp
def _others_jvp(
    axis: int,
    alone: bool,
    primals: tuple[Array, Array, Array],
    tangents: tuple[Array, Array, Array],
) -> tuple[Others, Others]:
    x, label, at = primals
    others = others_of(x, label, at, axis, alone)
    return others, _tangent_of(others, x, at, tangents[0], axis)


def _tangent_of(others: Others, x: Array, at: Array, tangent: Array, axis: int) -> Others:
    own = jnp.sum(jnp.where(at, tangent, jnp.zeros((), x.dtype)), axis, keepdims=True)
    mass = jnp.where(at, jnp.zeros((), x.dtype), mass_up_to(others.highest, x))
    total = jnp.sum(mass * tangent, axis, keepdims=True)
    return Others(own, jnp.zeros_like(others.highest), total)


@functools.partial(jax.custom_jvp, nondiff_argnums=(5,))
def others_and_gaps(
    x: Array, shares: Array, label: Array, at: Array, kept: Array | None, axis: int
) -> tuple[Others, Array]:
    """What `others_of` finds, and the sum of the shares times what each logit is below the label's.

    A GPU reads the logits once more for that sum, sooner than one pass carries it along.
    """
    by_passes = functools.partial(_gaps_by_passes, axis)
    if not jax.typeof(x).sharding.mesh.empty:
        return by_passes(x, shares, label, at, kept)
    found: tuple[Others, Array] = lax.platform_dependent(
        *(x, shares, label, at, kept),
        cpu=by_passes,
        default=functools.partial(_gaps_apart, axis),
    )
    return found


def _others_and_gaps_jvp(
    axis: int, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[tuple[Others, Array], tuple[Others, Array]]:
    x, shares, label, at, kept = primals
    others, gaps = others_and_gaps(x, shares, label, at, kept, axis)
    tangent = _tangent_of(others, x, at, tangents[0], axis)
    terms = shares * (tangent.own - tangents[0]) + (others.own - keep(kept, x)) * tangents[1]
    return (others, gaps), (tangent, jnp.sum(terms, axis, keepdims=True))


others_and_gaps.defjvp(_others_and_gaps_jvp)


def _gaps_by_passes(
    axis: int, x: Array, shares: Array, label: Array, at: Array, kept: Array | None
) -> tuple[Others, Array]:
    highest = jnp.maximum(_highest(x, label, at, axis), np.finfo(x.dtype).min)
    own = jnp.expand_dims(picked(x, label, at, axis), axis)
    parts = mass_up_to(highest, x), _half_gaps(own, x, shares, kept)
    total, gaps = (jnp.expand_dims(part, axis) for part in _row_sums(parts, axis))
    return _others(own, highest, total), 2 * gaps


def _gaps_apart(
    axis: int, x: Array, shares: Array, label: Array, at: Array, kept: Array | None
) -> tuple[Others, Array]:
    others = _by_one_pass(x, label, at, axis)
    return others, 2 * jnp.sum(_half_gaps(others.own, x, shares, kept), axis, keepdims=True)


def _half_gaps(own: Array, x: Array, shares: Array, kept: Array | None) -> Array:
    """Halves, so that the difference of two large logits does not overflow."""
    return shares * (0.5 * own - 0.5 * keep(kept, x))


def _by_passes(x: Array, label: Array, at: Array, axis: int, alone: bool = False) -> Others:
    highest = jnp.maximum(_highest(x, label, at, axis), np.finfo(x.dtype).min)
    mass = mass_up_to(highest, x)
    if alone and _vectors(x.shape, axis) > 1:
        parts = jnp.where(at, x, jnp.zeros((), x.dtype)), mass
        own, total = _row_sums(parts, axis)
    else:
        own, total = picked(x, label, at, axis), jnp.sum(mass, axis)
    return _others(jnp.expand_dims(own, axis), highest, jnp.expand_dims(total, axis))


def _others(own: Array, highest: Array, total: Array) -> Others:
    """`Others` of a total over all classes.

    The label has 1 of it at most, and one of the others has 1: so little is lost by subtraction.
    """
    return Others(own, highest, total - mass_up_to(highest, own))


def _highest(x: Array, label: Array, at: Array, axis: int) -> Array:
    """The highest logit but the label's.

    That of each block of classes first, which a CPU finds without writing the logits again; then
    once more that of the label's block, without the label.
    """
    size, whole = x.shape[axis], undivided() and jax.typeof(x).sharding.mesh.empty
    block = next((b for b in range(BLOCK, 1, -1) if size % b == 0), 1) if whole else 1
    if block == 1 or size == 0 or axis != x.ndim - 1:
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


def _by_one_pass(x: Array, label: Array, at: Array, axis: int) -> Others:
    """The highest so far, and the sum relative to it, are carried along together."""
    zero, lowest = jnp.zeros((), x.dtype), jnp.full((), np.finfo(x.dtype).min, x.dtype)
    found = lax.reduce(_alone(x, at), (zero, lowest, zero), _joined, (axis,))
    return Others(*(jnp.expand_dims(part, axis) for part in found))


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
    highest, lower, a_above = jnp.maximum(a[1], b[1]), jnp.minimum(a[1], b[1]), a[1] >= b[1]
    more, less = jnp.where(a_above, a[2], b[2]), jnp.where(a_above, b[2], a[2])
    return a[0] + b[0], highest, more + less * jnp.exp(lower - highest)


def mass_up_to(highest: Array, x: Array) -> Array:
    """exp(x - highest), and 1 above, where the label may be.

    In one text, so that a CPU computes it once; to leave out the label there costs it a tenth.
    """
    return falling_exp(jnp.where(x > highest, jnp.zeros((), x.dtype), x - highest))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def sums_of(x: Array, y: Array, axis: int) -> Sums:
    """By passes that a CPU vectorises; a TPU needs one, unless a mesh may divide the classes.

    A GPU computes longer on what one pass carries along than it takes to read the logits again.
    """
    passes = functools.partial(_sums_by_passes, axis=axis, add=_separate_sums)
    if not jax.typeof(x).sharding.mesh.empty:
        return passes(x, y)
    found: Sums = lax.platform_dependent(
        *(x, y),
        cpu=functools.partial(_sums_by_passes, axis=axis, add=_row_sums),
        tpu=functools.partial(_sums_by_one_pass, axis=axis),
        default=passes,
    )
    return found


@sums_of.defjvp
def _sums_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Sums, Sums]:
    (x, y), (dx, dy) = primals, tangents
    sums = sums_of(x, y, axis)
    mass = falling_exp(x - sums.highest)
    terms = mass * dx, dy, dy * (sums.highest - x) - y * dx, dy * (1 - mass) - y * mass * dx
    slopes = (jnp.sum(term, axis, keepdims=True) for term in terms)
    return sums, Sums(jnp.zeros_like(sums.highest), *slopes)


def _sums_by_passes(x: Array, y: Array, axis: int, add: Callable[..., Any]) -> Sums:
    zero, highest = jnp.zeros((), x.dtype), jnp.max(x, axis, keepdims=True, initial=-jnp.inf)
    mass = falling_exp(x - highest)
    ones = jnp.floor(mass)
    half_gaps = jnp.where(y == 0, zero, y * (0.5 * highest - 0.5 * x))
    parts = ones, mass - ones, y, half_gaps, y * (1 - mass)
    found = (jnp.expand_dims(part, axis) for part in add(parts, axis))
    ties, lower, spread, gaps, wrong = found
    return Sums(highest, (ties - 1) + lower, spread, 2 * gaps, wrong)


def _sums_by_one_pass(x: Array, y: Array, axis: int) -> Sums:
    """The highest so far, and the sums relative to it, are carried along together."""
    zero, lowest = jnp.zeros((), x.dtype), jnp.full((), np.finfo(x.dtype).min, x.dtype)
    absent = x == -jnp.inf
    alone = (
        jnp.where(absent, lowest, x),
        jnp.where(absent, zero - 1, zero),
        y,
        jnp.where(absent & (y != 0), y * jnp.inf, zero),
        jnp.zeros_like(y),
    )

    found = lax.reduce(alone, (lowest, zero - 1, zero, zero, zero), _joined_sums, (axis,))
    highest, rest, spread, half_gaps, wrong = (jnp.expand_dims(part, axis) for part in found)
    return Sums(highest, rest, spread, 2 * half_gaps, wrong)


def _joined_sums(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    """`Sums` of the classes of both, of which the gaps are halves, lest they overflow."""
    highest, lower = jnp.maximum(a[0], b[0]), jnp.minimum(a[0], b[0])
    scale = jnp.where(lower == highest, jnp.ones((), lower.dtype), jnp.exp(lower - highest))
    a_above = a[0] >= b[0]
    rest, wrong = (jnp.where(a_above, a[i], b[i]) for i in (1, 4))
    lower_rest, lower_spread, lower_wrong = (jnp.where(a_above, b[i], a[i]) for i in (1, 2, 4))
    return (
        highest,
        rest + (1 + lower_rest) * scale,
        a[2] + b[2],
        a[3] + b[3] + lower_spread * (0.5 * highest - 0.5 * lower),
        wrong + lower_wrong * scale + lower_spread * (1 - scale),
    )


def _separate_sums(arrays: tuple[Array, ...], axis: int) -> tuple[Array, ...]:
    return tuple(jnp.sum(array, axis) for array in arrays)


def _row_sums(arrays: tuple[Array, ...], axis: int) -> tuple[Array, ...]:
    """The sum of each array, in one kernel of a CPU, which writes none of the arrays.

    Neighbouring vectors are added first, in a loop that LLVM unrolls; it unrolls no longer one.
    """
    shape = arrays[0].shape
    count = _vectors(shape, axis)
    if count == 1:
        return _separate_sums(arrays, axis)
    before, size = shape[:-1], shape[-1] // count
    lines = tuple(x.reshape(*before, size // WIDTH, count, WIDTH) for x in arrays)
    zeros = tuple(np.zeros((), x.dtype) for x in arrays)
    added = lax.reduce(lines, zeros, functools.partial(jax.tree.map, operator.add), (axis + 1,))
    return sums_on_cpu(tuple(x.reshape(*before, size) for x in added), (axis,))


def _vectors(shape: tuple[Any, ...], axis: int) -> int:
    """How many vectors a CPU adds to one; 1 if rows are no whole number of such."""
    size = shape[axis]
    if axis != len(shape) - 1 or not undivided() or not isinstance(size, int) or size == 0:
        return 1
    return max(n for n in range(1, VECTORS + 1) if n == 1 or size % (n * WIDTH) == 0)
