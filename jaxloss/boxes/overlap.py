"""Similarities of two boxes: the IoU family as what boxes share, and all pairs of two lists."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss.boxes._columns import boxes_of
from jaxloss.boxes._pairs import (
    empty_fraction,
    inner_shared_fraction,
    like,
    shared_fraction,
    unshared_fraction,
)
from jaxloss.boxes.terms.distances import angular_distance, center_distance, corner_distance
from jaxloss.boxes.terms.shapes import shape_difference, side_difference, weighted_aspect

Similarity = Callable[[ArrayLike, ArrayLike], Array]


def iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Intersection over union of two boxes.

    Formula:
      `I / U`, with `I` the area that both boxes cover and `U` the area that either covers.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      Exactly 1 for identical boxes of any size, points and segments included: where both areas are
      0 the result is the limit of both boxes thickened equally, so that segments on one line have
      the ratio of lengths, and different points 0. An inverted box has area 0. The gradient is 0
      where the boxes do not overlap, and the mean of both sides' at edges that coincide. Slivers
      that cross and are thinner than 1e-19 of their length have no overlap in float32. Boxes that
      only touch count as apart, and have the gradient of those.

    Differences:
      torchvision's `box_iou` is NaN for two boxes without area, and takes a box whose sides are
      both inverted for one with an area; its losses add 1e-7 to the union, which makes the IoU of
      a box of side 2e-4 with itself 0.29. mmdetection raises the union to 1e-6.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Jaccard, "The Distribution of the Flora in the Alpine Zone", 1912.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.iou(a, b), 4))
      0.3462
    """
    first, second, _ = boxes_of(Arguments("iou"), a=a, b=b)
    return shared_fraction(first, second)


def giou(a: ArrayLike, b: ArrayLike) -> Array:
    """Generalized IoU of two boxes: IoU less the part of the enclosing box that neither covers.

    Formula:
      `I / U - (C - U) / C`, with `C` the area of the smallest box around both.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.

    Returns:
      `[...]` in [-1, 1], in float32 at least; equal to the IoU where one box holds the other.

    Edge cases:
      As `iou`: 1 for identical boxes, degenerate pairs by the limit of both boxes thickened
      equally, so that two different points have -1. The enclosing box is around all four corners
      of both, inverted boxes included.

    Differences:
      torchvision's `generalized_box_iou` is NaN for two boxes without area. Copies with
      `(C - I) / C` (ByteTrack) are another function.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Rezatofighi et al., "Generalized Intersection over Union: A Metric and A Loss for Bounding
      Box Regression", 2019, arXiv 1902.09630.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.giou(a, b), 4))
      0.2128
    """
    first, second, _ = boxes_of(Arguments("giou"), a=a, b=b)
    return shared_fraction(first, second) - empty_fraction(first, second)


def diou(a: ArrayLike, b: ArrayLike) -> Array:
    """Distance IoU of two boxes: IoU less the squared distance of their centres.

    Formula:
      `I / U - rho^2 / c^2`, with `rho` the distance of the centres and `c` the diagonal of the
      smallest box around both.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.

    Returns:
      `[...]` in [-1, 1], in float32 at least.

    Edge cases:
      As `iou`: 1 for identical boxes, -1 for two different points. Nothing is constant under
      differentiation. Inverted boxes keep their signed edges in `rho` and `c`.

    Differences:
      torchvision's `distance_box_iou` adds 1e-7 to the denominators. The exponent 0.6 of
      DIoU-darknet belongs to its suppression alone.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.diou(a, b), 4))
      0.3093
    """
    first, second, _ = boxes_of(Arguments("diou"), a=a, b=b)
    return shared_fraction(first, second) - center_distance(first, second)


