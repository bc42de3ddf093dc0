"""Logits as rows of classes, without what a mask removes, and the classes that labels name."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide
from jaxloss._derivatives import weighted
from jaxloss._logistic import known_number
from jaxloss._target import Target, labels_of, one_or_nan, target_of

Axis = int | tuple[int, ...]


class Rows(NamedTuple):
    """Logits with their classes along one axis, and what a mask leaves of them.

    Attributes:
      x: the logits; -inf in removed classes, 0 in masked rows.
      kept: None, or False in removed classes.
      mask: None, or False in masked rows, in the rank of the result.
      axis: the axis of the classes, counted from the front.
    """

    x: Array
    kept: Array | None
    mask: Array | None
    axis: int


def cooled(check: Arguments, x: Array, temperature: ArrayLike) -> Array:
    """`x` divided by a temperature."""
    divisor = check.scalar("temperature", temperature, x, above=0)
    return x if known_number(temperature) == 1 else _rounded_quotient(x, divisor)


@jax.custom_jvp
def _rounded_quotient(x: Array, divisor: Array) -> Array:
    """x / divisor, of which the selection keeps what is rounded.

    A CPU would contract the quotient by a constant and a difference to one operation: that of the
    highest logit and itself would not be 0, but what the rounding lost.
    """
    return jnp.where(x == 0, x, x / divisor)


def _rounded_quotient_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    value = _rounded_quotient(*primals)
    return value, weighted((1 / primals[1], -value / primals[1]), tangents)


_rounded_quotient.defjvp(_rounded_quotient_jvp, symbolic_zeros=True)


def rows_of(
    check: Arguments,
    x: Array,
    axes: tuple[int, ...],
    where: ArrayLike | None,
    counted: Array | None = None,
) -> Rows:
    """`x` as rows of classes without what `where` removes, and what is not `counted`."""
    check.classes(x.shape, *axes)
    axis = axes[0] if len(axes) == 1 else x.ndim - len(axes)
    by_class = where is not None and check.array("where", where).ndim == x.ndim
    kept = check.where(where if by_class else None, x.shape, "the logits")
    mask = check.where(None if by_class else where, _result_shape(x.shape, axes))
    if kept is not None:
        kept = flat(jnp.broadcast_to(kept, x.shape), axes)
        mask = jnp.any(kept, axis)
    if counted is not None:
        mask = counted if mask is None else counted & mask
    rows = Rows(flat(x, axes), kept, mask, axis)
    return rows._replace(x=blank(rows, rows.x, -jnp.inf))


def labelled(
    check: Arguments,
    x: Array,
    labels: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
    ignore_label: ArrayLike | None,
) -> tuple[Rows, Target]:
    """`x` as rows of classes, and the class that each row's label names."""
    axes = check.axes(axis, x.ndim)
    y, counted = labels_of(check, labels, _result_shape(x.shape, axes), ignore_label)
    rows = rows_of(check, x, axes, where, counted)
    (y,) = hide(rows.mask, y)
    target = target_of(y, rows.x.shape[rows.axis], rows.axis, x.dtype)
    if rows.kept is None or rows.mask is None:
        return rows, target
    at = target.at & rows.kept
    known = jnp.any(at, rows.axis) | ~rows.mask
    return rows, target._replace(at=at, known=one_or_nan(known, x.dtype))


def blank(rows: Rows, array: Array, removed: float) -> Array:
    """`array` with `removed` in removed classes and 0 in masked rows."""
    if rows.kept is not None:
        array = jnp.where(rows.kept, array, jnp.full((), removed, array.dtype))
    if rows.mask is not None:
        (array,) = hide(jnp.expand_dims(rows.mask, rows.axis), array)
    return array


def even_shares(rows: Rows) -> Array:
    """One over the number of classes in each row, and 0 in removed classes."""
    if rows.kept is None:
        shape = [size if i == rows.axis else 1 for i, size in enumerate(rows.x.shape)]
        return jnp.full(shape, 1 / max(shape[rows.axis], 1), rows.x.dtype)
    kept = rows.kept.astype(rows.x.dtype)
    return kept / jnp.maximum(jnp.sum(kept, rows.axis, keepdims=True), 1)


def per_class(check: Arguments, name: str, values: ArrayLike, rows: Rows) -> Array:
    """A vector `[C]` of values along the classes."""
    array = check.array(name, values)
    check.shape(name, array, (rows.x.shape[rows.axis],), "one number a class")
    return check.parameter(name, values, rows.x, rows.axis, at_least=0)


def flat(array: Array, axes: tuple[int, ...]) -> Array:
    """`array` with several class axes made one, the last; one axis stays where it is."""
    if len(axes) == 1:
        return array
    array = jnp.moveaxis(array, axes, range(-len(axes), 0))
    batch = array.shape[: array.ndim - len(axes)]
    return array.reshape(*batch, math.prod(array.shape[len(batch) :]))


def _result_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)
