"""Box formats: areas, conversions, clipping and scaling."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._numerics import relu


def area(boxes: ArrayLike) -> Array:
    """Area of a box."""
    check = Arguments("area")
    (array,) = check.floats(boxes=boxes)
    check.shape("boxes", array, (..., 4), "boxes as x1, y1, x2, y2")
    return relu(array[..., 2] - array[..., 0]) * relu(array[..., 3] - array[..., 1])
