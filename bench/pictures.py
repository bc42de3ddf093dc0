"""The picture of the speed table."""

from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator


class Bar(NamedTuple):
    """A case, its fastest peer, and how many times as long that one takes."""

    name: str
    peer: str
    ratio: float


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
