"""Distance terms: how far two boxes are from one another, relative to a size or in its unit."""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._exponential import saturating
from jaxloss._numerics import (
    absolute,
    fused_norm,
    inverse_power_of_two,
    reciprocal,
    scaled_ratio,
    select,
)
from jaxloss._tracing import traced_once
from jaxloss.boxes._pairs import Axis, like, pair_of, term
from jaxloss.boxes._pairs import empty_fraction as _empty_fraction
from jaxloss.boxes.terms.shapes import weights_of_target

# exp(-P^2) is 0 for P beyond it in float64, too.
FARTHEST = 32.0


def _center_ratio(x: Axis, y: Axis) -> tuple[Array, Array]:
    """rho^2 and c^2 by one power of two, which brings c^2 into [1, 8)."""
    scale = inverse_power_of_two(jnp.maximum(x.enclosing, y.enclosing))
    across, up = (0.5 * scale * (side.low + side.high) for side in (x, y))
    diagonal = jnp.square(x.enclosing * scale) + jnp.square(y.enclosing * scale)
    diagonal = select(scale == 0, 1.0, diagonal)
    return jnp.square(across) + jnp.square(up), diagonal


def empty_fraction(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """GIoU's penalty: how much of the enclosing box neither box covers.

    Formula:
      `(C - U) / C`, with `C` the area of the smallest box around both and `U` the area that either
      covers.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 1], in float32 at least; 0 where one box holds the other.

    Edge cases:
      Exactly 0 for identical boxes. Degenerate pairs are the limit of both boxes thickened equally:
      1 for two different points. An inverted box has area 0, and the enclosing box is around all
      four corners of both.

    Differences:
      `jaxloss.giou_loss` is this and `jaxloss.iou_loss`. Copies with `(C - I) / C` (ByteTrack) are
      another function.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Rezatofighi et al., "Generalized Intersection over Union: A Metric and A Loss for Bounding
      Box Regression", 2019, arXiv 1902.09630.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.empty_fraction(p, t):.4f}")
      0.1333
    """
    return _empty_fraction(*pair_of(Arguments("empty_fraction"), predictions, targets))


@term
def center_distance_term(x: Axis, y: Axis) -> Array:
    distance, diagonal = _center_ratio(x, y)
    return distance * reciprocal(diagonal)


def center_distance(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """DIoU's penalty: squared distance of the centres over the squared enclosing diagonal.

    Formula:
      `rho^2 / c^2`, with `rho` the distance of the centres and `c` the diagonal of the smallest box
      around both.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      0 with gradient 0 where the centres coincide, two identical points included. `c` is not
      constant under differentiation. Inverted boxes keep their signed edges.

    Differences:
      The exponent 0.6 of DIoU-darknet belongs to its suppression alone.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.center_distance(p, t):.4f}")
      0.0369
    """
    return center_distance_term(*pair_of(Arguments("center_distance"), predictions, targets))


@term
def distance_attention_term(x: Axis, y: Axis) -> Array:
    distance, diagonal = _center_ratio(x, y)
    return jnp.exp(distance * reciprocal(lax.stop_gradient(diagonal)))


def distance_attention(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Wise-IoU's factor: grows with the distance of the centres, up to e.

    Formula:
      `exp(rho^2 / c^2)`, with `rho` the distance of the centres and `c` the diagonal of the
      smallest box around both, a constant.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [1, e], in float32 at least.

    Edge cases:
      1 with gradient 0 where the centres coincide. `c` is a constant under differentiation, so that
      the gradient is not that of the value: boxes are not pulled apart to enlarge it.

    Differences:
      Multiplied with `jaxloss.iou_loss` it is `jaxloss.wise_iou_loss`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Tong et al., "Wise-IoU: Bounding Box Regression Loss with Dynamic Focusing Mechanism", 2023,
      arXiv 2301.10051.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.distance_attention(p, t):.4f}")
      1.0376
    """
    return distance_attention_term(*pair_of(Arguments("distance_attention"), predictions, targets))


@term
def weighted_center_distance_term(x: Axis, y: Axis, scale: Array) -> Array:
    unit = inverse_power_of_two(jnp.maximum(x.enclosing, y.enclosing))
    across, up = (0.5 * unit * (side.low + side.high) for side in (x, y))
    ww, hh = weights_of_target(x, y, scale)
    distance = hh * jnp.square(across) + ww * jnp.square(up)
    return distance * reciprocal(_center_ratio(x, y)[1])


def weighted_center_distance(
    predictions: ArrayLike, targets: ArrayLike, *, scale: ArrayLike
) -> Array:
    """Shape-IoU's distance: across the longer side of the target it counts more.

    Formula:
      `(hh dx^2 + ww dy^2) / c^2`, with `dx, dy` the offset of the centres, `c` the diagonal of the
      smallest box around both, `ww = 2 W^scale / (W^scale + H^scale)` and `hh = 2 - ww` of the
      target's sides `W, H`.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      scale: the exponent of the target's sides: a scalar, a vector along the last axis of the
        result, or of its rank. May be traced.

    Returns:
      `[...]` in [0, 2], in float32 at least.

    Edge cases:
      0 with gradient 0 where the centres coincide. A side of 0 counts as the smallest normal
      number, and both weights are 1 where both are 0. Inverted sides count by their lengths.

    Differences:
      At `scale` 0 both weights are 1: `center_distance`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `scale` does not fit the result.

    Reference:
      Zhang, Zhang, "Shape-IoU: More Accurate Metric considering Bounding Box Shape and Scale",
      2023, arXiv 2312.17663.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.weighted_center_distance(p, t, scale=1.0):.4f}")
      0.0277
    """
    check = Arguments("weighted_center_distance")
    p, t = pair_of(check, predictions, targets)
    return weighted_center_distance_term(p, t, check.parameter("scale", scale, like(p, t)))


@term
def corner_distance_term(x: Axis, y: Axis) -> Array:
    left = fused_norm(x.low, y.low) + fused_norm(x.low, y.high)
    right = fused_norm(x.high, y.low) + fused_norm(x.high, y.high)
    return scaled_ratio(0.25 * (left + right), fused_norm(x.enclosing, y.enclosing))


def corner_distance(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """CDIoU's penalty: mean distance of corresponding corners over the enclosing diagonal.

    Formula:
      `(|AE| + |BF| + |CG| + |DH|) / (4 c)`, with the distances of the four pairs of corners and `c`
      the diagonal of the smallest box around both.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes; a corner that coincides with its counterpart,
      where the distance has a kink, has derivative 0. Inverted boxes keep their signed edges.

    Differences:
      The authors' code divides by 4 twice.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Chen, Miao, "Control Distance IoU and Control Distance IoU Loss Function for Better Bounding
      Box Regression", 2021, arXiv 2103.11696.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.corner_distance(p, t):.4f}")
      0.2337
    """
    return corner_distance_term(*pair_of(Arguments("corner_distance"), predictions, targets))


@term
def squared_corner_distance_term(x: Axis, y: Axis) -> Array:
    upper = jnp.square(x.low) + jnp.square(y.low)
    return upper + jnp.square(x.high) + jnp.square(y.high)


def squared_corner_distance(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """MPDIoU's penalty: squared distances of two opposite corners, in the boxes' unit squared.

    Formula:
      `d1^2 + d2^2`, with `d1` the distance of the corners (x1, y1) and `d2` that of (x2, y2).

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, inf), the unit of the boxes squared, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes. Coordinates beyond 1e19 overflow in float32.

    Differences:
      `jaxloss.mpdiou_loss` divides it by the squared diagonal of the image; many copies divide by
      that of the enclosing box.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Ma, Xu, "MPDIoU: A Loss for Efficient and Accurate Bounding Box Regression", 2023,
      arXiv 2307.07662.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.squared_corner_distance(p, t):.4f}")
      7.0000
    """
    return squared_corner_distance_term(
        *pair_of(Arguments("squared_corner_distance"), predictions, targets)
    )


@term
def angular_distance_term(x: Axis, y: Axis) -> Array:
    across, up = x.low + x.high, y.low + y.high
    scale = inverse_power_of_two(jnp.maximum(jnp.abs(across), jnp.abs(up)))
    a, b = across * scale, up * scale
    squares = select(scale == 0, 1.0, jnp.square(a) + jnp.square(b))
    gamma = 2 - 2 * absolute(a) * absolute(b) * reciprocal(squares)
    rho_x, rho_y = (scaled_ratio(0.5 * across, x.enclosing), scaled_ratio(0.5 * up, y.enclosing))
    return saturating(gamma * jnp.square(rho_x)) + saturating(gamma * jnp.square(rho_y))


def angular_distance(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """SIoU's distance: centres apart, the more so the closer they are to one axis.

    Formula:
      `sum over x, y of 1 - exp(-gamma (d / c)^2)`, with `d` the offset of the centres and `c` the
      side of the smallest box around both along that axis, `gamma = 2 - Lambda`, and
      `Lambda = 2 |dx dy| / (dx^2 + dy^2)`, the sine of twice the angle to an axis.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 1.73), in float32 at least. It enters the loss with the factor 1/2.

    Edge cases:
      0 with gradient 0 where the centres coincide. Where they differ along one axis alone the other
      component of the gradient, at the kink of `Lambda`, is 0. An axis on which both boxes are one
      point has the distance 0.

    Differences:
      mmdetection's default `neg_gamma=False` has the sign of the exponent turned, and pushes boxes
      apart. The paper writes `Lambda = 1 - 2 sin^2(arcsin(s) - pi / 4)`, which is the same.
      PaddleDetection divides 0 by 0 at coinciding centres.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Gevorgyan, "SIoU Loss: More Powerful Learning for Bounding Box Regression", 2022,
      arXiv 2205.12740.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.angular_distance(p, t):.4f}")
      0.1175
    """
    return angular_distance_term(*pair_of(Arguments("angular_distance"), predictions, targets))


@traced_once
def _edges(axis: Axis) -> Array:
    """(|d1| + |d2|) / W, at most four times the limit, where nothing is divided by a small W."""
    moved, side = absolute(axis.low) + absolute(axis.high), absolute(axis.target)
    far = (moved >= 4 * FARTHEST * side) & (moved != 0)
    near = scaled_ratio(select(far, 0.0, moved), select(far, 1.0, side))
    return select(far, 4 * FARTHEST, near)


@term
def edge_distance_term(x: Axis, y: Axis) -> Array:
    distance = 0.25 * (_edges(x) + _edges(y))
    return select(distance >= FARTHEST, FARTHEST, distance)


def edge_distance(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Powerful-IoU's P: mean distance of corresponding edges over the target's sides.

    Formula:
      `min(((|dx1| + |dx2|) / W + (|dy1| + |dy2|) / H) / 4, 32)`, with the signed differences of the
      edges and `W, H` the target's sides.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 32], in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes; each edge that coincides has derivative 0. At
      the limit of 32, where `exp(-P^2)` has long been 0, the derivative is 0. A side of the target
      that is 0 puts every other edge at the limit. Inverted sides count by their lengths.

    Differences:
      The authors' code has no limit, and divides by 0 at a target without a side.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Liu, Wang, Li, Zhao, Zhu, Zhang, "Powerful-IoU: More Straightforward and Faster Bounding Box
      Regression Loss with a Nonmonotonic Focusing Mechanism", 2024, Neural Networks.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.edge_distance(p, t):.4f}")
      0.3167
    """
    return edge_distance_term(*pair_of(Arguments("edge_distance"), predictions, targets))


@term
def wasserstein_distance_term(x: Axis, y: Axis) -> Array:
    return float(0.5**0.5) * fused_norm(x.low, x.high, y.low, y.high)


def wasserstein_distance(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Distance of two boxes as Gaussians, in the boxes' unit (Wasserstein of order 2).

    Formula:
      `sqrt(dx^2 + dy^2 + ((w - W)^2 + (h - H)^2) / 4)`, with `dx, dy` the offset of the centres; of
      Gaussians whose standard deviations are half the sides.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, inf), the unit of the boxes, in float32 at least.

    Edge cases:
      Exactly 0 with derivative 0 for identical boxes, where it has a kink. Inverted boxes keep
      their signed sides.

    Differences:
      The authors' code adds 1e-6 to the square. `jaxloss.normalized_wasserstein_loss` is
      `1 - exp(-this / constant)`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Wang, Xu, Yang, Yu, "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection",
      2021, arXiv 2110.13389.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.wasserstein_distance(p, t):.4f}")
      1.8708
    """
    return wasserstein_distance_term(
        *pair_of(Arguments("wasserstein_distance"), predictions, targets)
    )
