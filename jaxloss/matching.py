"""Which anchor answers for which object, and which negatives are worth training on: one image.

Batches go through `jax.vmap`. Nothing here is differentiated.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide
from jaxloss._selection import first, largest, maximum
from jaxloss.boxes.overlap import Similarity, iou

__all__ = ["Matches", "match_anchors", "mine_hard_negatives"]

CHUNK = 8
BLOCK = 128

ForceMatch = Literal["last", "bipartite", "own"] | None


def __dir__() -> list[str]:
    return __all__


class Matches(NamedTuple):
    """For each anchor an object, how much the two overlap, and what the anchor is trained as."""

    indices: Array
    overlaps: Array
    positive: Array
    negative: Array


class _Anchors(NamedTuple):
    """Each anchor's best object so far; `tied` if it is the best anchor of some object."""

    overlaps: Array
    indices: Array
    tied: Array


class _Objects(NamedTuple):
    """Each object's anchor, the number of anchors where it has none, and their overlap."""

    anchors: Array
    overlaps: Array


def match_anchors(
    anchors: ArrayLike,
    boxes: ArrayLike,
    *,
    where: ArrayLike | None = None,
    positive_threshold: ArrayLike = 0.5,
    negative_threshold: ArrayLike = 0.5,
    force_match: ForceMatch = "last",
    similarity: Similarity = iou,
) -> Matches:
    """Matches the anchors of one image with its objects by how much they overlap.

    Formula:
      With `s[a, g] = similarity(anchors[a], boxes[g])`, each anchor's best object is
      `argmax_g s[a, g]`, ties to the lower index. The anchor is positive where
      `max_g s[a, g] >= positive_threshold`, else negative where it is `< negative_threshold`, else
      neither. Then every object with some `s[a, g] > 0` claims anchors, which become positive:

      - `None`: none.
      - `"last"`: its best anchor, ties to the lower index; of objects with the same one the last
        has it, and the others have none.
      - `"bipartite"`: the largest `s[a, g]` of all objects and anchors not yet paired, ties to the
        lower indices, pairs the two, and so on while it is positive: each object has its own.
      - `"own"`: all anchors with `s[a, g] = max_a s[a, g]`, but each keeps its own best object.

    Args:
      anchors: `[A, 4]` as x1, y1, x2, y2.
      boxes: `[G, 4]`, the objects, in the same unit. `G` may be 0.
      where: boolean `[G]`; False removes a (padded) object, whatever it holds.
      positive_threshold: scalar, may be traced.
      negative_threshold: scalar, at most `positive_threshold`, may be traced.
      force_match: how objects claim anchors below the threshold, as above.
      similarity: of two boxes, as those of `jaxloss.boxes`.

    Returns:
      `Matches(indices, overlaps, positive, negative)`, each `[A]`: the object that claimed the
      anchor, otherwise its best one, also where not positive; the similarity with that object; and
      two booleans, never both True. Where there is no object, indices and overlaps are 0 and every
      anchor is negative. The objects are taken in chunks, so that no `[A, G]` array exists.

    Edge cases:
      Objects that overlap no anchor claim none. A NaN is not lost: where an anchor has one, or an
      object that is not masked, overlaps are NaN and anchors positive, with that object, so that
      losses of them are NaN. Not differentiated: the gradient of `overlaps` is 0.

    Differences:
      `"last"` is torchvision's `SSDMatcher`, `"own"` its `Matcher` with
      `allow_low_quality_matches`, `"bipartite"` the original SSD's in Caffe. But in torchvision,
      detectron2 and mmdetection's defaults an object that overlaps nothing still claims anchors,
      under `"own"` every anchor that it does not touch. torchvision's `Matcher` raises without
      objects.

    Raises:
      TypeError: an argument is a list, `anchors` are not floating point, or `where` is not boolean.
      ValueError: a shape is not as stated, or `force_match` is unknown.

    Reference:
      Liu et al., "SSD: Single Shot MultiBox Detector", 2016, arXiv 1512.02325; `"own"`: Ren et al.,
      "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", 2015,
      arXiv 1506.01497.

    Example:
      >>> anchors = jnp.array([[0.0, 0, 4, 2], [4, 0, 8, 2], [0, 2, 4, 4], [4, 2, 8, 4]])
      >>> objects = jnp.array([[0.0, 0, 4, 3], [6, 1, 8, 4]])
      >>> print(jaxloss.matching.match_anchors(anchors, objects).positive)
      [ True False False  True]
    """
    check = Arguments("match_anchors")
    anchors, boxes = check.floats(anchors=anchors, boxes=boxes)
    check.shape("anchors", anchors, (None, 4), "boxes as x1, y1, x2, y2")
    check.shape("boxes", boxes, (None, 4), "boxes as x1, y1, x2, y2")
    check.similarity("similarity", similarity, 4, anchors.dtype)
    mask = check.where(where, boxes.shape[:1], "the boxes without their last axis")
    exists = jnp.ones(boxes.shape[0], bool) if mask is None else mask
    exists = jnp.broadcast_to(exists, boxes.shape[:1])
    (boxes,) = hide(exists[:, None], boxes)
    anchors, boxes = lax.stop_gradient((anchors, boxes))
    positive_threshold, negative_threshold = _thresholds(
        check, positive_threshold, negative_threshold, force_match, anchors
    )

    best, objects = _best(anchors, boxes, exists, similarity)
    claims = _claims(force_match, objects, anchors, boxes, similarity)
    positive = best.overlaps >= positive_threshold
    if force_match == "own":
        positive = positive | best.tied
    matches = Matches(
        indices=best.indices,
        overlaps=jnp.where(best.overlaps > -jnp.inf, best.overlaps, jnp.zeros_like(best.overlaps)),
        positive=positive,
        negative=~positive & (best.overlaps < negative_threshold),
    )
    return _with_nan(anchors, boxes, _with_claims(claims, matches))


