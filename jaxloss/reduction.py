"""From unreduced losses to one number: masks, weights, normalizers and mesh axes.

A loss function never reduces. The mean over what a mask selects needs that mask again here, since
the denominator is the reduction's.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._numerics import ratio

Axis = int | tuple[int, ...] | None
AxisName = str | tuple[str, ...] | None


class SumAndWeight(NamedTuple):
    """A weighted sum of losses and the sum of their weights; both add over parts of a batch."""

    sum: Array
    weight: Array


def mean(
    losses: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    normalizer: ArrayLike | None = None,
    axis: Axis = None,
    axis_name: AxisName = None,
) -> Array:
    """Weighted mean of the selected losses, 0 when nothing is selected.

    Formula:
      `sum(weights losses) / sum(weights)` over the entries where `where` is True; with
      `normalizer`, `sum(weights losses) / sum(normalizer)`.

    Args:
      losses: `[...]`, any shape.
      where: boolean, rank of `losses` with dimensions equal or 1; False removes an entry from
        both sums. The mask given to the loss must be given here too.
      weights: scalar, a vector along the last axis, or the rank of `losses`.
      normalizer: what the weighted sum is divided by, summed over the selected entries:
        `class_weights_of(labels, class_weights)` gives PyTorch's class-weighted mean. A scalar is
        the whole denominator.
      axis: the axis or axes reduced over; all by default.
      axis_name: mesh or `vmap` axes to reduce over as well: sum and weight are both added over
        them before the division, so that unequal shards count by what they hold.

    Returns:
      `losses` without `axis`, in the dtype computed in, float32 at least.

    Edge cases:
      A denominator of 0 gives 0 with gradient 0. NaN in a removed entry is gone; NaN in an entry
      whose weight is 0 stays NaN. Inside `jax.shard_map`, the gradient with `axis_name` is right
      only under `check_vma=True` (the default): without it every device's copy of the result is
      differentiated, and the gradient is multiplied by their number.

    Differences:
      PyTorch's mean of cross-entropy divides by the class weights of the labels, but its other
      losses divide by the number of elements even when weighted: pass `normalizer` to choose.
      Its mean over nothing is NaN.

    Raises:
      TypeError: `losses` are not a floating-point array, or `where` is not boolean.
      ValueError: `axis` is no axis, or `where`, `weights` or `normalizer` do not fit the shape of
        `losses`.

    Reference:
      The weighted arithmetic mean.

    Example:
      >>> losses = jnp.array([1.0, 2.0, 6.0])
      >>> print(jaxloss.mean(losses, where=jnp.array([True, True, False])))
      1.5
      >>> print(jaxloss.mean(losses, weights=jnp.array([1.0, 0.0, 3.0])))
      4.75
    """
    check = Arguments("mean")
    total, weight = _totals(check, losses, where, weights, axis)
    if normalizer is not None:
        weight = _normalizer_total(check, normalizer, losses, where, axis)
    if axis_name is not None:
        total = lax.psum(total, axis_name)
        shared = normalizer is not None and check.array("normalizer", normalizer).ndim == 0
        weight = weight if shared else lax.psum(weight, axis_name)
    return ratio(total, weight)


def sum(
    losses: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    axis: Axis = None,
    axis_name: AxisName = None,
) -> Array:
    """Weighted sum of the selected losses.

    Formula:
      `sum(weights losses)` over the entries where `where` is True.

    Args:
      losses: `[...]`, any shape.
      where: boolean, rank of `losses` with dimensions equal or 1; False removes an entry.
      weights: scalar, a vector along the last axis, or the rank of `losses`.
      axis: the axis or axes reduced over; all by default.
      axis_name: mesh or `vmap` axes to add over as well.

    Returns:
      `losses` without `axis`, in the dtype computed in, float32 at least.

    Edge cases:
      The sum over nothing is 0. NaN in a removed entry is gone. Inside `jax.shard_map`, the
      gradient with `axis_name` is right only under `check_vma=True` (the default).

    Differences:
      `jnp.sum(losses * mask)` lets NaN through the mask; this does not.

    Raises:
      TypeError: `losses` are not a floating-point array, or `where` is not boolean.
      ValueError: `axis` is no axis, or `where` or `weights` do not fit the shape of `losses`.

    Reference:
      None: a sum.

    Example:
      >>> losses = jnp.array([1.0, 2.0, jnp.nan])
      >>> print(jaxloss.sum(losses, where=jnp.array([True, True, False])))
      3.0
    """
    total, _ = _totals(Arguments("sum"), losses, where, weights, axis)
    return total if axis_name is None else lax.psum(total, axis_name)


def sum_and_weight(
    losses: ArrayLike,
    *,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    axis: Axis = None,
    axis_name: AxisName = None,
) -> SumAndWeight:
    """Weighted sum of the selected losses and the sum of their weights, to be divided later.

    Formula:
      `(sum(weights losses), sum(weights))` over the entries where `where` is True.

    Args:
      losses: `[...]`, any shape.
      where: boolean, rank of `losses` with dimensions equal or 1; False removes an entry.
      weights: scalar, a vector along the last axis, or the rank of `losses`.
      axis: the axis or axes reduced over; all by default.
      axis_name: mesh or `vmap` axes to add over as well.

    Returns:
      `SumAndWeight(sum, weight)`, both `losses` without `axis`. Adding two of them, field by field,
      is the result for both batches together: microbatches and hosts are added, then divided once.

    Edge cases:
      Over nothing both are 0. The weight does not depend on the losses, and has no gradient to
      them.

    Differences:
      The mean of several means weights a small last batch too much; the sum of these pairs
      does not.

    Raises:
      TypeError: `losses` are not a floating-point array, or `where` is not boolean.
      ValueError: `axis` is no axis, or `where` or `weights` do not fit the shape of `losses`.

    Reference:
      None: two sums.

    Example:
      >>> first = jaxloss.sum_and_weight(jnp.array([1.0, 2.0, 3.0]))
      >>> second = jaxloss.sum_and_weight(jnp.array([6.0]))
      >>> print((first.sum + second.sum) / (first.weight + second.weight))
      3.0
    """
    total, weight = _totals(Arguments("sum_and_weight"), losses, where, weights, axis)
    if axis_name is not None:
        total, weight = lax.psum((total, weight), axis_name)
    return SumAndWeight(total, weight)


def _totals(
    check: Arguments,
    losses: ArrayLike,
    where: ArrayLike | None,
    weights: ArrayLike | None,
    axis: Axis,
) -> tuple[Array, Array]:
    (array,) = check.floats(losses=losses)
    axes = check.axes(axis, array.ndim)
    mask = check.where(where, array.shape)
    array = keep(mask, array)
    if weights is None:
        weight = jnp.ones_like(array)
    else:
        weight = jnp.broadcast_to(check.fitting("weights", weights, array), array.shape)
        array = weight * array
    return jnp.sum(keep(mask, array), axes), jnp.sum(keep(mask, weight), axes)


def _normalizer_total(
    check: Arguments, normalizer: ArrayLike, losses: ArrayLike, where: ArrayLike | None, axis: Axis
) -> Array:
    (array,) = check.floats(losses=losses)
    total = check.fitting("normalizer", normalizer, array)
    if total.ndim == 0:
        return total
    total = jnp.broadcast_to(total, array.shape)
    return jnp.sum(keep(check.where(where, array.shape), total), check.axes(axis, array.ndim))
