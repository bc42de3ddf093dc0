"""The pictures of the speed table and of the scaling curves."""

from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator


class Bar(NamedTuple):
    """A case, its fastest peer, and how many times as long that one takes."""

    name: str
    peer: str
    ratio: float


class Line(NamedTuple):
    """A library's sizes and what they cost, and what to write beside them."""

    library: str
    label: str
    points: list[tuple[float, float]]


class Panel(NamedTuple):
    """Curves over one horizontal axis."""

    title: str
    size: str
    lines: list[Line]


COLOURS = {"jaxloss": "#2a7f62", "optax": "#b5533c", "torch": "#4a6fa5", "torchvision": "#4a6fa5"}
LEAST_MEGABYTES = 1e-3


def draw_ratios(bars: list[Bar], path: Path) -> None:
    """Bars to the right of 1 where ours is faster, on a logarithmic scale."""
    figure, axes = plt.subplots(figsize=(9, 0.27 * len(bars) + 1.1), layout="constrained")
    places = range(len(bars))
    colours = ["#2a7f62" if bar.ratio >= 1 else "#b5533c" for bar in bars]
    axes.barh(places, [bar.ratio - 1 for bar in bars], left=1, color=colours, height=0.7)
    for place, bar in zip(places, bars, strict=True):
        side = {"ha": "left", "x": 1.04 * max(bar.ratio, 1)}
        axes.text(y=place, s=f"{bar.ratio:.1f}  {bar.peer}", va="center", fontsize=8, **side)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, 0.9 * min(bar.ratio for bar in bars)), 4 * max(b.ratio for b in bars))
    axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20, 50]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}x"))
    axes.set_yticks(places, [bar.name for bar in bars], fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Time of the fastest peer over that of jaxloss, value and gradient", fontsize=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_growth(panels: list[tuple[Panel, Panel]], path: Path) -> None:
    """For each pair a panel of time and, below, one of memory, on logarithmic scales."""
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    size = (3.9 * columns, 5.6 * rows)
    figure, axes = plt.subplots(
        2 * rows, columns, figsize=size, layout="constrained", squeeze=False
    )
    for unused in axes.flat:
        unused.set_visible(False)
    for place, (time, memory) in enumerate(panels):
        row, column = divmod(place, columns)
        _draw_panel(axes[2 * row, column], time, "ms", title=time.title)
        _draw_panel(axes[2 * row + 1, column], memory, "temporary memory, MB", title="")
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_panel(axes: Axes, panel: Panel, unit: str, title: str) -> None:
    axes.set_visible(True)
    axes.set_xscale("log")
    axes.set_yscale("log")
    floor = 0.0 if title else LEAST_MEGABYTES
    ends = []
    for line in panel.lines:
        sizes, costs = zip(*line.points, strict=True)
        costs = [max(cost, floor) for cost in costs]
        axes.plot(sizes, costs, marker="o", markersize=3.5, color=COLOURS[line.library])
        ends.append((sizes[-1], costs[-1], line.label, COLOURS[line.library]))
    lowest, highest = axes.get_ylim()
    axes.set_ylim(lowest, highest * (highest / lowest) ** 0.15)
    _write_labels(axes, ends)
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 60 else (1,)))
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel(panel.size, fontsize=9)
    axes.set_ylabel(unit, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=11)


def _write_labels(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Writes each label in the line's colour beside its end, in the order of the ends, apart."""
    to_axes = axes.transData + axes.transAxes.inverted()
    free = 0.0
    for size, cost, label, colour in sorted(ends, key=lambda end: end[1]):
        height = max(float(to_axes.transform((size, cost))[1]), free)
        free = height + 0.085
        axes.annotate(
            label,
            (size, cost),
            (1.02, height),
            textcoords="axes fraction",
            color=colour,
            fontsize=8,
            va="center",
            annotation_clip=False,
        )
