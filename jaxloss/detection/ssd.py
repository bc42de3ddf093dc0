"""The loss of the single shot multibox detector."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._target import in_range
from jaxloss.boxes.coding import Weights
from jaxloss.classification import softmax_cross_entropy_with_integer_labels
from jaxloss.detection.terms import (
    Loss,
    Objects,
    assign,
    detections,
    localization,
    over_images,
    spoiled,
    supervise,
)
from jaxloss.matching import ForceMatch, mine_hard_negatives
from jaxloss.regression import smooth_l1_loss


class SSDTerms(NamedTuple):
    """Sums over the anchors of an image, and how many of them are positive."""

    classification: Array
    localization: Array
    positives: Array


def ssd_loss(
    box_deltas: ArrayLike,
    class_logits: ArrayLike,
    anchors: ArrayLike,
    boxes: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    background: int = 0,
    positive_threshold: float | Array = 0.5,
    negative_threshold: float | Array = 0.5,
    force_match: ForceMatch = "last",
    negative_ratio: float | Array = 3.0,
    minimum_negatives: float | Array = 0,
    coder_weights: Weights = (10.0, 10.0, 5.0, 5.0),
    delta_loss: Loss = smooth_l1_loss,
    box_loss: Loss | None = None,
) -> SSDTerms:
    """Matching, box regression and classification with hard negatives, summed for each image.

    Formula:
      `matching.match_anchors` gives each anchor an object or none. `localization` is the sum of
      `delta_loss(box_deltas, encode_deltas(box, anchor))` over the four deltas of the positive
      anchors. `classification` is the softmax cross-entropy of the object's label summed over the
      positive anchors, plus that of `background` summed over the negative anchors where it is
      largest, `floor(negative_ratio positives)` of them in each image.

    Args:
      box_deltas: `[..., A, 4]`, predictions as `boxes.encode_deltas` gives them.
      class_logits: `[..., A, C]`, the background one of the classes.
      anchors: `[A, 4]` as x1, y1, x2, y2, shared by all images; `boxes.ssd_anchors`.
      boxes: `[..., G, 4]`, the objects as x1, y1, x2, y2 in the anchors' unit, padded to `G`.
      labels: `[..., G]` integers in [0, C) without `background`.
      where: boolean `[..., G]`; False marks padding, whatever it holds.
      background: the class of anchors without an object, a Python integer in [0, C); `C - 1` for
        mmdetection's order.
      positive_threshold: the least overlap of an anchor with its object.
      negative_threshold: at most `positive_threshold`; anchors between the two are left out.
      force_match: how objects claim an anchor below the threshold, see `matching.match_anchors`.
      negative_ratio: `>= 0`, negatives kept for each positive of an image.
      minimum_negatives: `>= 0`, negatives kept at least, in images without objects too.
      coder_weights: of `boxes.encode_deltas`; one over the square root of the variances.
      delta_loss: an elementwise loss `(predictions, targets)` of deltas `[A, 4]`.
      box_loss: if given, a loss of decoded boxes, `[A, 4]` and `[A, 4]` to `[A]`, instead of
        `delta_loss`: `jaxloss.giou_loss`, `jaxloss.ciou_loss`, ...

    Returns:
      `SSDTerms(classification, localization, positives)`, each `[...]`, one value an image, in
      float32 at least: two sums in [0, inf) and the number of positive anchors. `total` adds the
      sums and says how to normalise them: by the positives of the batch here.

    Edge cases:
      An image without objects has no loss, unless `minimum_negatives` are wanted. A label out of
      range, or `background`, makes the loss of its image NaN, unless masked; so does NaN in a box.
      No anchor is trained towards an object without area, inverted ones included, whatever the
      thresholds. Matching and mining are not differentiated.

    Differences:
      torchvision's `SSD.compute_loss` and `SSDMatcher` before the division by the positives, except
      that there an object which overlaps no anchor claims one all the same, and that where three
      times the positives exceed the negatives it counts positives twice. The original in Caffe
      matches with `force_match="bipartite"`. mmdetection has the background last.

    Raises:
      TypeError: an argument is a list, a prediction is not floating point, `labels` are not
        integers or `where` is not boolean.
      ValueError: the shapes do not fit each other, `coder_weights` do not fit the deltas,
        `background` is no class, `force_match` is unknown, or `delta_loss` or `box_loss` makes
        another shape.

    Reference:
      Liu, Anguelov, Erhan, Szegedy, Reed, Fu and Berg, "SSD: Single Shot MultiBox Detector", 2015,
      arXiv 1512.02325.

    Example:
      >>> anchors = jnp.array([[0.0, 0.0, 4.0, 4.0], [4.0, 4.0, 8.0, 8.0]])
      >>> boxes, labels = jnp.array([[0.0, 0.0, 4.0, 5.0]]), jnp.array([2])
      >>> terms = jaxloss.detection.ssd_loss(
      ...     jnp.zeros((2, 4)), jnp.zeros((2, 3)), anchors, boxes, labels
      ... )
      >>> print(terms.classification, terms.localization, terms.positives)
      2.1972246 1.3657178 1.0
    """
    check = Arguments("ssd_loss")
    deltas, logits, anchors, objects = detections(
        check, box_deltas, class_logits, anchors, boxes, labels, where
    )
    classes = logits.shape[-1]
    if not 0 <= background < classes:
        raise ValueError(
            f"`ssd_loss`: `background` is {background}, expected a class of `class_logits`, from 0 "
            f"to {classes - 1}"
        )
    supervise(
        check,
        anchors,
        positive_threshold,
        negative_threshold,
        force_match,
        delta_loss,
        box_loss,
    )
    check.scalar("negative_ratio", negative_ratio, logits, at_least=0)
    check.scalar("minimum_negatives", minimum_negatives, logits, at_least=0)
    empty = jnp.asarray(background, objects.labels.dtype)

    def image(deltas: Array, logits: Array, objects: Objects) -> SSDTerms:
        targets = assign(anchors, objects, positive_threshold, negative_threshold, force_match)
        labels = jnp.where(targets.positive, targets.labels, empty)
        losses = softmax_cross_entropy_with_integer_labels(logits, labels)
        hard = mine_hard_negatives(
            losses,
            targets.positive,
            negative=targets.negative,
            ratio=negative_ratio,
            minimum=minimum_negatives,
        )
        factor = spoiled(objects, in_range(objects.labels, classes) & (objects.labels != empty))
        return SSDTerms(
            classification=factor * jnp.sum(keep(targets.positive | hard, losses)),
            localization=factor
            * localization(
                check, deltas, anchors, objects, targets, coder_weights, delta_loss, box_loss
            ),
            positives=jnp.sum(targets.positive, dtype=losses.dtype),
        )

    return over_images(image, deltas.ndim - 2)(deltas, logits, objects)
