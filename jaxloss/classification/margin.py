"""Hinge losses: scores that have to be right by a margin of 1."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, broadcast_shape, hide, keep
from jaxloss._numerics import relu
from jaxloss._target import picked
from jaxloss.classification._rows import Axis, labelled


def hinge_loss(
    predictor_outputs: ArrayLike, targets: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """How far every score is from being right by a margin of 1.

    Formula:
      `max(0, 1 - y s)` with `s` the `predictor_outputs` and `y` the targets.

    Args:
      predictor_outputs: `[...]`, scores, positive for a yes.
      targets: `[...]`, 1 for a yes and -1 for a no.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf).

    Edge cases:
      The kink is at `y s = 1`, where value and derivative are 0. Elsewhere the gradient is `-y`
      inside the margin and 0 beyond it. Integer targets other than -1 and 1, and False, give NaN
      in value and in gradient; a floating-point target is put into the formula as it is.

    Differences:
      optax's function of this name has the same numbers, with derivative `-y / 2` at the kink, and
      takes a target of 0 for a loss of 1 without gradient.

    Raises:
      TypeError: an argument is a list, or `predictor_outputs` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Cortes, Vapnik, "Support-Vector Networks", 1995.

    Example:
      >>> scores, targets = jnp.array([0.25, 3.0, 0.5]), jnp.array([1, 1, -1])
      >>> print(jaxloss.hinge_loss(scores, targets))
      [0.75 0.   1.5 ]
    """
    check = Arguments("hinge_loss")
    s, y = check.pair(predictor_outputs=predictor_outputs, targets=targets)
    mask = check.where(where, broadcast_shape(s, y))
    s, y = hide(mask, s, y)
    if not jnp.issubdtype(check.array("targets", targets).dtype, jnp.floating):
        # A factor on the score makes the gradient NaN, too, where the target is wrong.
        s = jnp.where(jnp.abs(y) == 1, 1, jnp.nan).astype(s.dtype) * s
    # So does one on a score that is NaN: beyond the margin the gradient would be that of any other.
    return keep(mask, relu(1 - y * (jnp.where(jnp.isnan(s), s, 1) * s)))


def multiclass_hinge_loss(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis = -1,
    ignore_label: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """How far the right class is from winning by a margin of 1.

    Formula:
      `max(0, 1 + max_{c != y} s_c - s_y)` with `s` the scores and `y` the label.

    Args:
      scores: `[..., C]`.
      labels: `[...]`, integers in [0, C): the scores' shape without `axis`.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order of the axes as they are given.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        scores: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, inf).

    Edge cases:
      The kink is where the margin is exactly 1: value and derivative are 0 there. Inside it the
      gradient is -1 at the label and 1 at the highest other class; several equally high ones share
      it evenly. One class alone costs 0. A label outside [0, C), -1 included, or of a removed
      class gives NaN in value and in gradient unless it is ignored or masked.

    Differences:
      optax's function of this name has the same numbers for labels in range; a label out of range
      is there no class at all, and at the kink the label's slope is not 0. torch's
      `multi_margin_loss` is another function: a mean over all other classes, not the highest.

    Raises:
      TypeError: an argument is a list, `scores` are not floating point or `labels` not integers.
      ValueError: `labels` have another shape than the scores without `axis`, or `where` has
        neither shape.

    Reference:
      Crammer, Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector
      Machines", 2001.

    Example:
      >>> scores, labels = jnp.array([[1.5, 0.25, 1.0], [4.0, 0.0, 1.0]]), jnp.array([0, 0])
      >>> print(jaxloss.multiclass_hinge_loss(scores, labels))
      [0.5 0. ]
    """
    check = Arguments("multiclass_hinge_loss")
    (s,) = check.floats(scores=scores)
    rows, target = labelled(check, s, labels, axis, where, ignore_label)
    # A factor on every class makes the gradient NaN, too, where the label names none.
    s = jnp.expand_dims(target.known, rows.axis) * rows.x
    own, highest, _ = _own_and_others(s, target.label, target.at, rows.axis)
    return keep(rows.mask, relu(1 + (highest - own)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _own_and_others(x: Array, label: Array, at: Array, axis: int) -> tuple[Array, Array, Array]:
    """The label's score, the highest other, and how many others are as high.

    By passes that a CPU vectorises; elsewhere by one, unless a mesh may divide the classes.
    """
    if not jax.typeof(x).sharding.mesh.empty:
        return _by_passes(axis, x, label, at)
    found: tuple[Array, Array, Array] = lax.platform_dependent(
        *(x, label, at),
        cpu=functools.partial(_by_passes, axis),
        default=functools.partial(_by_one_pass, axis),
    )
    return found


@_own_and_others.defjvp
def _own_and_others_jvp(
    axis: int, primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """Of the highest, those that are tied share the derivative."""
    x, _, at = primals
    own, highest, ties = _own_and_others(*primals, axis)
    tied = ~at & (x == jnp.expand_dims(highest, axis))
    share = jnp.where(jnp.isnan(highest), highest, 1 / jnp.maximum(ties, 1))
    share = jnp.expand_dims(lax.stop_gradient(share), axis)
    slopes = jnp.where(at, 1, 0 * share), jnp.where(tied, share, 0 * share)
    of_own, of_highest = (jnp.sum(slope * tangents[0], axis) for slope in slopes)
    return (own, highest, ties), (of_own, of_highest, jnp.zeros_like(ties))


def _by_passes(axis: int, x: Array, label: Array, at: Array) -> tuple[Array, Array, Array]:
    highest = jnp.max(jnp.where(at, -jnp.inf, x), axis, keepdims=True)
    ties = jnp.sum(~at & (x == highest), axis, dtype=x.dtype)
    return picked(x, label, at, axis), jnp.squeeze(highest, axis), ties


def _by_one_pass(axis: int, x: Array, _: Array, at: Array) -> tuple[Array, Array, Array]:
    zero, lowest = jnp.zeros((), x.dtype), jnp.full((), -jnp.inf, x.dtype)
    alone = jnp.where(at, x, zero), jnp.where(at, lowest, x), jnp.where(at, zero, zero + 1)
    own, highest, ties = lax.reduce(alone, (zero, lowest, zero), _joined, (axis,))
    return own, highest, ties


def _joined(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    highest = jnp.maximum(a[1], b[1])
    ties, others = (jnp.where(part[1] == highest, part[2], 0 * part[2]) for part in (a, b))
    return a[0] + b[0], highest, ties + others
