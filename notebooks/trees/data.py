"""Blocks of ground, random crops of them, and batches of crops whose boxes are padded."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator


class Ground(NamedTuple):
    """Pixels `[H, W, 3]` and the boxes `[N, 4]` of the trees on them, as x1, y1, x2, y2."""

    image: np.ndarray
    boxes: np.ndarray


class Batch(NamedTuple):
    """Images `[B, H, W, 3]`, boxes `[B, G, 4]`, labels `[B, G]`, and which of them are trees."""

    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    where: np.ndarray


def strip(photo: Ground, top: float, bottom: float) -> Ground:
    """The ground between two fractions of a photo's height, with the trees centred on it."""
    height, width = photo.image.shape[:2]
    first, last = round(top * height), round(bottom * height)
    return cut(photo, first, 0, last - first, width)


def cut(ground: Ground, top: int, left: int, height: int, width: int) -> Ground:
    """A rectangle of ground with the trees whose centres are on it, cut off at its edges."""
    image = ground.image[top : top + height, left : left + width]
    boxes = ground.boxes - np.array([left, top, left, top], np.float32)
    size = np.array([width, height], np.float32)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centers >= 0) & (centers < size)).all(axis=-1)
    return Ground(image, np.clip(boxes[inside], 0, np.tile(size, 2)))


def sample(grounds: list[Ground], size: int, random: Generator) -> Ground:
    """A square of ground as it might be seen elsewhere; three of four are around a tree.

    Reflection in the diagonal keeps the direction of the sun; no other turn or reflection does.
    """
    counts = np.array([len(ground.boxes) for ground in grounds])
    ground = grounds[random.choice(len(grounds), p=counts / counts.sum())]
    room = np.array(ground.image.shape[:2]) - size
    corner = random.uniform(0, room)
    if random.uniform() < 0.75:
        x1, y1, x2, y2 = ground.boxes[random.integers(len(ground.boxes))]
        center = np.array([y1 + y2, x1 + x2]) / 2
        corner = np.clip(center - random.uniform(0.1, 0.9, 2) * size, 0, room)
    square = recolour(cut(ground, *corner.astype(int), size, size), random)
    return reflect(square) if random.integers(2) else square


def reflect(square: Ground) -> Ground:
    """Ground reflected in the diagonal from its lower left to its upper right."""
    x1, y1, x2, y2 = square.boxes.T
    size = square.image.shape[0]
    boxes = np.stack([size - y2, size - x2, size - y1, size - x1], axis=-1)
    return Ground(square.image[::-1, ::-1].transpose(1, 0, 2), boxes)


def recolour(ground: Ground, random: Generator) -> Ground:
    """Ground in another light: more or less contrast, and a tint."""
    contrast, tint = np.exp(random.normal(0, 0.15)), random.normal(0, 8, 3)
    image = (ground.image - 128.0) * contrast + 128 + tint
    return ground._replace(image=image.astype(np.float32))


def collate(squares: list[Ground], most: int, label: int) -> Batch:
    """Squares as one batch: `most` boxes for each image, the missing ones padded and masked."""
    counts = np.array([len(square.boxes) for square in squares])
    if counts.max() > most:
        raise ValueError(f"an image has {counts.max()} boxes, and there is place for {most}")
    where = np.arange(most) < counts[:, None]
    boxes = np.zeros((*where.shape, 4), np.float32)
    boxes[where] = np.concatenate([square.boxes for square in squares])
    labels = np.where(where, label, -1)
    return Batch(np.stack([square.image for square in squares]), boxes, labels, where)


def pad(grounds: list[Ground], multiple: int) -> tuple[np.ndarray, np.ndarray]:
    """Images `[N, H, W, 3]` of one size, padded with grey, and their own `sizes[N, 2]`."""
    sizes = np.array([ground.image.shape[:2] for ground in grounds])
    height, width = -(-sizes.max(axis=0) // multiple) * multiple
    images = np.full((len(grounds), height, width, 3), 128, np.uint8)
    for image, ground in zip(images, grounds, strict=True):
        h, w = ground.image.shape[:2]
        image[:h, :w] = ground.image
    return images, sizes