def _with_claims(claims: _Objects, matches: Matches) -> Matches:
    """`matches`, but positive with the object that claimed it, wherever one did."""
    numbers = jnp.arange(claims.anchors.size, dtype=jnp.int32)
    return Matches(
        indices=matches.indices.at[claims.anchors].set(numbers, mode="drop"),
        overlaps=matches.overlaps.at[claims.anchors].set(claims.overlaps, mode="drop"),
        positive=matches.positive.at[claims.anchors].set(True, mode="drop"),
        negative=matches.negative.at[claims.anchors].set(False, mode="drop"),
    )


def _with_nan(anchors: Array, boxes: Array, matches: Matches) -> Matches:
    """`matches`, but positive with the NaN object, or the NaN anchor, wherever there is one."""
    unknown = jnp.any(jnp.isnan(boxes), -1)
    lost = jnp.any(jnp.isnan(anchors), -1) | jnp.any(unknown)
    return Matches(
        indices=jnp.where(jnp.any(unknown), first(unknown, 0), matches.indices),
        overlaps=jnp.where(lost, jnp.nan, matches.overlaps),
        positive=matches.positive | lost,
        negative=matches.negative & ~lost,
    )


def _best(
    anchors: Array, boxes: Array, exists: Array, similarity: Similarity
) -> tuple[_Anchors, _Objects]:
    """The best object of every anchor and the best anchor of every object, by one scan."""

    def look(seen: _Anchors, chunk: tuple[Array, Array, Array]) -> tuple[_Anchors, _Objects]:
        numbers, some, exist = chunk
        overlaps = similarity(padded[None], some[:, None])
        # Not NaN, since maxima of it differ between backends.
        known = exist[:, None] & (overlaps > -jnp.inf)
        overlaps = jnp.where(known, overlaps, jnp.full_like(overlaps, -jnp.inf))
        # Computed once: a second computation, fused otherwise, may not equal its own maximum.
        overlaps = lax.optimization_barrier(overlaps)
        overlaps_of, anchors_of = _peaks(overlaps)
        best, indices, tied = seen
        # Selections one after the other, which vectorise on CPU, where a reduction does not.
        for number, row, peak in zip(numbers, overlaps, overlaps_of, strict=True):
            better = row > best
            best, indices = jnp.where(better, row, best), jnp.where(better, number, indices)
            tied |= (row == peak) & (peak > 0)
        return _Anchors(best, indices, tied), _Objects(anchors_of, overlaps_of)

    count, total = anchors.shape[0], boxes.shape[0]
    # Copies of the last anchor never win a tie against it.
    padded = jnp.pad(anchors, ((0, -count % BLOCK), (0, 0)), mode="edge" if count else "constant")
    padding = -total % CHUNK
    numbers = jnp.arange(total + padding, dtype=jnp.int32)
    boxes, exists = jnp.pad(boxes, ((0, padding), (0, 0))), jnp.pad(exists, (0, padding))
    chunks = (
        numbers.reshape(-1, CHUNK),
        boxes.reshape(-1, CHUNK, 4),
        exists.reshape(-1, CHUNK),
    )
    like = padded[:, 0] + jnp.sum(boxes)  # varies over a mesh as the results will
    start = _Anchors(
        jnp.full_like(like, -jnp.inf),
        jnp.zeros_like(like, jnp.int32),
        jnp.zeros_like(like, bool),
    )
    best, objects = lax.scan(look, start, chunks)
    best = _Anchors(*(array[:count] for array in best))
    anchors_of, overlaps = (array.reshape(-1)[:total] for array in objects)
    return best, _Objects(jnp.where(overlaps > 0, anchors_of, count), overlaps)


