"""The residual of a prediction, without what a mask hides."""

from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, broadcast_shape, hide


def residual_of(
    check: Arguments, predictions: ArrayLike, targets: ArrayLike | None, where: ArrayLike | None
) -> tuple[Array, Array | None]:
    """`predictions - targets` with 0 in masked places, and the mask."""
    if targets is None:
        arrays = check.floats(predictions=predictions)
    else:
        arrays = check.pair(predictions=predictions, targets=targets)
    mask = check.where(where, broadcast_shape(*arrays))
    arrays = hide(mask, *arrays)
    return (arrays[0] if targets is None else arrays[0] - arrays[1]), mask
