"""The residual of a prediction, without what a mask hides."""

from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments


def residual_of(
    check: Arguments, predictions: ArrayLike, targets: ArrayLike | None, where: ArrayLike | None
) -> tuple[Array, Array | None]:
    """`predictions - targets` with 0 in masked places, and the mask."""
    if targets is None:
        (residual,), mask = check.masked_pair(where, predictions=predictions)
        return residual, mask
    (x, y), mask = check.masked_pair(where, predictions=predictions, targets=targets)
    return x - y, mask