def _peaks(overlaps: Array) -> tuple[Array, Array]:
    """The largest of each row and where it is, ties to the lower index: the best block first."""
    blocks = overlaps.reshape(overlaps.shape[0], -1, BLOCK)
    peaks, numbers = maximum(jnp.max(blocks, -1), -1)
    winners = jnp.take_along_axis(blocks, numbers[:, None, None], 1, mode="clip")[:, 0]
    return peaks, numbers * BLOCK + first(winners == peaks[:, None], -1)


def _claims(
    force_match: ForceMatch,
    objects: _Objects,
    anchors: Array,
    boxes: Array,
    similarity: Similarity,
) -> _Objects:
    """The anchors that objects have for themselves, given the best one of each."""
    if anchors.size and boxes.size and force_match == "last":
        return _last_to_claim(objects, anchors.shape[0])
    if anchors.size and boxes.size and force_match == "bipartite":
        return _one_by_one(objects, anchors, boxes, similarity)
    return objects._replace(anchors=jnp.full_like(objects.anchors, anchors.shape[0]))


def _last_to_claim(objects: _Objects, anchors: int) -> _Objects:
    """Of the objects with the same best anchor the last has it."""
    numbers = jnp.arange(objects.anchors.size, dtype=jnp.int32)
    holders = jnp.full(anchors, -1, jnp.int32).at[objects.anchors].max(numbers, mode="drop")
    return _held(objects, holders)


def _one_by_one(
    objects: _Objects, anchors: Array, boxes: Array, similarity: Similarity
) -> _Objects:
    """Greedy pairing by overlap, found as the stable matching that it is, without `[A, G]`.

    An object asks for its best anchor, which takes the best of those who ask; whoever is refused
    or replaced asks for the next. The order of asking does not matter to the result, so that
    all ask at once first, and then one at a time: mostly none is left.
    """
    total, none = objects.anchors.size, anchors.shape[0]
    numbers = jnp.arange(total, dtype=jnp.int32)

    def hold(claims: _Objects) -> tuple[Array, Array]:
        """The overlap that each anchor has to lose, and its object."""
        overlaps = jnp.zeros(none, anchors.dtype)
        overlaps = overlaps.at[claims.anchors].max(claims.overlaps, mode="drop")
        equal = claims.overlaps == overlaps.at[claims.anchors].get(mode="fill", fill_value=0)
        takers = jnp.where(equal, claims.anchors, none)
        return overlaps, jnp.full(none, total, jnp.int32).at[takers].min(numbers, mode="drop")

    def ask(state: tuple[_Objects, Array]) -> tuple[_Objects, Array]:
        claims, waiting = state
        held, holders = hold(claims)
        asking = first(waiting, 0)
        overlaps = similarity(anchors, boxes[asking][None])
        better = (overlaps > held) | ((overlaps == held) & (asking < holders) & (held > 0))
        overlaps = jnp.where(better, overlaps, jnp.zeros_like(overlaps))
        overlap, anchor = maximum(lax.optimization_barrier(overlaps), 0)
        taken = jnp.where(overlap > 0, anchor, none)
        mine = numbers == asking
        replaced = (claims.anchors == taken) & (claims.anchors < none)
        claims = _Objects(
            jnp.where(mine, taken, jnp.where(replaced, none, claims.anchors)),
            jnp.where(mine, overlap, claims.overlaps),
        )
        return claims, (waiting & ~mine) | replaced

    claims = _held(objects, hold(objects)[1])
    waiting = (objects.anchors < none) & (claims.anchors == none)
    return lax.while_loop(lambda state: jnp.any(state[1]), ask, (claims, waiting))[0]


