"""What the detectors' losses share: arguments, batches, matched targets, and the sum of terms."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, Shape, hide, keep, kind_of
from jaxloss.boxes.coding import (
    Weights,
    centered,
    decode_deltas,
    deltas_between,
    weights_of,
)
from jaxloss.matching import ForceMatch, _thresholds, match_anchors

Loss = Callable[[Array, Array], Array]
Terms = TypeVar("Terms")

COUNTS = frozenset({"positives"})


class Fields(Protocol):
    """A NamedTuple of terms."""

    def _asdict(self) -> dict[str, ArrayLike]: ...


class Objects(NamedTuple):
    """The objects of an image, 0 where they are padding."""

    boxes: Array
    labels: Array
    exists: Array


class Targets(NamedTuple):
    """For each anchor of an image an object and its label, and whether it is to predict them."""

    objects: Array
    labels: Array
    positive: Array
    negative: Array


def total(terms: Fields, *, weights: Mapping[str, ArrayLike] | None = None) -> Array:
    """Weighted sum of the loss terms of a detector.

    Formula:
      `sum_k weights_k terms_k` over all terms but `positives`, which counts.

    Args:
      terms: what a detector's loss returns: a NamedTuple of arrays of one shape `[...]`.
      weights: by the name of a term what it is multiplied by, scalars; 1 where not named.

    Returns:
      `[...]`, one value an image, a sum over its anchors: to be normalised. With
      `loss = total(terms)` and `count = terms.positives`:

      - by the positives of the batch (torchvision's SSD):
        `jaxloss.sum(loss) / jnp.maximum(1, jaxloss.sum(count))`;
      - by those of each image (torchvision's RetinaNet):
        `jaxloss.mean(loss / jnp.maximum(1, count))`;
      - by the positives of a batch, at least one an image (mmdetection):
        `jaxloss.sum(loss) / jaxloss.sum(jnp.maximum(1, count))`;
      - by a running mean (detectron2): keep
        `state = 0.9 * state + 0.1 * jnp.maximum(1, jaxloss.sum(count))`, from 100 on, and divide
        `jaxloss.sum(loss)` by it.

      On several devices add `axis_name` to both sums.

    Edge cases:
      A weight of 0 does not hide an infinite or NaN term.

    Differences:
      torchvision, detectron2 and mmdetection return means with the normaliser built in.

    Raises:
      TypeError: a term or a weight is a list, or a term is not floating point.
      ValueError: the terms differ in shape, or a weight names no term or is not a scalar.

    Reference:
      Liu et al., "SSD: Single Shot MultiBox Detector", 2015, arXiv 1512.02325.

    Example:
      >>> terms = jaxloss.detection.SSDTerms(
      ...     classification=jnp.array([3.0, 1.0]),
      ...     localization=jnp.array([2.0, 0.0]),
      ...     positives=jnp.array([4.0, 0.0]),
      ... )
      >>> print(jaxloss.detection.total(terms, weights={"localization": 0.5}))
      [4. 1.]
    """
    check = Arguments("total")
    if not hasattr(terms, "_asdict"):
        raise TypeError(
            f"`total`: `terms` is {kind_of(terms)}, expected the NamedTuple that a detector's loss "
            f"returns, such as `SSDTerms`"
        )
    if weights is not None and not isinstance(weights, Mapping):
        raise TypeError(
            f"`total`: `weights` is {kind_of(weights)}, expected a dictionary by the names of "
            f"terms, as in `{{'localization': 0.5}}`"
        )
    fields = terms._asdict()
    arrays = dict(zip(fields, check.floats(**fields), strict=True))
    first = next(iter(arrays))
    for name, term in arrays.items():
        check.shape(name, term, arrays[first].shape, f"the shape of `{first}`")
    losses = {name: term for name, term in arrays.items() if name not in COUNTS}
    weights = weights or {}
    for name in weights:
        check.option("weights", name, losses, "to weight a term")
    scales = (
        check.scalar(f"weights['{name}']", weights.get(name, 1.0), term)
        for name, term in losses.items()
    )
    scaled = (scale * term for scale, term in zip(scales, losses.values(), strict=True))
    return sum(scaled, jnp.zeros_like(arrays[first]))


def detections(
    check: Arguments,
    box_deltas: ArrayLike,
    class_logits: ArrayLike,
    anchors: ArrayLike,
    boxes: ArrayLike,
    labels: ArrayLike,
    where: ArrayLike | None,
) -> tuple[Array, Array, Array, Objects]:
    """Predictions, anchors and objects of one dtype, their shapes checked against each other."""
    deltas, logits, anchors, boxes = check.floats(
        box_deltas=box_deltas, class_logits=class_logits, anchors=anchors, boxes=boxes
    )
    check.shape("box_deltas", deltas, (..., None, 4), "four deltas an anchor")
    batch, count = deltas.shape[:-2], deltas.shape[-2]
    check.shape("class_logits", logits, (*batch, count, None), "the classes of each anchor")
    check.shape("anchors", anchors, (count, 4), "as many as `box_deltas` has, shared by all images")
    check.shape("boxes", boxes, (*batch, None, 4), "the objects of each image")
    objects = boxes.shape[:-1]
    labels = check.labels("labels", labels, objects)
    mask = check.where(where, objects, "the labels")
    exists = jnp.broadcast_to(True if mask is None else mask, objects)
    (boxes,) = hide(exists[..., None], boxes)
    (labels,) = hide(exists, labels)
    return deltas, logits, anchors, Objects(boxes, labels, exists)


def supervise(
    check: Arguments,
    anchors: Array,
    positive_threshold: float | Array,
    negative_threshold: float | Array,
    force_match: ForceMatch,
    delta_loss: Loss,
    box_loss: Loss | None,
) -> None:
    """Refuses under the detector's name what the functions it calls would under theirs, or not."""
    _thresholds(check, positive_threshold, negative_threshold, force_match, anchors)
    shapes = {"box_loss": anchors.shape[:1], "delta_loss": anchors.shape}
    for name, loss in {"box_loss": box_loss, "delta_loss": delta_loss}.items():
        if loss is not None and (name == "box_loss" or box_loss is None):
            _check_loss(check, name, loss, shapes, anchors)


def _check_loss(
    check: Arguments, name: str, loss: object, shapes: dict[str, Shape], anchors: Array
) -> None:
    """Refuses what is no loss with a result of the shape that belongs to its `name`."""
    what = f"a loss of predictions and targets {anchors.shape} with a result {shapes[name]}"
    if not callable(loss):
        shown = repr(loss) if isinstance(loss, str) else kind_of(loss)
        raise TypeError(f"`{check.function}`: `{name}` is {shown}, expected {what}")
    like = jax.ShapeDtypeStruct(anchors.shape, anchors.dtype)
    try:
        made = jax.eval_shape(loss, like, like)
    except TypeError as error:
        raise TypeError(
            f"`{check.function}`: `{name}` cannot be called as {what}: {error}"
        ) from error
    shape = getattr(made, "shape", None)
    if shape != shapes[name]:
        found = kind_of(made) if shape is None else f"a result {shape}"
        slots = [slot for slot, fitting in shapes.items() if shape == fitting]
        hint = f"; give it as `{slots[0]}`" if slots else "; losses are not reduced here"
        raise ValueError(f"`{check.function}`: `{name}` has {found}, expected {what}{hint}")


def assign(
    anchors: Array,
    objects: Objects,
    positive_threshold: float | Array,
    negative_threshold: float | Array,
    force_match: ForceMatch,
) -> Targets:
    """What each anchor of an image is trained towards; none towards an object without area."""
    _, sides = jnp.split(centered(objects.boxes), 2, axis=-1)
    empty = jnp.any(sides <= 0, axis=-1)
    matches = match_anchors(
        anchors,
        objects.boxes,
        where=objects.exists & ~empty,
        positive_threshold=positive_threshold,
        negative_threshold=negative_threshold,
        force_match=force_match,
    )
    labels = _of_anchors(objects.labels, matches.indices)
    return Targets(matches.indices, labels, matches.positive, matches.negative)


def over_images(image_loss: Callable[..., Terms], batch_rank: int) -> Callable[..., Terms]:
    """`image_loss` over any number of leading axes."""
    for _ in range(batch_rank):
        image_loss = jax.vmap(image_loss)
    return image_loss


def localization(
    check: Arguments,
    deltas: Array,
    anchors: Array,
    objects: Objects,
    targets: Targets,
    coder_weights: Weights,
    delta_loss: Loss,
    box_loss: Loss | None,
) -> Array:
    """The summed box loss of the positive anchors."""
    positive = targets.positive[:, None]
    (deltas,) = hide(positive, deltas)
    weights = weights_of(check, coder_weights, deltas, "coder_weights")
    if box_loss is None:
        # No anchor is positive with an object without area, whose log scales are not finite.
        center, sides = jnp.split(centered(objects.boxes), 2, axis=-1)
        sides = jnp.where(sides <= 0, jnp.ones((), sides.dtype), sides)
        boxes = _of_anchors(jnp.concatenate([center, sides], axis=-1), targets.objects)
        encoded = weights * deltas_between(boxes, centered(anchors))
        losses = jnp.sum(delta_loss(deltas, *hide(positive, encoded)), axis=-1)
    else:
        boxes = jnp.where(positive, _of_anchors(objects.boxes, targets.objects), anchors)
        losses = box_loss(decode_deltas(deltas, anchors, weights=weights), boxes)
    return jnp.sum(keep(targets.positive, losses))


def spoiled(objects: Objects, valid: Array) -> Array:
    """NaN if an object has a NaN in its box or a label that is not `valid`, otherwise 1."""
    broken = jnp.any(jnp.isnan(objects.boxes), axis=-1) | ~valid
    return jnp.where(jnp.any(objects.exists & broken), jnp.nan, 1.0).astype(objects.boxes.dtype)


def _of_anchors(objects: Array, indices: Array) -> Array:
    """For each anchor the entry of its object; 0 if there are no objects."""
    if objects.shape[0] == 0:
        return jnp.zeros((*indices.shape, *objects.shape[1:]), objects.dtype)
    return objects.at[indices].get(mode="promise_in_bounds")
