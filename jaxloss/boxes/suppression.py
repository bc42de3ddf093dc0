"""Non-maximum suppression with fixed shapes: of boxes that overlap, the one with the best score."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide
from jaxloss._selection import largest, places_of
from jaxloss.boxes.overlap import Similarity, iou

TILE = 128


class Selection(NamedTuple):
    """Selected boxes in the order of their scores; `indices` are 0 where not `valid`."""

    indices: Array
    valid: Array


class _State(NamedTuple):
    """Scores of the boxes not yet looked at (-inf: done with), and the first `number` selected."""

    remaining: Array
    indices: Array
    number: Array
    any_left: Array


def non_max_suppression(
    boxes: ArrayLike,
    scores: ArrayLike,
    *,
    max_outputs: int,
    iou_threshold: ArrayLike = 0.5,
    score_threshold: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    similarity: Similarity = iou,
    where: ArrayLike | None = None,
) -> Selection:
    """Greedy (hard) non-maximum suppression of one image's boxes.

    Formula:
      Repeatedly select the box with the largest remaining score, ties to the lower index, and
      remove every box of its class whose similarity to it is `> iou_threshold`; until `max_outputs`
      are selected or none remains.

    Args:
      boxes: `[N, 4]` as x1, y1, x2, y2, in any unit, negative coordinates included.
      scores: `[N]`; -inf is never selected.
      max_outputs: how many are selected at most, the length of the result; a Python integer.
      iou_threshold: scalar, may be traced.
      score_threshold: scalar, may be traced: only boxes with a score `>` it are looked at.
      classes: integers `[N]`; boxes of different classes never suppress each other. One class by
        default.
      similarity: of two boxes, as those of `jaxloss.boxes`; `diou` makes this DIoU-NMS.
      where: boolean `[N]`; False removes a (padded) box, whatever it holds.

    Returns:
      `Selection(indices, valid)`, `[max_outputs]` int32 and boolean, by descending score; valid
      entries come first, and indices are 0 after them. Batches through `jax.vmap`.

    Edge cases:
      A similarity equal to the threshold does not suppress. A threshold of 1 or more suppresses
      nothing under IoU, one below 0 all of a class but one. A box with NaN in its score or its
      coordinates is never selected. Identical points have IoU 1 and suppress each other. Selecting
      is not differentiated.

    Differences:
      The same boxes as torchvision's `nms`, which returns as many as remain, without a limit, and
      leaves the order of tied scores unstated. Its `batched_nms` moves the boxes of each class
      apart when there are few, which changes IoU by rounding and goes wrong for negative
      coordinates; here classes are compared.

    Raises:
      TypeError: an argument is a list, `boxes` are not floating point, `classes` are not integers,
        `max_outputs` is not a Python integer, or `where` is not boolean.
      ValueError: a shape is not as stated, or `max_outputs` is negative.

    Reference:
      Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and
      semantic segmentation", 2014, arXiv 1311.2524; DIoU-NMS: Zheng et al., "Distance-IoU Loss:
      Faster and Better Learning for Bounding Box Regression", 2020, arXiv 1911.08287.

    Example:
      >>> boxes = jnp.array([[0.0, 0, 4, 2], [0, 0, 5, 2], [6, 0, 9, 2]])
      >>> scores = jnp.array([0.6, 0.9, 0.2])
      >>> print(jaxloss.boxes.non_max_suppression(boxes, scores, max_outputs=3).indices)
      [1 2 0]
    """
    check = Arguments("non_max_suppression")
    length = check.count("max_outputs", max_outputs)
    boxes, scores = check.floats(boxes=boxes, scores=scores)
    check.shape("boxes", boxes, (None, 4), "boxes as x1, y1, x2, y2")
    check.shape("scores", scores, boxes.shape[:1], "one score a box")
    threshold = check.scalar("iou_threshold", iou_threshold, boxes)
    lowest = check.scalar(
        "score_threshold", -jnp.inf if score_threshold is None else score_threshold, scores
    )
    labels = None if classes is None else check.labels("classes", classes, scores.shape)
    mask = check.where(where, scores.shape, "the scores")
    if mask is not None:
        boxes, scores = hide(mask[:, None], boxes)[0], jnp.where(mask, scores, -jnp.inf)
    boxes, scores = lax.stop_gradient((boxes, scores))

    if not scores.size:
        return Selection(jnp.zeros(length, jnp.int32), jnp.zeros(length, bool))

    usable = (scores > lowest) & ~jnp.any(jnp.isnan(boxes), -1)
    remaining = jnp.where(usable, scores, -jnp.inf)

    def suppresses(winners: Array, others: Array) -> Array:
        overlapping = similarity(boxes[winners][:, None], boxes[others][None]) > threshold
        if labels is None:
            return overlapping
        return overlapping & (labels[winners][:, None] == labels[others][None])

    def select(state: _State) -> _State:
        """Settles the boxes with the best scores among those that remain, a tile of them."""
        tile, best, looked_at = _best(state.remaining)
        selected = slots < state.number
        suppressed = jnp.any(suppresses(state.indices, tile) & selected[:, None], 0)
        kept = _greedy((best > -jnp.inf) & ~suppressed, suppresses(tile, tile))
        places = jnp.where(kept, state.number + jnp.cumsum(kept, dtype=jnp.int32) - 1, length)
        remaining = jnp.where(looked_at, jnp.full_like(scores, -jnp.inf), state.remaining)
        return _State(
            remaining,
            state.indices.at[places].set(tile, mode="drop"),
            state.number + jnp.sum(kept, dtype=jnp.int32),
            jnp.any(remaining > -jnp.inf),
        )

    slots = jnp.arange(length, dtype=jnp.int32)
    any_left = jnp.any(remaining > -jnp.inf)
    none = jnp.zeros_like(any_left, jnp.int32)
    state = _State(remaining, jnp.zeros_like(none, shape=(length,)), none, any_left)
    state = lax.while_loop(lambda s: s.any_left & (s.number < length), select, state)
    return Selection(state.indices, slots < state.number)


def _best(scores: Array) -> tuple[Array, Array, Array]:
    """The indices and scores of a tile of the best scores, best first, and which they are."""
    length = min(TILE, scores.size)
    chosen = largest(scores, jnp.int32(length), scores > -jnp.inf)
    tile = places_of(chosen, length)
    best = scores.at[tile].get(mode="fill", fill_value=-jnp.inf)
    order = jnp.argsort(best, descending=True)
    return tile[order], best[order], chosen


def _greedy(free: Array, suppresses: Array) -> Array:
    """Which of `free` are kept if each in turn, unless suppressed, suppresses those after it.

    Every round settles at least one more from the front; in practice a handful settle all.
    """
    order = jnp.arange(free.size)
    suppresses = suppresses & (order[:, None] < order[None])

    def again(rounds: tuple[Array, Array]) -> tuple[Array, Array]:
        _, kept = rounds
        return kept, free & ~jnp.any(suppresses & kept[:, None], 0)

    return lax.while_loop(lambda r: jnp.any(r[0] != r[1]), again, (~free, free))[1]
