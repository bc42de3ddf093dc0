"""Rotated boxes as Gaussians: losses that see the angle of boxes that do not overlap, too."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._exponential import saturating
from jaxloss._logarithm import logarithm, logarithm_of_one_plus
from jaxloss._numerics import (
    horner,
    inverse_power_of_two,
    inverse_root_of_power_of_two,
    reciprocal,
    root,
    scaled_ratio,
)
from jaxloss._tracing import traced_once
from jaxloss.boxes._columns import Columns, boxes_of, of_boxes
from jaxloss.boxes._frames import Pair, length, named_by_length, pair_of, rotated

ENORMOUS = 1e30


@of_boxes
def wasserstein_distance(first: Columns, second: Columns) -> Array:
    """Distance of the Gaussians with deviations of half the sides; derivative 0 at 0.

    D^2 = |d|^2 + ((w - W)^2 + (h - H)^2) / 4 and what the angle adds; nothing cancels.
    """
    return _distance(_gaussians(first, second))


@of_boxes
def logarithmic_distance(first: Columns, second: Columns) -> Array:
    """ln(1 + D / (w h W H)^(1/4)), of D over a mean side; enormous where that is 0 and D is not.

    Where D is large, by logarithms: second derivatives of the quotient would overflow.
    """
    pair = _gaussians(first, second)
    distance, flat = _distance(pair), _flat(pair)
    infinite = flat & (distance > 0)
    one = jnp.ones_like(distance)
    w, h, W, H = (jnp.where(flat, one, side) for side in pair[2:6])
    side = _geometric_mean(_geometric_mean(w, h), _geometric_mean(W, H))
    far = ~flat & (distance >= 1024 * side)
    near = scaled_ratio(jnp.where(far | infinite, 0 * one, distance), side)
    large, unit = jnp.where(far, distance, one), inverse_power_of_two(side)
    sides = logarithm(w, h, W, H, *4 * [unit])
    value = logarithm(large, unit) - 0.25 * sides + logarithm_of_one_plus(scaled_ratio(side, large))
    return jnp.where(infinite, ENORMOUS * one, jnp.where(far, value, logarithm_of_one_plus(near)))


def _geometric_mean(a: Array, b: Array) -> Array:
    return jnp.sqrt(a) * jnp.sqrt(b)


def _distance(pair: Pair) -> Array:
    wider, higher = pair.width - pair.target_width, pair.height - pair.target_height
    longer, target_longer = pair.width - pair.height, pair.target_width - pair.target_height
    turned = longer * pair.sine
    unit = inverse_power_of_two(_largest(pair.across, pair.up, wider, higher, turned))
    turn = (turned * unit) * (target_longer * unit * _leverage(pair))
    sides = jnp.square(wider * unit) + jnp.square(higher * unit)
    center = jnp.square(pair.across * unit) + jnp.square(pair.up * unit)
    square = center + 0.25 * sides + 0.5 * turn
    distance = root(jnp.where(square > 0, square, jnp.ones_like(square)))
    return jnp.where(square <= 0, 0 * distance, distance) * inverse_power_of_two(unit)


def _gaussians(first: Columns, second: Columns) -> Pair:
    """The pair without the signs of its sides, of which a Gaussian knows nothing.

    Long sides lie along long sides: then whatever the angle adds to a distance is positive.
    """
    pair = pair_of(first, second)
    w, h, W, H = (jnp.where(side < 0, -side, side) for side in pair[2:6])
    return named_by_length(pair._replace(width=w, height=h, target_width=W, target_height=H))


def _largest(*sizes: Array) -> Array:
    return functools.reduce(jnp.maximum, [jnp.abs(size) for size in sizes])


def _leverage(pair: Pair) -> Array:
    """s (p + q) / (p + sqrt(p^2 c^2 + q^2 s^2)), with p = w W + h H, q = w H + h W: bounded."""
    w, h, W, H = pair[2:6]
    unit, target_unit = inverse_power_of_two(w + h), inverse_power_of_two(W + H)
    w, h, W, H = w * unit, h * unit, W * target_unit, H * target_unit
    p, q = w * W + h * H, w * H + h * W
    return scaled_ratio((p + q) * pair.sine, p + length(p * pair.cosine, q * pair.sine))


@of_boxes
def logarithmic_divergence(first: Columns, second: Columns) -> Array:
    """ln(1 + D(first || second)), by a power of two where D is large; enormous where infinite.

    2 D = |2 d / (W, H)|^2 + g(w / W) + g(h / H) + s^2 (w^2 - h^2) (W^2 - H^2) / (W H)^2 with
    g(r) = r^2 - 1 - 2 ln r: nothing cancels.
    """
    pair = _thickened(_gaussians(first, second))
    infinite = _flat(pair)
    pair = _constant(pair, infinite)
    across, up, w, h, W, H, _, s = pair
    by_W, by_H = _inverse(W), _inverse(H)
    ratios = (2 * across * by_W, 2 * up * by_H, w * by_W, h * by_H, w * s * by_H)
    unit = inverse_power_of_two(_largest(jnp.ones_like(w), *ratios))
    center = jnp.square(2 * across * unit * by_W) + jnp.square(2 * up * unit * by_H)
    turn = ((w - h) * unit * s * by_H) * ((w + h) * unit * s * by_H)
    turn = turn * ((W - H) * by_W) * ((W + H) * by_W)
    double = center + turn + _growth(w, W, by_W, unit) + _growth(h, H, by_H, unit)
    close = unit == 1
    large = jnp.where(close, jnp.ones_like(double), jnp.square(unit) + 0.5 * double)
    small = jnp.where(close, 0.5 * double, jnp.zeros_like(double))
    value = logarithm_of_one_plus(small) + logarithm(large, *2 * [inverse_power_of_two(unit)])
    return jnp.where(infinite, jnp.full_like(value, ENORMOUS), value)


@of_boxes
def overlap_of_products(first: Columns, second: Columns) -> Array:
    """KFIoU: a b / (a + b - a b), with the areas a and b over that of the sum of covariances."""
    pair = _gaussians(first, second)
    nothing = jnp.zeros_like(pair.across)
    return _overlap(_scaled(_thickened(pair._replace(across=nothing, up=nothing))))


@of_boxes
def rescaled_gap(first: Columns, second: Columns) -> Array:
    """1 - 3 KFIoU, without cancellation where shapes are close."""
    pair = _gaussians(first, second)
    nothing = jnp.zeros_like(pair.across)
    pair = _scaled(_thickened(pair._replace(across=nothing, up=nothing)))
    flat = _flat(pair)
    close = ~flat & (_excess_area(lax.stop_gradient(pair)) < 1)
    far = 1 - 3 * _overlap(_constant(pair, close))
    return jnp.where(close, _close_gap(_constant(pair, ~close)), far)


def _overlap(pair: Pair) -> Array:
    whole = _joint_area(pair)
    a = scaled_ratio(pair.width * pair.height, whole)
    b = scaled_ratio(pair.target_width * pair.target_height, whole)
    return a * scaled_ratio(b, a + b * (1 - a))


def _close_gap(pair: Pair) -> Array:
    """n / (3 + n), with n = 4 (r - 1) + 2 r q.

    r = whole / (2 g) and q = (sqrt A - sqrt B)^2 / g, of the areas A and B with g^2 = A B.
    """
    w, h, W, H = pair[2:6]
    excess = _excess_area(pair)
    r = root(1 + excess)
    larger = scaled_ratio(h - H, H) + scaled_ratio(w - W, W) * scaled_ratio(h, H)
    side = root(1 + larger)
    square = jnp.square(larger * reciprocal(1 + side))
    n = 4 * excess * reciprocal(1 + r) + 2 * r * square * reciprocal(side)
    return n * reciprocal(3 + n)


@of_boxes
def bhattacharyya_distance(first: Columns, second: Columns) -> Array:
    """Of the Gaussians with deviations of sides over the root of 12; at most 100."""
    pair = _thickened(_gaussians(first, second))
    flat = _flat(pair)
    far = flat | (_bhattacharyya(lax.stop_gradient(pair)) >= 100)
    value = _bhattacharyya(_constant(pair, far))
    return jnp.where(far, jnp.full_like(value, 100), value)


@traced_once
def _bhattacharyya(pair: Pair) -> Array:
    unit = inverse_power_of_two(_largest(*pair[2:6]))
    scaled = _scaled(pair)
    w, h, W, H = scaled[2:6]
    whole = _joint_area(scaled)
    across, up = rotated(scaled.across, scaled.up, pair.cosine, -pair.sine)
    arms = (H * scaled.across, W * scaled.up, h * across, w * up)
    center = sum(jnp.square(scaled_ratio(arm, whole)) for arm in arms)
    close = _excess_area(lax.stop_gradient(pair)) < 1
    near = 0.5 * logarithm_of_one_plus(_excess_area(_constant(pair, ~close)))
    sides = logarithm(*pair[2:6], *4 * [unit])
    shape = jnp.where(close, near, logarithm(whole) - 0.5 * sides - math.log(2))
    return 3 * center + shape


def _joint_area(pair: Pair) -> Array:
    """sqrt((w^2 + W^2) (h^2 + H^2) c^2 + (w^2 + H^2) (h^2 + W^2) s^2)."""
    w, h, W, H = pair[2:6]
    along, across = length(w, W) * length(h, H), length(w, H) * length(h, W)
    return length(along * pair.cosine, across * pair.sine)


@traced_once
def _excess_area(pair: Pair) -> Array:
    """The square of the joint area over 4 w h W H, less 1, of which every part is positive."""
    _, _, w, h, W, H, _, s = pair
    by_w, by_h, by_W, by_H = (_inverse(side) for side in (w, h, W, H))
    wider = 0.5 * ((w - W) * by_w) * ((w - W) * by_W)
    higher = 0.5 * ((h - H) * by_h) * ((h - H) * by_H)
    turn = ((w - h) * s * by_h) * ((w + h) * by_w) * ((W - H) * s * by_H) * ((W + H) * by_W)
    return wider + higher + wider * higher + 0.25 * turn


def _inverse(side: Array) -> Array:
    """1 / side, and 0 where that is 0."""
    return scaled_ratio(jnp.ones_like(side), side)


@traced_once
def _growth(side: Array, target: Array, by_target: Array, unit: Array) -> Array:
    """g(r) = (r - 1)^2 + 2 (r - 1 - ln r) of a ratio of sides, times `unit` twice."""
    change = (side - target) * unit * by_target
    close = jnp.abs(side - target) < 0.25 * target
    near = unit * _less_logarithm(jnp.where(close, (side - target) * by_target, 0))
    far = change - unit * logarithm(side, by_target)
    return jnp.square(change) + 2 * unit * jnp.where(close, near, far)


def _less_logarithm(x: Array) -> Array:
    """x - ln(1 + x) for |x| <= 1/4, by the series of the inverse hyperbolic tangent."""
    z = x * reciprocal(2 + x)
    square = jnp.square(z)
    terms = 10 if x.dtype == jnp.float64 else 5
    return x * z - 2 * z * square * horner(square, tuple(1 / (2 * n + 3) for n in range(terms)))


def _thickened(pair: Pair) -> Pair:
    """The pair with sides of 1 along an axis on which both boxes are one point, and not turned."""
    across, up, w, h, W, H, _, s = pair
    x_point = _largest(across, w, W, h * s, H * s) == 0
    y_point = _largest(up, h, H, w * s, W * s) == 0
    one = jnp.ones_like(w)
    return pair._replace(
        width=jnp.where(x_point, one, w),
        height=jnp.where(y_point, one, h),
        target_width=jnp.where(x_point, one, W),
        target_height=jnp.where(y_point, one, H),
    )


def _flat(pair: Pair) -> Array:
    """Whether a box has no area."""
    w, h, W, H = pair[2:6]
    return inverse_power_of_two(functools.reduce(jnp.minimum, (w, h, W, H))) == 0


def _constant(pair: Pair, where: Array) -> Pair:
    """The pair, constant where its result is not selected, however large the derivatives are.

    Its values stay, so that nothing is computed twice.
    """
    return Pair._make(jnp.where(where, lax.stop_gradient(x), x) for x in pair)


def _scaled(pair: Pair) -> Pair:
    """The pair in a unit in which the longest side is of order 1."""
    unit = inverse_power_of_two(_largest(*pair[2:6]))
    return Pair._make([*(size * unit for size in pair[:6]), pair.cosine, pair.sine])


def gwd_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    tau: ArrayLike = 2.0,
    transform: str = "sqrt",
    where: ArrayLike | None = None,
) -> Array:
    """Gaussian Wasserstein distance of two rotated boxes, brought into a bounded range.

    Formula:
      `1 - 1 / (tau + f)`, with `f = D`, `f = ln(1 + D^2)` or `f = ln(1 + D / (w h W H)^(1/4))`, and
      `D^2 = |d|^2 + tr(S + T - 2 (S^(1/2) T S^(1/2))^(1/2))` the squared Wasserstein distance of
      the Gaussians with the boxes' centres, `d` apart, and the covariances
      `S, T = R diag(w^2 / 4, h^2 / 4) R^T`.

    Args:
      predictions: `[..., 5]` as cx, cy, w, h, radians: centre, sides, and the angle by which the
        side w is turned from x towards y, which is clockwise on a screen. Any unit of length;
        degrees become radians by `jnp.deg2rad`.
      targets: `[..., 5]`, the same units; dimensions equal to those of the predictions or 1.
      tau: scalar, a vector along the last axis of `[...]`, or of its rank, `>= 1`; may be traced.
      transform: "sqrt" is `f = D`, "log1p" is `f = ln(1 + D^2)`, "normalized" is the third `f`,
        which does not depend on the unit of length.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [1 - 1 / tau, 1], in float32 at least: tau of 1 makes the loss of identical boxes
      0, the default of 2 makes it 1/2.

    Edge cases:
      Identical boxes have gradient 0, although `D` has a kink there. Boxes of any shape have a
      finite loss, points and segments included. Squares lose their angle: all turns of a square are
      the same Gaussian. So are (w, h, r) and (h, w, r + pi / 2), and negative sides are those
      without their sign; at a side of 0 the derivative is that from above. `D` is computed without
      cancellation. It depends on the unit of length; normalized, a box without area is infinitely
      far from every other: the loss is 1 with gradient 0.

    Differences:
      The official configurations have `tau = 2` and the root; the TensorFlow code writes the
      logarithm as `ln(D^2 + 1e-3)`, clipped at 0. mmrotate's `GDLoss` is "normalized" with
      `tau = 1`; its `GDLoss_v1` is the default here.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 5, the ranks differ, dimensions are neither equal nor 1,
        or `transform` is unknown.

    Reference:
      Yang et al., "Rethinking Rotated Object Detection with Gaussian Wasserstein Distance Loss",
      2021, arXiv 2101.11952.

    Example:
      >>> p, t = jnp.array([0.0, 0.0, 4.0, 2.0, 0.3]), jnp.array([0.5, -0.3, 3.0, 2.5, -0.2])
      >>> print(f"{jaxloss.gwd_loss(p, t):.4f}")
      0.6521
    """
    check = Arguments("gwd_loss")
    p, t, mask = boxes_of(check, where, columns=5, predictions=predictions, targets=targets)
    check.option("transform", transform, DISTANCES, "see `Formula`")
    distance = DISTANCES[transform](p, t)
    return keep(mask, _bounded(distance, check.parameter("tau", tau, distance, at_least=1)))


def kld_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    tau: ArrayLike = 1.0,
    transform: str = "log1p",
    direction: str = "target||prediction",
    where: ArrayLike | None = None,
) -> Array:
    """Kullback-Leibler divergence of two rotated boxes as Gaussians, brought into a bounded range.

    Formula:
      `1 - 1 / (tau + f)`, with `f = ln(1 + D)` or `f = sqrt(D)`, and `D(1 || 2) = (d^T T^-1 d +
      tr(T^-1 S) + ln(det T / det S)) / 2 - 1` the divergence of the Gaussian with covariance `S`
      from that with `T`, both `R diag(w^2 / 4, h^2 / 4) R^T`, and `d` the difference of the
      centres.

    Args:
      predictions: `[..., 5]` as cx, cy, w, h, radians: centre, sides, and the angle by which the
        side w is turned from x towards y, which is clockwise on a screen. Any unit of length;
        degrees become radians by `jnp.deg2rad`.
      targets: `[..., 5]`, the same units; dimensions equal to those of the predictions or 1.
      tau: scalar, a vector along the last axis of `[...]`, or of its rank, `>= 1`; may be traced.
      transform: "log1p" is `f = ln(1 + D)`, "sqrt" is `f = sqrt(D)`.
      direction: "target||prediction" measures distances in the prediction's sides,
        "prediction||target" in the target's.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [1 - 1 / tau, 1], in float32 at least; it does not depend on the unit of length.

    Edge cases:
      Identical boxes have `D` of 0 with gradient 0, although the root has a kink there, points and
      parallel segments included: sides that are 0 in both drop out, the limit of both boxes
      thickened equally. Otherwise a box without area is infinitely far: the loss is 1 with gradient
      0. Squares lose their angle; (w, h, r) and (h, w, r + pi / 2) are the same, and so are
      negative sides and those without their sign. `D` keeps its relative accuracy near 0. Second
      derivatives of sides below 1e-12 may leave the range of float32.

    Differences:
      The default direction is that of mmrotate's `kld_loss` and of the authors' TensorFlow code,
      which multiplies the loss by 0.05, or takes the root with `tau = 2`. mmrotate's `GDLoss` has
      `ln(1 + sqrt(D))` unless it is told `sqrt=False`; its `GDLoss_v1` takes twice the other
      direction: it lacks the half.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 5, the ranks differ, dimensions are neither equal nor 1,
        or `transform` or `direction` is unknown.

    Reference:
      Yang et al., "Learning High-Precision Bounding Box for Rotated Object Detection via
      Kullback-Leibler Divergence", 2021, arXiv 2106.01883.

    Example:
      >>> p, t = jnp.array([0.0, 0.0, 4.0, 2.0, 0.3]), jnp.array([0.5, -0.3, 3.0, 2.5, -0.2])
      >>> print(f"{jaxloss.kld_loss(p, t):.4f}")
      0.2076
    """
    check = Arguments("kld_loss")
    p, t, mask = boxes_of(check, where, columns=5, predictions=predictions, targets=targets)
    check.option("transform", transform, DIVERGENCES, "see `Formula`")
    check.option("direction", direction, DIRECTIONS, "the reference comes last")
    first, second = (t, p) if direction == "target||prediction" else (p, t)
    divergence = logarithmic_divergence(first, second)
    offset = check.parameter("tau", tau, divergence, at_least=1)
    return keep(mask, DIVERGENCES[transform](divergence, offset))


def kfiou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    form: str = "linear",
    where: ArrayLike | None = None,
) -> Array:
    """One minus the overlap of two rotated boxes as Gaussians, by the product of a Kalman filter.

    Formula:
      `1 - K`, `exp(1 - K) - 1`, `-ln K` or `1 - 3 K`, with `K = V / (V1 + V2 - V)`, `V1 = w h`,
      `V2 = W H` and `V = 4 sqrt(det(S (S + T)^-1 T))` the areas of both boxes and of the product of
      their Gaussians, with covariances `S, T = R diag(w^2 / 4, h^2 / 4) R^T`.

    Args:
      predictions: `[..., 5]` as cx, cy, w, h, radians: centre, sides, and the angle by which the
        side w is turned from x towards y, which is clockwise on a screen. Any unit of length;
        degrees become radians by `jnp.deg2rad`.
      targets: `[..., 5]`, the same units; dimensions equal to those of the predictions or 1.
      form: "linear", "exponential", "logarithm" or "rescaled", in the order of the formula.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in float32 at least: K is in [0, 1/3], so that the linear form is in [2/3, 1], the
      exponential in [0.9477, 1.7183], the logarithm in [1.0986, 100], the rescaled one in [0, 1].

    Edge cases:
      The centres play no part: add a loss of theirs, such as `smooth_l1_loss` of the encoded
      centres. Identical shapes have gradient 0. K of boxes without area is 0, unless both are
      points or parallel segments: those are the limit of both thickened equally, 1/3. The logarithm
      is at most 100, with gradient 0 there. The rescaled form is exactly 0 for identical shapes,
      and keeps its digits near them. Squares lose their angle; (w, h, r) and (h, w, r +
      pi / 2) are the same, and so are negative sides and those without their sign. Second
      derivatives of sides below 1e-7 may leave the range of float32.

    Differences:
      mmrotate adds the smooth L1 of the encoded centres with `beta = 1 / 9`, and an epsilon to K
      inside the logarithm. The paper's forms are the first three, none of which is 0 for identical
      boxes.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 5, the ranks differ, dimensions are neither equal nor 1,
        or `form` is unknown.

    Reference:
      Yang et al., "The KFIoU Loss for Rotated Object Detection", 2022, arXiv 2201.12558.

    Example:
      >>> p, t = jnp.array([0.0, 0.0, 4.0, 2.0, 0.3]), jnp.array([0.5, -0.3, 3.0, 2.5, -0.2])
      >>> print(f"{jaxloss.kfiou_loss(p, t):.4f}")
      0.6871
    """
    check = Arguments("kfiou_loss")
    p, t, mask = boxes_of(check, where, columns=5, predictions=predictions, targets=targets)
    check.option("form", form, OVERLAP_FORMS, "see `Formula`")
    return keep(mask, OVERLAP_FORMS[form](p, t))


def probiou_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    form: str = "hellinger",
    where: ArrayLike | None = None,
) -> Array:
    """Hellinger or Bhattacharyya distance of two rotated boxes as Gaussians.

    Formula:
      `sqrt(1 - exp(-B))` or `min(B, 100)`, with `B = d^T M^-1 d / 8 + ln(det M / sqrt(det S det T))
      / 2` the Bhattacharyya distance, `M = (S + T) / 2`, `d` the difference of the centres and `S,
      T = R diag(w^2 / 12, h^2 / 12) R^T`, the covariances of boxes filled evenly.

    Args:
      predictions: `[..., 5]` as cx, cy, w, h, radians: centre, sides, and the angle by which the
        side w is turned from x towards y, which is clockwise on a screen. Any unit of length;
        degrees become radians by `jnp.deg2rad`.
      targets: `[..., 5]`, the same units; dimensions equal to those of the predictions or 1.
      form: "hellinger" is the root, "bhattacharyya" is B, which has gradients far away, too.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]`, in float32 at least: in [0, 1], or in [0, 100]; 1 less the first is called ProbIoU.

    Edge cases:
      Identical boxes have exactly 0, points and parallel segments included, with gradient 0
      although the root has a kink there: sides that are 0 in both drop out, the limit of both boxes
      thickened equally. Otherwise a box without area is infinitely far. From B of 100 on the loss
      is 1, or 100, with gradient 0. Squares lose their angle; (w, h, r) and (h, w, r + pi / 2) are
      the same, and so are negative sides and those without their sign. Second derivatives of sides
      below 1e-12 may leave the range of float32.

    Differences:
      The authors' code raises B to 1e-3 at least and adds 1e-3, which makes the example 0.3298;
      Ultralytics adds 1e-7.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 5, the ranks differ, dimensions are neither equal nor 1,
        or `form` is unknown.

    Reference:
      Llerena et al., "Gaussian Bounding Boxes and Probabilistic Intersection-over-Union for Object
      Detection", 2021, arXiv 2106.06072.

    Example:
      >>> p, t = jnp.array([0.0, 0.0, 4.0, 2.0, 0.3]), jnp.array([0.5, -0.3, 3.0, 2.5, -0.2])
      >>> print(f"{jaxloss.probiou_loss(p, t):.4f}")
      0.3281
    """
    check = Arguments("probiou_loss")
    p, t, mask = boxes_of(check, where, columns=5, predictions=predictions, targets=targets)
    check.option("form", form, DISTANCE_FORMS, "see `Formula`")
    return keep(mask, DISTANCE_FORMS[form](bhattacharyya_distance(p, t)))


def _bounded(distance: Array, tau: Array) -> Array:
    """1 - 1 / (tau + distance)."""
    return _fraction_of_one_more(tau - 1 + distance)


@jax.custom_jvp
def _fraction_of_one_more(x: Array) -> Array:
    """x / (1 + x) of x >= 0, whose slope 1 / (1 + x)^2 keeps its digits however large x is."""
    return x / (1 + x)


@_fraction_of_one_more.defjvp
def _fraction_of_one_more_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,) = primals
    return _fraction_of_one_more(x), scaled_ratio(scaled_ratio(tangents[0], 1 + x), 1 + x)


def _bounded_root(logarithm: Array, tau: Array) -> Array:
    """1 - 1 / (tau + sqrt(D)) of ln(1 + D), in terms that stay finite however large D is."""
    root, scale = _hellinger(logarithm), jnp.exp(-0.5 * logarithm)
    return ((tau - 1) * scale + root) / (tau * scale + root)


def _negative_logarithm(overlap: Array) -> Array:
    known = overlap > math.exp(-100)
    value = -logarithm(jnp.where(known, overlap, jnp.ones_like(overlap)))
    return jnp.where(overlap <= math.exp(-100), jnp.full_like(value, 100), value)


def _hellinger(distance: Array) -> Array:
    """sqrt(1 - exp(-B)), with derivative 0 at 0, and 1 from B of 100 on."""
    square = saturating(distance)
    unit = inverse_root_of_power_of_two(square)
    square = square * unit * unit
    known = root(jnp.where(unit == 0, jnp.ones_like(square), square))
    return jnp.where(unit == 0, square, known) * inverse_power_of_two(unit)


def _logarithm_of_one_plus_square(distance: Array) -> Array:
    """ln(1 + D^2) of a D >= 0 whose square may overflow."""
    one = jnp.ones_like(distance)
    far = distance > np.finfo(distance.dtype).eps ** -0.5
    near = logarithm_of_one_plus(jnp.square(jnp.where(far, 0 * one, distance)))
    return jnp.where(far, 2 * logarithm(jnp.where(far, distance, one)), near)


DISTANCES: dict[str, Callable[[Array, Array], Array]] = {
    "sqrt": wasserstein_distance,
    "log1p": lambda p, t: _logarithm_of_one_plus_square(wasserstein_distance(p, t)),
    "normalized": logarithmic_distance,
}
DIVERGENCES: dict[str, Callable[[Array, Array], Array]] = {
    "log1p": _bounded,
    "sqrt": _bounded_root,
}
DIRECTIONS = ("target||prediction", "prediction||target")
OVERLAP_FORMS: dict[str, Callable[[Array, Array], Array]] = {
    "linear": lambda p, t: 1 - overlap_of_products(p, t),
    "exponential": lambda p, t: jnp.expm1(1 - overlap_of_products(p, t)),
    "logarithm": lambda p, t: _negative_logarithm(overlap_of_products(p, t)),
    "rescaled": rescaled_gap,
}
DISTANCE_FORMS: dict[str, Callable[[Array], Array]] = {
    "hellinger": _hellinger,
    "bhattacharyya": lambda distance: distance,
}
