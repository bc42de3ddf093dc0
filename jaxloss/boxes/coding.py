"""Boxes as what a network predicts: deltas of anchors, distances to edges, bins; and back."""

import math

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._numerics import quotient

Weights = ArrayLike | tuple[ArrayLike, ...]

LARGEST_LOG_SCALE = math.log(1000 / 16)


def encode_deltas(
    boxes: ArrayLike, anchors: ArrayLike, *, weights: Weights = (1.0, 1.0, 1.0, 1.0)
) -> Array:
    """Boxes as shifts and log scales of anchors.

    Formula:
      With centres `x, y` and sides `w, h` of the box, and `x_a, y_a, w_a, h_a` of the anchor:
      `(weights_x (x - x_a) / w_a, weights_y (y - y_a) / h_a, weights_w ln(w / w_a),
      weights_h ln(h / h_a))`.

    Args:
      boxes: `[..., 4]` as x1, y1, x2, y2, in any unit.
      anchors: `[..., 4]`, the same unit and the rank of `boxes`, with dimensions equal or 1.
      weights: multiply the four deltas: a number, four of them as a tuple or an array, or the
        rank of the deltas. `(10, 10, 5, 5)` are SSD's variances 0.1 and 0.2.

    Returns:
      `[..., 4]` in (-inf, inf).

    Edge cases:
      A box with a side of 0 has the delta -inf and one with a negative side NaN, an anchor with a
      side of 0 gives infinities or NaN: hide padded boxes, for instance behind their anchors,
      before their deltas are computed, since no mask afterwards saves the gradient. Sides whose
      quotient is representable neither overflow nor underflow on the way.

    Differences:
      None from torchvision's `BoxCoder.encode` and detectron2's `Box2BoxTransform`. mmdet has
      standard deviations, `1 / weights`. TF Object Detection orders y, x, h, w.

    Raises:
      TypeError: an argument is a list, or `boxes` are not floating point.
      ValueError: the last dimensions are not 4, or the others are neither equal nor 1.

    Reference:
      Girshick, Donahue, Darrell and Malik, "Rich feature hierarchies for accurate object detection
      and semantic segmentation", 2013, arXiv 1311.2524.

    Example:
      >>> anchors = jnp.array([[0.0, 0.0, 10.0, 20.0]])
      >>> print(jaxloss.boxes.encode_deltas(jnp.array([[1.0, 2.0, 11.0, 42.0]]), anchors))
      [[0.1        0.6        0.         0.6931472]]
    """
    check = Arguments("encode_deltas")
    boxes, anchors = _boxes(check, boxes=boxes, anchors=anchors)
    deltas = deltas_between(centered(boxes), centered(anchors))
    return deltas * weights_of(check, weights, deltas)


def decode_deltas(
    deltas: ArrayLike,
    anchors: ArrayLike,
    *,
    weights: Weights = (1.0, 1.0, 1.0, 1.0),
    clamp: float | Array = LARGEST_LOG_SCALE,
) -> Array:
    """Boxes from shifts and log scales of anchors, the inverse of `encode_deltas`.

    Formula:
      With `d = deltas / weights` and centres `x_a, y_a` and sides `w_a, h_a` of the anchor:
      `x = x_a + d_x w_a`, `y = y_a + d_y h_a`, `w = w_a exp(min(d_w, clamp))`,
      `h = h_a exp(min(d_h, clamp))`; the box is `(x - w/2, y - h/2, x + w/2, y + h/2)`.

    Args:
      deltas: `[..., 4]`.
      anchors: `[..., 4]` as x1, y1, x2, y2, the rank of `deltas` with dimensions equal or 1.
      weights: divide the four deltas: a number, four of them as a tuple or an array, or the rank
        of `deltas`.
      clamp: the largest `d_w` and `d_h`, so that `exp` does not overflow: a scalar, may be traced;
        ln(1000 / 16) by default, `inf` for none.

    Returns:
      `[..., 4]` as x1, y1, x2, y2 in the anchors' unit, ordered where the anchors are.

    Edge cases:
      Above `clamp` the derivative by `d_w` is 0, at it 1. `decode_deltas(encode_deltas(boxes,
      anchors), anchors)` is `boxes` to rounding, for sides up to `exp(clamp)` times the anchor's.
      Zero-sided anchors give zero-sided boxes.

    Differences:
      torchvision and detectron2 clamp from above only, as here; mmdet clamps from below too, and
      cuts boxes to the image by default.

    Raises:
      TypeError: an argument is a list, or `deltas` are not floating point.
      ValueError: the last dimensions are not 4, the others are neither equal nor 1, or `clamp` is
        not a scalar.

    Reference:
      Girshick, Donahue, Darrell and Malik, "Rich feature hierarchies for accurate object detection
      and semantic segmentation", 2013, arXiv 1311.2524.

    Example:
      >>> anchors = jnp.array([[0.0, 0.0, 10.0, 20.0]])
      >>> print(jaxloss.boxes.decode_deltas(jnp.array([[0.1, 0.6, 0.0, 0.0]]), anchors))
      [[ 1. 12. 11. 32.]]
    """
    check = Arguments("decode_deltas")
    deltas, anchors = _boxes(check, deltas=deltas, anchors=anchors)
    deltas = deltas / weights_of(check, weights, deltas)
    clamp = check.scalar("clamp", clamp, deltas)
    anchor_center, anchor_sides = _center_and_sides(anchors)
    shift, log_scale = jnp.split(deltas, 2, axis=-1)
    center = anchor_center + shift * anchor_sides
    half = 0.5 * anchor_sides * jnp.exp(jnp.where(log_scale > clamp, clamp, log_scale))
    return jnp.concatenate([center - half, center + half], axis=-1)


