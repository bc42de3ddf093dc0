"""Boxes with an angle: their exact intersection over union, and their corners.

The intersection is a contour integral over the four edges of one box, cut off at the sides of the
other: no list of vertices, no sort, fixed shapes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._numerics import (
    angle,
    inverse_power_of_two,
    inverse_root_of_power_of_two,
    larger,
    reciprocal,
    relu,
    smaller,
)
from jaxloss._tracing import traced_once
from jaxloss.boxes._columns import ROTATED, Columns, boxes_of, of_boxes
from jaxloss.boxes._frames import Pair, length, named_by_angle, pair_of, rotated

Vector = tuple[Array, Array]


class Figure(NamedTuple):
    """A parallelogram and the rectangle |x| <= right, |y| <= top around the origin.

    Attributes:
      center: of the parallelogram.
      width, height: half its sides, as vectors: to the right, and upwards.
      right, top: half the rectangle's sides.
      wider, higher: what `width` is longer to the right than the rectangle, and `height` upwards.
    """

    center: Vector
    width: Vector
    height: Vector
    right: Array
    top: Array
    wider: Array
    higher: Array


class Corner(NamedTuple):
    """A corner of the parallelogram: its x, and how far it is outside of each of four sides."""

    x: Array
    right: Array
    left: Array
    top: Array
    bottom: Array


@of_boxes
def shared_fraction(first: Columns, second: Columns) -> Array:
    """IoU, exactly 1 for identical boxes."""
    shared, area, target_area, _ = _areas(first, second)
    union = area + (target_area - shared)
    fraction = _ratio(shared, union)
    lost = jnp.where((shared == union) & (union > 0), 1 - fraction, 0)
    return fraction + lax.stop_gradient(lost)


@of_boxes
def unshared_fraction(first: Columns, second: Columns) -> Array:
    """1 - IoU to the last digits: where boxes are close, from what sticks out of either."""
    shared, area, target_area, figure = _areas(first, second)
    gap = 1 - _ratio(shared, area + (target_area - shared))
    outside, excess = _outside(lax.stop_gradient(figure))
    exact = _ratio(relu(2 * outside - excess), target_area + outside)
    change = gap - lax.stop_gradient(gap)
    return lax.stop_gradient(jnp.where(gap < 0.5, exact, gap)) + change


def _areas(first: Columns, second: Columns) -> tuple[Array, Array, Array, Figure]:
    """What both boxes share, both areas in this order, and the figure."""
    first, second = _longer_second(first, second)
    figure, beyond = _figure(named_by_angle(pair_of(first, second)))
    area = 4 * figure.width[0] * figure.height[1] - 4 * figure.width[1] * figure.height[0]
    target_area = 4 * figure.right * figure.top
    apart = beyond | _apart(figure) | (jnp.minimum(area, target_area) <= 0)
    figure = _replaced(figure, apart)
    shared = _shared(figure)
    within = jnp.clip(shared, 0, jnp.minimum(area, target_area))
    shared = shared + lax.stop_gradient(within - shared)
    return jnp.where(apart, jnp.zeros_like(shared), shared), area, target_area, figure


def _longer_second(first: Columns, second: Columns) -> tuple[Columns, Columns]:
    """Both boxes, that with the longest side last: in its frame the other's corners are exact."""
    swap = jnp.maximum(first[2], first[3]) > jnp.maximum(second[2], second[3])
    return _chosen(swap, second, first), _chosen(swap, first, second)


def _chosen(where: Array, these: Columns, others: Columns) -> Columns:
    x, y, w, h, turn = (jnp.where(where, a, b) for a, b in zip(these, others, strict=True))
    return x, y, w, h, turn


