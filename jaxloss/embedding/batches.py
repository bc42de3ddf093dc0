"""Losses of batches of embeddings in which every example is compared with every other."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide, keep
from jaxloss._logistic import logit, softplus
from jaxloss._numerics import relu
from jaxloss._softmax import distribution_cost, log_odds_against
from jaxloss._target import target_of
from jaxloss.embedding._vectors import everywhere, similarities, unit


def supervised_contrastive_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Supervised contrastive loss (SupCon): cross-entropy against all examples of one's own label.

    Formula:
      `-1/|P_i| sum_{p in P_i} log(exp(s_ip) / sum_{a != i} exp(s_ia))` for example `i`, with
      `s_ij = embeddings_i . embeddings_j / temperature` and `P_i` the other examples with its label
      (the authors' `L_out`).

    Args:
      embeddings: `[..., B, D]`. They are not normalised here: give unit vectors, as the authors do.
      labels: integers `[..., B]`, any values: equal ones belong together. For self-supervision, the
        number of the picture from which a view was cut.
      temperature: `> 0`, a scalar. May be traced. The authors use 0.1, others 0.07.
      where: boolean `[..., B]`; False removes an example: its own loss is exactly 0, and no other
        is compared with it.

    Returns:
      `[..., B]`, one loss an example, in [0, inf) and nats. It is not less than `log |P_i|`.

    Edge cases:
      An example without another of its label has loss and gradient 0. To average over those that
      have one, give `mean` the same `where`, narrowed to them: the authors' code counts the zeros
      in its mean. The loss of an example with one near positive is as precise as it is small: the
      sum is over the others alone. Finite for all finite similarities. On a mesh with explicit axes
      `D` may not be split.

    Differences:
      The authors' code multiplies by `temperature / 0.07`. With one positive an example it is
      NT-Xent as its authors define it; `ntxent` differs from both where there are several.
      pytorch-metric-learning normalises the embeddings inside, with a temperature of 0.1.

    Raises:
      TypeError: an argument is a list, `embeddings` are not floating point or `labels` not
        integers.
      ValueError: `embeddings` are not `[..., B, D]`, or `labels` not `[..., B]`.

    Reference:
      Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan, "Supervised Contrastive
      Learning", 2020, arXiv 2004.11362.

    Example:
      >>> embeddings = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
      >>> losses = jaxloss.supervised_contrastive_loss(
      ...     embeddings, jnp.array([0, 0, 1, 1]), temperature=0.5)
      >>> print(np.array_str(losses, precision=4))
      [0.2333 0.6271 0.6271 0.2333]
    """
    check = Arguments("supervised_contrastive_loss")
    batch = _batch(check, embeddings, labels, where)
    temperature = check.scalar("temperature", temperature, batch.x, above=0)
    cosines = similarities(batch.x, batch.x) / temperature
    count = jnp.sum(batch.positive, -1, dtype=cosines.dtype, keepdims=True)
    shares = jnp.where(batch.positive, 1 / jnp.maximum(count, 1), 0)
    # The lowest number, since a share of 0 times -inf would be NaN on the way.
    lowest = float(np.finfo(cosines.dtype).min)
    others = _among(batch.positive | batch.negative, count > 0, cosines, lowest)
    return keep(batch.mask, distribution_cost(others, shares, others.ndim - 1))


