"""Box formats: areas, conversions, clipping and scaling."""

from collections.abc import Callable
from typing import Literal, Unpack

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._bounds import Bounds
from jaxloss._numerics import relu

Format = Literal["xyxy", "xywh", "cxcywh"]
Columns = tuple[Array, Array, Array, Array]


def area(boxes: ArrayLike) -> Array:
    """Area of a box.

    Formula:
      `max(x2 - x1, 0) max(y2 - y1, 0)`.

    Args:
      boxes: `[..., 4]` as x1, y1, x2, y2.

    Returns:
      `[...]` in [0, inf), in the squared unit, in float32 at least.

    Edge cases:
      An inverted box has area 0 with gradient 0, and a side of length 0 has derivative 0.

    Differences:
      torchvision's `box_area` multiplies signed sides: a box with both sides inverted has a
      positive area.

    Raises:
      TypeError: `boxes` is a list or not floating point.
      ValueError: the last axis is not of 4.

    Reference:
      None: width times height.

    Example:
      >>> print(jaxloss.boxes.area(jnp.array([[1.0, 2.0, 5.0, 7.0], [5.0, 2.0, 1.0, 7.0]])))
      [20.  0.]
    """
    array = _boxes(Arguments("area"), boxes)
    return relu(array[..., 2] - array[..., 0]) * relu(array[..., 3] - array[..., 1])


def convert(boxes: ArrayLike, source: Format, target: Format) -> Array:
    """Boxes in another format.

    Formula:
      "xyxy" is (x1, y1, x2, y2), two opposite corners; "xywh" is (x1, y1, x2 - x1, y2 - y1), a
      corner and the sides; "cxcywh" is ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), the
      centre and the sides.

    Args:
      boxes: `[..., 4]` in the `source` format.
      source: the format of `boxes`: "xyxy", "xywh" or "cxcywh".
      target: the format of the result: one of the same.

    Returns:
      `[..., 4]` in the `target` format and the same unit, in float32 at least.

    Edge cases:
      Linear everywhere; sides keep their signs. Between equal formats nothing is computed. There
      and back is exact up to the rounding of sums.

    Differences:
      torchvision's `box_convert` takes the formats as `in_fmt` and `out_fmt`, and knows rotated
      boxes too, in degrees.

    Raises:
      TypeError: `boxes` is a list or not floating point.
      ValueError: the last axis is not of 4, or a format is none of the three. Distances from
        points to edges ("ltrb") need the points: `jaxloss.boxes.decode_distances`.

    Reference:
      "xywh": Lin et al., "Microsoft COCO: Common Objects in Context", 2014, arXiv 1405.0312.

    Example:
      >>> box = jnp.array([1.0, 2.0, 5.0, 8.0])
      >>> print(jaxloss.boxes.convert(box, "xyxy", "cxcywh"))
      [3. 5. 4. 6.]
    """
    check = Arguments("convert")
    array = _boxes(check, boxes, "boxes in the `source` format")
    check.option("source", source, TO_CORNERS, DISTANCES)
    check.option("target", target, FROM_CORNERS, DISTANCES)
    if source == target:
        return array
    columns = (array[..., 0], array[..., 1], array[..., 2], array[..., 3])
    return jnp.stack(FROM_CORNERS[target](*TO_CORNERS[source](*columns)), -1)


