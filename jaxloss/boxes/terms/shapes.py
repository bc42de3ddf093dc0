"""Shape terms: how two boxes differ in sides and aspect."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._exponential import saturating
from jaxloss._logarithm import logarithm
from jaxloss._numerics import (
    absolute,
    angle,
    inverse_power_of_two,
    reciprocal,
    scaled_ratio,
    select,
)
from jaxloss._tracing import traced_once
from jaxloss.boxes._pairs import Axis, like, pair_of, term, unshared_fraction

# 1 - exp(-omega) is 1 for omega beyond it; only deeply inverted boxes are.
LARGEST = 32.0


@term
def aspect_difference_term(x: Axis, y: Axis) -> Array:
    (w, h), (W, H) = _direction(x.prediction, y.prediction), _direction(x.target, y.target)
    # W h - w H, written so that it is exactly 0 for identical sides under any contraction.
    sine = w * (h - H) - h * (w - W)
    point = ((w == 0) & (h == 0)) | ((W == 0) & (H == 0))
    theta = angle(select(point, 0.0, sine), W * w + H * h)
    return jnp.square((2 / jnp.pi) * theta)


def _direction(width: Array, height: Array) -> tuple[Array, Array]:
    """(width, height) by a power of two, so that the longer is in [1, 2); 0 if both are."""
    scale = inverse_power_of_two(jnp.maximum(jnp.abs(width), jnp.abs(height)))
    return width * scale, height * scale


def aspect_difference(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """CIoU's v: squared difference of the diagonals' angles, in right angles.

    Formula:
      `(4 / pi^2) theta^2`, with `theta` the angle between the boxes' diagonals `(w, h)` and
      `(W, H)`, that is `arctan(W / H) - arctan(w / h)` for proper boxes.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 1) for proper boxes, in float32 at least.

    Edge cases:
      The aspect of a point differs from none: 0 with derivative 0. Sides of inverted boxes keep
      their signs, so that it is up to 4 and turns them back.

    Differences:
      Code before April 2020 drops `1 / (w^2 + h^2)` from the gradient, which suits normalized boxes
      only. The arctangent of a ratio is NaN at a box without sides.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.aspect_difference(p, t):.4f}")
      0.0513
    """
    return aspect_difference_term(*pair_of(Arguments("aspect_difference"), predictions, targets))


@term
def aspect_penalty_term(x: Axis, y: Axis, minimum_iou: Array) -> Array:
    return weighted_aspect(x, y, unshared_fraction(x, y), minimum_iou)


def weighted_aspect(x: Any, y: Any, gap: Array, minimum_iou: Array | None = None) -> Array:
    """alpha v of CIoU; alpha = v / (gap + v) is a constant, and 0 below an IoU of `minimum_iou`."""
    difference = aspect_difference_term(x, y)
    total = gap + difference
    weight = lax.stop_gradient(scaled_ratio(difference, total))
    if minimum_iou is not None:
        weight = select(1 - gap < minimum_iou, 0.0, weight)
    return weight * difference


def aspect_penalty(
    predictions: ArrayLike, targets: ArrayLike, *, minimum_iou: ArrayLike = 0.0
) -> Array:
    """CIoU's penalty: the difference of the aspects, weighted the more the closer boxes are.

    Formula:
      `alpha v`, with `v` as `aspect_difference` and `alpha = v / (1 - I / U + v)` where
      `I / U >= minimum_iou`, else 0.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      minimum_iou: in [0, 1]: a scalar, a vector along the last axis of the result, or of its rank;
        0 is the paper of 2019, 0.5 that of 2020. May be traced.

    Returns:
      `[...]` in [0, 1) for proper boxes, in float32 at least.

    Edge cases:
      `alpha` is a constant under differentiation, and 0 for identical boxes; `v` as in
      `aspect_difference`.

    Differences:
      mmdetection's is gated at 0.5 without an option.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `minimum_iou` does not fit the result.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.aspect_penalty(p, t):.4f}")
      0.0037
    """
    check = Arguments("aspect_penalty")
    p, t = pair_of(check, predictions, targets)
    minimum = check.parameter("minimum_iou", minimum_iou, like(p, t), at_least=0, at_most=1)
    return aspect_penalty_term(p, t, minimum)


@traced_once
def _change(axis: Axis) -> Array:
    """w - W, from the edges where those are close, else from the sides: whichever is exact."""
    moved = jnp.abs(axis.low) + jnp.abs(axis.high)
    close = moved < jnp.abs(axis.prediction) + jnp.abs(axis.target)
    return select(close, axis.high - axis.low, axis.prediction - axis.target)


@term
def side_difference_term(x: Axis, y: Axis) -> Array:
    width, height = (scaled_ratio(_change(side), side.enclosing) for side in (x, y))
    return jnp.square(width) + jnp.square(height)


def side_difference(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """EIoU's penalty: squared differences of the sides over those of the enclosing box.

    Formula:
      `(w - W)^2 / cw^2 + (h - H)^2 / ch^2`, with `cw, ch` the sides of the smallest box around
      both.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 2] for proper boxes, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for equal sides. An axis on which both boxes are one point has the
      difference 0. `cw` and `ch` are not constant under differentiation. Sides of inverted boxes
      keep their signs, which turns them back.

    Differences:
      The Wise-IoU repository's EIoU has the offsets of the centres in place of the differences of
      the sides.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zhang, Ren, Zhang, Jia, Wang, Tan, "Focal and Efficient IOU Loss for Accurate Bounding Box
      Regression", 2021, arXiv 2101.08158.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.side_difference(p, t):.4f}")
      0.1878
    """
    return side_difference_term(*pair_of(Arguments("side_difference"), predictions, targets))


@traced_once
def _relative_change(axis: Axis) -> Array:
    """|w - W| / max(w, |W|), at most the limit, and 0 where both are 0."""
    w, W = axis.prediction, absolute(axis.target)
    longer = select(W == 0, absolute(w), select(w > W, w, W))
    unit = inverse_power_of_two(longer)
    change = _at_most(2 * LARGEST, absolute(_change(axis)) * unit)
    longer = select(unit == 0, 1.0, longer * unit)
    return _at_most(LARGEST, change * reciprocal(longer))


def _at_most(limit: float, x: Array) -> Array:
    return select(x >= limit, limit, x)


@traced_once
def _cost(omega: Array) -> Array:
    """(1 - exp(-omega))^4."""
    return jnp.square(jnp.square(saturating(omega)))


@term
def shape_difference_term(x: Axis, y: Axis) -> Array:
    return _cost(_relative_change(x)) + _cost(_relative_change(y))


def shape_difference(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """SIoU's shape cost: how much the sides differ relative to the longer of each two.

    Formula:
      `sum over w, h of (1 - exp(-omega))^4`, with `omega = |w - W| / max(w, |W|)`.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.

    Returns:
      `[...]` in [0, 0.32) for proper boxes, in float32 at least. It enters the losses with the
      factor 1/2.

    Edge cases:
      Exactly 0 with gradient 0 for equal sides, two that are 0 included. Sides of inverted boxes
      keep their signs, which turns them back: the difference is then more than 1, and counts as 32
      beyond that, where the cost is 1 and the gradient 0. A side compared with a target's of 0 has
      `omega` 1.

    Differences:
      None known: the exponent 4 is that of all implementations compared.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Gevorgyan, "SIoU Loss: More Powerful Learning for Bounding Box Regression", 2022,
      arXiv 2205.12740.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.shape_difference(p, t):.4f}")
      0.0129
    """
    return shape_difference_term(*pair_of(Arguments("shape_difference"), predictions, targets))


def weights_of_target(x: Axis, y: Axis, scale: Array) -> tuple[Array, Array]:
    """ww = 2 W^scale / (W^scale + H^scale) and hh = 2 - ww, by the logarithm of the aspect."""
    aspect = scale * (_log_side(x.target) - _log_side(y.target))
    return 2 * jax.nn.sigmoid(aspect), 2 * jax.nn.sigmoid(-aspect)


@traced_once
def _log_side(side: Array) -> Array:
    """ln |side|, and of the smallest normal number with derivative 0 where the side is less."""
    smallest = np.finfo(side.dtype).tiny
    absent = jnp.abs(side) <= smallest
    known = logarithm(select(absent, 1.0, absolute(side)))
    return select(absent, float(np.log(smallest)), known)


@term
def weighted_shape_difference_term(x: Axis, y: Axis, scale: Array) -> Array:
    ww, hh = weights_of_target(x, y, scale)
    return _cost(hh * _relative_change(x)) + _cost(ww * _relative_change(y))


def weighted_shape_difference(
    predictions: ArrayLike, targets: ArrayLike, *, scale: ArrayLike
) -> Array:
    """Shape-IoU's shape cost: SIoU's, weighted by the sides of the target.

    Formula:
      `sum over w, h of (1 - exp(-omega))^4`, with `omega_w = hh |w - W| / max(w, |W|)`, `omega_h`
      with `ww`, `ww = 2 W^scale / (W^scale + H^scale)` and `hh = 2 - ww` of the target's sides.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      scale: the exponent of the target's sides: a scalar, a vector along the last axis of the
        result, or of its rank. May be traced.

    Returns:
      `[...]` in [0, 1.12) for proper boxes, in float32 at least.

    Edge cases:
      As `shape_difference`. A side of 0 counts as the smallest normal number, and both weights are
      1 where both are 0.

    Differences:
      At `scale` 0 both weights are 1: `shape_difference`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `scale` does not fit the result.

    Reference:
      Zhang, Zhang, "Shape-IoU: More Accurate Metric considering Bounding Box Shape and Scale",
      2023, arXiv 2312.17663.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.terms.weighted_shape_difference(p, t, scale=1.0):.4f}")
      0.0243
    """
    check = Arguments("weighted_shape_difference")
    p, t = pair_of(check, predictions, targets)
    return weighted_shape_difference_term(p, t, check.parameter("scale", scale, like(p, t)))
