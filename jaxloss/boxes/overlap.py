"""What two boxes share and how they miss each other: the terms of the IoU family.

A term is a function of the two axes of a pair; `term` makes it one of boxes `[..., 4]`. A loss of
the family is a few terms, transformed, weighted and added; a similarity is one of them or a sum.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, broadcast_shape, hide
from jaxloss._numerics import (
    angle,
    inverse_power_of_two,
    inverse_root_of_power_of_two,
    larger,
    logarithm,
    quotient,
    ratio,
    relu,
    smaller,
)

Columns = tuple[Array, Array, Array, Array]
Similarity = Callable[[ArrayLike, ArrayLike], Array]


class Axis(NamedTuple):
    """One axis of a pair of boxes, as lengths.

    Attributes:
      prediction, target: signed sides, negative where inverted.
      shared: side of the intersection, 0 where apart.
      enclosing: side of the smallest box around all four corners of both.
      low, high: signed differences of the edges, prediction minus target.
    """

    prediction: Array
    target: Array
    shared: Array
    enclosing: Array
    low: Array
    high: Array


def axis_of(low: Array, high: Array, target_low: Array, target_high: Array) -> Axis:
    """The axis of a pair from the edges of both boxes."""
    highest = larger(larger(low, high), larger(target_low, target_high))
    lowest = smaller(smaller(low, high), smaller(target_low, target_high))
    return Axis(
        prediction=high - low,
        target=target_high - target_low,
        shared=relu(smaller(high, target_high) - larger(low, target_low)),
        enclosing=highest - lowest,
        low=low - target_low,
        high=high - target_high,
    )


def relative(axis: Axis, unit: Array) -> Axis:
    """`axis` times a power of two, with inverted sides 0.

    The unit is 0 where both boxes are one and the same point; there all sides are 1, which drop out
    of every ratio of areas: the limit of both boxes thickened equally.
    """
    point = (unit == 0).astype(unit.dtype)
    return Axis(
        prediction=relu(axis.prediction) * unit + point,
        target=relu(axis.target) * unit + point,
        shared=axis.shared * unit + point,
        enclosing=axis.enclosing * unit + point,
        low=axis.low * unit,
        high=axis.high * unit,
    )


def term(of_axes: Callable[[Axis, Axis], Array]) -> Callable[[Array, Array], Array]:
    """A term of two axes as a function of predictions and targets `[..., 4]`.

    Its derivative is that of `of_axes`, taken column by column: a gradient written as one select
    over the columns is a single pass, where autodiff's padded columns are four.
    """

    def of_columns(prediction: Columns, target: Columns) -> Array:
        (x1, y1, x2, y2), (X1, Y1, X2, Y2) = prediction, target
        return of_axes(axis_of(x1, x2, X1, X2), axis_of(y1, y2, Y1, Y2))

    @jax.custom_jvp
    def of_boxes(predictions: Array, targets: Array) -> Array:
        return _rounded(of_columns(_columns(predictions), _columns(targets)))

    @partial(of_boxes.defjvp, symbolic_zeros=True)
    def of_boxes_jvp(
        primals: tuple[Array, Array], tangents: tuple[Any, Any]
    ) -> tuple[Array, Array]:
        shape = broadcast_shape(*(primal[..., 0] for primal in primals))
        columns = [_columns(jnp.broadcast_to(p, (*shape, 4))) for p in primals]
        value, pull = jax.vjp(of_columns, *columns)
        products = [
            jnp.sum(_from_columns(gradient) * tangent, -1)
            for gradient, tangent in zip(pull(jnp.ones_like(value)), tangents, strict=True)
            if not isinstance(tangent, SymbolicZero)
        ]
        return _rounded(value), sum(products[1:], products[0])

    return jax.jit(of_boxes)


def _columns(boxes: Array) -> Columns:
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


def _from_columns(columns: Columns) -> Array:
    """Columns put together by selection, as one pass; stacked or padded they would be several.

    The columns of a TPU's boxes lie one after the other, those of others alternate: a selection
    that does not follow them costs a copy.
    """
    boxes: Array = lax.platform_dependent(
        *columns, tpu=partial(_selected, axis=0), default=partial(_selected, axis=-1)
    )
    return boxes


def _selected(*columns: Array, axis: int) -> Array:
    first, second, third, fourth = (jnp.expand_dims(column, axis) for column in columns)
    shape = [1] * first.ndim
    shape[axis] = 4
    place = lax.broadcasted_iota(jnp.int32, shape, axis % first.ndim)
    lower = jnp.where(place == 0, first, second)
    upper = jnp.where(place == 2, third, fourth)
    return jnp.moveaxis(jnp.where(place < 2, lower, upper), axis, -1)


def _rounded(values: Array) -> Array:
    """`values`, kept from being fused into a reduction that XLA's CPU kernels make slow."""
    information = np.finfo(values.dtype)
    return lax.reduce_precision(values, information.nexp, information.nmant)


