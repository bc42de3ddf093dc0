"""Losses of overlap and of what else is measured: sides, angles, corners, edges, Gaussians."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._exponential import saturating
from jaxloss._numerics import ratio
from jaxloss.boxes._columns import boxes_of
from jaxloss.boxes._pairs import Axis, like, term, unshared_fraction
from jaxloss.boxes.terms.distances import (
    angular_distance_term,
    center_distance_term,
    corner_distance_term,
    edge_distance_term,
    squared_corner_distance_term,
    wasserstein_distance_term,
    weighted_center_distance_term,
)
from jaxloss.boxes.terms.shapes import (
    shape_difference_term,
    side_difference_term,
    weighted_shape_difference_term,
)


@term
def _eiou(x: Axis, y: Axis) -> Array:
    return unshared_fraction(x, y) + center_distance_term(x, y) + side_difference_term(x, y)


def eiou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Efficient IoU loss: overlap, distance of the centres, and differences of the sides.

    Formula:
      `1 - I / U + rho^2 / c^2 + (w - W)^2 / cw^2 + (h - H)^2 / ch^2`, with `I` the area that both
      boxes cover, `U` the area that either covers, `rho` the distance of the centres, and `cw, ch`
      and `c` the sides and the diagonal of the smallest box around both.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 4) for proper boxes, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included. An
      axis on which both boxes are one point has no difference of sides. Nothing is constant under
      differentiation. Sides of inverted boxes keep their signs, which turns them back. At edges
      that coincide the gradient is the mean of both sides'. Boxes that only touch count as apart,
      and have the gradient of those.

    Differences:
      mmdetection's `EIoULoss` is another function, Extended IoU. The Wise-IoU repository's has the
      offsets of the centres in place of the differences of the sides.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zhang, Ren, Zhang, Jia, Wang, Tan, "Focal and Efficient IOU Loss for Accurate Bounding Box
      Regression", 2021, arXiv 2101.08158.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.eiou_loss(p, t), 4))
      [0.8785]
    """
    check = Arguments("eiou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _eiou(p, t))


@term
def _siou(x: Axis, y: Axis) -> Array:
    cost = 0.5 * (angular_distance_term(x, y) + shape_difference_term(x, y))
    return unshared_fraction(x, y) + cost


def siou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """SCYLLA-IoU loss: overlap, distance of the centres by its angle, and shape.

    Formula:
      `1 - I / U + (Delta + Omega) / 2`, with `I` the area that both boxes cover, `U` the area that
      either covers, `Delta = sum over x, y of 1 - exp(-gamma (d / c)^2)`, `d` the offset of the
      centres and `c` the side of the smallest box around both along that axis,
      `gamma = 2 - 2 |dx dy| / (dx^2 + dy^2)`, and
      `Omega = sum over w, h of (1 - exp(-omega))^4`, `omega = |w - W| / max(w, |W|)`,
      at most 32.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 2.03) for proper boxes, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included.
      Nothing is constant under differentiation. Where the centres differ along one axis alone, the
      kink of `gamma`, the other component of its gradient is 0. Inverted boxes keep their signed
      sides. At edges that coincide the gradient is the mean of both sides'. Boxes that only touch
      count as apart, and have the gradient of those.

    Differences:
      mmdetection's default `neg_gamma=False` has the sign of the exponent turned: its loss falls
      as boxes move apart. PaddleDetection's divides 0 by 0 at coinciding centres. The paper writes
      `2 |dx dy| / (dx^2 + dy^2)` with an arcsine, which is the same; no code of its author is
      known.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Gevorgyan, "SIoU Loss: More Powerful Learning for Bounding Box Regression", 2022,
      arXiv 2205.12740.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.siou_loss(p, t), 4))
      [0.719]
    """
    check = Arguments("siou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _siou(p, t))


@term
def _mpdiou(x: Axis, y: Axis, squared_diagonal: Array) -> Array:
    distance = ratio(squared_corner_distance_term(x, y), squared_diagonal)
    return unshared_fraction(x, y) + distance


def mpdiou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    image_size: tuple[ArrayLike, ArrayLike],
    where: ArrayLike | None = None,
) -> Array:
    """Overlap, and the distances of two opposite corners relative to the image (MPDIoU).

    Formula:
      `1 - I / U + (d1^2 + d2^2) / (height^2 + width^2)`, with `I` the area that both boxes cover,
      `U` the area that either covers, and `d1, d2` the distances of the corners (x1, y1) and of
      the corners (x2, y2).

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      image_size: (height, width) of the image in the unit of the boxes, `> 0`, (1.0, 1.0) for
        normalized ones; each a scalar, a vector along the last axis of the losses, or of their
        rank. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 3] for boxes inside the image, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included.
      Inverted boxes keep their signed edges. At edges that coincide the gradient of the overlap is
      the mean of both sides'. Coordinates beyond 1e19 overflow in float32. Boxes that only touch
      count as apart, and have the gradient of those.

    Differences:
      Many copies divide by the diagonal of the enclosing box, which is another loss. Heads that
      predict in units of a stride need the image in that unit, too.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `image_size` does not fit the losses.

    Reference:
      Ma, Xu, "MPDIoU: A Loss for Efficient and Accurate Bounding Box Regression", 2023,
      arXiv 2307.07662.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.mpdiou_loss(p, t, image_size=(16.0, 12.0)), 4))
      [0.6713]
    """
    check = Arguments("mpdiou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    check.length("image_size", image_size, 2, "height and width")
    height, width = (
        check.parameter(f"image_size[{place}]", size, like(p, t), above=0)
        for place, size in enumerate(image_size)
    )
    diagonal = height * height + width * width
    return keep(mask, _mpdiou(p, t, diagonal))


@term
def _cdiou(x: Axis, y: Axis, factor: Array) -> Array:
    return unshared_fraction(x, y) + factor * corner_distance_term(x, y)


def cdiou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    factor: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Control-distance IoU loss: overlap, and the mean distance of corresponding corners.

    Formula:
      `1 - I / U + factor (|AE| + |BF| + |CG| + |DH|) / (4 c)`, with `I` the area that both boxes
      cover, `U` the area that either covers, the distances of the four pairs of corners, and `c`
      the diagonal of the smallest box around both.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      factor: a scalar, a vector along the last axis of the losses, or of their rank. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 1 + factor], in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included. The
      distance has a kink where a corner coincides with its counterpart, and derivative 0 there.
      Inverted boxes keep their signed edges. At edges that coincide the gradient of the overlap is
      the mean of both sides'. Boxes that only touch count as apart, and have the gradient of those.

    Differences:
      The authors' code has a quarter of the distance, between anchors and targets, so that it has
      no gradient, times 0.001. With other overlap terms, as in the paper:
      `jaxloss.giou_loss(p, t) + jaxloss.boxes.terms.corner_distance(p, t)`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `factor` does not fit the losses.

    Reference:
      Chen, Miao, "Control Distance IoU and Control Distance IoU Loss Function for Better Bounding
      Box Regression", 2021, arXiv 2103.11696.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.cdiou_loss(p, t), 4))
      [0.8875]
    """
    check = Arguments("cdiou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _cdiou(p, t, check.parameter("factor", factor, like(p, t))))


@term
def _shape_iou(x: Axis, y: Axis, scale: Array) -> Array:
    distance, shape = weighted_center_distance_term, weighted_shape_difference_term
    return unshared_fraction(x, y) + distance(x, y, scale) + 0.5 * shape(x, y, scale)


def shape_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    scale: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Overlap, distance and shape, weighted by the shape of the target (Shape-IoU).

    Formula:
      `1 - I / U + (hh dx^2 + ww dy^2) / c^2 + Omega / 2`, with `I` the area that both boxes cover,
      `U` the area that either covers, `dx, dy` the offset of the centres, `c` the diagonal of the
      smallest box around both, `ww = 2 W^scale / (W^scale + H^scale)` and `hh = 2 - ww` of the
      target's sides, `Omega = sum over w, h of (1 - exp(-omega))^4`,
      `omega_w = hh |w - W| / max(w, |W|)`, the quotient at most 32, and `omega_h` likewise with
      `ww`.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      scale: the exponent of the target's sides, `>= 0`: a scalar, a vector along the last axis of
        the losses, or of their rank. At 0 both weights are 1. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 3.6) for proper boxes, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included. A
      side of the target that is 0 counts as the smallest normal number; both weights are 1 where
      both are 0. Nothing is constant under differentiation. Inverted boxes keep their signed sides.
      At edges that coincide the gradient of the overlap is the mean of both sides'. Boxes that only
      touch count as apart, and have the gradient of those.

    Differences:
      The authors' code divides 0 by 0 at a target without sides.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `scale` does not fit the losses.

    Reference:
      Zhang, Zhang, "Shape-IoU: More Accurate Metric considering Bounding Box Shape and Scale",
      2023, arXiv 2312.17663.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(f"{jaxloss.shape_iou_loss(p, t, scale=1.0)[0]:.4f}")
      0.6937
    """
    check = Arguments("shape_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _shape_iou(p, t, check.parameter("scale", scale, like(p, t), at_least=0)))


@term
def _powerful_iou(x: Axis, y: Axis) -> Array:
    return unshared_fraction(x, y) + saturating(jnp.square(edge_distance_term(x, y)))


@term
def _focused_powerful_iou(x: Axis, y: Axis, focus: Array) -> Array:
    quality = focus * jnp.exp(-edge_distance_term(x, y))
    return 3 * quality * jnp.exp(-quality * quality) * _powerful_iou(x, y)


def powerful_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    focus: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Overlap, and the distances of the edges relative to the target (Powerful-IoU).

    Formula:
      `L = 1 - I / U + 1 - exp(-P^2)`, with `I` the area that both boxes cover, `U` the area that
      either covers, and `P = ((|dx1| + |dx2|) / W + (|dy1| + |dy2|) / H) / 4`, at most 32, of the
      signed differences of the edges and the target's sides. With `focus`, version 2 of the paper:
      `3 u exp(-u^2) L`, `u = focus exp(-P)`.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      focus: None for version 1, else the factor lambda of version 2, `> 0`, 1.3 in the paper: a
        scalar, a vector along the last axis of the losses, or of their rank. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 2], in float32 at least; version 2 in [0, 2.58).

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included; each
      edge that coincides has derivative 0. A target without a side is as far as 32 from every other
      box. Beyond 32 target's sides the gradient is 0, as rounding makes it in version 1; version 2
      stays at 1e-13 there. Inverted boxes keep their signed edges. Nothing is constant under
      differentiation, the focusing factor of version 2 included.

    Differences:
      The authors' code has no limit, and divides by 0 at a target without a side. Pixels-IoU, of
      2020, has the same short name.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `focus` does not fit the losses.

    Reference:
      Liu et al., "Powerful-IoU: More Straightforward and Faster Bounding Box Regression Loss with a
      Nonmonotonic Focusing Mechanism", 2024, Neural Networks.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.powerful_iou_loss(p, t), 4))
      [0.7493]
      >>> print(np.round(jaxloss.powerful_iou_loss(p, t, focus=1.3), 4))
      [0.8681]
    """
    check = Arguments("powerful_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    if focus is None:
        return keep(mask, _powerful_iou(p, t))
    factor = check.parameter("focus", focus, like(p, t), above=0)
    return keep(mask, _focused_powerful_iou(p, t, factor))


@term
def _normalized_wasserstein(x: Axis, y: Axis, constant: Array) -> Array:
    return saturating(ratio(wasserstein_distance_term(x, y), constant))


def normalized_wasserstein_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    constant: ArrayLike = 12.8,
    where: ArrayLike | None = None,
) -> Array:
    """Distance of two boxes as Gaussians, saturating (NWD).

    Formula:
      `1 - exp(-sqrt(dx^2 + dy^2 + ((w - W)^2 + (h - H)^2) / 4) / constant)`, with `dx, dy` the
      offset of the centres.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in the unit of `constant`.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      constant: a length in the unit of the boxes, `> 0`, about the mean size of the objects; 12.8
        pixels is that of the paper's data. A scalar, a vector along the last axis of the losses, or
        of their rank. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes, where the distance has a kink. Unlike overlap
      it depends on the unit, and has a gradient for boxes that are apart, if not by many
      `constant`. Inverted boxes keep their signed sides.

    Differences:
      The authors' code adds 1e-6 below the root.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `constant` does not fit the losses.

    Reference:
      Wang, Xu, Yang, Yu, "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection",
      2021, arXiv 2110.13389.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(f"{jaxloss.normalized_wasserstein_loss(p, t)[0]:.4f}")
      0.1360
    """
    check = Arguments("normalized_wasserstein_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    length = check.parameter("constant", constant, like(p, t), above=0)
    return keep(mask, _normalized_wasserstein(p, t, length))
