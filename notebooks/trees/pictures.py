"""The held-out ground with true and predicted boxes, and the loss curve."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .data import Ground
from .evaluation import Detections

TRUE, FOUND = "#ffd400", "#00e5ff"


def held_out(grounds: list[Ground], found: list[Detections], threshold: float) -> Figure:
    """The blocks above each other; trees in yellow, detections scored over `threshold` in cyan."""
    heights = [ground.image.shape[0] / ground.image.shape[1] for ground in grounds]
    figure, axes = plt.subplots(
        len(grounds), figsize=(10, 10 * sum(heights) + 0.6), height_ratios=heights
    )
    for ax, ground, (boxes, scores) in zip(axes, grounds, found, strict=True):
        ax.imshow(ground.image)
        outline(ax, ground.boxes, TRUE)
        outline(ax, boxes[scores > threshold], FOUND)
        ax.set_axis_off()
    axes[0].set_title("people's boxes in yellow, the network's in cyan", fontsize=10)
    figure.tight_layout(pad=0.3)
    return figure


def outline(ax: Axes, boxes: np.ndarray, colour: str) -> None:
    corners_and_sizes = zip(boxes[:, :2], boxes[:, 2:] - boxes[:, :2], strict=True)
    rectangles = [Rectangle(corner, *size) for corner, size in corners_and_sizes]
    ax.add_collection(PatchCollection(rectangles, fc="none", ec=colour, lw=1.0))


def curves(history: dict[str, list[float]]) -> Figure:
    """Every loss term by step, and its average over the last 25 steps."""
    figure, ax = plt.subplots(figsize=(7, 3))
    for name, values in history.items():
        (line,) = ax.plot(values, lw=0.4, alpha=0.5)
        ax.plot(running_mean(values, 25), color=line.get_color(), label=name)
    ax.set(xlabel="step", ylabel="loss for each positive anchor", yscale="log")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def running_mean(values: list[float], window: int) -> np.ndarray:
    sums = np.cumsum([0.0, *values])
    first = np.maximum(np.arange(1, len(sums)) - window, 0)
    last = np.arange(1, len(sums))
    return (sums[last] - sums[first]) / (last - first)


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
