"""Curves of descents beside the published ones, and the last errors over the anchors' centres."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .descent import Descent
from .protocols import CASES
from .published import SUMS


def curves(descents: Mapping[str, Descent], *, title: str, published: bool) -> Figure:
    """Mean error, on a log axis, and mean IoU by update; published errors as dots."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
    for name, colour in zip(descents, colours(len(descents)), strict=True):
        left.plot(descents[name].error, color=colour, label=name)
        right.plot(descents[name].overlap, color=colour, label=name)
        if published and (paper := SUMS.get(name.removesuffix("_as_published"))):
            dots(left, paper, colour)
    left.set(xlabel="update", ylabel="mean L1 error", yscale="log")
    right.set(xlabel="update", ylabel="mean IoU")
    if published:
        left.plot([], [], "o--", color="grey", ms=4, lw=0.8, label="published")
    handles, labels = left.get_legend_handles_labels()
    right.legend(handles, labels, frameon=False, fontsize=8, bbox_to_anchor=(1, 1))
    figure.suptitle(title, fontsize=11)
    return finished(figure, [left, right])


def dots(ax: Axes, sums: Mapping[int, float], colour: object) -> None:
    """The paper's sums are over 5,000 centres."""
    means = np.array(list(sums.values())) / (5000 * CASES)
    ax.plot(list(sums), means, "o--", color=colour, ms=4, lw=0.8)


def surfaces(descents: Mapping[str, Descent]) -> Figure:
    """The sum of the last errors over the cases of each anchor's centre, as colour."""
    columns = min(4, len(descents))
    rows = -(-len(descents) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.9 * columns, 2.7 * rows), squeeze=False, layout="compressed"
    )
    finals = np.concatenate([descent.final for descent in descents.values()])
    norm = LogNorm(max(finals.min(), 1e-3 * finals.max()), finals.max(), clip=True)
    for ax, (name, descent) in zip(grid.flat, descents.items(), strict=False):
        surface = ax.tripcolor(
            *descent.centers.T, descent.final, shading="gouraud", cmap="inferno", norm=norm
        )
        ax.set_title(name, fontsize=10)
    for ax in grid.flat:
        ax.set(aspect="equal")
        ax.set_axis_off()
    figure.colorbar(surface, ax=grid, shrink=0.8, label="sum of last errors at a centre")
    return figure


def colours(count: int) -> list[object]:
    if count <= 10:
        return list(plt.colormaps["tab10"].colors[:count])
    return list(plt.colormaps["turbo"](np.linspace(0, 1, count)))


def finished(figure: Figure, axes: list[Axes]) -> Figure:
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
