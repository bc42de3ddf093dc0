"""Losses weighted by the overlap or the distance of the boxes: focal and wise."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._numerics import ratio
from jaxloss.boxes._columns import boxes_of
from jaxloss.boxes._pairs import Axis, like, shared_fraction, term, unshared_fraction
from jaxloss.boxes.terms.distances import center_distance_term, distance_attention_term
from jaxloss.boxes.terms.shapes import side_difference_term
from jaxloss.boxes.terms.transforms import constant_power
from jaxloss.reduction import AxisName


@term
def _focal_eiou(x: Axis, y: Axis, gamma: Array) -> Array:
    weight = constant_power(shared_fraction(x, y), gamma)
    distance = center_distance_term(x, y) + side_difference_term(x, y)
    return weight * (unshared_fraction(x, y) + distance)


def focal_eiou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    gamma: ArrayLike = 0.5,
    where: ArrayLike | None = None,
) -> Array:
    """EIoU loss weighted by the overlap, so that converged boxes count more.

    Formula:
      `IoU^gamma (1 - IoU + rho^2 / c^2 + (w - W)^2 / cw^2 + (h - H)^2 / ch^2)`, the loss of
      `eiou_loss` with `IoU = I / U`, and a weight that is constant under differentiation.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      gamma: `>= 0`: a scalar, a vector along the last axis of the losses, or of their rank; 0 is
        `eiou_loss`. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 3) for proper boxes, in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes, and for boxes that do not overlap, whose weight
      is 0. The weight is a constant under differentiation, so that the gradient is not that of the
      value: if it were not, it would push far boxes apart. Degenerate and inverted boxes as in
      `eiou_loss`.

    Differences:
      The paper does not say whether the weight is constant; the popular code detaches it. The form
      that divides by the sum of the weights is
      `jaxloss.mean(losses, normalizer=jaxloss.boxes.terms.focal_weight(p, t))`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `gamma` does not fit the losses.

    Reference:
      Zhang, Ren, Zhang, Jia, Wang, Tan, "Focal and Efficient IOU Loss for Accurate Bounding Box
      Regression", 2021, arXiv 2101.08158.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.focal_eiou_loss(p, t), 4))
      [0.5169]
    """
    check = Arguments("focal_eiou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _focal_eiou(p, t, check.parameter("gamma", gamma, like(p, t), at_least=0)))


@term
def _wise_iou(x: Axis, y: Axis) -> Array:
    return distance_attention_term(x, y) * unshared_fraction(x, y)


def wise_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Overlap amplified by the distance of the centres (Wise-IoU, version 1).

    Formula:
      `exp(rho^2 / c^2) (1 - I / U)`, with `I` the area that both boxes cover, `U` the area that
      either covers, `rho` the distance of the centres, and `c` the diagonal of the smallest box
      around both, a constant.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, e], in float32 at least.

    Edge cases:
      Exactly 0 with gradient 0 for identical boxes of any size, points and segments included.
      `c` is a constant under differentiation, so that the gradient is not that of the value.
      Degenerate and inverted boxes as in `iou_loss`; boxes that do not overlap are pulled together.

    Differences:
      The authors' code holds the diagonal constant, and not the distance. For versions 2 and 3,
      with a running mean, `dynamic_wise_iou_loss`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Tong, Chen, Xu, Yu, "Wise-IoU: Bounding Box Regression Loss with Dynamic Focusing Mechanism",
      2023, arXiv 2301.10051.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> print(np.round(jaxloss.wise_iou_loss(p, t), 4))
      [0.6784]
    """
    check = Arguments("wise_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    return keep(mask, _wise_iou(p, t))


class DynamicWiseIoUState(NamedTuple):
    """The running mean of `1 - IoU`, a scalar."""

    mean: Array


def dynamic_wise_iou_init() -> DynamicWiseIoUState:
    """The state of `dynamic_wise_iou_loss` before the first step.

    Formula:
      `m = 1`, the loss of boxes that do not overlap.

    Args:
      None.

    Returns:
      `DynamicWiseIoUState(mean)`, a scalar in float32.

    Edge cases:
      None.

    Differences:
      The authors' code keeps the mean in the class of the loss.

    Raises:
      Nothing.

    Reference:
      Tong, Chen, Xu, Yu, "Wise-IoU: Bounding Box Regression Loss with Dynamic Focusing Mechanism",
      2023, arXiv 2301.10051.

    Example:
      >>> print(jaxloss.dynamic_wise_iou_init().mean)
      1.0
    """
    return DynamicWiseIoUState(jnp.ones((), jnp.float32))


def dynamic_wise_iou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    state: DynamicWiseIoUState,
    *,
    gamma: ArrayLike | None = None,
    alpha: ArrayLike = 1.9,
    delta: ArrayLike = 3.0,
    momentum: ArrayLike = 1 - 0.05 ** (1 / (890 * 34)),
    axis_name: AxisName = None,
    where: ArrayLike | None = None,
) -> tuple[Array, DynamicWiseIoUState]:
    """Wise-IoU focused on boxes of middling quality, by a running mean (versions 3 and 2).

    Formula:
      `r exp(rho^2 / c^2) (1 - I / U)`, that is `r` times `wise_iou_loss`, with
      `r = q / (delta alpha^(q - delta))`, or `r = q^gamma` if `gamma` is given (version 2), of the
      outlier degree `q = (1 - I / U) / m`, a constant, and the running mean
      `m' = (1 - momentum) m + momentum mean(1 - I / U)`, which is updated before it is used.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      state: from `dynamic_wise_iou_init()`, afterwards from the call before.
      gamma: None for version 3, else the exponent of version 2, `>= 0`, 0.5 in the paper: a scalar,
        a vector along the last axis of the losses, or of their rank. May be traced, as the others.
      alpha: `> 1`, how fast version 3 gives up outliers.
      delta: `> 0`, the outlier degree at which `r` is 1.
      momentum: in [0, 1], a scalar: `1 - 0.05^(1 / (t n))` for `n` batches an epoch and the `t`
        epochs until the precision is level.
      axis_name: mesh or `vmap` axes over which the batch is split: the mean is that over all of it,
        so that all replicas have the same state.
      where: boolean `[...]`; False makes the loss exactly 0, and its box does not count in the
        mean.

    Returns:
      The losses `[...]` in [0, inf), in float32 at least, and the new state.

    Edge cases:
      The outlier degree, the mean and `c` are constants under differentiation. Exactly 0 with
      gradient 0 for identical boxes of any size. A batch without boxes leaves the mean. Degenerate
      and inverted boxes as in `wise_iou_loss`.

    Differences:
      The defaults are those of the paper's branch of the authors' code; its newer branch has
      `alpha` 1.7, `delta` 2.7 and `momentum` 0.01. The widespread `momentum` of `1 - 0.5^(1 /
      7000)` is not the authors'.

    Raises:
      TypeError: an argument is a list, `predictions` are not floating point, or `state` is not one.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or a hyperparameter does not fit the losses.

    Reference:
      Tong, Chen, Xu, Yu, "Wise-IoU: Bounding Box Regression Loss with Dynamic Focusing Mechanism",
      2023, arXiv 2301.10051.

    Example:
      >>> p, t = jnp.array([[1.0, 2.0, 5.0, 7.0]]), jnp.array([[2.0, 3.0, 7.0, 6.0]])
      >>> state = jaxloss.dynamic_wise_iou_init()
      >>> losses, state = jaxloss.dynamic_wise_iou_loss(p, t, state, momentum=0.5)
      >>> print(f"{losses[0]:.4f} {state.mean:.4f}")
      0.7383 0.8269
    """
    check = Arguments("dynamic_wise_iou_loss")
    p, t, mask = boxes_of(check, where, predictions=predictions, targets=targets)
    check.state(state, DynamicWiseIoUState, "dynamic_wise_iou_init()")
    gap = unshared_fraction(*lax.stop_gradient((p, t)))
    rate = check.scalar("momentum", momentum, gap, at_least=0, at_most=1)
    mean = check.scalar("state.mean", state.mean, gap)
    mean = _running_mean(mean, gap, rate, mask, axis_name)
    outlier = ratio(gap, mean)
    if gamma is not None:
        focus = constant_power(outlier, check.parameter("gamma", gamma, gap, at_least=0))
    else:
        middle = check.parameter("delta", delta, gap, above=0)
        slope = jnp.log(check.parameter("alpha", alpha, gap, above=1))
        focus = outlier / middle * jnp.exp(slope * (middle - outlier))
    new = DynamicWiseIoUState(mean.astype(jnp.asarray(state.mean).dtype))
    return keep(mask, focus * _wise_iou(p, t)), new


def _running_mean(
    mean: Array, gap: Array, rate: Array, mask: Array | None, axis_name: AxisName
) -> Array:
    """The mean moved towards that of the gaps which count, if any does."""
    counted = jnp.ones_like(gap) if mask is None else jnp.broadcast_to(mask, gap.shape)
    total, count = jnp.sum(keep(mask, gap)), jnp.sum(counted.astype(gap.dtype))
    if axis_name is not None:
        total, count = lax.psum((total, count), axis_name)
    return jnp.where(count > 0, mean + rate * (ratio(total, count) - mean), mean)
