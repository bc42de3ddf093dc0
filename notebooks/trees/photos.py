"""The two photos and their boxes."""

from pathlib import Path

import numpy as np
from PIL import Image

from .data import Ground

FOLDER = Path(__file__).parents[1] / "data"


def read(name: str) -> Ground:
    """The photo called `name` and the boxes that people drew on it."""
    image = np.asarray(Image.open(FOLDER / f"{name}.jpg"))
    table = np.genfromtxt(FOLDER / f"{name}.csv", delimiter=",", skip_header=1, usecols=range(4))
    return Ground(image, table.astype(np.float32))


def resized(ground: Ground, factor: float) -> Ground:
    """Ground seen from closer by (`factor > 1`) or from farther away."""
    height, width = ground.image.shape[:2]
    size = round(width * factor), round(height * factor)
    image = Image.fromarray(ground.image).resize(size, Image.Resampling.BICUBIC)
    return Ground(np.asarray(image), ground.boxes * np.float32(factor))
