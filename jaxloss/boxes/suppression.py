"""Non-maximum suppression with fixed shapes: of boxes that overlap, the one with the best score."""

import functools
import operator
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide
from jaxloss._selection import largest, maximum, places_of
from jaxloss.boxes._columns import boxes_of
from jaxloss.boxes._pairs import shared_fraction
from jaxloss.boxes.overlap import Similarity, iou
from jaxloss.boxes.terms.distances import center_distance

TILE = 128
FEW = 8
ONE_IMAGE = (
    "one image's boxes as x1, y1, x2, y2; map over several with `jax.vmap`, and rotated ones need "
    "a similarity of theirs, `similarity=jaxloss.boxes.rotated_iou`"
)


class Selection(NamedTuple):
    """Selected boxes in the order of their scores; `indices` are 0 where not `valid`."""

    indices: Array
    valid: Array


class ScoredSelection(NamedTuple):
    """Selected boxes in the order of their decayed scores; all are 0 where not `valid`."""

    indices: Array
    valid: Array
    scores: Array


class _Rule(NamedTuple):
    """Which boxes suppress which: those that are similar, of one class if there are classes."""

    similarity: Similarity
    threshold: Array
    boxes: Array
    labels: Array | None

    def suppresses(self, winners: Array, others: Array | slice) -> Array:
        """Whether each of the winners suppresses each of the others, both given as indices."""
        pairs = self.boxes[winners][:, None], self.boxes[others][None]
        similar = self.similarity(*pairs) > self.threshold
        if self.labels is None:
            return similar
        return similar & (self.labels[winners][:, None] == self.labels[others][None])


class _State(NamedTuple):
    """Scores of the boxes not yet looked at (-inf: done with), and the first `number` selected.

    What the first `swept` of these suppress does not remain.
    """

    remaining: Array
    indices: Array
    number: Array
    swept: Array
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
      boxes: `[N, 4]` as x1, y1, x2, y2, in any unit, negative coordinates included; `[N, 5]` with
        `similarity=rotated_iou`.
      scores: `[N]`; -inf is never selected.
      max_outputs: how many are selected at most, the length of the result; a Python integer.
      iou_threshold: scalar, may be traced.
      score_threshold: scalar, may be traced: only boxes with a score `>` it are looked at.
      classes: integers `[N]`; boxes of different classes never suppress each other. One class by
        default.
      similarity: of two boxes, as those of `jaxloss.boxes`; `diou` makes this DIoU-NMS, and
        `functools.partial(distance_penalized_iou, exponent=0.6)` that of darknet.
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
        `max_outputs` is not a Python integer, `similarity` is not a function, or `where` is not
        boolean.
      ValueError: a shape is not as stated, the result of `similarity` included, or `max_outputs` is
        negative.

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
    boxes, scores, labels = _candidates(check, boxes, scores, classes, similarity, where)
    threshold = check.scalar("iou_threshold", iou_threshold, boxes)
    lowest = check.scalar(
        "score_threshold", -jnp.inf if score_threshold is None else score_threshold, scores
    )
    if not scores.size or not length:
        return Selection(jnp.zeros(length, jnp.int32), jnp.zeros(length, bool))
    rule = _Rule(similarity, threshold, boxes, labels)
    remaining = jnp.where(scores > lowest, scores, -jnp.inf)
    any_left = jnp.any(remaining > -jnp.inf)
    none = jnp.zeros_like(any_left, jnp.int32)
    state = lax.while_loop(
        lambda state: state.any_left & (state.number < length),
        functools.partial(_settle_tile, rule),
        _State(remaining, jnp.zeros_like(none, shape=(length,)), none, none, any_left),
    )
    return Selection(state.indices, _selected(state))


