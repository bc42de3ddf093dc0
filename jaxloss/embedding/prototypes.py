"""Embeddings against prototypes of classes: their centres, and margins on the hypersphere."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide, keep
from jaxloss._target import in_range, labels_of, one_or_nan
from jaxloss.embedding._vectors import length, look_up, masks, unit
from jaxloss.reduction import AxisName


def center_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    centers: ArrayLike,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Half the squared distance of an embedding to the centre of its class.

    Formula:
      `0.5 |x - c_y|^2` with `x` an embedding, `c` the centres and `y` the label.

    Args:
      embeddings: `[..., D]`.
      labels: `[...]`, integers in [0, C).
      centers: `[C, D]`, one centre a class.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        embeddings: False removes an element from the distance.

    Returns:
      `[...]` in [0, inf), in the squared unit of the embeddings.

    Edge cases:
      Smooth everywhere; the gradient is `x - c_y`, and minus that at the centre. The paper moves
      centres by `update_centers` instead: then give this one `jax.lax.stop_gradient(centers)`. A
      label outside [0, C), -1 included, gives NaN in value and in gradient unless it is masked.

    Differences:
      Some implementations take the mean over the elements, leave out the half, or clip the
      distance to [1e-12, 1e12].

    Raises:
      TypeError: an argument is a list, `embeddings` are not floating point or `labels` not
        integers.
      ValueError: `labels` are not `[...]`, or `centers` not `[C, D]`.

    Reference:
      Wen, Zhang, Li, Qiao, "A Discriminative Feature Learning Approach for Deep Face Recognition",
      2016.

    Example:
      >>> embeddings = jnp.array([[1.0, 0.0], [2.0, 2.0]])
      >>> centers = jnp.array([[0.0, 0.5], [2.0, 1.0]])
      >>> print(jaxloss.center_loss(embeddings, jnp.array([0, 1]), centers))
      [0.625 0.5  ]
    """
    check = Arguments("center_loss")
    x, centers = check.floats(embeddings=embeddings, centers=centers)
    check.shape("embeddings", x, (..., None), "vectors along the last axis")
    check.shape("centers", centers, (None, x.shape[-1]), "one centre a class")
    check.classes(centers.shape, 0)
    y, _ = labels_of(check, labels, x.shape[:-1], None)
    kept, mask = masks(check, where, x.shape, -1)
    (y,) = hide(mask, y)
    (x, center) = hide(kept, x, look_up(centers, y))
    difference = _known(y, centers.shape[0], x) * (x - center)
    return keep(mask, 0.5 * jnp.sum(jnp.square(difference), -1))


def update_centers(
    centers: ArrayLike,
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    rate: ArrayLike = 0.5,
    axis_name: AxisName = None,
    where: ArrayLike | None = None,
) -> Array:
    """Centres of classes, moved towards a batch of embeddings.

    Formula:
      `c_j - rate sum_{y_i = j} (c_j - x_i) / (1 + n_j)` with `c` the centres, `x` the embeddings,
      `y` the labels and `n_j` the number of examples of class `j`.

    Args:
      centers: `[C, D]`, one centre a class.
      embeddings: `[..., D]`.
      labels: `[...]`, integers in [0, C).
      rate: in [0, 1], a scalar. May be traced.
      axis_name: mesh or `vmap` axes over which the batch is split: sums and counts are added over
        them, so that all replicas move their centres alike.
      where: boolean `[...]`; False leaves an example out.

    Returns:
      `[C, D]`, the new centres, float32 at least.

    Edge cases:
      A class without examples keeps its centre. An update is a step of its own, not a gradient:
      the step of a class with many examples tends to `rate` times the way to their mean. A label
      outside [0, C), -1 included, makes all centres NaN unless it is masked.

    Differences:
      Implementations that train the centres with an optimizer divide by the size of the batch, not
      by the number of examples of a class.

    Raises:
      TypeError: an argument is a list, `centers` are not floating point or `labels` not integers.
      ValueError: `centers` are not `[C, D]`, `embeddings` not `[..., D]` or `labels` not `[...]`.

    Reference:
      Wen, Zhang, Li, Qiao, "A Discriminative Feature Learning Approach for Deep Face Recognition",
      2016.

    Example:
      >>> centers, embeddings = jnp.zeros((2, 2)), jnp.array([[1.0, 0.0], [2.0, 3.0]])
      >>> print(jaxloss.update_centers(centers, embeddings, jnp.array([1, 1])))
      [[0.  0. ]
       [0.5 0.5]]
    """
    check = Arguments("update_centers")
    c, x = check.floats(centers=centers, embeddings=embeddings)
    check.shape("centers", c, (None, None), "one centre a class")
    check.classes(c.shape, 0)
    check.shape("embeddings", x, (..., c.shape[-1]), "vectors as long as the centres")
    y, _ = labels_of(check, labels, x.shape[:-1], None)
    mask = check.where(where, y.shape)
    step = check.scalar("rate", rate, c, at_least=0, at_most=1)
    (y,) = hide(mask, y)
    (x,) = hide(None if mask is None else jnp.expand_dims(mask, -1), _known(y, c.shape[0], x) * x)
    one = keep(mask, jnp.ones(y.shape, x.dtype))
    away = jnp.expand_dims(one, -1) * (look_up(c, y) - x)
    sums, counts = jnp.zeros_like(c).at[y].add(away), jnp.zeros_like(c[:, 0]).at[y].add(one)
    # A label of no class adds to no centre, so that its NaN would be lost.
    spoiled = jnp.sum(0 * away)
    if axis_name is not None:
        sums, counts, spoiled = lax.psum((sums, counts, spoiled), axis_name)
    return c - step * (sums / (1 + jnp.expand_dims(counts, -1))) + spoiled