def encode_tblr(boxes: ArrayLike, anchors: ArrayLike, *, normalizer: ArrayLike = 4.0) -> Array:
    """Boxes as distances of their top, bottom, left and right edge from the centre of an anchor.

    Formula:
      With `x_a, y_a, w_a, h_a` the anchor's centre and sides and `n` the `normalizer`:
      `((y_a - y1) / h_a, (y2 - y_a) / h_a, (x_a - x1) / w_a, (x2 - x_a) / w_a) / n`.

    Args:
      boxes: `[..., 4]` as x1, y1, x2, y2, in any unit.
      anchors: `[..., 4]`, the same unit and the rank of `boxes`, with dimensions equal or 1.
      normalizer: `> 0`, a scalar that divides the four. May be traced.

    Returns:
      `[..., 4]` in (-inf, inf): top, bottom, left, right. Half of `1 / n` each for the anchor.

    Edge cases:
      An anchor with a side of 0 gives infinities or NaN: hide padded boxes before.

    Differences:
      `encode_distances` has the order left, top, right, bottom, from any point and in pixels.
      mmdetection's coder of this name has the normalizer 4, too.

    Raises:
      TypeError: an argument is a list, or `boxes` are not floating point.
      ValueError: the last dimensions are not 4, the others are neither equal nor 1, or `normalizer`
        is not a scalar.

    Reference:
      Zhu, He, Savvides, "Feature Selective Anchor-Free Module for Single-Shot Object Detection",
      2019, arXiv 1903.00621.

    Example:
      >>> anchors = jnp.array([[0.0, 0.0, 10.0, 20.0]])
      >>> print(jaxloss.boxes.encode_tblr(jnp.array([[1.0, 2.0, 11.0, 42.0]]), anchors))
      [[0.1  0.4  0.1  0.15]]
    """
    check = Arguments("encode_tblr")
    boxes, anchors = _boxes(check, boxes=boxes, anchors=anchors)
    center, sides = _center_and_sides(anchors)
    low = quotient(center - boxes[..., :2], sides)
    high = quotient(boxes[..., 2:] - center, sides)
    edges = jnp.stack([low[..., 1], high[..., 1], low[..., 0], high[..., 0]], axis=-1)
    return edges / check.scalar("normalizer", normalizer, edges, above=0)