def _figure(pair: Pair) -> tuple[Figure, Array]:
    """The pair as a figure whose larger area is of order 1, and whether it lies beyond the first.

    Each axis has its own unit, a power of two. A unit is 0 where both boxes are one point on its
    axis; there both have side 1, the limit of both thickened equally.
    """
    w, h, W, H = (relu(side) for side in pair[2:6])
    c, s = _upright(pair)
    x_unit, y_unit = _units(pair, w, h, W, H)
    x_point, y_point = ((unit == 0).astype(unit.dtype) for unit in (x_unit, y_unit))
    point = x_point * y_point
    lost = jnp.square(s) / (1 + c)
    figure = Figure(
        center=(pair.across * x_unit, pair.up * y_unit),
        width=(0.5 * (w * x_unit + x_point) * c, 0.5 * (w * y_unit + point) * s),
        height=(-0.5 * (h * x_unit + point) * s, 0.5 * (h * y_unit + y_point) * c),
        right=0.5 * (W * x_unit + x_point),
        top=0.5 * (H * y_unit + y_point),
        wider=0.5 * ((w - W) * x_unit - (w * x_unit + x_point) * lost),
        higher=0.5 * ((h - H) * y_unit - (h * y_unit + y_point) * lost),
    )
    across, up = rotated(pair.across, pair.up, c, -s)
    beyond = (2 * jnp.abs(across) >= w + jnp.abs(W * c) + jnp.abs(H * s)) | (
        2 * jnp.abs(up) >= h + jnp.abs(W * s) + jnp.abs(H * c)
    )
    return figure, beyond & (x_unit != 0) & (y_unit != 0)


def _upright(pair: Pair) -> tuple[Array, Array]:
    """Cosine and sine, both turned by half a circle where the first box stands on its head."""
    down = pair.cosine < 0
    return jnp.where(down, -pair.cosine, pair.cosine), jnp.where(down, -pair.sine, pair.sine)


def _units(pair: Pair, w: Array, h: Array, W: Array, H: Array) -> tuple[Array, Array]:
    """Units of x and of y by which both boxes are near, and the larger area is of order 1."""
    c, s = pair.cosine, pair.sine
    reach = jnp.abs(pair.across) + 0.5 * (jnp.abs(w * c) + jnp.abs(h * s))
    x_unit = inverse_power_of_two(jnp.maximum(reach, W))
    reach = jnp.abs(pair.up) + 0.5 * (jnp.abs(w * s) + jnp.abs(h * c))
    y_unit = inverse_power_of_two(jnp.maximum(reach, H))
    area = jnp.maximum((w * x_unit) * (h * y_unit), (W * x_unit) * (H * y_unit))
    balance = inverse_root_of_power_of_two(area)
    balance = jnp.where(balance == 0, jnp.ones_like(balance), balance)
    return x_unit * balance, y_unit * balance


def _apart(figure: Figure) -> Array:
    """Whether a side of the rectangle separates it from the parallelogram."""
    (x, y), (wx, wy), (hx, hy), right, top, *_ = figure
    return (jnp.abs(x) >= right + jnp.abs(wx) + jnp.abs(hx)) | (
        jnp.abs(y) >= top + jnp.abs(wy) + jnp.abs(hy)
    )


def _replaced(figure: Figure, where: Array) -> Figure:
    """The figure, with a harmless one in place of those that are not computed with."""
    (x, y), (wx, wy), (hx, hy), right, top, wider, higher = figure

    def choose(value: Array, other: float) -> Array:
        return jnp.where(where, jnp.full_like(value, other), value)

    return Figure(
        center=(choose(x, 0), choose(y, 0)),
        width=(choose(wx, 1), choose(wy, 0)),
        height=(choose(hx, 0), choose(hy, 1)),
        right=choose(right, 1),
        top=choose(top, 1),
        wider=choose(wider, 0),
        higher=choose(higher, 0),
    )


def _shared(figure: Figure) -> Array:
    """Area of the intersection: the contour integral of x dy, both cut off at the rectangle."""
    (x, y), (wx, wy), (hx, hy), right, top, *_ = figure
    return (
        _edge((x - hx, y - hy), (wx, wy), right, top)
        + _edge((x + wx, y + wy), (hx, hy), right, top)
        + _edge((x + hx, y + hy), (-wx, -wy), right, top)
        + _edge((x - wx, y - wy), (-hx, -hy), right, top)
    )


@traced_once
def _edge(middle: Vector, half: Vector, right: Array, top: Array) -> Array:
    """The integral of x dy along an edge from `middle - half` to `middle + half`."""
    (x, y), (across, up) = middle, half
    low, high = _cut(y - up, top), _cut(y + up, top)
    whole = ((low == y - up) & (high == y + up)) | (low == high)
    rise = jnp.where(whole, jnp.zeros_like(up), 2 * up)
    start = x - across + _ratio(low - (y - up), rise) * (2 * across)
    end = x + across - _ratio((y + up) - high, rise) * (2 * across)
    return (high - low) * _mean(start, end, right)


