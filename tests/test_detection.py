"""Detectors' losses against an independent float64 reference, and their normalisers."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import boxes, detection
from tests.registry._row import boxes as random_boxes
from tests.registry._row import integers, normal

ANCHORS = np.concatenate([random_boxes(30, seed=1), random_boxes(20, seed=2) + 30.0])
IMAGES, OBJECTS, CLASSES = 6, 5, 4
BOXES = random_boxes(IMAGES, OBJECTS, seed=3)
LABELS = integers(IMAGES, OBJECTS, low=1, high=CLASSES, seed=4)
WHERE = np.arange(OBJECTS) < np.array([0, 1, 3, 5, 5, 2])[:, None]
DELTAS = normal(IMAGES, len(ANCHORS), 4, seed=5)
LOGITS = normal(IMAGES, len(ANCHORS), CLASSES, seed=6, scale=2.0)


def overlap(a, b):
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


def deltas_of(box, anchor, weights):
    sides, anchor_sides = box[2:] - box[:2], anchor[2:] - anchor[:2]
    shift = ((box[2:] + box[:2]) - (anchor[2:] + anchor[:2])) / 2 / anchor_sides
    return np.concatenate([shift, np.log(sides / anchor_sides)]) * weights


def match(objects, high, low, force):
    """The object of each anchor, -1 for a negative one and -2 for one left out."""
    if not len(objects):
        return np.full(len(ANCHORS), -1)
    overlaps = np.array([[overlap(a, g) for g in objects] for a in ANCHORS])
    best = overlaps.max(1)
    matched = np.where(best >= high, overlaps.argmax(1), np.where(best < low, -1, -2))
    for g in range(len(objects)):
        if force == "last":
            matched[overlaps[:, g].argmax()] = g
        else:
            tied = overlaps[:, g] == overlaps[:, g].max()
            matched[tied] = overlaps[tied].argmax(1)
    return matched


def ssd_reference(image):
    objects, labels = BOXES[image][WHERE[image]], LABELS[image][WHERE[image]]
    matched = match(objects, 0.5, 0.5, "last")
    localization = classification = 0.0
    negatives = []
    for a, g in enumerate(matched):
        logits = LOGITS[image, a]
        costs = np.log(np.sum(np.exp(logits))) - logits
        if g < 0:
            negatives.append(costs[0])
            continue
        classification += costs[labels[g]]
        target = deltas_of(objects[g], ANCHORS[a], [10, 10, 5, 5])
        residual = np.abs(DELTAS[image, a] - target)
        localization += np.sum(np.where(residual < 1, residual**2 / 2, residual - 0.5))
    positives = np.sum(matched >= 0)
    hard = sorted(negatives, reverse=True)[: 3 * positives]
    return classification + sum(hard), localization, positives


def retinanet_reference(image):
    objects, labels = BOXES[image][WHERE[image]], LABELS[image][WHERE[image]]
    matched = match(objects, 0.5, 0.4, "own")
    localization = classification = 0.0
    for a, g in enumerate(matched):
        if g == -2:
            continue
        p = 1 / (1 + np.exp(-LOGITS[image, a]))
        hot = np.zeros(CLASSES)
        if g >= 0:
            hot[labels[g]] = 1
            target = deltas_of(objects[g], ANCHORS[a], [1, 1, 1, 1])
            localization += np.sum(np.abs(DELTAS[image, a] - target))
        positive = -0.25 * (1 - p) ** 2 * np.log(p)
        negative = -0.75 * p**2 * np.log(1 - p)
        classification += np.sum(np.where(hot == 1, positive, negative))
    return classification, localization, np.sum(matched >= 0)


LOSSES = {detection.ssd_loss: ssd_reference, detection.retinanet_loss: retinanet_reference}
MATCHING = {
    detection.ssd_loss: (0.5, 0.5, "last"),
    detection.retinanet_loss: (0.5, 0.4, "own"),
}
both = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)


@cache
def compiled(loss, **setting):
    return jax.jit(partial(loss, **setting))


def call(loss, image=slice(None), dtype=np.float32, setting=None, **changed):
    arrays = {
        "box_deltas": DELTAS[image].astype(dtype),
        "class_logits": LOGITS[image].astype(dtype),
        "anchors": ANCHORS.astype(dtype),
        "boxes": BOXES[image].astype(dtype),
        "labels": LABELS[image],
        "where": WHERE[image],
    }
    return compiled(loss, **(setting or {}))(**{**arrays, **changed})


@both
def test_the_reference(loss):
    with jax.enable_x64(True):
        found = call(loss, dtype=np.float64)
    for image in range(IMAGES):
        expected = LOSSES[loss](image)
        np.testing.assert_allclose([term[image] for term in found], expected, rtol=1e-12)


@both
def test_any_number_of_batch_axes(loss):
    flat = call(loss)
    single = call(loss, 3)
    folded = jax.tree.map(
        lambda array: array.reshape(2, 3, *array.shape[1:]),
        {"box_deltas": DELTAS, "class_logits": LOGITS, "boxes": BOXES, "where": WHERE},
    )
    twice = call(
        loss,
        box_deltas=np.float32(folded["box_deltas"]),
        class_logits=np.float32(folded["class_logits"]),
        boxes=np.float32(folded["boxes"]),
        labels=LABELS.reshape(2, 3, -1),
        where=folded["where"],
    )
    for term, one, two in zip(flat, single, twice, strict=True):
        np.testing.assert_allclose(one, term[3], rtol=1e-6)
        np.testing.assert_allclose(two, term.reshape(2, 3), rtol=1e-6)


@both
def test_no_objects_at_all(loss):
    empty = {
        "boxes": np.zeros((IMAGES, 0, 4), np.float32),
        "labels": np.zeros((IMAGES, 0), np.int32),
        "where": None,
    }
    found, masked = call(loss, **empty), call(loss, where=np.zeros_like(WHERE))
    for term, expected in zip(found, masked, strict=True):
        np.testing.assert_allclose(term, expected, rtol=1e-6)
    assert not np.any(found.positives)
    assert not np.any(found.localization)
    assert np.all(found.classification > 0) == (loss is detection.retinanet_loss)


def test_minimum_negatives_are_kept_without_objects():
    found = call(detection.ssd_loss, setting={"minimum_negatives": 3})
    logits = LOGITS[0]
    costs = np.log(np.sum(np.exp(logits), -1)) - logits[:, 0]
    np.testing.assert_allclose(found.classification[0], np.sort(costs)[-3:].sum(), rtol=1e-5)


@both
@pytest.mark.parametrize("label", [-1, CLASSES, 1_000_000])
def test_a_wrong_label_makes_its_image_nan_unless_masked(loss, label):
    def total(logits, where):
        return detection.total(call(loss, class_logits=logits, labels=wrong, where=where))

    wrong = LABELS.copy()
    wrong[2, 1] = label
    logits = np.float32(LOGITS)
    found = total(logits, WHERE)
    np.testing.assert_array_equal(np.isnan(found), np.arange(IMAGES) == 2)
    gradient = jax.grad(lambda logits: jnp.sum(total(logits, WHERE)))(logits)
    assert np.isnan(gradient[2]).any()
    assert np.isfinite(np.delete(gradient, 2, axis=0)).all()
    assert np.isfinite(total(logits, WHERE & (wrong != label))).all()


def test_an_object_labelled_background_is_wrong():
    labels = LABELS.copy()
    labels[3, 0] = 0
    found = call(detection.ssd_loss, labels=labels)
    np.testing.assert_array_equal(np.isnan(found.classification), np.arange(IMAGES) == 3)
    assert np.isfinite(call(detection.retinanet_loss, labels=labels).classification).all()


@both
def test_nan_in_a_box_is_not_lost(loss):
    broken = np.float32(BOXES)
    broken[4, 2, 1] = np.nan
    found = detection.total(call(loss, boxes=broken))
    np.testing.assert_array_equal(np.isnan(found), np.arange(IMAGES) == 4)


@both
@pytest.mark.parametrize("box_loss", [None, jaxloss.giou_loss])
def test_no_anchor_has_an_object_without_area(loss, box_loss):
    """Not even where every overlap is enough, or of an anchor that is the same segment."""
    segments = np.float32([[5, 5, 5, 60], [9, 40, 80, 40], [70, 20, 40, 30], [30, 30, 30, 30]])
    anchors = np.float32(ANCHORS)
    anchors[:4] = segments
    setting = {"positive_threshold": 0.0, "negative_threshold": 0.0, "box_loss": box_loss}
    found = compiled(loss, **setting)(
        np.float32(DELTAS[0]), np.float32(LOGITS[0]), anchors, segments, np.int32([1, 2, 3, 1])
    )
    assert found.localization == found.positives == 0
    assert np.isfinite(found.classification)


def test_the_background_may_be_last():
    rolled = call(
        detection.ssd_loss,
        class_logits=np.roll(np.float32(LOGITS), -1, axis=-1),
        labels=LABELS - 1,
        setting={"background": CLASSES - 1},
    )
    for term, expected in zip(rolled, call(detection.ssd_loss), strict=True):
        np.testing.assert_allclose(term, expected, rtol=1e-6)


@both
def test_a_box_loss_takes_decoded_boxes(loss):
    weights = (10.0, 9.0, 5.0, 4.0)
    found = call(loss, setting={"box_loss": jaxloss.giou_loss, "coder_weights": weights})
    for image in (3, 4):
        matched = match(BOXES[image], *MATCHING[loss])
        decoded = boxes.decode_deltas(
            np.float32(DELTAS[image]), np.float32(ANCHORS), weights=weights
        )
        losses = jaxloss.giou_loss(
            decoded[matched >= 0], np.float32(BOXES[image])[matched[matched >= 0]]
        )
        np.testing.assert_allclose(found.localization[image], losses.sum(), rtol=1e-5)


@both
@pytest.mark.parametrize("box_loss", [None, jaxloss.giou_loss])
def test_perfect_boxes_cost_nothing(loss, box_loss):
    """Every anchor is an object: matched with itself, its deltas are 0."""
    first = np.float32(ANCHORS[:4])
    found = compiled(loss, box_loss=box_loss)(
        jnp.zeros((4, 4)), jnp.zeros((4, CLASSES)), first, first, jnp.array([1, 2, 3, 1])
    )
    np.testing.assert_allclose(found.localization, 0, atol=1e-5)
    assert found.positives == 4


@both
def test_small_predictions_give_float32(loss):
    low = {"box_deltas": jnp.asarray(DELTAS, jnp.bfloat16)}
    low["class_logits"] = jnp.asarray(LOGITS, jnp.bfloat16)
    found = call(loss, **low)
    wide = call(loss, **{name: np.float32(array) for name, array in low.items()})
    for term, expected in zip(found, wide, strict=True):
        assert term.dtype == jnp.float32
        np.testing.assert_array_equal(term, expected)


def test_total_adds_by_name():
    terms = detection.SSDTerms(
        classification=jnp.array([3.0, 7.0]),
        localization=jnp.array([2.0, 5.0]),
        positives=jnp.array([4.0, 1.0]),
    )
    np.testing.assert_array_equal(detection.total(terms), [5.0, 12.0])
    weighted = detection.total(terms, weights={"localization": 2.0, "classification": 0.5})
    np.testing.assert_array_equal(weighted, [5.5, 13.5])
    by_batch = jaxloss.mean(detection.total(terms), normalizer=jnp.maximum(1.0, terms.positives))
    np.testing.assert_allclose(by_batch, 17 / 5)


def test_total_refuses_what_is_no_term():
    terms = call(detection.ssd_loss)
    for name in ("positives", "box"):
        with pytest.raises(ValueError, match=f"`total`: `weights` is '{name}', expected one of"):
            detection.total(terms, weights={name: 2.0})
    with pytest.raises(ValueError, match=r"`total`: `weights\['localization'\]` has shape \(2,\)"):
        detection.total(terms, weights={"localization": jnp.ones(2)})
    with pytest.raises(TypeError, match="`weights` is a list, expected a dictionary"):
        detection.total(terms, weights=[1.0, 2.0])
    for wrong in (terms._asdict(), tuple(terms)):
        with pytest.raises(TypeError, match=r"`total`: `terms` is a .*, expected the NamedTuple"):
            detection.total(wrong)


@pytest.mark.parametrize("background", [-1, CLASSES])
def test_a_background_that_is_no_class_is_refused(background):
    with pytest.raises(ValueError, match=f"`ssd_loss`: `background` is {background}, expected"):
        call(detection.ssd_loss, 3, setting={"background": background})


@both
@pytest.mark.parametrize("box_loss", [None, jaxloss.giou_loss])
def test_coder_weights_that_do_not_fit_are_named(loss, box_loss):
    message = f"`{loss.__name__}`: `coder_weights` has shape \\(3,\\)"
    with pytest.raises(ValueError, match=message):
        call(loss, 3, setting={"coder_weights": (1.0, 2.0, 3.0), "box_loss": box_loss})


@both
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("box_deltas", (50, 5), r"`box_deltas` has shape \(50, 5\), expected \(\.\.\., any, 4\)"),
        ("class_logits", (49, 4), r"`class_logits` has shape \(49, 4\), expected \(50, any\)"),
        ("anchors", (3, 50, 4), r"`anchors` has shape \(3, 50, 4\), expected \(50, 4\)"),
        ("boxes", (2, 5, 4), r"`boxes` has shape \(2, 5, 4\), expected \(any, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(loss, name, shape, message):
    with pytest.raises(ValueError, match=message):
        call(loss, 3, **{name: np.zeros(shape, np.float32)})


@both
@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"delta_loss": jaxloss.giou_loss}, ValueError, r"result \(50,\), .* it as `box_loss`"),
        ({"box_loss": jaxloss.smooth_l1_loss}, ValueError, r"`box_loss` .* it as `delta_loss`"),
        (
            {"box_loss": lambda p, t: jnp.mean(jaxloss.giou_loss(p, t))},
            ValueError,
            r"`box_loss` has a result \(\), expected .* a result \(50,\); losses are not reduced",
        ),
        (
            {"box_loss": lambda p, t: jaxloss.giou_loss(p, t)[:, None]},
            ValueError,
            r"`box_loss` has a result \(50, 1\), expected",
        ),
        ({"box_loss": "giou"}, TypeError, "`box_loss` is 'giou', expected a loss"),
        ({"box_loss": jaxloss.dynamic_wise_iou_loss}, TypeError, "cannot be called .* 'state'"),
        ({"positive_threshold": (0.5,)}, TypeError, "`positive_threshold` is a tuple"),
        ({"negative_threshold": 0.6}, ValueError, "`negative_threshold` is 0.6, expected <= 0.5"),
        ({"force_match": "best"}, ValueError, "`force_match` is 'best', expected one of"),
    ],
)
def test_wrong_settings_are_refused_by_the_detector(loss, setting, error, message):
    with pytest.raises(error, match=rf"^`{loss.__name__}`: .*{message}"):
        call(loss, 3, setting=setting)


def test_a_focal_loss_is_checked_by_the_detector():
    with pytest.raises(ValueError, match=r"^`retinanet_loss`: `alpha` is -1, .*`alpha=None`"):
        call(detection.retinanet_loss, 3, setting={"alpha": -1})