@term
def shared_fraction(x: Axis, y: Axis) -> Array:
    """IoU, relatively accurate near 0 and exactly 1 where nothing is unshared."""
    return _fractions(_areas(*_enclosed(x, y)))[0]


@term
def unshared_fraction(x: Axis, y: Axis) -> Array:
    """1 - IoU to the last digit, from edge differences: nothing cancels in converged boxes."""
    return _fractions(_areas(*_enclosed(x, y)))[1]


@term
def negative_log_fraction(x: Axis, y: Axis) -> Array:
    """-ln IoU, at most 100: of the gap where boxes are close, else by logarithms of lengths.

    The overlap of slivers is below the smallest number long before its logarithm reaches 100.
    """
    units, apart = _balanced_units(x, y)
    areas = _areas(relative(x, units[0]), relative(y, units[1]))
    close, one = areas.shared > areas.unshared, jnp.ones_like(areas.shared)
    _, gap = _fractions(areas)
    near = -jnp.log1p(-jnp.where(close, gap, 0 * one))
    far = jnp.log(jnp.where(close | apart, one, areas.prediction + areas.target - areas.shared))
    for side, unit in zip((x, y), units, strict=True):
        known = close | apart | (unit == 0)
        far -= logarithm(jnp.where(known, one, side.shared), jnp.where(known, one, unit))
    loss = near + far
    return jnp.where(apart | (loss >= 100), 100 * one, loss)


@term
def empty_fraction(x: Axis, y: Axis) -> Array:
    """(C - U) / C: how much of the enclosing box neither box covers."""
    x, y = _enclosed(x, y)
    return _empty_fraction(x.enclosing * y.enclosing, _areas(x, y))


@term
def center_distance(x: Axis, y: Axis) -> Array:
    """rho^2 / c^2: squared distance of the centres over the squared enclosing diagonal."""
    scale = inverse_power_of_two(larger(x.enclosing, y.enclosing))
    across, up = (0.5 * scale * (side.low + side.high) for side in (x, y))
    diagonal = jnp.square(x.enclosing * scale) + jnp.square(y.enclosing * scale)
    diagonal = jnp.where(scale == 0, jnp.ones_like(diagonal), diagonal)
    return quotient(jnp.square(across) + jnp.square(up), diagonal)


@term
def aspect_difference(x: Axis, y: Axis) -> Array:
    """v: squared difference of the diagonals' angles, in right angles; 0 if a box is a point."""
    (w, h), (W, H) = _direction(x.prediction, y.prediction), _direction(x.target, y.target)
    # W h - w H, written so that it is exactly 0 for identical sides under any contraction.
    sine = w * (h - H) - h * (w - W)
    point = ((w == 0) & (h == 0)) | ((W == 0) & (H == 0))
    theta = angle(jnp.where(point, jnp.zeros_like(sine), sine), W * w + H * h)
    return jnp.square((2 / jnp.pi) * theta)


def aspect_penalty(
    predictions: Array, targets: Array, gap: Array, minimum_iou: Array | None = None
) -> Array:
    """alpha v of CIoU; alpha = v / (gap + v) is a constant, and 0 below an IoU of `minimum_iou`."""
    difference = aspect_difference(predictions, targets)
    weight = lax.stop_gradient(ratio(difference, gap + difference))
    if minimum_iou is not None:
        weight = jnp.where(1 - gap < minimum_iou, jnp.zeros_like(weight), weight)
    return weight * difference


def _direction(width: Array, height: Array) -> tuple[Array, Array]:
    """(width, height) by a power of two, so that the longer is in [1, 2); 0 if both are."""
    scale = inverse_power_of_two(jnp.maximum(jnp.abs(width), jnp.abs(height)))
    return width * scale, height * scale


def _enclosed(x: Axis, y: Axis) -> tuple[Axis, Axis]:
    """Both axes relative to their enclosing sides, which are in [1, 2)."""
    return (
        relative(x, inverse_power_of_two(x.enclosing)),
        relative(y, inverse_power_of_two(y.enclosing)),
    )


def _balanced_units(x: Axis, y: Axis) -> tuple[tuple[Array, Array], Array]:
    """Powers of two by which the larger of overlapping boxes has an area of order 1.

    They keep second derivatives in range even for slivers that cross. Also whether boxes are apart.
    """
    relative_x, relative_y = _enclosed(*lax.stop_gradient((x, y)))
    areas = _areas(relative_x, relative_y)
    balance = inverse_root_of_power_of_two(jnp.maximum(areas.prediction, areas.target))
    apart = (jnp.minimum(relative_x.shared, relative_y.shared) <= 0) | (balance == 0)
    balance = jnp.where(apart, jnp.ones_like(balance), balance)
    across, up = inverse_power_of_two(x.enclosing), inverse_power_of_two(y.enclosing)
    return (across * balance, up * balance), apart


