"""Anchors equal torchvision's tables to the last bit."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import _default_anchorgen

from jaxloss import boxes

SSD300 = [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]


def theirs(generator, image_shape, feature_shapes):
    images = ImageList(torch.zeros(1, 3, *image_shape), [image_shape])
    features = [torch.zeros(1, 1, *shape) for shape in feature_shapes]
    return generator(images, features)[0].numpy()


def test_ssd300():
    generator = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    expected = theirs(generator, (300, 300), SSD300)
    found = boxes.ssd_anchors()
    assert found.shape == (8732, 4)
    np.testing.assert_array_equal(found, expected)


def test_ssd_without_strides_or_clipping_on_an_oblong_image():
    generator = DefaultBoxGenerator([[2, 3], [1.7]], scales=[0.1, 0.37, 1.3], clip=False)
    found = boxes.ssd_anchors(
        (240, 320),
        feature_shapes=((6, 9), (3, 4)),
        strides=None,
        scales=(0.1, 0.37, 1.3),
        aspect_ratios=((2.0, 3.0), (1.7,)),
        clip=False,
    )
    np.testing.assert_array_equal(found, theirs(generator, (240, 320), [(6, 9), (3, 4)]))


@pytest.mark.parametrize("image_shape", [(256, 320), (800, 1344), (417, 333), (64, 32)])
def test_retinanet(image_shape):
    features = [tuple(-(-side // 2**level) for side in image_shape) for level in range(3, 8)]
    expected = theirs(_default_anchorgen(), image_shape, features)
    np.testing.assert_array_equal(boxes.retinanet_anchors(image_shape), expected)


def test_anchor_grid_is_the_generator_before_rounding():
    sizes, ratios = (16.0, 40.0), (0.25, 1.0, 4.0)
    generator = AnchorGenerator((sizes,), (ratios,))
    expected = theirs(generator, (64, 128), [(4, 4)])
    found = boxes.anchor_grid((4, 4), (16, 32), sizes, ratios, offset=0.0)
    np.testing.assert_array_equal(found.reshape(-1, 4), expected)