def clip(boxes: ArrayLike, height: ArrayLike, width: ArrayLike) -> Array:
    """Boxes cut off at the edges of an image.

    Formula:
      `min(max(x, 0), width)` for both x, `min(max(y, 0), height)` for both y.

    Args:
      boxes: `[..., 4]` as x1, y1, x2, y2.
      height: of the image, `>= 0`, in the unit of the boxes: a scalar, a vector along the last
        axis of `[...]`, or of its rank. May be traced.
      width: as `height`.

    Returns:
      `[..., 4]` within the image, in float32 at least.

    Edge cases:
      A box outside the image becomes one without area on its edge. The derivative is 0 outside
      and the mean of both sides' on the edge. NaN stays NaN.

    Differences:
      torchvision's `clip_boxes_to_image` takes `(height, width)` as one static tuple.

    Raises:
      TypeError: an argument is a list, or `boxes` is not floating point.
      ValueError: the last axis is not of 4, or `height` or `width` does not fit `[...]`.

    Reference:
      None: a clip.

    Example:
      >>> print(jaxloss.boxes.clip(jnp.array([-3.0, 2.0, 90.0, 70.0]), height=60, width=80))
      [ 0.  2. 80. 60.]
    """
    check = Arguments("clip")
    array = _boxes(check, boxes)
    limits = _extent(check, height, width, array, at_least=0)
    return jnp.minimum(jnp.maximum(array, jnp.zeros_like(array)), limits)


def scale(boxes: ArrayLike, height: ArrayLike, width: ArrayLike) -> Array:
    """Boxes with every y multiplied by `height` and every x by `width`.

    Formula:
      `(width a, height b, width c, height d)` for a box `(a, b, c, d)` in any format.

    Args:
      boxes: `[..., 4]` as x1, y1, x2, y2, or any format that `convert` knows.
      height: the factor of y: a scalar, a vector along the last axis of `[...]`, or of its rank.
        The size of the image takes boxes from [0, 1] to pixels; its inverse takes them back; the
        new size over the old one follows a resized image. May be traced.
      width: the factor of x, as `height`.

    Returns:
      `[..., 4]` in the same format, in float32 at least.

    Edge cases:
      Bilinear everywhere. A negative factor mirrors, and inverts the sides.

    Differences:
      None known. Height comes first, as in `clip` and in the shape of an image.

    Raises:
      TypeError: an argument is a list, or `boxes` is not floating point.
      ValueError: the last axis is not of 4, or `height` or `width` does not fit `[...]`.

    Reference:
      None: a product.

    Example:
      >>> print(jaxloss.boxes.scale(jnp.array([0.5, 0.25, 1.0, 0.75]), height=60, width=80))
      [40. 15. 80. 45.]
    """
    check = Arguments("scale")
    array = _boxes(check, boxes)
    return array * _extent(check, height, width, array)


def _boxes(check: Arguments, boxes: ArrayLike, what: str = "boxes as x1, y1, x2, y2") -> Array:
    (array,) = check.floats(boxes=boxes)
    check.shape("boxes", array, (..., 4), what)
    return array


def _extent(
    check: Arguments, height: ArrayLike, width: ArrayLike, boxes: Array, **bounds: Unpack[Bounds]
) -> Array:
    """(width, height, width, height), to broadcast against `boxes`."""
    like = boxes[..., 0]
    sides = [
        jnp.broadcast_to(check.parameter(name, value, like, **bounds), like.shape)
        for name, value in (("width", width), ("height", height))
    ]
    return jnp.stack([*sides, *sides], -1)


TO_CORNERS: dict[str, Callable[[Array, Array, Array, Array], Columns]] = {
    "xyxy": lambda x1, y1, x2, y2: (x1, y1, x2, y2),
    "xywh": lambda x, y, w, h: (x, y, x + w, y + h),
    "cxcywh": lambda x, y, w, h: (x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h),
}
FROM_CORNERS: dict[str, Callable[[Array, Array, Array, Array], Columns]] = {
    "xyxy": lambda x1, y1, x2, y2: (x1, y1, x2, y2),
    "xywh": lambda x1, y1, x2, y2: (x1, y1, x2 - x1, y2 - y1),
    "cxcywh": lambda x1, y1, x2, y2: (0.5 * (x1 + x2), 0.5 * (y1 + y2), x2 - x1, y2 - y1),
}
DISTANCES = "distances from a point to the edges need the point: `jaxloss.boxes.decode_distances`"
