"""How time and temporary memory grow with the size of a problem, beside optax, torch, torchvision.

Elements, pairs of boxes, classes, anchors x objects and images. Value and gradient of the mean
together, all in one process, ours and each peer in turn; the temporary memory is what XLA's
compiled program asks for beside its arguments and results, and not known of PyTorch. Prints a table
of fitted slopes of log time against log size, over the three largest sizes; writes JSON and, with
`--picture PATH`, the picture. Run with `make bench-scaling`; `--quick` takes small sizes alone.
"""

import argparse
import dataclasses
import functools
import gc
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

import jaxloss
from bench.cases.case import Arrays, Case, logits, pairs
from bench.cases.detectors import (
    objects,
    our_matches,
    our_ssd,
    ssd_outputs,
    their_matches,
    their_ssd,
)
from bench.cases.logits import torch_cross_entropy
from bench.pictures import Line, Panel, draw_growth
from bench.speed import OURS, OUTPUT, check_equal, torch_calls, versions
from bench.timing import times

ROWS, FEATURES = 32, 32
SSD = (8732, 21)
LARGEST = 3


@dataclasses.dataclass(frozen=True)
class Curve:
    """A case of growing size.

    Attributes:
      name: what is computed.
      size: what is counted on the horizontal axis.
      case: the functions, and the arrays that they get at one size.
      arrays: makes the arrays of a size.
      sizes: in rising order.
    """

    name: str
    size: str
    case: Case
    arrays: Callable[[int], Callable[[np.random.Generator], Arrays]]
    sizes: tuple[int, ...]


class Point(NamedTuple):
    """Milliseconds and, where known, bytes of temporary memory at one size."""

    size: int
    milliseconds: float
    temporary: int | None


Growth = dict[str, list[Point]]


def anchors_and_objects(size: int) -> Callable[[np.random.Generator], Arrays]:
    """A hundred times as many anchors as objects, as detectors have."""
    count = round((size / 100) ** 0.5)

    def arrays(random: np.random.Generator) -> Arrays:
        return [objects(random, 100 * count), objects(random, 1, count)]

    return arrays


def words(size: int) -> Callable[[np.random.Generator], Arrays]:
    def arrays(random: np.random.Generator) -> Arrays:
        return [
            random.standard_normal((ROWS, FEATURES), np.float32),
            random.standard_normal((FEATURES, size), np.float32),
            random.integers(0, size, ROWS).astype(np.int32),
        ]

    return arrays


def images(size: int) -> Callable[[np.random.Generator], Arrays]:
    def arrays(random: np.random.Generator) -> Arrays:
        deltas, scores, anchors, *truth = ssd_outputs(random)
        return [deltas[:size], scores[:size], anchors, *(array[:size] for array in truth)]

    return arrays


def elementwise(name: str, labels: str, ours: Any, jax_peers: Any, torch_peers: Any) -> Curve:
    return Curve(
        name,
        "elements",
        Case(name, logits(1, labels=labels), ours, jax_peers, torch_peers),
        lambda size: logits(size, labels=labels),
        (10_000, 100_000, 1_000_000, 10_000_000),
    )


def curve(name: str, size: str, arrays: Any, sizes: tuple[int, ...], ours: Any, **of: Any) -> Curve:
    return Curve(name, size, Case(name, arrays(sizes[0]), ours, **of), arrays, sizes)


CURVES = [
    elementwise(
        "sigmoid focal",
        "binary",
        functools.partial(jaxloss.sigmoid_focal_loss, alpha=0.25),
        {"optax": functools.partial(optax.losses.sigmoid_focal_loss, alpha=0.25)},
        {"torchvision": sigmoid_focal_loss},
    ),
    elementwise(
        "binary cross-entropy",
        "binary",
        jaxloss.sigmoid_binary_cross_entropy,
        {"optax": optax.losses.sigmoid_binary_cross_entropy},
        {"torch": lambda x, y: functional.binary_cross_entropy_with_logits(x, y, reduction="none")},
    ),
    elementwise(
        "smooth L1",
        "real",
        jaxloss.smooth_l1_loss,
        {"optax": optax.losses.huber_loss},
        {"torch": lambda x, y: functional.smooth_l1_loss(x, y, reduction="none")},
    ),
    curve(
        "GIoU",
        "pairs of boxes",
        pairs,
        (1_000, 10_000, 100_000, 1_000_000),
        jaxloss.giou_loss,
        torch_peers={"torchvision": generalized_box_iou_loss},
    ),
    curve(
        "softmax cross-entropy",
        f"classes, {ROWS} rows",
        lambda size: logits(ROWS, size, labels="integer"),
        (10, 100, 1_000, 10_000, 100_000, 1_000_000),
        jaxloss.softmax_cross_entropy_with_integer_labels,
        jax_peers={"optax": optax.losses.softmax_cross_entropy_with_integer_labels},
        torch_peers={"torch": torch_cross_entropy},
    ),
    curve(
        "fused linear cross-entropy",
        f"classes, {ROWS} rows of {FEATURES}",
        words,
        (10, 100, 1_000, 10_000, 100_000, 1_000_000),
        jaxloss.fused_linear_cross_entropy,
        jax_peers={
            "optax": lambda x, w, y: optax.losses.softmax_cross_entropy_with_integer_labels(
                x @ w, y
            )
        },
        torch_peers={"torch": lambda x, w, y: torch_cross_entropy(x @ w, y)},
        differentiated=2,
    ),
    curve(
        "match_anchors",
        "anchors x objects, 100 to 1",
        anchors_and_objects,
        (10_000, 100_000, 1_000_000, 10_000_000),
        our_matches,
        torch_peers={"torchvision": their_matches},
        differentiated=0,
    ),
    curve(
        "SSD loss",
        f"images of {SSD[0]} x {SSD[1]}",
        images,
        (1, 2, 4, 8, 16, 32),
        our_ssd,
        torch_peers={"torchvision": their_ssd},
        differentiated=2,
    ),
]