class Areas(NamedTuple):
    """Areas of two boxes, of what both cover, and of what only one does.

    The last is a constant under differentiation: it is 0 and has kinks where boxes converge. It
    makes values exact, and derivatives go through the others.
    """

    prediction: Array
    target: Array
    shared: Array
    unshared: Array
    corners: Array


def _areas(x: Axis, y: Axis) -> Areas:
    (across, target_across), (up, target_up) = _overhangs(x), _overhangs(y)
    return Areas(
        prediction=x.prediction * y.prediction,
        target=x.target * y.target,
        shared=x.shared * y.shared,
        unshared=lax.stop_gradient(
            across * y.prediction + target_across * y.target + x.shared * (up + target_up)
        ),
        corners=lax.stop_gradient(across * target_up + target_across * up),
    )


def _overhangs(axis: Axis) -> tuple[Array, Array]:
    """How far overlapping boxes stick out of each other: the prediction, and the target."""
    zero = jnp.zeros_like(axis.low)
    return (
        jnp.maximum(-axis.low, zero) + jnp.maximum(axis.high, zero),
        jnp.maximum(axis.low, zero) + jnp.maximum(-axis.high, zero),
    )


@jax.custom_jvp
def _fractions(areas: Areas) -> tuple[Array, Array]:
    """IoU and 1 - IoU, both to the last digit."""
    apart = areas.shared <= 0
    union = jnp.where(apart, jnp.ones_like(areas.shared), areas.shared + areas.unshared)
    gap = areas.unshared / union
    return areas.shared / union, jnp.where(apart, jnp.ones_like(gap), gap)


@_fractions.defjvp
def _fractions_jvp(
    primals: tuple[Areas], tangents: tuple[Areas]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (areas,), (change,) = primals, tangents
    iou, gap = _fractions(areas)
    union = areas.prediction + areas.target - areas.shared
    union = jnp.where(areas.shared <= 0, jnp.ones_like(union), union)
    scale = inverse_power_of_two(union)
    growth = (1 + iou) * change.shared - iou * (change.prediction + change.target)
    slope = (growth * scale) / (union * scale)
    return (iou, gap), (slope, -slope)


@jax.custom_jvp
def _empty_fraction(enclosing: Array, areas: Areas) -> Array:
    """(C - U) / C for C of order 1: where boxes overlap, from the corners that neither reaches."""
    between = enclosing - (areas.prediction + areas.target)
    return jnp.where(areas.shared <= 0, between, areas.corners) / enclosing


@_empty_fraction.defjvp
def _empty_fraction_jvp(
    primals: tuple[Array, Areas], tangents: tuple[Array, Areas]
) -> tuple[Array, Array]:
    enclosing, areas = primals
    empty = _empty_fraction(enclosing, areas)
    change = tangents[1]
    covered = change.prediction + change.target - change.shared
    return empty, ((1 - empty) * tangents[0] - covered) / enclosing


def boxes_of(
    check: Arguments, where: ArrayLike | None = None, **boxes: ArrayLike
) -> tuple[Array, Array, Array | None]:
    """Two arrays of boxes `[..., 4]` that broadcast, 0 where masked, and the mask `[...]`."""
    first, second = check.floats(**boxes)
    for name, array in zip(boxes, (first, second), strict=True):
        check.shape(
            name,
            array,
            (..., 4),
            "boxes as x1, y1, x2, y2; convert other formats with `jaxloss.boxes.convert`",
        )
    name, other = boxes
    check.broadcastable(other, second, first.shape, f"`{name}`")
    mask = check.where(where, broadcast_shape(first[..., 0], second[..., 0]))
    if mask is not None:
        first, second = hide(mask[..., None], first, second)
    return first, second, mask


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
      that cross and are thinner than 1e-19 of their length have no overlap in float32.

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
    return distance - aspect_penalty(first, second, gap)


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
      `jax.jit`.

    Differences:
      torchvision's `box_iou` is `pairwise(iou)`, but NaN for two boxes without area.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: `a` or `b` is not a list of boxes, or their batch dimensions clash.

    Reference:
      None: the outer product over a function.

    Example:
      >>> a, b = jnp.array([[0.0, 0.0, 2.0, 1.0]]), jnp.array([[0.0, 0.0, 1.0, 1.0], [3.0] * 4])
      >>> print(jaxloss.boxes.pairwise(jaxloss.boxes.iou)(a, b))
      [[0.5 0. ]]
    """

    def of_all_pairs(a: ArrayLike, b: ArrayLike) -> Array:
        check = Arguments("pairwise")
        first, second = check.floats(a=a, b=b)
        check.shape("b", second, (..., None, None), "a list of boxes")
        check.shape("a", first, (..., None, second.shape[-1]), "a list of boxes such as `b`")
        lists = (*first.shape[:-2], second.shape[-2], first.shape[-1])
        check.broadcastable("b", second, lists, "`a` with as many boxes")
        return similarity(jnp.expand_dims(first, -2), jnp.expand_dims(second, -3))

    return of_all_pairs