def decode_tblr(tblr: ArrayLike, anchors: ArrayLike, *, normalizer: ArrayLike = 4.0) -> Array:
    """Boxes from the distances of their edges from an anchor's centre, inverse of `encode_tblr`.

    Formula:
      With `t, b, l, r` the normalized distances, `x_a, y_a, w_a, h_a` the anchor's centre and sides
      and `n` the `normalizer`:
      `(x_a - n l w_a, y_a - n t h_a, x_a + n r w_a, y_a + n b h_a)`.

    Args:
      tblr: `[..., 4]`: top, bottom, left, right.
      anchors: `[..., 4]` as x1, y1, x2, y2, the rank of `tblr` with dimensions equal or 1.
      normalizer: `> 0`, a scalar, that of `encode_tblr`. May be traced.

    Returns:
      `[..., 4]` as x1, y1, x2, y2 in the anchors' unit, ordered where `t + b` and `l + r` are
      positive.

    Edge cases:
      Linear in the distances, which are not limited: nothing is exponentiated.

    Differences:
      `decode_distances` has the order left, top, right, bottom, from any point and in pixels.

    Raises:
      TypeError: an argument is a list, or `tblr` are not floating point.
      ValueError: the last dimensions are not 4, the others are neither equal nor 1, or `normalizer`
        is not a scalar.

    Reference:
      Zhu, He, Savvides, "Feature Selective Anchor-Free Module for Single-Shot Object Detection",
      2019, arXiv 1903.00621.

    Example:
      >>> anchors = jnp.array([[0.0, 0.0, 10.0, 20.0]])
      >>> print(jaxloss.boxes.decode_tblr(jnp.array([[0.1, 0.4, 0.1, 0.15]]), anchors))
      [[ 1.  2. 11. 42.]]
    """
    check = Arguments("decode_tblr")
    tblr, anchors = _boxes(check, tblr=tblr, anchors=anchors)
    center, sides = _center_and_sides(anchors)
    sides = sides * check.scalar("normalizer", normalizer, tblr, above=0)
    low, high = (jnp.stack([tblr[..., i], tblr[..., j]], axis=-1) for i, j in ((2, 0), (3, 1)))
    return jnp.concatenate([center - low * sides, center + high * sides], axis=-1)


def encode_distances(boxes: ArrayLike, points: ArrayLike) -> Array:
    """Boxes as the distances of points to their left, top, right and bottom edge.

    Formula:
      `(x - x1, y - y1, x2 - x, y2 - y)`.

    Args:
      boxes: `[..., 4]` as x1, y1, x2, y2, in any unit.
      points: `[..., 2]` as x, y, the same unit and the rank of `boxes`, with dimensions equal or
        1.

    Returns:
      `[..., 4]` as left, top, right, bottom; all are positive where the point is inside the box.

    Edge cases:
      Linear: negative where the point is outside.

    Differences:
      torchvision's FCOS divides by the stride (`BoxLinearCoder` with its `normalize_by_size`):
      divide the result.

    Raises:
      TypeError: an argument is a list, or `boxes` are not floating point.
      ValueError: the last dimensions are not 4 and 2, or the others are neither equal nor 1.

    Reference:
      Tian, Shen, Chen and He, "FCOS: Fully Convolutional One-Stage Object Detection", 2019,
      arXiv 1904.01355.

    Example:
      >>> boxes = jnp.array([[1.0, 2.0, 9.0, 12.0]])
      >>> print(jaxloss.boxes.encode_distances(boxes, jnp.array([[3.0, 5.0]])))
      [[2. 3. 6. 7.]]
    """
    boxes, points = _boxes_and_points(Arguments("encode_distances"), boxes=boxes, points=points)
    return jnp.concatenate([points - boxes[..., :2], boxes[..., 2:] - points], axis=-1)


def decode_distances(distances: ArrayLike, points: ArrayLike) -> Array:
    """Boxes from the distances of points to their four edges, the inverse of `encode_distances`.

    Formula:
      `(x - left, y - top, x + right, y + bottom)`.

    Args:
      distances: `[..., 4]` as left, top, right, bottom, in any unit.
      points: `[..., 2]` as x, y, the same unit and the rank of `distances`, with dimensions equal
        or 1.

    Returns:
      `[..., 4]` as x1, y1, x2, y2.

    Edge cases:
      Linear. Negative distances may give inverted boxes: make predictions positive first, with
      `jax.nn.relu`, `jax.nn.softplus` or `jnp.exp`.

    Differences:
      detectron2 applies a relu to the distances, torchvision does not.

    Raises:
      TypeError: an argument is a list, or `distances` are not floating point.
      ValueError: the last dimensions are not 4 and 2, or the others are neither equal nor 1.

    Reference:
      Tian, Shen, Chen and He, "FCOS: Fully Convolutional One-Stage Object Detection", 2019,
      arXiv 1904.01355.

    Example:
      >>> distances = jnp.array([[2.0, 3.0, 6.0, 7.0]])
      >>> print(jaxloss.boxes.decode_distances(distances, jnp.array([[3.0, 5.0]])))
      [[ 1.  2.  9. 12.]]
    """
    check = Arguments("decode_distances")
    distances, points = _boxes_and_points(check, distances=distances, points=points)
    before, after = jnp.split(distances, 2, axis=-1)
    return jnp.concatenate([points - before, points + after], axis=-1)


