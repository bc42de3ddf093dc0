"""The demo's data: blocks of ground that do not leak, and batches whose boxes are padded."""

import numpy as np
import pytest

from notebooks.trees.data import Ground, collate, cut, pad, reflect, sample, strip


def ground(height: int, width: int, trees: int = 60, seed: int = 0) -> Ground:
    """Ground whose pixels say where they are: (row, column, 0)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=-1)
    corners = random.uniform(0, [width - 30, height - 30], (trees, 2))
    boxes = np.concatenate([corners, corners + random.uniform(5, 30, (trees, 2))], axis=-1)
    return Ground(image, boxes.astype(np.float32))


def test_strips_share_no_ground_and_no_tree():
    photo = ground(500, 300)
    upper, lower = strip(photo, 0, 0.78), strip(photo, 0.80, 1)
    assert upper.image[..., 0].max() + 10 <= lower.image[..., 0].min()
    centers = (photo.boxes[:, 1] + photo.boxes[:, 3]) / 2
    assert len(upper.boxes) == (centers < 390).sum()
    assert len(lower.boxes) == (centers >= 400).sum()


def test_cut_moves_the_boxes_and_cuts_them_off():
    photo = Ground(
        np.zeros((50, 80, 3)),
        np.array([[20, 10, 30, 24], [8, 16, 18, 30], [12, 0, 20, 15]], np.float32),
    )
    piece = cut(photo, 12, 10, 30, 40)
    # The first keeps its centre at its height 17 and loses its top; the second loses its left
    # side; the centre of the third is above the ground.
    np.testing.assert_array_equal(piece.boxes, [[10, 0, 20, 12], [0, 4, 8, 18]])
    assert piece.image.shape == (30, 40, 3)


def test_reflection_takes_boxes_where_it_takes_pixels():
    image = np.zeros((16, 16, 3))
    image[2:5, 7:13] = 1
    turned = reflect(Ground(image, np.array([[7, 2, 13, 5]], np.float32)))
    x1, y1, x2, y2 = turned.boxes[0].astype(int)
    assert turned.image.sum() == image.sum() == turned.image[y1:y2, x1:x2].sum()
    np.testing.assert_array_equal(reflect(turned).image, image)
    lower_left, upper_right = (15, 0), (0, 15)
    image[lower_left] = 5
    assert (reflect(Ground(image, turned.boxes)).image[lower_left] == 5).all()
    assert (reflect(Ground(image, turned.boxes)).image[upper_right] == 0).all()


def test_samples_are_squares_with_their_boxes_and_mostly_hold_a_tree():
    random = np.random.default_rng(1)
    grounds = [ground(200, 300), ground(130, 150, trees=9, seed=2)]
    squares = [sample(grounds, 96, random) for _ in range(100)]
    for square in squares:
        assert square.image.shape == (96, 96, 3)
        assert (square.boxes >= 0).all()
        assert (square.boxes <= 96).all()
    assert sum(len(square.boxes) > 0 for square in squares) >= 75


def test_collate_pads_and_masks():
    squares = [ground(40, 40, trees=n, seed=n) for n in (0, 3, 5)]
    batch = collate(squares, most=5, label=1)
    assert batch.images.shape == (3, 40, 40, 3)
    np.testing.assert_array_equal(batch.where.sum(axis=1), [0, 3, 5])
    for square, boxes, labels, where in zip(squares, *batch[1:], strict=True):
        np.testing.assert_array_equal(boxes[where], square.boxes)
        assert (boxes[~where] == 0).all()
        assert (labels[where] == 1).all()
        assert (labels[~where] == -1).all()
    with pytest.raises(ValueError, match="5 boxes, and there is place for 4"):
        collate(squares, most=4, label=1)


def test_padding_keeps_every_ground_in_its_corner():
    grounds = [ground(100, 50), ground(30, 70)]
    images, sizes = pad(grounds, 16)
    assert images.shape == (2, 112, 80, 3)
    np.testing.assert_array_equal(sizes, [[100, 50], [30, 70]])
    for image, ground_, (height, width) in zip(images, grounds, sizes, strict=True):
        np.testing.assert_array_equal(image[:height, :width], ground_.image)
        assert (image[height:] == 128).all()
