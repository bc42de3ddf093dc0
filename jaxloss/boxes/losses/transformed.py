"""Losses of a transformed overlap: powers, other sides, an interval, a rectified gradient."""

from typing import Literal

from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss.boxes._columns import boxes_of
from jaxloss.boxes._pairs import (
    Axis,
    empty_fraction,
    inner_unshared_fraction,
    like,
    shared_fraction,
    term,
    unshared_fraction,
)
from jaxloss.boxes.terms.distances import center_distance
from jaxloss.boxes.terms.shapes import weighted_aspect
from jaxloss.boxes.terms.transforms import (
    limits,
    power,
    power_gap,
    rectification,
    rectify,
    stretch,
)

Penalty = Literal["giou", "diou", "ciou"] | None


@term
def _rectified_iou(x: Axis, y: Axis, beta: Array, a: Array, b: Array, c: Array) -> Array:
    return rectify(unshared_fraction(x, y), beta, a, b, c)


def alpha_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    alpha: ArrayLike = 3.0,
    penalty: Penalty = None,
    where: ArrayLike | None = None,
) -> Array:
    """Overlap and penalties raised to a power, which stresses converged boxes (alpha-IoU).

    Formula:
      `1 - (I / U)^alpha`, with `I` the area that both boxes cover and `U` the area that either
      covers; with a penalty `+ ((C - U) / C)^alpha` ("giou"), `+ (rho^2 / c^2)^alpha` ("diou"), or
      that `+ (beta v)^alpha` ("ciou"), with the terms of `giou_loss`, `diou_loss` and `ciou_loss`,
      and `beta = v / (1 - I / U + v)` of the overlap that is not raised.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      alpha: `> 0`, 3 in the paper: a scalar, a vector along the last axis of the losses, or of
        their rank. May be traced.
      penalty: None, "giou", "diou" or "ciou".
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]`, in float32 at least; without a penalty in [0, 1], with the others as the loss of that
      name for proper boxes.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included.
      Boxes that do not overlap have the gradient of the penalty alone. A penalty that is 0 has
      derivative 0, whatever the power. `beta` is a constant under differentiation. Inverted boxes
      as in `ciou_loss`.

    Differences:
      The authors' code adds 1e-9 inside every power; its function has the default 2, but it trains
      with 3. Common copies raise the overlap alone, or have the raised overlap in `beta`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        `alpha` does not fit the losses, or `penalty` is unknown.

    Reference:
      He, Erfani, Ma, Bailey, Chi, Hua, "Alpha-IoU: A Family of Power Intersection over Union Losses
      for Bounding Box Regression", 2021, arXiv 2110.13675.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(f"{jaxloss.alpha_iou_loss(p, t)[0]:.4f}")
      0.9585
      >>> print(np.round(jaxloss.alpha_iou_loss(p, t, alpha=2.0, penalty="diou"), 4))
      [0.8815]
    """
    check = Arguments("alpha_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    check.option("penalty", penalty, (None, "giou", "diou", "ciou"), "see the docstring")
    exponent = check.parameter("alpha", alpha, like(p, t), above=0)
    gap = unshared_fraction(p, t)
    losses = power_gap(gap, shared_fraction(p, t), exponent)
    if penalty == "giou":
        losses += power(empty_fraction(p, t), exponent)
    if penalty in ("diou", "ciou"):
        losses += power(center_distance(p, t), exponent)
    if penalty == "ciou":
        losses += power(weighted_aspect(p, t, gap), exponent)
    return keep(mask, losses)


def inner_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    ratio: ArrayLike = 0.7,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the overlap of boxes with other sides around the same centres (Inner-IoU).

    Formula:
      `1 - I / U` of both boxes with their sides multiplied by `ratio`, with `I` the area that both
      cover and `U` the area that either covers.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      ratio: `> 0`, from 0.5 to 1.5 in the paper: a scalar, a vector along the last axis of the
        losses, or of their rank. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included, and
      otherwise as `iou_loss` of the smaller or larger boxes. A `ratio` below 1 sharpens the
      gradient of converged boxes and loses that of boxes which barely overlap; above 1 it reaches
      boxes that are apart.

    Differences:
      The authors' code has the default 1, which is `iou_loss`; here it is 0.7, from the lower half
      of the paper's range, so that the name means what it says. For every loss X of the family
      Inner-X is X with the inner overlap in place of the plain one, and penalties of the boxes as
      they are: `jaxloss.ciou_loss(p, t) - jaxloss.iou_loss(p, t) + jaxloss.inner_iou_loss(p, t)`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `ratio` does not fit the losses.

    Reference:
      Zhang, Xu, Zhang, "Inner-IoU: More Effective Intersection over Union Loss with Auxiliary
      Bounding Box", 2023, arXiv 2311.02877.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.inner_iou_loss(p, t), 4))
      [0.7468]
    """
    check = Arguments("inner_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    scale = check.parameter("ratio", ratio, like(p, t), above=0)
    return keep(mask, inner_unshared_fraction(p, t, scale))


def focaler_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    lower: ArrayLike = 0.0,
    upper: ArrayLike = 0.95,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the overlap stretched from an interval to [0, 1] (Focaler-IoU).

    Formula:
      `1 - clip((I / U - lower) / (upper - lower), 0, 1)`, with `I` the area that both boxes cover
      and `U` the area that either covers.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      lower: the overlap up to which the loss is 1: a scalar, a vector along the last axis of the
        losses, or of their rank. May be traced, as the other.
      upper: `> lower`, the overlap from which on the loss is 0.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      The gradient is 0 outside the interval and at its ends; boxes that overlap by more than
      `upper` have the loss 0 and are not moved. Degenerate and inverted boxes as in `iou_loss`.

    Differences:
      None known: the authors' code is this formula. For every loss X of the family Focaler-X is X
      with the stretched overlap in place of the plain one:
      `jaxloss.giou_loss(p, t) - jaxloss.iou_loss(p, t) + jaxloss.focaler_iou_loss(p, t)`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `lower` or `upper` does not fit the losses.

    Reference:
      Zhang, Zhang, "Focaler-IoU: More Focused Intersection over Union Loss", 2024,
      arXiv 2401.10525.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.focaler_iou_loss(p, t), 4))
      [0.6356]
    """
    check = Arguments("focaler_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    gap = unshared_fraction(p, t)
    return keep(mask, stretch(gap, *limits(check, gap, lower, upper)))


def rectified_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    beta: ArrayLike = 0.95,
    a: ArrayLike = 0.1,
    b: ArrayLike = 1.05,
    c: ArrayLike = 0.2,
    where: ArrayLike | None = None,
) -> Array:
    """Overlap loss whose gradient grows up to an overlap of beta and then falls to 0 (RIoU).

    Formula:
      The integral of `g` from `IoU = I / U` to 1, with `I` the area that both boxes cover and `U`
      the area that either covers, `g(u) = c + a / (b - u)` up to `beta`, a branch of a hyperbola,
      and `g(u) = k (1 - u)` beyond, with `k` such that `g` is continuous. That is `k (1 - IoU)^2 /
      2` beyond `beta`, and `k (1 - beta)^2 / 2 + c (beta - IoU) + a ln((b - IoU) / (b - beta))` up
      to it.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      beta: in (0, 1), the overlap with the largest gradient: a scalar, a vector along the last axis
        of the losses, or of their rank. May be traced, as the others.
      a: `>= 0`, how sharply the gradient grows.
      b: `> beta`, the overlap at which the hyperbola would be infinite.
      c: `>= 0`, the gradient where the hyperbola is flat.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 0.4552] by default, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes, and degenerate and inverted boxes as in
      `iou_loss`: boxes that do not overlap have gradient 0.

    Differences:
      The paper's constants and the exact form of its hyperbola could not be confirmed, and no
      implementation is known: `beta`, the growth up to it, the fall to 0 and the integral are the
      paper's; the defaults of `a`, `b` and `c` are examples of ours.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or a hyperparameter does not fit the losses.

    Reference:
      Wang, Zhang, "Single-Shot Two-Pronged Detector with Rectified IoU Loss", 2020,
      arXiv 2008.03511.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(f"{jaxloss.rectified_iou_loss(p, t)[0]:.4f}")
      0.3459
    """
    check = Arguments("rectified_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    settings = rectification(check, like(p, t), beta, a, b, c)
    return keep(mask, _rectified_iou(p, t, *settings))
