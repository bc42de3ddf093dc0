"""Box formats: conversions there and back, areas, clipping and scaling."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloss import boxes

FORMATS = {
    "xyxy": [1.0, 2.0, 5.0, 8.0],
    "xywh": [1.0, 2.0, 4.0, 6.0],
    "cxcywh": [3.0, 5.0, 4.0, 6.0],
}


@pytest.mark.parametrize(("source", "target"), list(itertools.product(FORMATS, repeat=2)))
def test_every_format_becomes_every_other(source, target):
    box = jnp.array([FORMATS[source]] * 3)
    np.testing.assert_array_equal(boxes.convert(box, source, target), [FORMATS[target]] * 3)


@pytest.mark.parametrize("wrong", ["ltrb", "XYXY", "", None, 3, ["xyxy"]])
def test_another_format_is_refused_with_a_remedy(wrong):
    box = jnp.array(FORMATS["xyxy"])
    with pytest.raises(ValueError, match=r"`convert`: `source` is .*'xyxy', 'xywh', 'cxcywh'"):
        boxes.convert(box, wrong, "xyxy")
    with pytest.raises(ValueError, match=r"`convert`: `target` is .*boxes\.decode_distances"):
        boxes.convert(box, "xyxy", wrong)


def test_conversion_is_linear_and_keeps_inverted_sides():
    inverted = jnp.array([5.0, 8.0, 1.0, 2.0])
    np.testing.assert_array_equal(boxes.convert(inverted, "xyxy", "cxcywh"), [3, 5, -4, -6])
    slope = jax.jacobian(lambda box: boxes.convert(box, "xyxy", "cxcywh"))(inverted)
    expected = [[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [-1, 0, 1, 0], [0, -1, 0, 1]]
    np.testing.assert_array_equal(slope, expected)


def test_area():
    cases = jnp.array([[1.0, 2, 5, 7], [5, 2, 1, 7], [5, 7, 1, 2], [1, 2, 1, 7], [-3, -2, -1, 1]])
    np.testing.assert_array_equal(boxes.area(cases), [20, 0, 0, 0, 6])
    assert boxes.area(jnp.array([0.0, 0, 300, 300], jnp.float16)) == 90000
    np.testing.assert_array_equal(jax.grad(boxes.area)(cases[0]), [-5, -4, 5, 4])
    np.testing.assert_array_equal(jax.grad(boxes.area)(cases[2]), [0, 0, 0, 0])


def test_clip():
    cases = jnp.array([[-3.0, 2, 90, 70], [10, 20, 30, 40], [90, 65, 99, 80]])
    expected = [[0, 2, 80, 60], [10, 20, 30, 40], [80, 60, 80, 60]]
    np.testing.assert_array_equal(boxes.clip(cases, 60, 80), expected)
    slope = jax.grad(lambda box: boxes.clip(box, 60, 80).sum())(cases[0])
    np.testing.assert_array_equal(slope, [0, 1, 0, 0])
    assert jnp.isnan(boxes.clip(jnp.full(4, jnp.nan), 60, 80)).all()


def test_clip_to_images_of_several_sizes():
    cases = jnp.full((2, 3, 4), 100.0)
    heights, widths = np.array([[50], [120]]), np.array([[60], [70]])
    found = boxes.clip(cases, heights, widths)
    chex.assert_trees_all_equal(found[0], jnp.full((3, 4), jnp.array([60.0, 50, 60, 50])[None]))
    chex.assert_trees_all_equal(found[1], jnp.full((3, 4), jnp.array([70.0, 100, 70, 100])[None]))


@pytest.mark.parametrize("layout", FORMATS)
def test_scaling_commutes_with_conversion(layout):
    box = jnp.array(FORMATS["xyxy"])
    scaled = boxes.scale(box, height=0.5, width=3.0)
    np.testing.assert_array_equal(scaled, [3, 1, 15, 4])
    found = boxes.scale(boxes.convert(box, "xyxy", layout), height=0.5, width=3.0)
    np.testing.assert_array_equal(found, boxes.convert(scaled, "xyxy", layout))


@pytest.mark.parametrize("function", [boxes.clip, boxes.scale])
def test_a_size_that_does_not_fit_is_refused(function):
    with pytest.raises(ValueError, match=r"`height` has shape \(7,\), expected a scalar"):
        function(jnp.zeros((8, 5, 4)), np.ones(7), 3)