@traced_once
def _mean(start: Array, end: Array, limit: Array) -> Array:
    """Mean over x from `start` to `end` of x cut off at `limit` on both sides."""
    high, low = larger(start, end), smaller(start, end)
    upper, lower = _cut(high, limit), _cut(low, limit)
    over = relu(high - limit) - relu(low - limit)
    under = relu(-limit - low) - relu(-limit - high)
    whole = ((upper == high) & (lower == low)) | (upper == lower)
    run = jnp.where(whole, jnp.zeros_like(high), high - low)
    return 0.5 * ((upper + lower) + (upper - lower) * _ratio(over - under, run))


@traced_once
def _ratio(numerator: Array, denominator: Array) -> Array:
    """`ratio`, by what is fused on a CPU: there a division would be a kernel of its own.

    On others the arithmetic would not fit in one.
    """
    unit = inverse_power_of_two(denominator)
    inverse = _reciprocal(jnp.where(unit > 0, denominator * unit, 1))
    return (numerator * unit) * inverse


@jax.custom_jvp
def _reciprocal(x: Array) -> Array:
    value: Array = lax.platform_dependent(x, cpu=reciprocal, default=lambda x: 1 / x)
    return value


@_reciprocal.defjvp
def _reciprocal_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = _reciprocal(*primals)
    return value, -value * (value * tangents[0])


@traced_once
def _cut(x: Array, limit: Array) -> Array:
    return smaller(larger(x, -limit), limit)


def _outside(figure: Figure) -> tuple[Array, Array]:
    """Area of the parallelogram outside of the rectangle, and by how much its area is the larger.

    Both come from how far corners stick out, so that nothing cancels in converged boxes. The first
    is the contour integral of x dy above and below the rectangle, and beside it of what x exceeds.
    """
    right, top, wider, higher = figure[3:]
    width, height = figure.width, figure.height
    first, second, third, fourth = (
        _corner(figure, *place) for place in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    )
    outside = (
        _edge_outside(first, second, 2 * width[1])
        + _edge_outside(second, third, 2 * height[1])
        + _edge_outside(third, fourth, -2 * width[1])
        + _edge_outside(fourth, first, -2 * height[1])
    )
    excess = 4 * (right * higher + wider * top + wider * higher - width[1] * height[0])
    return outside, excess


def _corner(figure: Figure, across: int, up: int) -> Corner:
    """The corner on the right (1) or the left (-1), above (1) or below (-1)."""
    (x, y), right, top = figure.center, figure.right, figure.top
    beside = figure.wider + across * (x + up * figure.height[0])
    beyond = figure.higher + up * (y + across * figure.width[1])
    horizontal = (beside, -2 * right - beside)
    vertical = (beyond, -2 * top - beyond)
    return Corner(across * (right + beside), *horizontal[::across], *vertical[::up])


@traced_once
def _edge_outside(start: Corner, end: Corner, rise: Array) -> Array:
    """The part of an edge in the integral; places along it are numbers from 0 to 1."""
    above, below = _positive_part(start.top, end.top), _positive_part(start.bottom, end.bottom)
    none, whole = jnp.zeros_like(rise), jnp.ones_like(rise)
    low = jnp.where(start.top > 0, above[1], jnp.where(start.bottom > 0, below[1], none))
    high = jnp.where(end.top > 0, above[0], jnp.where(end.bottom > 0, below[0], whole))
    right = _mean_positive(*(_at(place, start.right, end.right) for place in (low, high)))
    left = _mean_positive(*(_at(place, start.left, end.left) for place in (low, high)))
    over = relu(end.top) - relu(start.top)
    under = relu(end.bottom) - relu(start.bottom)
    return (
        over * _at(0.5 * (above[0] + above[1]), start.x, end.x)
        - under * _at(0.5 * (below[0] + below[1]), start.x, end.x)
        + relu(high - low) * rise * (right - left)
    )


def _at(place: Array, start: Array, end: Array) -> Array:
    return (1 - place) * start + place * end


@traced_once
def _positive_part(start: Array, end: Array) -> tuple[Array, Array]:
    """The places from which to which a linear function is positive, if it is anywhere."""
    # Not as one crossing of both: a TPU would write it.
    first = jnp.where(start < 0, _ratio(-start, end - start), jnp.zeros_like(start))
    return first, jnp.where(end < 0, _ratio(start, start - end), jnp.ones_like(start))


