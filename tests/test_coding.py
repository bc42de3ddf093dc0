"""Coders against an independent float64 reference, their inverses, and their edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloss import boxes
from tests.registry._row import boxes as random_boxes
from tests.registry._row import normal, uniform


def encode_reference(box, anchor, weights):
    x, y, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    wa, ha = anchor[2] - anchor[0], anchor[3] - anchor[1]
    xa, ya = (anchor[0] + anchor[2]) / 2, (anchor[1] + anchor[3]) / 2
    deltas = [(x - xa) / wa, (y - ya) / ha, np.log(w / wa), np.log(h / ha)]
    return np.array(deltas) * weights


def corners(center):
    x, y, w, h = center
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def test_deltas_are_the_reference():
    weights = (10.0, 9.0, 5.0, 4.0)
    box, anchor = random_boxes(40, seed=1), random_boxes(40, seed=2)
    expected = [encode_reference(b, a, weights) for b, a in zip(box, anchor, strict=True)]
    with jax.enable_x64(True):
        found = boxes.encode_deltas(box, anchor, weights=weights)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_check_value_of_ssd():
    prior, truth = corners([0.5, 0.5, 0.2, 0.4]), corners([0.45, 0.55, 0.3, 0.3])
    with jax.enable_x64(True):
        found = boxes.encode_deltas(truth, prior, weights=(10.0, 10.0, 5.0, 5.0))
    np.testing.assert_allclose(found, [-2.5, 1.25, 2.027325541, -1.438410362], rtol=1e-9)


def test_check_value_of_the_expected_bin():
    with jax.enable_x64(True):
        found = boxes.decode_distribution(np.array([0.1, 0.5, -0.2, 0.3, 0.0]))
    np.testing.assert_allclose(found, 1.914021804, rtol=1e-9)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 9.0, 5.0, 4.0), 2.0])
def test_decoding_is_the_inverse(weights):
    box, anchor = np.float32(random_boxes(3, 40, seed=1)), np.float32(random_boxes(3, 40, seed=2))
    deltas = boxes.encode_deltas(box, anchor, weights=weights)
    found = boxes.decode_deltas(deltas, anchor, weights=weights)
    np.testing.assert_allclose(found, box, rtol=2e-6, atol=2e-5)


def test_an_anchor_has_deltas_of_exactly_zero():
    anchor = np.float32(random_boxes(40, seed=3))
    assert not np.any(boxes.encode_deltas(anchor, anchor))


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
def test_deltas_do_not_depend_on_the_unit(scale):
    box, anchor = random_boxes(40, seed=4), random_boxes(40, seed=5)
    plain = boxes.encode_deltas(np.float32(box), np.float32(anchor))
    scaled = boxes.encode_deltas(np.float32(box * scale), np.float32(anchor * scale))
    np.testing.assert_allclose(scaled, plain, rtol=1e-4, atol=2e-6)


def test_the_clamp_is_from_above_only_and_its_derivative_at_the_clamp_is_1():
    anchor = jnp.array([0.0, 0.0, 16.0, 16.0])

    def width(log_scale):
        x1, _, x2, _ = boxes.decode_deltas(jnp.array([0.0, 0.0, 1.0, 0.0]) * log_scale, anchor)
        return x2 - x1

    np.testing.assert_allclose(width(20.0), 1000.0, rtol=1e-6)
    np.testing.assert_allclose(width(-6.0), 16 * np.exp(-6.0), rtol=1e-4)
    assert jax.grad(width)(20.0) == 0
    at = float(np.float32(np.log(1000 / 16)))
    np.testing.assert_allclose(jax.grad(width)(at), 1000.0, rtol=1e-5)


def test_without_a_clamp_boxes_grow_on():
    anchor, deltas = jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 0.0, 10.0, 0.0])
    x1, _, x2, _ = boxes.decode_deltas(deltas, anchor, clamp=np.inf)
    np.testing.assert_allclose(x2 - x1, np.exp(10.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("box", "expected"),
    [([0.0, 0.0, 0.0, 4.0], [-0.5, 0.0, -np.inf, 0.0]), ([3.0, 0.0, 1.0, 4.0], None)],
)
def test_sides_without_a_logarithm_say_so(box, expected):
    found = boxes.encode_deltas(jnp.array(box), jnp.array([0.0, 0.0, 2.0, 4.0]))
    if expected is None:
        assert np.isnan(found[2])
    else:
        np.testing.assert_array_equal(found, expected)


def test_zero_sided_anchors_decode_to_points():
    point = jnp.array([3.0, 5.0, 3.0, 5.0])
    np.testing.assert_array_equal(boxes.decode_deltas(jnp.full(4, 1.5), point), point)


def test_distances_are_signed_and_invert():
    box, points = random_boxes(2, 9, seed=6), uniform(1, 9, 2, seed=7, high=90.0)
    distances = boxes.encode_distances(np.float32(box), np.float32(points))
    x, y = points[..., 0], points[..., 1]
    expected = [x - box[..., 0], y - box[..., 1], box[..., 2] - x, box[..., 3] - y]
    np.testing.assert_allclose(distances, np.stack(expected, -1), rtol=1e-5, atol=1e-5)
    found = boxes.decode_distances(distances, np.float32(points))
    np.testing.assert_allclose(found, box, rtol=1e-5, atol=1e-5)


def test_expected_bins_of_certain_and_extreme_logits():
    logits = jnp.array([[-1e30, 1e30, 0.0], [0.0, 0.0, 0.0], [-jnp.inf, 0.0, -jnp.inf]])
    np.testing.assert_allclose(boxes.decode_distribution(logits), [1.0, 1.0, 1.0])


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match=r"`logits` has shape \(2, 0\), expected at least one bin"):
        boxes.decode_distribution(jnp.ones((2, 0)))


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 5, 4)])
def test_any_rank(shape):
    deltas = np.float32(normal(*shape, seed=8))
    anchor = np.float32(random_boxes(*shape[:-1], seed=9))
    assert boxes.decode_deltas(deltas, anchor).shape == shape
    assert boxes.encode_deltas(anchor, anchor).shape == shape


def test_refused_settings_name_what_fits():
    with pytest.raises(ValueError, match=r"`decode_deltas`: `clamp` has shape \(4,\), exp"):
        boxes.decode_deltas(jnp.zeros((5, 4)), jnp.zeros((5, 4)), clamp=jnp.ones(4))
    with pytest.raises(ValueError, match=r"`decode_deltas`: `weights` has shape \(3,\)"):
        boxes.decode_deltas(jnp.zeros((5, 4)), jnp.zeros((5, 4)), weights=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match=r"`encode_distances`: `points` has shape \(5, 4\)"):
        boxes.encode_distances(jnp.zeros((5, 4)), jnp.zeros((5, 4)))


def test_tblr_is_the_formula_and_comes_back():
    box, anchor = (random_boxes(9, seed=seed) for seed in (1, 2))
    (x1, y1, x2, y2), (X1, Y1, X2, Y2) = box.T, anchor.T
    x, y, w, h = (X1 + X2) / 2, (Y1 + Y2) / 2, X2 - X1, Y2 - Y1
    expected = np.stack([(y - y1) / h, (y2 - y) / h, (x - x1) / w, (x2 - x) / w], -1) / 2.5
    with jax.enable_x64(True):
        found = boxes.encode_tblr(box, anchor, normalizer=2.5)
        back = boxes.decode_tblr(found, anchor, normalizer=2.5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(back, box, rtol=1e-12)
