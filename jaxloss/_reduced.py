"""What a loss that reduces axes does with its `where`: it drops elements, or whole examples."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide, keep

Axis = int | tuple[int, ...] | None


class Reduced(NamedTuple):
    """The axes that a loss reduces.

    Attributes:
      arrays: what is reduced, of one shape, with 0 in what is dropped.
      axes: the axes, counted from the front and in order.
      kept: None, or False in what is dropped, in the rank of the arrays.
    """

    arrays: tuple[Array, ...]
    axes: tuple[int, ...]
    kept: Array | None

    def total(self, terms: Array) -> Array:
        """The sum over the axes of what is kept."""
        return jnp.sum(keep(self.kept, terms), self.axes)

    def mask(self, results: Array) -> Array:
        """`results`, exactly 0 where nothing is kept."""
        return keep(None if self.kept is None else jnp.any(self.kept, self.axes), results)


def reduced(check: Arguments, axis: Axis, where: ArrayLike | None, *arrays: Array) -> Reduced:
    """`arrays` over `axis`; `where` has the rank of the arrays, or that of the result."""
    arrays = tuple(jnp.broadcast_arrays(*arrays))
    shape = arrays[0].shape
    axes = tuple(sorted(check.axes(axis, len(shape))))
    if where is not None and check.array("where", where).ndim == len(shape):
        kept = check.where(where, shape, "the predictions")
    else:
        kept = check.where(where, tuple(n for i, n in enumerate(shape) if i not in axes))
        kept = None if kept is None else jnp.expand_dims(kept, axes)
    return Reduced(hide(kept, *arrays), axes, kept)