def ciou(a: ArrayLike, b: ArrayLike) -> Array:
    """Complete IoU of two boxes: distance IoU less the weighted difference of their aspects.

    Formula:
      `I / U - rho^2 / c^2 - alpha v`, with `v = (4 / pi^2) theta^2`, `theta` the angle between the
      boxes' diagonals `(w, h)` and `(W, H)`, that is `arctan(W / H) - arctan(w / h)` for proper
      boxes, and `alpha = v / (1 - I / U + v)`.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.

    Returns:
      `[...]` in (-1.5, 1] for proper boxes, in float32 at least.

    Edge cases:
      As `diou`. `alpha` is a constant under differentiation, and 0 for identical boxes. The aspect
      of a point differs from none: `v` is 0 there. Sides of inverted boxes keep their signs, so
      that `v` is up to 4.

    Differences:
      The authors' code and mmdetection clip the result to [-1, 1], where the gradient is then 0.
      torchvision's has NaN gradients at boxes without height.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.ciou(a, b), 4))
      0.3055
    """
    first, second, _ = boxes_of(Arguments("ciou"), a=a, b=b)
    gap = unshared_fraction(first, second)
    distance = shared_fraction(first, second) - center_distance(first, second)
    return distance - weighted_aspect(first, second, gap)


def eiou(a: ArrayLike, b: ArrayLike) -> Array:
    """Efficient IoU of two boxes: distance IoU less the squared differences of the sides.

    Formula:
      `I / U - rho^2 / c^2 - (w - W)^2 / cw^2 - (h - H)^2 / ch^2`, with `rho` the distance of the
      centres, and `cw, ch` and `c` the sides and the diagonal of the smallest box around both.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.

    Returns:
      `[...]` in (-3, 1] for proper boxes, in float32 at least.

    Edge cases:
      As `diou`. An axis on which both boxes are one point has no difference of sides. Sides of
      inverted boxes keep their signs.

    Differences:
      mmdetection's `EIoULoss` is of another function, Extended IoU.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zhang, Ren, Zhang, Jia, Wang, Tan, "Focal and Efficient IOU Loss for Accurate Bounding Box
      Regression", 2021, arXiv 2101.08158.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.eiou(a, b), 4))
      0.1215
    """
    check = Arguments("eiou")
    first, second, _ = boxes_of(check, a=a, b=b)
    distance = center_distance(first, second) + side_difference(first, second)
    return shared_fraction(first, second) - distance


def siou(a: ArrayLike, b: ArrayLike) -> Array:
    """SCYLLA-IoU of two boxes: IoU less the distance of the centres by its angle, and less shape.

    Formula:
      `I / U - (Delta + Omega) / 2`, with `Delta = sum over x, y of 1 - exp(-gamma (d / c)^2)`, `d`
      the offset of the centres and `c` the side of the smallest box around both along that axis,
      `gamma = 2 - 2 |dx dy| / (dx^2 + dy^2)`, and `Omega = sum over w, h of (1 - exp(-omega))^4`,
      `omega = |w - W| / max(w, |W|)`.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.

    Returns:
      `[...]` in (-1.03, 1] for proper boxes, in float32 at least.

    Edge cases:
      As `iou` and `jaxloss.siou_loss`: 1 for identical boxes, points and segments included.

    Differences:
      mmdetection's default has the sign of the exponent turned.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Gevorgyan, "SIoU Loss: More Powerful Learning for Bounding Box Regression", 2022,
      arXiv 2205.12740.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.siou(a, b), 4))
      0.281
    """
    check = Arguments("siou")
    first, second, _ = boxes_of(check, a=a, b=b)
    cost = 0.5 * (angular_distance(first, second) + shape_difference(first, second))
    return shared_fraction(first, second) - cost


