"""Anchors against independent loops, and the sizes that the papers state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxloss import boxes


def test_anchor_grid_is_the_loop():
    scales, ratios, offset = (10.0, 30.0), (0.5, 2.0, 3.0), 0.25
    found = boxes.anchor_grid((2, 3), (8.0, 16.0), scales, ratios, offset=offset)
    for row in range(2):
        for column in range(3):
            for index in range(6):
                ratio, scale = ratios[index // 2], scales[index % 2]
                x, y = (column + offset) * 16, (row + offset) * 8
                w, h = scale / np.sqrt(ratio), scale * np.sqrt(ratio)
                expected = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
                np.testing.assert_allclose(found[row, column, index], expected, rtol=1e-6)


def test_anchors_have_the_stated_area_and_ratio():
    x1, y1, x2, y2 = np.moveaxis(boxes.anchor_grid((1, 1), 8, (12.0,), (0.3, 2.0)), -1, 0)
    np.testing.assert_allclose((x2 - x1) * (y2 - y1), 144.0, rtol=1e-6)
    np.testing.assert_allclose((y2 - y1) / (x2 - x1), [[[0.3, 2.0]]], rtol=1e-6)


def test_points_are_the_centres_of_anchors():
    points = boxes.grid_points((3, 4), (8, 16))
    anchors = boxes.anchor_grid((3, 4), (8, 16), (5.0,), (1.0,))[:, :, 0]
    np.testing.assert_allclose(points, (anchors[..., :2] + anchors[..., 2:]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(points[1, 2], [40.0, 12.0])


def test_one_stride_is_both():
    one = boxes.anchor_grid((2, 3), 8, (5.0,), (2.0,))
    np.testing.assert_array_equal(one, boxes.anchor_grid((2, 3), (8, 8), (5.0,), (2.0,)))


def test_grids_are_differentiable_in_what_is_an_array():
    def total(scales, ratios):
        return jnp.sum(boxes.anchor_grid((1, 1), 8, scales, ratios)[..., 2])

    scale, ratio = jnp.array([12.0]), jnp.array([4.0])
    by_scale, by_ratio = jax.grad(total, argnums=(0, 1))(scale, ratio)
    np.testing.assert_allclose(by_scale, 0.5 / np.sqrt(4.0), rtol=1e-6)
    np.testing.assert_allclose(by_ratio, -0.25 * 12.0 * 4.0**-1.5, rtol=1e-6)


def test_an_empty_map_has_no_anchors():
    assert boxes.anchor_grid((0, 3), 8, (5.0,), (1.0, 2.0)).shape == (0, 3, 2, 4)
    assert boxes.grid_points((2, 0), 8).shape == (2, 0, 2)


def test_sizes_may_be_numbers_of_numpy():
    shape = (np.int64(1), np.int32(2))
    np.testing.assert_array_equal(boxes.grid_points(shape, 8.0), boxes.grid_points((1, 2), 8.0))
    image, known = boxes.retinanet_anchors((np.int64(64), 96)), boxes.retinanet_anchors((64, 96))
    np.testing.assert_array_equal(image, known)


def test_feature_maps_of_symbolic_size():
    height, width = export.symbolic_shape("height, width")

    def points(features):
        return boxes.grid_points(features.shape, 8)

    shape = jax.ShapeDtypeStruct((height, width), jnp.float32)
    exported = export.export(jax.jit(points), platforms=("cpu", "cuda", "tpu"))(shape)
    np.testing.assert_array_equal(exported.call(jnp.zeros((2, 3))), boxes.grid_points((2, 3), 8))


def test_dtype_follows_arrays_only():
    with jax.enable_x64(True):
        wide = boxes.anchor_grid((1, 1), 8, np.array([5.0]), (1.0,))
        assert wide.dtype == np.float64
        assert boxes.anchor_grid((1, 1), 8, (5.0,), (1.0,)).dtype == np.float32
        assert boxes.ssd_anchors().dtype == np.float32
        assert boxes.retinanet_anchors((64, 64)).dtype == np.float32


def test_ssd300_has_the_papers_boxes():
    anchors = np.asarray(boxes.ssd_anchors())
    assert anchors.shape == (8732, 4)
    counts = [38 * 38 * 4, 19 * 19 * 6, 10 * 10 * 6, 5 * 5 * 6, 3 * 3 * 4, 4]
    assert sum(counts) == 8732
    first = anchors[sum(counts[:2])]
    np.testing.assert_allclose(first, np.array([16, 16, 16, 16]) + 49.5 * np.array([-1, -1, 1, 1]))
    sides = anchors[sum(counts[:1]) : sum(counts[:1]) + 6]
    sides = sides[:, 2:] - sides[:, :2]
    ratios = sides[:, 0] / sides[:, 1]
    np.testing.assert_allclose(ratios, [1, 1, 2, 1 / 2, 3, 1 / 3], rtol=1e-5)
    np.testing.assert_allclose(sides[1], 300 * np.sqrt(0.15 * 0.33), rtol=1e-6)


def test_ssd_clips_sides_to_the_image():
    clipped, whole = boxes.ssd_anchors(), boxes.ssd_anchors(clip=False)
    assert np.max(clipped[:, 2] - clipped[:, 0]) == 300
    assert np.max(whole[:, 2] - whole[:, 0]) > 350


def test_retinanet_strides_divide_the_image_by_the_level():
    anchors = np.asarray(boxes.retinanet_anchors((800, 800)))
    sizes = [100, 50, 25, 13, 7]
    assert len(anchors) == 9 * sum(n * n for n in sizes)
    level = anchors[9 * (100**2 + 50**2 + 25**2) :][: 9 * 13**2].reshape(13, 13, 9, 4)
    center = (level[..., :2] + level[..., 2:]) / 2
    np.testing.assert_array_equal(center[2, 3, 0], [3 * 61, 2 * 61])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boxes.grid_points(8, 8), r"`grid_points`: `feature_shape` is 8, expected a tup"),
        (
            lambda: boxes.grid_points((8.0, 4), 8),
            r"`feature_shape` is \(8.0, 4\), expected a tuple",
        ),
        (
            lambda: boxes.grid_points((-1, 2), 8),
            r"`feature_shape` is \(-1, 2\), expected a tuple of two whole numbers, 0 or more",
        ),
        (
            lambda: boxes.grid_points((2, 2), (1, 2, 3)),
            r"`stride` has shape \(3,\), expected \(2,\)",
        ),
        (lambda: boxes.anchor_grid((2, 2), 8, 3.0, (1.0,)), r"`scales` has shape \(\), expected"),
        (lambda: boxes.ssd_anchors(scales=(0.1,)), r"`scales` is \(0.1,\), expected a tuple of 7"),
        (lambda: boxes.ssd_anchors(strides=(8,)), r"`strides` is \(8,\), expected a tuple of 6"),
        (lambda: boxes.ssd_anchors(300), r"`ssd_anchors`: `image_shape` is 300, expected a tuple"),
        (
            lambda: boxes.retinanet_anchors((64, 64), feature_shapes=((8, 8),)),
            r"`retinanet_anchors`: `scales` is .*, expected a tuple of 1",
        ),
        (
            lambda: boxes.retinanet_anchors((256, 320), scales=(32.0, 64.0)),
            r"`scales` has 32.0, expected a tuple of numbers: one tuple a level",
        ),
        (
            lambda: boxes.ssd_anchors(aspect_ratios=(2.0, 3.0, 2.0, 2.0, 2.0, 2.0)),
            r"`aspect_ratios` has 2.0, expected a tuple of numbers: one tuple a feature map",
        ),
        (
            lambda: boxes.anchor_grid((2, 2), (8, 0), (3.0,), (1.0,)),
            r"`stride` is 0, expected > 0",
        ),
    ],
)
def test_refused_settings_say_what_fits(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_lists_are_refused():
    with pytest.raises(TypeError, match="`scales` is a list"):
        boxes.anchor_grid((2, 2), 8, [3.0], (1.0,))
