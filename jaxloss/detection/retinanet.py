"""The loss of RetinaNet."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._target import in_range
from jaxloss.boxes.coding import Weights
from jaxloss.classification import sigmoid_focal_loss
from jaxloss.classification.binary import NO_ALPHA
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
from jaxloss.matching import ForceMatch
from jaxloss.regression import absolute_error


class RetinaNetTerms(NamedTuple):
    """Sums over the anchors of an image, and how many of them are positive."""

    classification: Array
    localization: Array
    positives: Array


def retinanet_loss(
    box_deltas: ArrayLike,
    class_logits: ArrayLike,
    anchors: ArrayLike,
    boxes: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    alpha: float | Array | None = 0.25,
    gamma: float | Array = 2.0,
    positive_threshold: float | Array = 0.5,
    negative_threshold: float | Array = 0.4,
    force_match: ForceMatch = "own",
    coder_weights: Weights = (1.0, 1.0, 1.0, 1.0),
    delta_loss: Loss = absolute_error,
    box_loss: Loss | None = None,
) -> RetinaNetTerms:
    """Matching, box regression and focal classification, summed for each image.

    Formula:
      `matching.match_anchors` gives each anchor an object, none, or leaves it out.
      `classification` is the sigmoid focal loss of the classes against the one-hot label of the
      object, or zeros where there is none, summed over classes and over positive and negative
      anchors. `localization` is the sum of `delta_loss(box_deltas, encode_deltas(box, anchor))`
      over the four deltas of the positive anchors.

    Args:
      box_deltas: `[..., A, 4]`, predictions as `boxes.encode_deltas` gives them.
      class_logits: `[..., A, C]`, without a background class.
      anchors: `[A, 4]` as x1, y1, x2, y2, shared by all images; `boxes.retinanet_anchors`.
      boxes: `[..., G, 4]`, the objects as x1, y1, x2, y2 in the anchors' unit, padded to `G`.
      labels: `[..., G]` integers in [0, C).
      where: boolean `[..., G]`; False marks padding, whatever it holds.
      alpha: in [0, 1], the weight of the positive class in the focal loss, `1 - alpha` of the
        negative; None for no weights.
      gamma: `>= 0`, exponent of the focal loss.
      positive_threshold: the least overlap of an anchor with its object.
      negative_threshold: at most `positive_threshold`; anchors between the two are left out.
      force_match: how objects claim an anchor below the threshold, see `matching.match_anchors`.
      coder_weights: of `boxes.encode_deltas`.
      delta_loss: an elementwise loss `(predictions, targets)` of deltas `[A, 4]`; Detectron's is
        `smooth_l1_loss` with a small `beta`.
      box_loss: if given, a loss of decoded boxes, `[A, 4]` and `[A, 4]` to `[A]`, instead of
        `delta_loss`: `jaxloss.giou_loss`, `jaxloss.ciou_loss`, ...

    Returns:
      `RetinaNetTerms(classification, localization, positives)`, each `[...]`, one value an image,
      in float32 at least: two sums in [0, inf) and the number of positive anchors. `total` adds
      the sums and says how to normalise them: by the positives of each image here.

    Edge cases:
      An image without objects has the focal loss of its negatives. A label out of range makes the
      loss of its image NaN, unless masked; so does NaN in a box. No anchor is trained towards an
      object without area, inverted ones included, whatever the thresholds. Matching is not
      differentiated.

    Differences:
      torchvision's `RetinaNet.compute_loss` before its division by the positives of each image,
      except that there an object which overlaps no anchor makes every anchor positive. detectron2
      divides by a running mean of the positives and has smooth L1 with `beta = 0.1`.

    Raises:
      TypeError: an argument is a list, a prediction is not floating point, `labels` are not
        integers or `where` is not boolean.
      ValueError: the shapes do not fit each other, `coder_weights` do not fit the deltas,
        `force_match` is unknown, or `delta_loss` or `box_loss` makes another shape.

    Reference:
      Lin, Goyal, Girshick, He and Dollár, "Focal Loss for Dense Object Detection", 2017, arXiv
      1708.02002.

    Example:
      >>> anchors = jnp.array([[0.0, 0.0, 4.0, 4.0], [4.0, 4.0, 8.0, 8.0]])
      >>> boxes, labels = jnp.array([[0.0, 0.0, 4.0, 5.0]]), jnp.array([2])
      >>> terms = jaxloss.detection.retinanet_loss(
      ...     jnp.zeros((2, 4)), jnp.zeros((2, 3)), anchors, boxes, labels
      ... )
      >>> print(terms.classification, terms.localization, terms.positives)
      0.6931472 0.34814355 1.0
    """
    check = Arguments("retinanet_loss")
    deltas, logits, anchors, objects = detections(
        check, box_deltas, class_logits, anchors, boxes, labels, where
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
    like = jax.ShapeDtypeStruct(logits.shape[-2:], logits.dtype)
    if alpha is not None:
        check.parameter("alpha", alpha, like, at_least=0, at_most=1, hint=NO_ALPHA)
    check.parameter("gamma", gamma, like, at_least=0)

    def image(deltas: Array, logits: Array, objects: Objects) -> RetinaNetTerms:
        targets = assign(anchors, objects, positive_threshold, negative_threshold, force_match)
        classes = lax.broadcasted_iota(targets.labels.dtype, logits.shape, 1)
        hot = targets.positive[:, None] & (classes == targets.labels[:, None])
        losses = sigmoid_focal_loss(
            logits,
            hot,
            alpha=alpha,
            gamma=gamma,
            where=(targets.positive | targets.negative)[:, None],
        )
        factor = spoiled(objects, in_range(objects.labels, logits.shape[-1]))
        return RetinaNetTerms(
            classification=factor * jnp.sum(losses),
            localization=factor
            * localization(
                check, deltas, anchors, objects, targets, coder_weights, delta_loss, box_loss
            ),
            positives=jnp.sum(targets.positive, dtype=losses.dtype),
        )

    return over_images(image, deltas.ndim - 2)(deltas, logits, objects)
