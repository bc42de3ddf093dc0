"""Losses of embeddings that come in pairs and triplets; the vectors' axis is reduced."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, broadcast_shape, hide, keep
from jaxloss._lengths import distances
from jaxloss._logistic import known_number
from jaxloss._numerics import relu
from jaxloss.embedding._vectors import masks, power, scale_of


def contrastive_loss(
    a: ArrayLike,
    b: ArrayLike,
    same: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Contrastive loss of pairs: alike ones are pulled together, others pushed to a distance.

    Formula:
      `0.5 d^2` if `same`, else `0.5 max(margin - d, 0)^2`, with `d = |a - b|`, the Euclidean
      distance.

    Args:
      a: `[..., D]`, embeddings.
      b: `[..., D]`, their partners.
      same: boolean `[...]`, True where a pair is to be close.
      margin: `>= 0`, the distance from which other pairs add nothing: a scalar, a vector along the
        last axis of the result, or of its rank. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        embeddings: False removes an element from the distance.

    Returns:
      `[...]` in [0, inf), in the squared unit of the embeddings.

    Edge cases:
      Of a pair that is not the same, at `d = 0` the distance has no derivative: it is 0 there, so
      that nothing pushes them apart. Once differentiable at `d = margin`. The difference is taken
      first, so that the distance of nearly equal vectors keeps its digits.

    Differences:
      Many libraries leave out the halves, or give label 1 to pairs that are not the same;
      pytorch-metric-learning's margins are 0 for same pairs and 1 for others, without squares.

    Raises:
      TypeError: an argument is a list, the embeddings are not floating point, or `same` is not
        boolean.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `same` is not `[...]`.

    Reference:
      Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006.

    Example:
      >>> a, b = jnp.array([[0.4, 0.0], [0.4, 0.0]]), jnp.zeros((2, 2))
      >>> losses = jaxloss.contrastive_loss(a, b, jnp.array([True, False]))
      >>> print(np.array_str(losses, precision=4))
      [0.08 0.18]
    """
    check = Arguments("contrastive_loss")
    a, b = check.pair(a=a, b=b)
    shape = broadcast_shape(a, b)
    check.shape("a", a, (..., None), "vectors along the last axis")
    kept, mask = masks(check, where, shape, -1)
    (distance,) = distances(a, (b,), kept, jnp.zeros((), a.dtype), (len(shape) - 1,))
    alike = check.mask("same", same, shape[:-1], "one answer a pair")
    margin = check.parameter("margin", margin, distance, at_least=0)
    near = _half_square(jnp.subtract(*hide(kept, a, b)), distance)
    return keep(mask, jnp.where(alike, near, 0.5 * jnp.square(relu(margin - distance))))


@jax.custom_jvp
def _half_square(difference: Array, distance: Array) -> Array:
    """Of the distance, which is the length of the difference, of which it has the derivatives."""
    return 0.5 * jnp.square(distance)


@_half_square.defjvp
def _half_square_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    return _half_square(*primals), jnp.sum(primals[0] * tangents[0], -1)


def triplet_margin_loss(
    anchors: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    axis: int = -1,
    norm_degree: ArrayLike = 2,
    margin: ArrayLike = 1.0,
    eps: ArrayLike = 1e-6,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Triplet loss: the positive is to be nearer to the anchor than the negative by a margin.

    Formula:
      `max(d(anchors, positives) - d(anchors, negatives) + margin, 0)` with
      `d(a, b) = (sum |a - b|^p + eps)^(1/p)` and `p` the `norm_degree`.

    Args:
      anchors: `[..., D]`, embeddings.
      positives: `[..., D]`, embeddings that belong to the anchors.
      negatives: `[..., D]`, embeddings that do not.
      axis: the axis of the vectors.
      norm_degree: `>= 1`, a scalar: 2 is the Euclidean distance, 1 the sum of absolute differences.
        May be traced.
      margin: in the unit of the embeddings: a scalar, a vector along the last axis of the result,
        or of its rank. May be traced.
      eps: `>= 0`, a scalar that rounds the distance off at 0, in the unit to the power `p`; it is
        part of the definition, and may be 0. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        embeddings: False removes an element from the distances.

    Returns:
      `[...]`, the embeddings without `axis`, in [0, inf) and the unit of the embeddings.

    Edge cases:
      At the hinge, where the difference of the distances is `-margin`, the derivative is 0. With
      `eps = 0` a distance of 0 has derivative 0. An element of a difference that is 0 has
      derivative 0 for every degree; its second derivative, which is infinite for degrees between 1
      and 2, is 0 there, too. Distances neither over- nor underflow on the way.

    Differences:
      optax's function of this name agrees for even degrees; for a degree of 1 or 3 it leaves out
      the absolute value, and at the hinge its derivative is half the sum of both sides'. torch's
      adds its `eps` to every element of the difference. FaceNet's distances are squared, of unit
      vectors, with a margin of 0.2.

    Raises:
      TypeError: an argument is a list, or `anchors` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or there is no such `axis`.

    Reference:
      Balntas, Riba, Ponsa, Mikolajczyk, "Learning Shallow Convolutional Feature Descriptors with
      Triplet Losses", 2016.

    Example:
      >>> anchors, positives = jnp.zeros((2, 2)), jnp.array([[0.3, 0.4], [0.3, 0.4]])
      >>> negatives = jnp.array([[3.0, 4.0], [0.0, 1.2]])
      >>> losses = jaxloss.triplet_margin_loss(anchors, positives, negatives)
      >>> print(np.array_str(losses, precision=4))
      [0.  0.3]
    """
    check = Arguments("triplet_margin_loss")
    vectors = check.pair(anchors=anchors, positives=positives, negatives=negatives)
    shape = broadcast_shape(*vectors)
    if isinstance(axis, float):
        raise TypeError(
            f"`triplet_margin_loss`: `axis` is {axis}, expected an integer; the margin goes by "
            f"keyword, as `margin={axis}`"
        )
    axis = check.axis(axis, len(shape))
    kept, mask = masks(check, where, shape, axis)
    anchor, positive, negative = vectors
    degree = check.scalar("norm_degree", norm_degree, anchor, at_least=1)
    rounding = check.scalar("eps", eps, anchor, at_least=0)
    if known_number(norm_degree) == 2:
        others = positive, negative
        near, far = distances(anchor, others, kept, rounding, (axis,))
    else:
        anchor, positive, negative = hide(kept, *vectors)
        gaps = (jnp.broadcast_to(anchor - other, shape) for other in (positive, negative))
        near, far = (_distance(gap, axis, degree, rounding) for gap in gaps)
    excess = near - far
    return keep(mask, relu(excess + check.parameter("margin", margin, excess)))


def _distance(difference: Array, axis: int, degree: Array, eps: Array) -> Array:
    """(sum |difference|^degree + eps)^(1 / degree); eps is one more element."""
    last = power(eps, 1 / degree)
    scale = scale_of(difference, axis, last)
    elements = power(0.125 * (difference * scale), degree)
    total = jnp.sum(elements, axis, keepdims=True) + power(0.125 * (last * scale), degree)
    return jnp.squeeze(_unscaled(8 * power(total, 1 / degree), scale), axis)


def _unscaled(x: Array, scale: Array) -> Array:
    some = jnp.where(scale == 0, jnp.ones_like(scale), scale)
    return jnp.where(scale == 0, jnp.zeros_like(x), x / some)