def soft_non_max_suppression(
    boxes: ArrayLike,
    scores: ArrayLike,
    *,
    max_outputs: int,
    decay: str = "gaussian",
    iou_threshold: ArrayLike = 0.3,
    sigma: ArrayLike = 0.5,
    score_threshold: ArrayLike = 0.001,
    classes: ArrayLike | None = None,
    similarity: Similarity = iou,
    where: ArrayLike | None = None,
) -> ScoredSelection:
    """Soft non-maximum suppression of one image's boxes: scores decay instead of boxes going.

    Formula:
      Repeatedly select the box with the largest remaining score, ties to the lower index, and
      multiply the scores of the others of its class by `1 - s` where their similarity `s` to it is
      `> iou_threshold` ("linear"), or by `exp(-max(s, 0)^2 / sigma)` ("gaussian"); until
      `max_outputs` are selected or no score is `> score_threshold`.

    Args:
      boxes: `[N, 4]` as x1, y1, x2, y2, in any unit, negative coordinates included; `[N, 5]` with
        `similarity=rotated_iou`.
      scores: `[N]`, `>= 0`; -inf is never selected.
      max_outputs: how many are selected at most, the length of the result; a Python integer.
      decay: "linear" or "gaussian".
      iou_threshold: scalar, may be traced; of the linear decay.
      sigma: scalar `> 0`, may be traced; of the Gaussian decay.
      score_threshold: scalar, may be traced: only decayed scores `>` it are selected.
      classes: integers `[N]`; boxes of different classes do not touch each other's scores. One
        class by default.
      similarity: of two boxes, as those of `jaxloss.boxes`.
      where: boolean `[N]`; False removes a (padded) box, whatever it holds.

    Returns:
      `ScoredSelection(indices, valid, scores)`, `[max_outputs]` int32, boolean and floating, by
      descending decayed score; valid entries come first, the others are 0. Batches through
      `jax.vmap`.

    Edge cases:
      A box with NaN in its score or its coordinates is never selected. A copy of a selected box is
      left with a score of 0 by the linear decay, and with `exp(-1 / sigma)` of its own by the
      Gaussian. Neither selection nor scores are differentiated.

    Differences:
      The authors' code adds 1 pixel to all sides, and drops scores below the threshold, where one
      equal to it stays.

    Raises:
      TypeError: an argument is a list, `boxes` are not floating point, `classes` are not integers,
        `max_outputs` is not a Python integer, `similarity` is not a function, or `where` is not
        boolean.
      ValueError: a shape is not as stated, the result of `similarity` included, `max_outputs` is
        negative, or `decay` is unknown.

    Reference:
      Bodla, Singh, Chellappa, Davis, "Soft-NMS: Improving Object Detection With One Line of Code",
      2017, arXiv 1704.04503.

    Example:
      >>> boxes = jnp.array([[0.0, 0, 4, 2], [0, 0, 5, 2], [6, 0, 9, 2]])
      >>> scores = jnp.array([0.6, 0.9, 0.2])
      >>> found = jaxloss.boxes.soft_non_max_suppression(boxes, scores, max_outputs=3)
      >>> print(found.indices, np.asarray(found.scores).round(3))
      [1 2 0] [0.9   0.2   0.167]
    """
    check = Arguments("soft_non_max_suppression")
    length = check.count("max_outputs", max_outputs)
    check.option("decay", decay, ("linear", "gaussian"), "see `Formula`")
    boxes, scores, labels = _candidates(check, boxes, scores, classes, similarity, where)
    threshold, width, lowest = lax.stop_gradient(
        (
            check.scalar("iou_threshold", iou_threshold, scores),
            check.scalar("sigma", sigma, scores, above=0),
            check.scalar("score_threshold", score_threshold, scores),
        )
    )
    if not scores.size:
        return _scored(jnp.zeros(0, jnp.int32), scores, lowest, length)

    def keeps(overlaps: Array) -> Array:
        if decay == "linear":
            return jnp.where(overlaps > threshold, 1 - overlaps, jnp.ones_like(overlaps))
        return jnp.exp(-jnp.square(jnp.maximum(overlaps, 0)) / width)

    def select(remaining: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        """Takes the best box away from those that remain, and decays the scores of the others."""
        best, winner = maximum(remaining, 0)
        kept = keeps(similarity(boxes[winner][None], boxes))
        if labels is not None:
            kept = jnp.where(labels == labels[winner], kept, jnp.ones_like(kept))
        decayed = remaining * jnp.where(remaining > -jnp.inf, kept, jnp.ones_like(kept))
        numbers = jnp.arange(remaining.size, dtype=jnp.int32)
        return jnp.where(numbers == winner, -jnp.inf, decayed), (winner, best)

    _, (indices, best) = lax.scan(select, scores, length=length)
    return _scored(indices, best, lowest, length)


def matrix_non_max_suppression(
    boxes: ArrayLike,
    scores: ArrayLike,
    *,
    max_outputs: int,
    max_candidates: int = 512,
    decay: str = "gaussian",
    sigma: ArrayLike = 2.0,
    score_threshold: ArrayLike = 0.001,
    classes: ArrayLike | None = None,
    similarity: Similarity = iou,
    where: ArrayLike | None = None,
) -> ScoredSelection:
    """Matrix non-maximum suppression of one image's boxes: all scores decay at once.

    Formula:
      With the candidates sorted by score, `s_ij` the similarity of i and j where both are of one
      class and else 0, not below 0, and `c_i = max_(k < i) s_ki`, each score is multiplied by `min
      (1, min_(i < j) f(s_ij) / f(c_i))`, with `f(s) = 1 - s` ("linear") or `exp(-sigma s^2)`
      ("gaussian"). The `max_outputs` largest that are `> score_threshold` are selected.

    Args:
      boxes: `[N, 4]` as x1, y1, x2, y2, in any unit, negative coordinates included; `[N, 5]` with
        `similarity=rotated_iou`.
      scores: `[N]`, `>= 0`; -inf is never selected.
      max_outputs: how many are selected at most, the length of the result; a Python integer.
      max_candidates: how many of the largest scores are looked at, a Python integer: the memory is
        its square.
      decay: "linear" or "gaussian".
      sigma: scalar `> 0`, may be traced; of the Gaussian decay.
      score_threshold: scalar, may be traced: only decayed scores `>` it are selected.
      classes: integers `[N]`; boxes of different classes do not touch each other's scores. One
        class by default.
      similarity: of two boxes, as those of `jaxloss.boxes`.
      where: boolean `[N]`; False removes a (padded) box, whatever it holds.

    Returns:
      `ScoredSelection(indices, valid, scores)`, `[max_outputs]` int32, boolean and floating, by
      descending decayed score, ties to the lower index; valid entries come first, the others are 0.
      Batches through `jax.vmap`.

    Edge cases:
      Of equal scores the lower index comes first in the sorting, too. A box that the linear decay
      leaves with nothing (`c_i` of 1) decays no other. A box with NaN in its score or its
      coordinates is never selected. Neither selection nor scores are differentiated.

    Differences:
      The paper's similarity is that of masks. In its code, the linear decay of three equal boxes is
      0 / 0, and `sigma` is 2.

    Raises:
      TypeError: an argument is a list, `boxes` are not floating point, `classes` are not integers,
        a length is not a Python integer, `similarity` is not a function, or `where` is not boolean.
      ValueError: a shape is not as stated, the result of `similarity` included, a length is
        negative, or `decay` is unknown.

    Reference:
      Wang, Zhang, Kong, Li, Shen, "SOLOv2: Dynamic and Fast Instance Segmentation", 2020, arXiv
      2003.10152.

    Example:
      >>> boxes = jnp.array([[0.0, 0, 4, 2], [0, 0, 5, 2], [6, 0, 9, 2]])
      >>> scores = jnp.array([0.6, 0.9, 0.2])
      >>> found = jaxloss.boxes.matrix_non_max_suppression(boxes, scores, max_outputs=3)
      >>> print(found.indices, np.asarray(found.scores).round(3))
      [1 2 0] [0.9   0.2   0.167]
    """
    check = Arguments("matrix_non_max_suppression")
    length = check.count("max_outputs", max_outputs)
    size = check.count("max_candidates", max_candidates)
    check.option("decay", decay, ("linear", "gaussian"), "see `Formula`")
    boxes, scores, labels = _candidates(check, boxes, scores, classes, similarity, where)
    width = lax.stop_gradient(check.scalar("sigma", sigma, scores, above=0))
    lowest = check.scalar("score_threshold", score_threshold, scores)
    if not scores.size:
        return _scored(jnp.zeros(0, jnp.int32), scores, lowest, length)
    order, best, _ = _best(scores, size)
    overlaps = jnp.maximum(similarity(boxes[order][:, None], boxes[order][None]), 0)
    numbers = jnp.arange(order.size, dtype=jnp.int32)
    rivals = (numbers[:, None] < numbers[None]) & (best > -jnp.inf)[None]
    if labels is not None:
        rivals &= labels[order][:, None] == labels[order][None]
    overlaps = jnp.where(rivals, overlaps, jnp.zeros_like(overlaps))
    covered = jnp.max(overlaps, 0, initial=0)[:, None]
    if decay == "linear":
        factors = jnp.where(covered < 1, (1 - overlaps) / jnp.where(covered < 1, 1 - covered, 1), 1)
    else:
        factors = jnp.exp(width * (jnp.square(covered) - jnp.square(overlaps)))
    decayed = best * jnp.min(factors, 0, initial=1)
    nothing = jnp.full_like(scores, -jnp.inf)
    indices, best, _ = _best(nothing.at[order].set(decayed, mode="drop"), length)
    return _scored(indices, best, lowest, length)


def distance_penalized_iou(a: ArrayLike, b: ArrayLike, *, exponent: ArrayLike = 1.0) -> Array:
    """IoU of two boxes less a power of their centres' distance, for suppression.

    Formula:
      `I / U - (rho^2 / c^2)^exponent`, with `rho` the distance of the centres and `c` the diagonal
      of the smallest box around both.

    Args:
      a: `[..., 4]` as x1, y1, x2, y2, in any unit.
      b: `[..., 4]`, the same unit; dimensions equal to those of `a` or 1.
      exponent: a scalar, a vector along the last axis of `[...]`, or of its rank, `> 0`; may be
        traced. 1 is `diou`, 0.6 is darknet's, 0.9 that of the YOLACT code. Fix one by
        `functools.partial(distance_penalized_iou, exponent=0.6)` as a `similarity`.

    Returns:
      `[...]` in [-1, 1], in float32 at least.

    Edge cases:
      As `diou`. It is not differentiated.

    Differences:
      The paper's exponent is 1, see Args for others. Published DIoU-NMS suppresses from the
      threshold on, `non_max_suppression` above it.

    Raises:
      TypeError: an argument is a list, or `a` is not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `exponent` does not fit.

    Reference:
      Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
      2019, arXiv 1911.08287.

    Example:
      >>> a, b = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(f"{jaxloss.boxes.distance_penalized_iou(a, b, exponent=0.6):.4f}")
      0.2081
    """
    check = Arguments("distance_penalized_iou")
    first, second, _ = boxes_of(check, a=a, b=b)
    first, second = lax.stop_gradient((first, second))
    distance = center_distance(first, second)
    power = lax.stop_gradient(check.parameter("exponent", exponent, distance, above=0))
    return shared_fraction(first, second) - jnp.power(distance, power)


def _selected(state: _State) -> Array:
    """Which places hold a selected box."""
    return jnp.arange(state.indices.size, dtype=jnp.int32) < state.number


def _settle_tile(rule: _Rule, state: _State) -> _State:
    """Settles the boxes with the best scores among those that remain, a tile of them."""
    length = state.indices.size
    tile, best, looked_at = _best(state.remaining)
    suppressed = rule.suppresses(state.indices, tile) & _selected(state)[:, None]
    free = (best > -jnp.inf) & ~jnp.any(suppressed, 0)
    kept = _greedy(free, rule.suppresses(tile, tile))
    places = jnp.where(kept, state.number + jnp.cumsum(kept, dtype=jnp.int32) - 1, length)
    indices = state.indices.at[places].set(tile, mode="drop")
    more = jnp.sum(kept, dtype=jnp.int32)
    number = state.number + more
    remaining = jnp.where(looked_at, jnp.full_like(state.remaining, -jnp.inf), state.remaining)
    crowded = 2 * more < jnp.sum(best > -jnp.inf, dtype=jnp.int32)
    end = jnp.where(crowded, jnp.minimum(number, length), state.swept)
    remaining = _sweep(rule, remaining, indices, state.swept, end)
    return _State(remaining, indices, number, end, jnp.any(remaining > -jnp.inf))


def _sweep(rule: _Rule, remaining: Array, indices: Array, start: Array, end: Array) -> Array:
    """Takes away what the selected ones from `start` to `end` suppress, a few of them a step.

    Tiles look at nearly every box in a crowd if what is suppressed stays among the rest.
    """

    def few(state: tuple[Array, Array]) -> tuple[Array, Array]:
        place, remaining = state
        places = place + jnp.arange(FEW, dtype=jnp.int32)
        winners = indices.at[places].get(mode="fill", fill_value=0)
        suppressed = rule.suppresses(winners, slice(None)) & (places < end)[:, None]
        suppressed = functools.reduce(operator.or_, suppressed)
        return place + FEW, jnp.where(suppressed, -jnp.inf, remaining)

    return lax.while_loop(lambda state: state[0] < end, few, (start, remaining))[1]


def _scored(indices: Array, scores: Array, lowest: Array, length: int) -> ScoredSelection:
    """The selection of those that are above the lowest score, in `length` places."""
    valid = scores > lowest
    padding = length - indices.size
    return ScoredSelection(
        jnp.pad(jnp.where(valid, indices, jnp.zeros_like(indices)), (0, padding)),
        jnp.pad(valid, (0, padding)),
        jnp.pad(jnp.where(valid, scores, jnp.zeros_like(scores)), (0, padding)),
    )


def _candidates(
    check: Arguments,
    boxes: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike | None,
    similarity: Similarity,
    where: ArrayLike | None,
) -> tuple[Array, Array, Array | None]:
    """Boxes, scores (-inf of those that cannot be selected) and labels, all constants."""
    boxes, scores = check.floats(boxes=boxes, scores=scores)
    sides = 5 if boxes.shape[-1:] == (5,) and similarity is not iou else 4
    check.shape("boxes", boxes, (None, sides), ONE_IMAGE)
    check.similarity("similarity", similarity, sides, boxes.dtype)
    check.shape("scores", scores, boxes.shape[:1], "one score a box")
    labels = None if classes is None else check.labels("classes", classes, scores.shape)
    mask = check.where(where, scores.shape, "the scores")
    if mask is not None:
        boxes, scores = hide(mask[:, None], boxes)[0], jnp.where(mask, scores, -jnp.inf)
    boxes, scores = lax.stop_gradient((boxes, scores))
    unusable = jnp.isnan(scores) | jnp.any(jnp.isnan(boxes), -1)
    return boxes, jnp.where(unusable, -jnp.inf, scores), labels


def _best(scores: Array, size: int = TILE) -> tuple[Array, Array, Array]:
    """The indices and scores of a tile of the best scores, best first, and which they are."""
    length = min(size, scores.size)
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