def ntxent(
    embeddings: ArrayLike,
    labels: ArrayLike,
    temperature: ArrayLike = 0.07,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """NT-Xent: each pair of one label against all examples of other labels, averaged over pairs.

    Formula:
      the mean over all ordered pairs `(i, p)` of one label of
      `-log(exp(s_ip) / (exp(s_ip) + sum_n exp(s_in)))`, with `n` over the examples of other labels
      and `s_ij` the cosine of embeddings `i` and `j`, divided by the `temperature`.

    Args:
      embeddings: `[..., B, D]`, of any length: they are normalised here.
      labels: integers `[..., B]`, any values: equal ones belong together.
      temperature: `> 0`, a scalar. May be traced.
      where: boolean `[..., B]`; False removes an example and all its pairs.

    Returns:
      `[...]`: one number a batch, `()` for `[B, D]`, in [0, inf) and nats.

    Edge cases:
      0 where no two examples have one label, with gradient 0; a pair without an example of another
      label adds 0 to the mean. The cosine of a vector of zeros is 0, with derivative 0. As precise
      as it is small: what a pair loses is a sum over the others. A batch that is split over a mesh
      with explicit axes is gathered. On a mesh with explicit axes `D` may not be split.

    Differences:
      optax's function of this name agrees, except that without any pair it is NaN and that it
      refuses split batches. Its authors' NT-Xent has one positive an example; where there are
      several, the others of the label are left out of the denominator here, as in optax and
      pytorch-metric-learning, but not in `supervised_contrastive_loss`.

    Raises:
      TypeError: an argument is a list, `embeddings` are not floating point or `labels` not
        integers.
      ValueError: `embeddings` are not `[..., B, D]`, or `labels` not `[..., B]`.

    Reference:
      Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual
      Representations", 2020, arXiv 2002.05709.

    Example:
      >>> embeddings = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
      >>> loss = jaxloss.ntxent(embeddings, jnp.array([0, 0, 1, 1]), temperature=0.5)
      >>> print(f"{loss:.4f}")
      0.4302
    """
    check = Arguments("ntxent")
    batch = _batch(check, embeddings, labels, where)
    directions = unit(batch.x)
    cosines = similarities(directions, directions)
    cosines = cosines / check.scalar("temperature", temperature, batch.x, above=0)
    log_odds = jnp.expand_dims(_log_sum_exp(cosines, batch.negative), -1) - cosines
    losses = keep(batch.positive, softplus(logit(log_odds)))
    pairs = jnp.sum(batch.positive, (-2, -1), dtype=losses.dtype)
    return jnp.sum(losses, (-2, -1)) / jnp.maximum(pairs, 1)


def info_nce_loss(
    queries: ArrayLike,
    keys: ArrayLike,
    *,
    temperature: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """InfoNCE: cross-entropy of finding a query's own key among the keys of the batch.

    Formula:
      `-log(exp(s_ii) / sum_j exp(s_ij))` for query `i`, with
      `s_ij = queries_i . keys_j / temperature`.

    Args:
      queries: `[..., B, D]`. They are not normalised here: give unit vectors where the similarity
        is to be a cosine.
      keys: `[..., B, D]`, key `i` belongs to query `i`, every other one is a negative.
      temperature: `> 0`, a scalar. May be traced. MoCo's is 0.07.
      where: boolean `[..., B]`; False removes a query and its key: its own loss is exactly 0, and
        no other is compared with it.

    Returns:
      `[..., B]`, one loss a query, in [0, inf) and nats.

    Edge cases:
      Smooth; 0 where a query has no other key. A confident query is as precise as its loss is
      small: the sum is over the other keys alone. Finite for all finite similarities. Both
      arguments are differentiable: stop the gradient of keys from a momentum encoder. On a mesh
      with explicit axes `D` may not be split.

    Differences:
      CLIP's loss is the mean of this one and of itself with queries and keys exchanged. MoCo
      compares with a queue of keys instead of the batch's.

    Raises:
      TypeError: an argument is a list, or `queries` are not floating point.
      ValueError: `queries` are not `[..., B, D]`, or `keys` have another shape.

    Reference:
      van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018,
      arXiv 1807.03748.

    Example:
      >>> queries, keys = jnp.array([[1.0, 0.0], [0.6, 0.8]]), jnp.array([[0.8, 0.6], [0.0, 1.0]])
      >>> losses = jaxloss.info_nce_loss(queries, keys, temperature=0.1)
      >>> print(np.array_str(losses, precision=4))
      [3.3541e-04 1.7839e+00]
    """
    check = Arguments("info_nce_loss")
    queries, keys = check.floats(queries=queries, keys=keys)
    check.shape("queries", queries, (..., None, None), "examples, and their vectors along the last")
    check.shape("keys", keys, queries.shape, "one key a query")
    mask = check.where(where, queries.shape[:-1])
    queries, keys = hide(None if mask is None else jnp.expand_dims(mask, -1), queries, keys)
    temperature = check.scalar("temperature", temperature, queries, above=0)
    logits = similarities(queries, keys) / temperature
    if mask is not None:
        rows, columns = jnp.expand_dims(mask, -1), jnp.expand_dims(everywhere(mask, -1), -2)
        logits = _among(columns, rows, logits)
    examples = lax.broadcasted_iota(jnp.int32, logits.shape[:-1], logits.ndim - 2)
    own = target_of(examples, logits.shape[-1], logits.ndim - 1, logits.dtype)
    return keep(mask, softplus(log_odds_against(logits, own)))


def circle_loss(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 0.25,
    scale: ArrayLike = 256.0,
    where: ArrayLike | None = None,
) -> Array:
    """Circle loss: similarities to one's own and to other labels, each weighted by how wrong it is.

    Formula:
      `log(1 + sum_n exp(scale a_n (s_n - m)) sum_p exp(-scale a_p (s_p - (1 - m))))` for an
      example, with `s_p` its cosines with the others of its label, `s_n` those with the examples of
      other labels, `a_p = max(1 + m - s_p, 0)`, `a_n = max(s_n + m, 0)` and `m` the `margin`.

    Args:
      embeddings: `[..., B, D]`, of any length: they are normalised here.
      labels: integers `[..., B]`, any values: equal ones belong together.
      margin: in [0, 1], a scalar. May be traced.
      scale: `> 0`, a scalar, the paper's gamma: the paper has 256 for faces and 80 for pictures.
        May be traced.
      where: boolean `[..., B]`; False removes an example: its own loss is exactly 0, and no other
        is compared with it.

    Returns:
      `[..., B]`, one loss an example, in [0, inf).

    Edge cases:
      The weights `a_p` and `a_n` are held constant under differentiation by the embeddings. An
      example without another of its label, or without one of another label, has loss and gradient
      0. The cosine of a vector of zeros is 0, with derivative 0. On a mesh with explicit axes `D`
      may not be split.

    Differences:
      The sums run over the pairs of one example, not over all pairs of the batch at once.
      pytorch-metric-learning has a margin of 0.4 and a scale of 80. An exponential that is not
      taken together with the logarithm overflows at a scale of 256; this one does not.

    Raises:
      TypeError: an argument is a list, `embeddings` are not floating point or `labels` not
        integers.
      ValueError: `embeddings` are not `[..., B, D]`, or `labels` not `[..., B]`.

    Reference:
      Sun, Cheng, Zhang, Zhang, Zheng, Wang, Wei, "Circle Loss: A Unified Perspective of Pair
      Similarity Optimization", 2020, arXiv 2002.10857.

    Example:
      >>> embeddings = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
      >>> losses = jaxloss.circle_loss(embeddings, jnp.array([0, 0, 1]), scale=8.0)
      >>> print(np.array_str(losses, precision=4))
      [0.4099 2.3051 0.    ]
    """
    check = Arguments("circle_loss")
    batch = _batch(check, embeddings, labels, where)
    directions = unit(batch.x)
    s = similarities(directions, directions)
    m = check.scalar("margin", margin, s, at_least=0, at_most=1)
    gamma = check.scalar("scale", scale, s, above=0)
    a_p, a_n = relu(1 + m - lax.stop_gradient(s)), relu(lax.stop_gradient(s) + m)
    to_positives = _log_sum_exp(-gamma * a_p * (s - (1 - m)), batch.positive)
    to_negatives = _log_sum_exp(gamma * a_n * (s - m), batch.negative)
    compared = jnp.any(batch.positive, -1) & jnp.any(batch.negative, -1)
    lowest = jnp.full((), np.finfo(s.dtype).min, s.dtype)
    log_odds = jnp.where(compared, to_positives + to_negatives, lowest)
    return keep(batch.mask, softplus(logit(log_odds)))


class _Batch(NamedTuple):
    """Embeddings, 0 where masked, and how an example (axis -2) is related to another (axis -1)."""

    x: Array
    positive: Array
    negative: Array
    mask: Array | None


def _batch(
    check: Arguments, embeddings: ArrayLike, labels: ArrayLike, where: ArrayLike | None
) -> _Batch:
    (x,) = check.floats(embeddings=embeddings)
    check.shape("embeddings", x, (..., None, None), "examples, and their vectors along the last")
    y = check.labels("labels", labels, x.shape[:-1])
    mask = check.where(where, y.shape)
    same = jnp.expand_dims(y, -1) == jnp.expand_dims(everywhere(y, -1), -2)
    others = ~_own(same.ndim, y.shape[-1])
    if mask is not None:
        mask = jnp.broadcast_to(mask, y.shape)
        (x,) = hide(jnp.expand_dims(mask, -1), x)
        others &= jnp.expand_dims(mask, -1) & jnp.expand_dims(everywhere(mask, -1), -2)
    return _Batch(x, same & others, ~same & others, mask)


def _own(rank: int, size: int) -> Array:
    """True where an example meets itself, `[..., size, size]`."""
    rows, columns = (
        lax.broadcasted_iota(jnp.int32, (*[1] * (rank - 2), *sizes), axis)
        for axis, sizes in ((rank - 2, (size, 1)), (rank - 1, (1, size)))
    )
    return rows == columns


def _among(columns: Array, rows: Array, logits: Array, removed: float = -np.inf) -> Array:
    """`logits` without the columns that do not count, and 0 in rows that do not."""
    return jnp.where(rows, jnp.where(columns, logits, removed), 0)


def _log_sum_exp(x: Array, chosen: Array) -> Array:
    """log(sum exp(x)) over what is chosen along the last axis; of nothing the lowest number."""
    x = jnp.where(chosen, x, -jnp.inf)
    highest = jnp.max(x, -1, keepdims=True, initial=np.finfo(x.dtype).min)
    highest = lax.stop_gradient(highest)
    total = jnp.sum(jnp.exp(x - highest), -1)
    some = jnp.where(total == 0, jnp.ones_like(total), total)
    return jnp.log(some) + jnp.squeeze(highest, -1)