def decode_distribution(logits: ArrayLike) -> Array:
    """The expected bin of distributions over bins 0, 1, 2, ...

    Formula:
      `sum_i i softmax(logits)_i`.

    Args:
      logits: `[..., bins]`; four distributions a box are `[..., 4, bins]`.

    Returns:
      `[...]` in [0, bins - 1], in bins; times the stride they are pixels.

    Edge cases:
      Smooth; logits of any finite size. A bin whose logit is -inf has probability 0; all -inf are
      NaN. One bin gives 0, and no bins are refused.

    Differences:
      None: the integral of generalized focal loss, `DFL` of ultralytics.

    Raises:
      TypeError: `logits` are a list or not floating point.
      ValueError: `logits` have no axis of bins, or it is empty.

    Reference:
      Li et al., "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for
      Dense Object Detection", 2020, arXiv 2006.04388.

    Example:
      >>> logits = jnp.array([0.1, 0.5, -0.2, 0.3, 0.0])
      >>> print(f"{jaxloss.boxes.decode_distribution(logits):.4f}")
      1.9140
    """
    check = Arguments("decode_distribution")
    (logits,) = check.floats(logits=logits)
    check.shape("logits", logits, (..., None), "bins last")
    if logits.shape[-1] == 0:
        raise ValueError(
            f"`{check.function}`: `logits` has shape {logits.shape}, expected at least one bin"
        )
    bins = lax.broadcasted_iota(logits.dtype, logits.shape, logits.ndim - 1)
    return jnp.sum(bins * jax.nn.softmax(logits, axis=-1), axis=-1)


def centered(boxes: Array) -> Array:
    """Boxes given by their corners as cx, cy, w, h."""
    return jnp.concatenate(_center_and_sides(boxes), axis=-1)


def deltas_between(boxes: Array, anchors: Array) -> Array:
    """Shifts and log scales of boxes against anchors, both as centre and sides.

    The four columns are computed alike, the logarithm of a 1 included: put together from pieces,
    nothing of it vectorises on CPU where the boxes are looked up for each anchor.
    """
    shifted = jnp.expand_dims(jnp.arange(4) < 2, range(boxes.ndim - 1))
    zero, one = jnp.zeros((), boxes.dtype), jnp.ones((), boxes.dtype)
    sides = jnp.concatenate([anchors[..., 2:]] * 2, axis=-1)
    shift = quotient(jnp.where(shifted, boxes - anchors, zero), sides)
    sides = jnp.where(shifted, one, sides)
    return jnp.where(shifted, shift, _log_quotient(jnp.where(shifted, one, boxes), sides))


def _boxes(check: Arguments, **values: ArrayLike) -> tuple[Array, Array]:
    """Two arrays of four numbers a box."""
    (first_name, second_name), (first, second) = values, check.floats(**values)
    check.shape(first_name, first, (..., 4), "four numbers a box")
    check.shape(second_name, second, (..., 4), "four numbers a box")
    check.broadcastable(second_name, second, first.shape, f"`{first_name}`")
    return first, second


def _boxes_and_points(check: Arguments, **values: ArrayLike) -> tuple[Array, Array]:
    """Four numbers a box and two a point, broadcast to as many."""
    (name, _), (first, points) = values, check.floats(**values)
    check.shape(name, first, (..., 4), "four numbers a box")
    check.shape("points", points, (..., 2), "x and y")
    check.broadcastable("points", points, (*first.shape[:-1], 2), f"the points of `{name}`")
    shape = jnp.broadcast_shapes(first.shape[:-1], points.shape[:-1])
    return jnp.broadcast_to(first, (*shape, 4)), jnp.broadcast_to(points, (*shape, 2))


def _center_and_sides(boxes: Array) -> tuple[Array, Array]:
    corner, opposite = jnp.split(boxes, 2, axis=-1)
    sides = opposite - corner
    return corner + 0.5 * sides, sides


def weights_of(check: Arguments, weights: Weights, deltas: Array, name: str = "weights") -> Array:
    """The weights of a coder, ready to broadcast against `deltas`."""
    value = jnp.asarray(weights, deltas.dtype) if isinstance(weights, tuple) else weights
    return check.parameter(name, value, deltas)


@jax.custom_jvp
def _log_quotient(numerator: Array, denominator: Array) -> Array:
    """ln(numerator / denominator), with derivatives that do not pass through the quotient's."""
    return jnp.log(numerator / denominator)


@_log_quotient.defjvp
def _log_quotient_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (numerator, denominator), (up, down) = primals, tangents
    return _log_quotient(*primals), quotient(up, numerator) - quotient(down, denominator)