def _held(objects: _Objects, holders: Array) -> _Objects:
    """`objects` without the anchors that others hold."""
    holder = holders.at[objects.anchors].get(mode="fill", fill_value=-1)
    held = holder == jnp.arange(objects.anchors.size, dtype=jnp.int32)
    return objects._replace(anchors=jnp.where(held, objects.anchors, holders.size))


def _thresholds(
    check: Arguments,
    positive: ArrayLike,
    negative: ArrayLike,
    force_match: ForceMatch,
    anchors: Array,
) -> tuple[Array, Array]:
    """The thresholds of `match_anchors`, of which it must be known how objects claim anchors."""
    if force_match is not None:
        options = ("last", "bipartite", "own")
        check.option("force_match", force_match, options, "or None to force none")
    return (
        check.scalar("positive_threshold", positive, anchors),
        check.scalar(
            "negative_threshold",
            negative,
            anchors,
            at_most=positive,
            hint="it is to be at most `positive_threshold`",
        ),
    )


def mine_hard_negatives(
    losses: ArrayLike,
    positive: ArrayLike,
    *,
    negative: ArrayLike | None = None,
    ratio: ArrayLike = 3.0,
    minimum: ArrayLike = 0,
    where: ArrayLike | None = None,
) -> Array:
    """Chooses the negatives with the largest losses, in proportion to the positives of the image.

    Formula:
      Of the candidates, the `max(floor(ratio * sum(positive)), minimum)` with the largest losses,
      ties to the lower index; all of them if there are fewer.

    Args:
      losses: `[A]`, what each anchor costs if it is trained as a negative.
      positive: boolean `[A]`; never chosen.
      negative: boolean `[A]`, the candidates, as `Matches.negative`; all that are not positive by
        default.
      ratio: scalar `>= 0`, negatives for each positive, `inf` for all; may be traced.
      minimum: scalar `>= 0`, how many are wanted even where positives are few; may be traced.
      where: boolean `[A]`; False removes an anchor, whatever it holds: it is neither chosen nor
        counted.

    Returns:
      Boolean `[A]`, True for the negatives that are chosen.

    Edge cases:
      Without positives only `minimum` are chosen. A NaN loss counts as the largest, so that it is
      not lost. The choice is not differentiated.

    Differences:
      torchvision's SSD chooses `3 * positives` with a sort, among all anchors that are not
      positive; where these run out it takes positives, whose losses then count twice. The original
      takes candidates below the matching threshold alone: `negative=matches.negative`.

    Raises:
      TypeError: an argument is a list, `losses` are not floating point, or a mask is not boolean.
      ValueError: a shape is not as stated.

    Reference:
      Liu et al., "SSD: Single Shot MultiBox Detector", 2016, arXiv 1512.02325.

    Example:
      >>> losses = jnp.array([0.1, 0.7, 2.0, 0.4, 0.7, 0.3])
      >>> positive = jnp.array([False, False, True, False, False, False])
      >>> print(jaxloss.matching.mine_hard_negatives(losses, positive, ratio=2.0))
      [False  True False False  True False]
    """
    check = Arguments("mine_hard_negatives")
    (losses,) = check.floats(losses=losses)
    check.shape("losses", losses, (None,), "one loss an anchor")
    positive = check.mask("positive", positive, losses.shape, "one an anchor")
    candidates = ~positive
    if negative is not None:
        candidates = candidates & check.mask("negative", negative, losses.shape, "one an anchor")
    mask = check.where(where, losses.shape)
    if mask is not None:
        positive, candidates = positive & mask, candidates & mask
    ratio = check.scalar("ratio", ratio, losses, at_least=0)
    minimum = check.scalar("minimum", minimum, losses, at_least=0)
    positives = jnp.sum(positive, dtype=losses.dtype)
    each = jnp.where(positives == 0, jnp.zeros_like(ratio), ratio)  # which may be infinite
    wanted = jnp.maximum(jnp.floor(each * positives), minimum)
    wanted = jnp.minimum(wanted, losses.size)
    return largest(losses, wanted.astype(jnp.int32), candidates)