@traced_once
def _mean_positive(first: Array, last: Array) -> Array:
    """Mean of max(f, 0) over a linear f."""
    a, b = relu(first), relu(last)
    share = jnp.where((first > 0) & (last > 0), jnp.ones_like(a), _ratio(a - b, first - last))
    return 0.5 * (a + b) * share


def rotated_iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Intersection over union of two rotated boxes, exact as polygons.

    Formula:
      `I / U`, with `I` the area that both boxes cover and `U` the area that either covers. `I` is
      the contour integral of `x dy` along the edges of one box, in the frame of the other and cut
      off at its sides.

    Args:
      a: `[..., 5]` as cx, cy, w, h, radians: centre, sides, and the angle by which the side w is
        turned from x towards y. That is clockwise on a screen, where y points down, and
        counterclockwise where y points up. Boxes with counterclockwise angles on a screen need
        the angle negated, degrees `jnp.deg2rad`.
      b: `[..., 5]`, the same units; dimensions equal to those of `a` or 1.

    Returns:
      `[...]` in [0, 1], in float32 at least; exactly 0 for boxes that a side of either separates,
      and off by 5e-7 at most otherwise in float32. All pairs through `jaxloss.boxes.pairwise`.

    Edge cases:
      Exactly 1 for identical boxes of any size and angle. Boxes without area are the limit of both
      thickened equally where both lie on one line and their angles are equal: segments have the
      ratio of lengths, the same point is 1 (or that of two squares with these angles). Segments
      whose angles differ, by a quarter with their sides exchanged as well, share nothing. A
      negative side counts as 0. The gradient is 0 where the boxes do not overlap, and the mean of
      both sides' at edges and angles that coincide, so that it is 0 up to rounding at identical
      boxes. Any finite angle is right; (w, h, r) and (h, w, r + pi / 2) are the same box up to
      rounding. The second derivatives of boxes with sides below 1e-14 may leave the range of
      float32.

    Differences:
      detectron2's `pairwise_iou_rotated` takes degrees, counterclockwise on a screen, mmcv's
      `box_iou_rotated` radians, clockwise by default, as here. detectron2's has returned numbers
      below 0 and above 1.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 5, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      None: Green's theorem.

    Example:
      >>> a, b = jnp.array([0.0, 0.0, 4.0, 2.0, 0.3]), jnp.array([0.5, -0.3, 3.0, 2.5, -0.2])
      >>> print(np.round(jaxloss.boxes.rotated_iou(a, b), 4))
      0.5283
    """
    first, second, _ = boxes_of(Arguments("rotated_iou"), columns=5, a=a, b=b)
    return shared_fraction(first, second)


def rotated_iou_loss(
    predictions: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """One minus the exact intersection over union of two rotated boxes.

    Formula:
      `1 - I / U`, with `I` the area that both boxes cover and `U` the area that either covers.

    Args:
      predictions: `[..., 5]` as cx, cy, w, h, radians: centre, sides, and the angle by which the
        side w is turned from x towards y, which is clockwise on a screen. Any unit of length;
        degrees become radians by `jnp.deg2rad`.
      targets: `[..., 5]`, the same units; dimensions equal to those of the predictions or 1.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      Exactly 0 for identical boxes of any size and angle, points and segments included, with a
      gradient of 0 up to rounding; boxes without area as in `jaxloss.boxes.rotated_iou`. The
      gradient is 0 where the boxes do not overlap, and the mean of both sides' at edges and angles
      that coincide. Converged boxes keep the digits of their loss, though not of their gradient,
      which has the absolute accuracy of the IoU's.

    Differences:
      mmrotate's `RotatedIoULoss` goes through mmcv's `diff_iou_rotated_2d`, a compiled polygon
      operator.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 5, the ranks differ, or dimensions are neither equal
        nor 1.

    Reference:
      Zhou et al., "IoU Loss for 2D/3D Object Detection", 2019, arXiv 1908.03851.

    Example:
      >>> p, t = jnp.array([0.0, 0.0, 4.0, 2.0, 0.3]), jnp.array([0.5, -0.3, 3.0, 2.5, -0.2])
      >>> print(f"{jaxloss.rotated_iou_loss(p, t):.4f}")
      0.4717
    """
    check = Arguments("rotated_iou_loss")
    p, t, mask = boxes_of(check, where, columns=5, predictions=predictions, targets=targets)
    return keep(mask, unshared_fraction(p, t))


def rotated_corners(boxes: ArrayLike) -> Array:
    """The four corners of rotated boxes.

    Formula:
      `(cx, cy) + R(r) (u w / 2, v h / 2)` for (u, v) = (-1, -1), (1, -1), (1, 1), (-1, 1), with
      `R(r)` the rotation by r from x towards y.

    Args:
      boxes: `[..., 5]` as cx, cy, w, h, radians, as in `rotated_iou`.

    Returns:
      `[..., 4, 2]` as x, y, in the unit of the boxes, in float32 at least. At angle 0 on a screen:
      top left, top right, bottom right, bottom left.

    Edge cases:
      Smooth everywhere. A negative side exchanges the corners that it joins.

    Differences:
      torchvision's `box_convert` to "xyxyxyxy" takes degrees.

    Raises:
      TypeError: `boxes` is a list or not floating point.
      ValueError: the last axis is not of 5.

    Reference:
      None: a rotation.

    Example:
      >>> print(np.round(jaxloss.boxes.rotated_corners(jnp.array([3.0, 2.0, 4.0, 2.0, 0.0])), 4))
      [[1. 1.]
       [5. 1.]
       [5. 3.]
       [1. 3.]]
    """
    check = Arguments("rotated_corners")
    (array,) = check.floats(boxes=boxes)
    check.shape("boxes", array, (..., 5), ROTATED)
    cosine, sine = jnp.cos(array[..., 4]), jnp.sin(array[..., 4])
    width = 0.5 * array[..., 2:3] * jnp.stack([cosine, sine], -1)
    height = 0.5 * array[..., 3:4] * jnp.stack([-sine, cosine], -1)
    center = array[..., :2]
    diagonals = width + height, width - height
    corners = [center - diagonals[0], center + diagonals[1]]
    return jnp.stack([*corners, center + diagonals[0], center - diagonals[1]], -2)


def rotated_from_corners(corners: ArrayLike) -> Array:
    """Rotated boxes from their four corners in order.

    Formula:
      With corners `P0` to `P3`, the mean `c` of them, `u = (P1 + P2 - P0 - P3) / 2` and
      `v = (P2 + P3 - P0 - P1) / 2`: `(c, |u|, |v|, angle of u)`.

    Args:
      corners: `[..., 4, 2]` as x, y, in the order of `rotated_corners`, from any corner on: v is
        taken to be u turned from x towards y.

    Returns:
      `[..., 5]` as cx, cy, w, h, radians in (-pi, pi], in float32 at least: the inverse of
      `rotated_corners` up to the quarter that the first corner decides.

    Edge cases:
      Corners that are not those of a rectangle give one with the mean of opposite edges; in the
      opposite order they give a box that is right up to its reflection, which is itself. A box
      with w of 0 takes its angle from v, a point has angle 0; the derivatives of sides and angle
      are 0 there, and those of a side of 0 are 0.

    Differences:
      torchvision's `box_convert` from "xyxyxyxy" returns degrees.

    Raises:
      TypeError: `corners` is a list or not floating point.
      ValueError: the last axes are not of 4 and 2.

    Reference:
      None: the inverse of a rotation.

    Example:
      >>> corners = jnp.array([[1.0, 1.0], [5.0, 1.0], [5.0, 3.0], [1.0, 3.0]])
      >>> print(jaxloss.boxes.rotated_from_corners(corners))
      [3. 2. 4. 2. 0.]
    """
    check = Arguments("rotated_from_corners")
    (array,) = check.floats(corners=corners)
    check.shape("corners", array, (..., 4, 2), "four corners as x, y, in order around the box")
    first, second, third, fourth = (array[..., place, :] for place in range(4))
    u = 0.5 * ((second - first) + (third - fourth))
    v = 0.5 * ((fourth - first) + (third - second))
    center = 0.25 * (first + second + third + fourth)
    w, h = length(u[..., 0], u[..., 1]), length(v[..., 0], v[..., 1])
    flat = (w == 0)[..., None]
    turned = jnp.stack([v[..., 1], -v[..., 0]], -1)
    along = jnp.where(flat, turned, u)
    unit = inverse_power_of_two(jnp.max(jnp.abs(along), -1))
    turn = angle(along[..., 1] * unit, along[..., 0] * unit)
    return jnp.stack([center[..., 0], center[..., 1], w, h, turn], -1)