def jax_call(case: Case, function: Any, arrays: Arrays) -> tuple[Callable[[], Any], int]:
    """The compiled step, or the function of what is no loss, and its temporary memory."""
    inputs = [jnp.asarray(array) for array in arrays]

    def mean(*inputs: Any) -> jax.Array:
        return jnp.mean(function(*inputs))

    argnums = tuple(range(case.differentiated))
    step = jax.value_and_grad(mean, argnums) if argnums else function
    compiled = jax.jit(step).lower(*inputs).compile()
    memory = compiled.memory_analysis().temp_size_in_bytes
    return lambda: jax.block_until_ready(compiled(*inputs)), memory


def measure(curve: Curve, sizes: tuple[int, ...], rounds: int) -> Growth:
    growth: Growth = {}
    case = curve.case
    kind = "step" if case.differentiated else "forward"
    for size in sizes:
        arrays = curve.arrays(size)(np.random.default_rng(0))
        made = {
            name: jax_call(case, function, arrays)
            for name, function in {OURS: case.ours, **case.jax_peers}.items()
        }
        calls = {name: call for name, (call, _) in made.items()}
        for name, function in case.torch_peers.items():
            calls[name] = torch_calls(case, function, arrays, compiled=False)[kind]
        if size == sizes[0]:
            check_equal(case, {name: {kind: call} for name, call in calls.items()})
        for name, taken in times(calls, rounds=rounds, warm_up=1).items():
            memory = made[name][1] if name in made else None
            growth.setdefault(name, []).append(Point(size, taken.median, memory))
        del arrays, made, calls
        gc.collect()
    return growth


def slope(points: list[Point]) -> float:
    """Of log time against log size over the largest sizes, where fixed costs are small."""
    size, taken = np.log([(p.size, p.milliseconds) for p in points[-LARGEST:]]).T
    return float(np.polyfit(size, taken, 1)[0])


HEADER = (
    "| value and gradient | up to | ms (slope) | peers | temporary memory, MB | peers |\n"
    "|---|---|---|---|---|---|"
)


def row(curve: Curve, growth: Growth) -> str:
    ours, *peers = ((name, points[-1], slope(points)) for name, points in growth.items())
    memory = [
        f"{name} {point.temporary / 1e6:.3g}"
        for name, point, _ in peers
        if point.temporary is not None
    ]
    cells = (
        curve.name,
        f"{ours[1].size:,} {curve.size}",
        f"{ours[1].milliseconds:.3g} ({ours[2]:.2f})",
        ", ".join(f"{name} {point.milliseconds:.3g} ({fit:.2f})" for name, point, fit in peers),
        f"{(ours[1].temporary or 0) / 1e6:.3g}",
        ", ".join(memory),
    )
    return f"| {' | '.join(cells)} |"


def record(results: list[tuple[Curve, Growth]]) -> dict[str, Any]:
    return {
        "versions": versions(),
        "threads": len(os.sched_getaffinity(0)),
        "curves": [
            {
                "name": curve.name,
                "size": curve.size,
                "growth": {
                    name: {"slope": slope(points), "points": [p._asdict() for p in points]}
                    for name, points in growth.items()
                },
            }
            for curve, growth in results
        ],
    }


def panels(curve: Curve, growth: Growth) -> tuple[Panel, Panel]:
    """Of time, and of memory below it."""
    time = [
        Line(name, f"{name}, slope {slope(points):.2f}", [(p.size, p.milliseconds) for p in points])
        for name, points in growth.items()
    ]
    memory = {
        name: [(p.size, p.temporary / 1e6) for p in points if p.temporary is not None]
        for name, points in growth.items()
    }
    lines = [Line(name, name, points) for name, points in memory.items() if points]
    return Panel(curve.name, curve.size, time), Panel(curve.name, curve.size, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="curves whose name holds this")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="the two smallest sizes alone")
    parser.add_argument("--json", type=Path, default=OUTPUT / "scaling.json")
    parser.add_argument("--picture", type=Path, help="draw the curves here")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"\n{HEADER}")
    results = []
    for curve in CURVES:
        if options.only.lower() in curve.name.lower():
            sizes = curve.sizes[:2] if options.quick else curve.sizes
            growth = measure(curve, sizes, options.rounds)
            print(row(curve, growth), flush=True)
            results.append((curve, growth))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record(results), indent=2) + "\n")
    if options.picture:
        draw_growth([panels(*result) for result in results], options.picture)


if __name__ == "__main__":
    main()
