"""The class that each row's label names, without a one-hot array of floats."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments


class Target(NamedTuple):
    """The class that each row's label names.

    Attributes:
      label: the number of that class, 0 where there is none.
      at: True at that class; along the class axis no array of floats is made.
      known: 1, and NaN where the label names no class that is kept: a factor of every loss.
      axis: the axis of the classes.
    """

    label: Array
    at: Array
    known: Array
    axis: int

    def pick(self, values: Array) -> Array:
        """The values at the labels' classes."""
        return picked(values, self.label, self.at, self.axis)


def target_of(y: Array, classes: int, axis: int, dtype: np.dtype[Any]) -> Target:
    """The target of integer labels `y`, of which some may be none of the classes."""
    shape = tuple(classes if i == axis else 1 for i in range(y.ndim + 1))
    at = lax.broadcasted_iota(y.dtype, shape, axis) == jnp.expand_dims(y, axis)
    known = in_range(y, classes)
    return Target(jnp.where(known, y, 0), at, one_or_nan(known, dtype), axis)


def labels_of(
    check: Arguments, labels: ArrayLike, shape: tuple[int, ...], ignore_label: ArrayLike | None
) -> tuple[Array, Array | None]:
    """Labels as signed integers, and where they are not to be ignored."""
    y = _signed(check.labels("labels", labels, shape))
    if ignore_label is None:
        return y, None
    ignored = _signed(check.labels("ignore_label", ignore_label, ()))
    wide = np.promote_types(y.dtype, ignored.dtype)
    return y, y.astype(wide) != ignored.astype(wide)


def in_range(labels: Array, classes: int) -> Array:
    """Whether labels name one of the classes."""
    return (labels >= 0) & (labels < classes)


def _signed(y: Array) -> Array:
    return y.astype(jnp.int64 if y.dtype.itemsize == 8 else jnp.int32)


def one_or_nan(known: Array, dtype: np.dtype[Any]) -> Array:
    return jnp.where(known, jnp.ones((), dtype), jnp.nan)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def picked(values: Array, label: Array, at: Array, axis: int) -> Array:
    """The values `[..., C]` at `label`, where `at` is True; 0 where `at` is nowhere True.

    A CPU looks them up, where a sum is a pass over all. Others, and classes that may be distributed
    over a mesh, have the sum.
    """
    if not jax.typeof(at).sharding.mesh.empty:
        return _summed(values, label, at, axis=axis)
    found: Array = lax.platform_dependent(
        values,
        label,
        at,
        cpu=functools.partial(_looked_up, axis=axis),
        default=functools.partial(_summed, axis=axis),
    )
    return found


@picked.defjvp
def _picked_jvp(
    axis: int, primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    return picked(*primals, axis), _summed(tangents[0], *primals[1:], axis=axis)


def _looked_up(values: Array, label: Array, at: Array, axis: int) -> Array:
    places = jnp.expand_dims(label, axis)
    found = jnp.take_along_axis(values, places, axis, mode="promise_in_bounds")
    return jnp.squeeze(found, axis)


def _summed(values: Array, label: Array, at: Array, axis: int) -> Array:
    return jnp.sum(jnp.where(at, values, jnp.zeros((), values.dtype)), axis)