def cdiou(a: ArrayLike, b: ArrayLike, *, factor: ArrayLike = 0.001) -> Array:
    """Control-distance IoU of two boxes: IoU and a little of how close the corners are.

    Formula:
      `I / U + factor (1 - d)`, with `d` the mean distance of the four pairs of corners over the
      diagonal of the smallest box around both.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.
      factor: a scalar, a vector along the last axis of the result, or of its rank. May be traced.

    Returns:
      `[...]` in [0, 1 + factor], in float32 at least.

    Edge cases:
      `1 + factor` for identical boxes. Boxes that do not overlap are told apart by `factor` alone.

    Differences:
      The authors' code divides the distance by 4 twice, and measures overlaps in pixels that are
      one larger.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `factor` does not fit the result.

    Reference:
      Chen, Miao, "Control Distance IoU and Control Distance IoU Loss Function for Better Bounding
      Box Regression", 2021, arXiv 2103.11696.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.cdiou(a, b), 4))
      0.3469
    """
    check = Arguments("cdiou")
    first, second, _ = boxes_of(check, a=a, b=b)
    closeness = 1 - corner_distance(first, second)
    scale = check.parameter("factor", factor, closeness)
    return shared_fraction(first, second) + scale * closeness


def inner_iou(a: ArrayLike, b: ArrayLike, *, ratio: ArrayLike = 0.7) -> Array:
    """Intersection over union of two boxes with other sides around the same centres.

    Formula:
      `I / U` of both boxes with their sides multiplied by `ratio`.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.
      ratio: `> 0`, from 0.5 to 1.5 in the paper: a scalar, a vector along the last axis of the
        result, or of its rank. May be traced.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      As `iou` of the smaller or larger boxes: exactly 1 for identical boxes of any size.

    Differences:
      The authors' code has the default 1, which is `iou`.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `ratio` does not fit the result.

    Reference:
      Zhang, Xu, Zhang, "Inner-IoU: More Effective Intersection over Union Loss with Auxiliary
      Bounding Box", 2023, arXiv 2311.02877.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.inner_iou(a, b), 4))
      0.2532
    """
    check = Arguments("inner_iou")
    first, second, _ = boxes_of(check, a=a, b=b)
    scale = check.parameter("ratio", ratio, like(first, second), above=0)
    return inner_shared_fraction(first, second, scale)


def pairwise(similarity: Similarity) -> Similarity:
    """A similarity of pairs, or a loss, made one of all pairs of two lists of boxes.

    Formula:
      `result[..., n, m] = similarity(a[..., n, :], b[..., m, :])`.

    Args:
      similarity: a function of two arrays of boxes, such as `iou` or `jaxloss.giou_loss`.
      a: `[..., N, 4]`, the first argument of the function that is returned.
      b: `[..., M, 4]`, its second; batch dimensions equal to those of `a` or 1.

    Returns:
      A function of `a` and `b` with the result `[..., N, M]`, in the range of `similarity`.

    Edge cases:
      Those of `similarity`. Its columns are broadcast, so that no `[N, M, 2]` array is made under
      `jax.jit`. On a mesh with explicit axes the two lists may not be split over the same axis.

    Differences:
      torchvision's `box_iou` is `pairwise(iou)`, but NaN for two boxes without area.

    Raises:
      TypeError: `similarity` is not a function, an argument is a list, or `a` is not floating
        point.
      ValueError: `a` or `b` is not a list of boxes, or their batch dimensions clash.

    Reference:
      None: the outer product over a function.

    Example:
      >>> a, b = jnp.array([[0.0, 0.0, 2.0, 1.0]]), jnp.array([[0.0, 0.0, 1.0, 1.0], [3.0] * 4])
      >>> print(jaxloss.boxes.pairwise(jaxloss.boxes.iou)(a, b))
      [[0.5 0. ]]
    """
    check = Arguments("pairwise")
    check.function_of_boxes("similarity", similarity)

    def of_all_pairs(a: ArrayLike, b: ArrayLike) -> Array:
        first, second = check.floats(a=a, b=b)
        check.shape("b", second, (..., None, None), "a list of boxes")
        check.shape("a", first, (..., None, second.shape[-1]), "a list of boxes such as `b`")
        lists = (*first.shape[:-2], second.shape[-2], first.shape[-1])
        check.broadcastable("b", second, lists, "`a` with as many boxes")
        return similarity(jnp.expand_dims(first, -2), jnp.expand_dims(second, -3))

    return of_all_pairs