def arcface_logits(
    embeddings: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.5,
    scale: ArrayLike = 64.0,
    ignore_label: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Logits of ArcFace: scaled cosines, with a margin added to the angle of the right class.

    Formula:
      `scale cos(theta_c)` for class `c`, and for the label `scale cos(theta + margin)`, or
      `scale (cos(theta) - margin sin(margin))` where `theta + margin > pi`, with `theta_c` the
      angle between the embedding and column `c` of the kernel.

    Args:
      embeddings: `[..., D]`, of any length: they are normalised here.
      kernel: `[D, C]`, one column a class, of any length: they are normalised here.
      labels: `[...]`, integers in [0, C).
      margin: in [0, pi), radians, a scalar. May be traced.
      scale: `> 0`, a scalar. May be traced.
      ignore_label: a label, in or out of range, that makes the logits of its row exactly 0.
      where: boolean, of the rank of the result: False makes a logit exactly 0; `[..., 1]` masks
        examples. Masked rows need the same mask in the loss.

    Returns:
      `[..., C]` in [-scale, scale], and down to `-scale (1 + margin)` for the label: logits for
      `softmax_cross_entropy_with_integer_labels`.

    Edge cases:
      The sine is the length of what is left of the unit embedding beside the unit column, so that
      value and gradient are right for the smallest angles. The derivative of the angle does not
      exist at 0 and pi, where the gradient of `sin(theta)` is taken as 0, and the value steps where
      `theta + margin = pi`. A vector of zeros has cosine 0 with every other, with derivative 0,
      and as an embedding sine 0, too. A label outside [0, C), -1 included, makes its row NaN in
      value and in gradient unless it is ignored or masked.

    Differences:
      insightface's arcface_torch adds the margin without gradient, which leaves out the factor
      `sin(theta + margin) / sin(theta)`, and has no branch beyond pi.

    Raises:
      TypeError: an argument is a list, `embeddings` are not floating point or `labels` not
        integers.
      ValueError: `kernel` is not `[D, C]`, `labels` not `[...]`, or `where` has not the rank of the
        result.

    Reference:
      Deng, Guo, Xue, Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
      2018, arXiv 1801.07698.

    Example:
      >>> embeddings, kernel = jnp.array([[0.6, 0.8]]), jnp.array([[1.0, 0.0], [0.0, 2.0]])
      >>> logits = jaxloss.arcface_logits(embeddings, kernel, jnp.array([0]), scale=1.0)
      >>> print(np.array_str(logits, precision=4))
      [[0.143 0.8  ]]
    """
    check = Arguments("arcface_logits")
    rows = _rows(check, embeddings, kernel, labels, ignore_label, where)
    m = check.scalar("margin", margin, rows.x, at_least=0, below=math.pi)
    s = check.scalar("scale", scale, rows.x, above=0)
    own = unit(look_up(rows.kernel, rows.y, 1))
    cosine = jnp.sum(rows.x * own, -1)
    sine = length(rows.x - jnp.expand_dims(cosine, -1) * own)
    turned = cosine * jnp.cos(m) - sine * jnp.sin(m)
    shifted = cosine - m * jnp.sin(m)
    target = jnp.expand_dims(jnp.where(cosine > -jnp.cos(m), turned, shifted), -1)
    return keep(rows.mask, s * jnp.where(rows.at, target, rows.cosines))


def cosface_logits(
    embeddings: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.35,
    scale: ArrayLike = 64.0,
    ignore_label: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Logits of CosFace: scaled cosines, with a margin taken from the cosine of the right class.

    Formula:
      `scale cos(theta_c)` for class `c`, and `scale (cos(theta_c) - margin)` for the label, with
      `theta_c` the angle between the embedding and column `c` of the kernel.

    Args:
      embeddings: `[..., D]`, of any length: they are normalised here.
      kernel: `[D, C]`, one column a class, of any length: they are normalised here.
      labels: `[...]`, integers in [0, C).
      margin: `>= 0`, a scalar. May be traced.
      scale: `> 0`, a scalar. May be traced.
      ignore_label: a label, in or out of range, that makes the logits of its row exactly 0.
      where: boolean, of the rank of the result: False makes a logit exactly 0; `[..., 1]` masks
        examples. Masked rows need the same mask in the loss.

    Returns:
      `[..., C]` in [-scale, scale], and down to `-scale (1 + margin)` for the label: logits for
      `softmax_cross_entropy_with_integer_labels`.

    Edge cases:
      Smooth but at a vector of zeros, whose cosine with every other is 0, with derivative 0. A
      label outside [0, C), -1 included, makes its row NaN in value and in gradient unless it is
      ignored or masked.

    Differences:
      insightface's default margin is 0.4.

    Raises:
      TypeError: an argument is a list, `embeddings` are not floating point or `labels` not
        integers.
      ValueError: `kernel` is not `[D, C]`, `labels` not `[...]`, or `where` has not the rank of the
        result.

    Reference:
      Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, "CosFace: Large Margin Cosine Loss for Deep Face
      Recognition", 2018, arXiv 1801.09414.

    Example:
      >>> embeddings, kernel = jnp.array([[0.6, 0.8]]), jnp.array([[1.0, 0.0], [0.0, 2.0]])
      >>> logits = jaxloss.cosface_logits(embeddings, kernel, jnp.array([0]), scale=1.0)
      >>> print(np.array_str(logits, precision=4))
      [[0.25 0.8 ]]
    """
    check = Arguments("cosface_logits")
    rows = _rows(check, embeddings, kernel, labels, ignore_label, where)
    m = check.scalar("margin", margin, rows.x, at_least=0)
    s = check.scalar("scale", scale, rows.x, above=0)
    return keep(rows.mask, s * (rows.cosines - jnp.where(rows.at, m, 0)))


class _Rows(NamedTuple):
    """Unit embeddings `x`, their cosines with the columns of the kernel, and their labels `y`.

    `at` is True at the label's class, and `mask` where a result counts, in the rank of the cosines.
    """

    x: Array
    kernel: Array
    cosines: Array
    y: Array
    at: Array
    mask: Array | None


def _rows(
    check: Arguments,
    embeddings: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    ignore_label: ArrayLike | None,
    where: ArrayLike | None,
) -> _Rows:
    x, w = check.floats(embeddings=embeddings, kernel=kernel)
    check.shape("embeddings", x, (..., None), "vectors along the last axis")
    check.shape("kernel", w, (x.shape[-1], None), "one column a class, as long as the embeddings")
    check.classes(w.shape, 1)
    y, counted = labels_of(check, labels, x.shape[:-1], ignore_label)
    classes = w.shape[1]
    mask = check.where(where, (*y.shape, classes))
    if counted is not None:
        counted = jnp.expand_dims(counted, -1)
        mask = counted if mask is None else counted & mask
    if mask is not None:
        rows = jnp.any(mask, -1)
        (y,), (x,) = hide(rows, y), hide(jnp.expand_dims(rows, -1), x)
    x = unit(_known(y, classes, x) * x)
    cosines = jnp.einsum("...d,dc->...c", x, unit(w, 0), precision=lax.Precision.HIGHEST)
    columns = lax.broadcasted_iota(y.dtype, (*[1] * y.ndim, classes), y.ndim)
    return _Rows(x, w, cosines, y, columns == jnp.expand_dims(y, -1), mask)


def _known(y: Array, classes: int, like: Array) -> Array:
    """1, and NaN where a label names no class: a factor of every vector."""
    return jnp.expand_dims(one_or_nan(in_range(y, classes), like.dtype), -1)
