"""The losses of overlap, distance and aspect: IoU, GIoU, DIoU, CIoU."""

from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss.boxes._columns import boxes_of
from jaxloss.boxes._pairs import (
    Axis,
    empty_fraction,
    like,
    negative_log_fraction,
    term,
    unshared_fraction,
)
from jaxloss.boxes.terms.distances import center_distance_term
from jaxloss.boxes.terms.shapes import weighted_aspect


def iou_loss(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """One minus the intersection over union of two boxes.

    Formula:
      `1 - I / U`, with `I` the area that both boxes cover and `U` the area that either covers.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      Exactly 0 for identical boxes of any size, points and segments included: where both areas are
      0 the loss is the limit of both boxes thickened equally. An inverted box has area 0. The
      gradient is 0 at identical boxes and where the boxes do not overlap, and the mean of both
      sides' at edges that coincide. Boxes that only touch count as apart, and have the gradient of
      those.

    Differences:
      mmdetection's `IoULoss` is the logarithm by default, with the IoU raised to 1e-6; YOLOX's is
      `1 - IoU^2`. torchvision has no such loss; its others add 1e-7 to the union, which makes the
      IoU of a box of side 2e-4 with itself 0.29.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Yu et al., "UnitBox: An Advanced Object Detection Network", 2016, arXiv 1608.01471, whose
      logarithm is left out.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.iou_loss(p, t), 4))
      [0.6538]
    """
    check = Arguments("iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, unshared_fraction(p, t))


def log_iou_loss(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Negative logarithm of the intersection over union of two boxes (UnitBox).

    Formula:
      `min(-ln(I / U), 100)`, with `I` the area that both boxes cover and `U` the area that either
      covers.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 100], in float32 at least.

    Edge cases:
      Boxes that do not overlap have the loss 100 with gradient 0. Exactly 0 with gradient 0 for
      identical boxes, points and segments included; degenerate boxes as in `iou_loss`. At edges
      that coincide the gradient lies between both sides'. Boxes that only touch count as apart, and
      have the gradient of those.

    Differences:
      mmdetection's `IoULoss` raises the IoU to 1e-6, so that its loss ends at 13.8. FCOS has
      `-ln((I + 1) / (U + 1))` with areas in pixels, which depends on the unit.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Yu et al., "UnitBox: An Advanced Object Detection Network", 2016, arXiv 1608.01471. The limit
      of 100 is that of PyTorch's binary cross-entropy.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.log_iou_loss(p, t), 4))
      [1.0609]
    """
    check = Arguments("log_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, negative_log_fraction(p, t))


@term
def _giou(x: Axis, y: Axis) -> tuple[Array, Array]:
    # Apart: where one box holds the other, the slopes of areas cancel in the second.
    return unshared_fraction(x, y), empty_fraction(x, y)


def giou_loss(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Generalized IoU loss: pulls together even boxes that do not overlap.

    Formula:
      `1 - I / U + (C - U) / C`, with `I` the area that both boxes cover, `U` the area that either
      covers, and `C` the area of the smallest box around both.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 2], in float32 at least; equal to `iou_loss` where one box holds the other.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included;
      degenerate pairs are the limit of both boxes thickened equally, so that two different points
      have the loss 2. The enclosing box is around all four corners of both, so that an inverted box
      is pulled right, and an inverted box has area 0. At edges that coincide the gradient is the
      mean of both sides'. Boxes that only touch count as apart, and have the gradient of those.

    Differences:
      torchvision and fvcore add 1e-7 to both denominators: a box of side 2e-4 has the loss 0.71
      against itself. They take a box with both sides inverted for one with an area.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Rezatofighi et al., "Generalized Intersection over Union: A Metric and A Loss for Bounding
      Box Regression", 2019, arXiv 1902.09630.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.giou_loss(p, t), 4))
      [0.7872]
    """
    check = Arguments("giou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _giou(p, t))


@term
def _diou(x: Axis, y: Axis) -> Array:
    return unshared_fraction(x, y) + center_distance_term(x, y)


def diou_loss(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Distance IoU loss: pulls the centres of two boxes together.

    Formula:
      `1 - I / U + rho^2 / c^2`, with `I` the area that both boxes cover, `U` the area that either
      covers, `rho` the distance of the centres, and `c` the diagonal of the smallest box around
      both.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 2], in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included;
      degenerate pairs as in `iou_loss`, two different points have the loss 2. Nothing is constant
      under differentiation, `c` included. Inverted boxes keep their signed edges in `rho` and `c`.
      At edges that coincide the gradient is the mean of both sides'. Boxes that only touch count as
      apart, and have the gradient of those.

    Differences:
      torchvision's `distance_box_iou_loss` adds 1e-7 to the union and to `c^2`: tiny boxes have a
      loss against themselves.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.diou_loss(p, t), 4))
      [0.6907]
    """
    check = Arguments("diou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _diou(p, t))


@term
def _ciou(x: Axis, y: Axis, minimum_iou: Array) -> Array:
    gap = unshared_fraction(x, y)
    return gap + center_distance_term(x, y) + weighted_aspect(x, y, gap, minimum_iou)


def ciou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    minimum_iou: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Complete IoU loss: overlap, distance of the centres, and difference of the aspects.

    Formula:
      `1 - I / U + rho^2 / c^2 + alpha v`, with `I` the area that both boxes cover, `U` the area
      that either covers, `rho` the distance of the centres, `c` the diagonal of the smallest box
      around both, `v = (4 / pi^2) theta^2`, `theta` the angle between the boxes' diagonals
      `(w, h)` and `(W, H)`, that is `arctan(W / H) - arctan(w / h)` for proper boxes, and
      `alpha = v / (1 - I / U + v)` where `I / U >= minimum_iou`, else 0.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      minimum_iou: in [0, 1]: a scalar, a vector along the last axis of the losses, or of their
        rank. 0 is the paper of 2019; 0.5 that of 2020. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 2.5) for proper boxes, in float32 at least.

    Edge cases:
      `alpha` is a constant under differentiation, so that the gradient is not that of the value.
      Exactly 0 with gradient 0 for identical boxes of any size, where `alpha` is 0; degenerate
      pairs as in `diou_loss`. The aspect of a point differs from none: `v` is 0 with derivative 0.
      Sides of inverted boxes keep their signs, which turns them back; `v` is up to 4 there, and the
      loss may exceed 2.5. At edges that coincide the gradient is the mean of both sides'. Boxes
      that only touch count as apart, and have the gradient of those.

    Differences:
      torchvision's `complete_box_iou_loss` adds 1e-7 and has NaN gradients at boxes without
      height. mmdetection's is gated at 0.5 without an option, clipped to [0, 2], and NaN for
      identical boxes. Code before April 2020 drops `1 / (w^2 + h^2)` from the gradient of `v`,
      which suits normalized boxes only.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `minimum_iou` does not fit the losses.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287; the gate: Zheng et al., "Enhancing Geometric Factors in Model
      Learning and Inference for Object Detection and Instance Segmentation", 2020,
      arXiv 2005.03572.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.ciou_loss(p, t), 3))
      [0.694]
      >>> print(np.round(jaxloss.ciou_loss(p, t, minimum_iou=0.5), 4))
      [0.6907]
    """
    check = Arguments("ciou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    minimum = check.parameter("minimum_iou", minimum_iou, like(p, t), at_least=0, at_most=1)
    return keep(mask, _ciou(p, t, minimum))
