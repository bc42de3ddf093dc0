"""Anchor boxes and points, laid over a feature map in rows from the top left.

Everything is in pixels of the image, corners as x1, y1, x2, y2.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments

Numbers = ArrayLike | tuple[ArrayLike, ...]
Pair = tuple[int, int]

SSD300_FEATURES = ((38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1))
SSD300_STRIDES = (8.0, 16.0, 32.0, 64.0, 100.0, 300.0)
SSD300_SCALES = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05)
SSD300_ASPECT_RATIOS = ((2.0,), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0,), (2.0,))
RETINANET_SCALES = tuple(
    tuple(float(int(side * 2 ** (step / 3))) for step in range(3))
    for side in (32, 64, 128, 256, 512)
)


def grid_points(feature_shape: Pair, stride: Numbers, *, offset: float | Array = 0.5) -> Array:
    """The centre of every cell of a feature map.

    Formula:
      `x = (column + offset) stride_x`, `y = (row + offset) stride_y`.

    Args:
      feature_shape: height and width of the feature map, in cells; static.
      stride: the side of a cell in pixels, `> 0`: a number, or height and width as a tuple or an
        array.
      offset: where in its cell a point lies: 0 is the corner at the top left, 0.5 the centre; a
        scalar, may be traced.

    Returns:
      `[height, width, 2]`, each point as x, y in pixels; float64 for a float64 `stride`, otherwise
      float32.

    Edge cases:
      A side of 0 cells gives an empty array. Linear in `stride` and `offset`.

    Differences:
      torchvision's `AnchorGenerator` has offset 0, its `DefaultBoxGenerator` 0.5.

    Raises:
      TypeError: `stride` is a list, or an array that is not floating point.
      ValueError: `feature_shape` is not two whole numbers of 0 or more, or `stride` not one or two
        numbers.

    Reference:
      Tian, Shen, Chen and He, "FCOS: Fully Convolutional One-Stage Object Detection", 2019,
      arXiv 1904.01355.

    Example:
      >>> print(jaxloss.boxes.grid_points((1, 3), (16.0, 8.0))[0])
      [[ 4.  8.]
       [12.  8.]
       [20.  8.]]
    """
    check = Arguments("grid_points")
    (stride,) = check.floats(stride=_numbers(check, "stride", stride))
    return _points(check, feature_shape, stride, offset)


def anchor_grid(
    feature_shape: Pair,
    stride: Numbers,
    scales: Numbers,
    aspect_ratios: Numbers,
    *,
    offset: float | Array = 0.5,
) -> Array:
    """Anchors of every scale and aspect ratio at every cell of a feature map.

    Formula:
      Centred at `((column + offset) stride_x, (row + offset) stride_y)`, with
      `width = scale / sqrt(ratio)` and `height = scale sqrt(ratio)`.

    Args:
      feature_shape: height and width of the feature map, in cells; static.
      stride: the side of a cell in pixels, `> 0`: a number, or height and width as a tuple or an
        array.
      scales: the square roots of the anchors' areas, in pixels, `> 0`: a tuple or an array `[S]`.
      aspect_ratios: height over width, `> 0`: a tuple or an array `[R]`.
      offset: where in its cell an anchor is centred: 0 is the corner at the top left, 0.5 the
        centre; a scalar, may be traced.

    Returns:
      `[height, width, R S, 4]` as x1, y1, x2, y2 in pixels; the anchors of a cell have all scales
      of the first ratio first. float64 for float64 arrays, otherwise float32. Anchors may reach
      beyond the image.

    Edge cases:
      No scales or no cells give an empty array. Differentiable in `stride`, `scales`,
      `aspect_ratios` and `offset`; in a JAX array a ratio of 0 gives infinite widths, a negative
      one NaN.

    Differences:
      torchvision's `AnchorGenerator` has the same order, but offset 0 and corners of the anchor
      around 0 rounded to whole pixels, which `retinanet_anchors` reproduces; detectron2 does not
      round.

    Raises:
      TypeError: an argument is a list, or `stride` is an array that is not floating point.
      ValueError: `feature_shape` is not two whole numbers of 0 or more, `stride` not one or two
        numbers, or `scales` or `aspect_ratios` has not one axis.

    Reference:
      Ren, He, Girshick and Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region
      Proposal Networks", 2015, arXiv 1506.01497.

    Example:
      >>> print(jaxloss.boxes.anchor_grid((1, 2), 16, scales=(12.0,), aspect_ratios=(4.0,)))
      [[[[ 5. -4. 11. 20.]]
      <BLANKLINE>
        [[21. -4. 27. 20.]]]]
    """
    check = Arguments("anchor_grid")
    settings = {"stride": stride, "scales": scales, "aspect_ratios": aspect_ratios}
    stride, scales, aspect_ratios = check.floats(
        **{name: _numbers(check, name, value) for name, value in settings.items()}
    )
    check.shape("scales", scales, (None,), "one scale an anchor")
    check.shape("aspect_ratios", aspect_ratios, (None,), "one ratio an anchor")
    centers = _points(check, feature_shape, stride, offset)[:, :, None]
    root = jnp.sqrt(aspect_ratios)[:, None]
    sides = jnp.stack([scales[None] / root, scales[None] * root], axis=-1)
    half = sides.reshape(-1, 2)[None, None] / 2
    return jnp.concatenate([centers - half, centers + half], axis=-1)


def ssd_anchors(
    image_shape: Pair = (300, 300),
    *,
    feature_shapes: tuple[Pair, ...] = SSD300_FEATURES,
    strides: tuple[float, ...] | None = SSD300_STRIDES,
    scales: tuple[float, ...] = SSD300_SCALES,
    aspect_ratios: tuple[tuple[float, ...], ...] = SSD300_ASPECT_RATIOS,
    clip: bool = True,
) -> Array:
    """The default boxes of SSD for all its feature maps; SSD300's 8,732 by default.

    Formula:
      Feature map `k` has at every cell, with the sides as fractions of the image's, a square of
      side `s_k`, a square of side `sqrt(s_k s_(k+1))`, and for every ratio `a` a box of width
      `s_k sqrt(a)` and height `s_k / sqrt(a)` and that box turned. They are centred at
      `((column + 0.5) stride, (row + 0.5) stride)`.

    Args:
      image_shape: height and width of the image in pixels.
      feature_shapes: height and width of each feature map, in cells.
      strides: the side of a cell of each feature map in pixels, `> 0`; None takes the image's side
        over the feature map's.
      scales: `s_k > 0` for each feature map and one more, as fractions of the image's sides.
      aspect_ratios: for each feature map the ratios `a > 0` besides 1.
      clip: whether sides are cut to the image's, 1.

    Returns:
      `[A, 4]` float32 as x1, y1, x2, y2 in pixels: feature map by feature map, row by row, the
      anchors of a cell in the order of the formula. Anchors may reach beyond the image.

    Edge cases:
      All arguments are static. The numbers are made on the host and are the same on every
      platform, to the last bit.

    Differences:
      None from torchvision's `DefaultBoxGenerator` with `ssd300_vgg16`'s settings: the same
      numbers to the last bit. A ratio is width over height first, unlike in `anchor_grid`, but
      both orientations are there.

    Raises:
      ValueError: a shape is not two whole numbers of 0 or more, or the tuples do not fit
        `feature_shapes`.

    Reference:
      Liu, Anguelov, Erhan, Szegedy, Reed, Fu and Berg, "SSD: Single Shot MultiBox Detector", 2015,
      arXiv 1512.02325.

    Example:
      >>> anchors = jaxloss.boxes.ssd_anchors()
      >>> print(anchors.shape, anchors[0])
      (8732, 4) [-6.5 -6.5 14.5 14.5]
    """
    check = Arguments("ssd_anchors")
    image = np.array(check.sizes("image_shape", image_shape)[::-1], np.float32)
    check.switch("clip", clip)
    check.length("scales", scales, len(feature_shapes) + 1, "one a feature map and one more")
    check.numbers("scales", scales, "one a feature map and one more", above=0)
    check.length("aspect_ratios", aspect_ratios, len(feature_shapes), "one tuple a feature map")
    for ratios in aspect_ratios:
        check.numbers("aspect_ratios", ratios, "one tuple a feature map", above=0)
    check.length("strides", strides or feature_shapes, len(feature_shapes), "one a feature map")
    check.numbers("strides", strides or (), "one a feature map", above=0)
    levels = []
    for k, feature_shape in enumerate(feature_shapes):
        height, width = check.sizes("feature_shapes", feature_shape)
        extent = image / strides[k] if strides else np.array((width, height), np.float32)
        x, y = ((np.arange(n) + 0.5).astype(np.float32) for n in (width, height))
        centers = np.stack(np.broadcast_arrays(x[None, :] / extent[0], y[:, None] / extent[1]), -1)
        half = _ssd_sides(scales[k], scales[k + 1], aspect_ratios[k], clip) / 2
        corners = [centers[:, :, None] - half, centers[:, :, None] + half]
        levels.append(np.concatenate([corner * image for corner in corners], -1))
    return jnp.asarray(np.concatenate([level.reshape(-1, 4) for level in levels]))


def retinanet_anchors(
    image_shape: Pair,
    *,
    feature_shapes: tuple[Pair, ...] | None = None,
    scales: tuple[tuple[float, ...], ...] = RETINANET_SCALES,
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0),
) -> Array:
    """The anchors of RetinaNet for all levels of its feature pyramid.

    Formula:
      At each level anchors of `width = scale / sqrt(ratio)` and `height = scale sqrt(ratio)`,
      their corners around the centre rounded to whole pixels, half to even, centred at
      `(column stride_x, row stride_y)` with `stride = floor(image side / feature side)`.

    Args:
      image_shape: height and width of the image in pixels, as it enters the network.
      feature_shapes: height and width of each level, in cells; by default those of levels P3, P4,
        ..., `ceil(image side / 2^level)`, one for each entry of `scales`.
      scales: for each level the square roots of the anchors' areas, in pixels, `> 0`; by default
        `32, 40, 50` and so on: 1, 2^(1/3) and 2^(2/3) times 32, 64, 128, 256 and 512, cut to
        whole pixels.
      aspect_ratios: height over width, `> 0`.

    Returns:
      `[A, 4]` float32 as x1, y1, x2, y2 in pixels: level by level, row by row, the anchors of a
      cell with all scales of the first ratio first. Anchors may reach beyond the image.

    Edge cases:
      All arguments are static. Every corner is a whole number, the same on every platform.

    Differences:
      None from torchvision's `AnchorGenerator` as `retinanet_resnet50_fpn` uses it: the same
      numbers, its rounding, its centres at the corners of cells, and its strides included, which
      are not the powers of two where a level's side has been rounded up. detectron2 does not
      round.

    Raises:
      ValueError: a shape is not two whole numbers of 0 or more, or `scales` do not fit
        `feature_shapes`.

    Reference:
      Lin, Goyal, Girshick, He and Dollár, "Focal Loss for Dense Object Detection", 2017, arXiv
      1708.02002.

    Example:
      >>> anchors = jaxloss.boxes.retinanet_anchors((256, 320))
      >>> print(anchors.shape, anchors[0])
      (15354, 4) [-23. -11.  23.  11.]
    """
    check = Arguments("retinanet_anchors")
    image = check.sizes("image_shape", image_shape)
    for sides in scales if isinstance(scales, tuple) else (scales,):
        check.numbers("scales", sides, "one tuple a level", above=0)
    check.numbers("aspect_ratios", aspect_ratios, "height over width", above=0)
    if feature_shapes is None:
        feature_shapes = tuple(
            (math.ceil(image[0] / 2**level), math.ceil(image[1] / 2**level))
            for level in range(3, 3 + len(scales))
        )
    check.length("scales", scales, len(feature_shapes), "one tuple a level")
    levels = []
    for feature_shape, sides in zip(feature_shapes, scales, strict=True):
        cells = check.sizes("feature_shapes", feature_shape)
        strides = [float(side // max(n, 1)) for side, n in zip(image, cells, strict=True)]
        centers = _points(check, cells, jnp.asarray(strides, jnp.float32), 0.0)
        corners = centers[:, :, None][..., (0, 1, 0, 1)] + _rounded_corners(sides, aspect_ratios)
        levels.append(corners.reshape(-1, 4))
    return jnp.concatenate(levels)


def _numbers(check: Arguments, name: str, value: Numbers) -> ArrayLike:
    """A setting given as a tuple made an array, its numbers above 0 if they are known."""
    entries = value if isinstance(value, tuple) else (value,)
    for entry in entries:
        check.array(name, entry)
        check.within(name, entry, above=0)
    return jnp.asarray(value, jnp.float32) if isinstance(value, tuple | int | float) else value


def _points(check: Arguments, feature_shape: Pair, stride: Array, offset: float | Array) -> Array:
    height, width = check.sizes("feature_shape", feature_shape)
    if stride.ndim:
        check.shape("stride", stride, (2,), "a number, or height and width")
    stride_y, stride_x = jnp.broadcast_to(stride, (2,))
    offset = check.parameter("offset", offset, stride_y)
    y = (jnp.arange(height, dtype=stride.dtype) + offset) * stride_y
    x = (jnp.arange(width, dtype=stride.dtype) + offset) * stride_x
    return jnp.stack(jnp.broadcast_arrays(x[None, :], y[:, None]), axis=-1)


def _ssd_sides(
    scale: float, next_scale: float, aspect_ratios: tuple[float, ...], clip: bool
) -> np.ndarray:
    """Width and height of a cell's anchors, as fractions of the image's sides."""
    between = math.sqrt(scale * next_scale)
    sides = [(scale, scale), (between, between)]
    for ratio in aspect_ratios:
        long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
        sides += [(long, short), (short, long)]
    array = np.array(sides, np.float32)
    return np.clip(array, 0, 1) if clip else array


def _rounded_corners(scales: tuple[float, ...], aspect_ratios: tuple[float, ...]) -> Array:
    """The corners of a cell's anchors around 0, whole pixels."""
    root = np.sqrt(np.array(aspect_ratios, np.float32))[:, None]
    side = np.array(scales, np.float32)[None, :]
    sides = np.stack([(1 / root) * side, root * side], -1).reshape(1, 1, -1, 2)
    return jnp.asarray(np.round(np.concatenate([-sides, sides], -1) / 2))
