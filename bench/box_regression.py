"""Boxes that descend the losses of the IoU family: the simulations of two papers.

Distance-IoU's (`--protocol diou`) moves centre and sides along the gradient, `2 - IoU` times as
far, and sums L1 errors. Wise-IoU's moves the corners with Adam and averages IoUs: all cases
(`wiou`) or only those that mostly overlap from the start (`wiou_near`). Run with
`make box-regression`, which prints a table and writes pictures and numbers to output/.

The gradients here are exact, and exact gradients cannot reproduce the published curves of the first
simulation, whose code moves boxes along other directions. It (1) doubles the derivatives of IoU and
GIoU by width and height; (2) multiplies the two negative sides of an empty intersection, so that
GIoU is wrong for pairs that are apart; (3) subtracts the derivative of the enclosing diagonal where
it should be added, which pulls distant boxes several times as hard; (4) mixes the edges of both
axes in that derivative; and (5) drops `1 / (w^2 + h^2)` from that of the aspect. With these faults
put in, as `iou_as_published`, `giou_as_published`, `diou_as_published` and `ciou_as_published`, the
published curves come out, to a few hundredths.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from bench.regression import pictures
from bench.regression.descent import Descent, descend
from bench.regression.losses import PUBLISHED, named, names
from bench.regression.protocols import CASES, PROTOCOLS, Protocol
from bench.regression.published import SUMS

SOME = ("iou", "giou", "diou", "ciou", "eiou", "siou", "wise_iou", "powerful_iou")
UPDATES = (0, 1, 10, 20, 50, 60, 80, 100, 120, 160, 170, 180, 200)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Boxes that descend the losses of the IoU family.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    known = [*names(), *PUBLISHED]
    some = ",".join(name for name in SOME if name in known)
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="wiou")
    parser.add_argument("--losses", default=some, help=f"'all', or some of {', '.join(known)}")
    parser.add_argument("--points", type=int, help="centres of anchors, by default the paper's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("output"))
    options = parser.parse_args(arguments)
    options.losses = names() if options.losses == "all" else options.losses.split(",")
    if unknown := set(options.losses) - set(known):
        parser.error(f"unknown losses: {', '.join(sorted(unknown))}")
    return options


def use_all_cores() -> None:
    """Makes every core a device; before anything is computed."""
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)


def run(options: argparse.Namespace) -> dict[str, Descent]:
    """The descents of all losses, each with a progress bar."""
    protocol = PROTOCOLS[options.protocol]
    return {
        name: descend(
            named(name, protocol),
            protocol,
            points=options.points,
            seed=options.seed,
            show=partial(tqdm, desc=f"{name:>22}", ncols=92, mininterval=0.5),
        )
        for name in options.losses
    }


def table(descents: Mapping[str, Descent], protocol: Protocol) -> Iterator[str]:
    """Mean IoUs after some updates; or errors summed, as the paper's, with the published ones."""
    updates = [update for update in UPDATES if update <= protocol.steps]
    yield f"{'update':>22}" + "".join(f"{update:>7}" for update in updates)
    for name, descent in descents.items():
        curve = sums(descent) if protocol.published else descent.overlap
        yield f"{name:>22}" + "".join(f"{curve[update]:7.3f}" for update in updates)
        paper = SUMS.get(name.removesuffix("_as_published")) if protocol.published else None
        if paper:
            known = {update: f"{1e-6 * total:.3f}" for update, total in paper.items()}
            yield f"{'published':>22}" + "".join(f"{known.get(t, ''):>7}" for t in updates)


def sums(descent: Descent) -> np.ndarray:
    """Errors in millions, as if over all 1,715,000 cases."""
    return 1e-6 * 5000 * CASES * descent.error


def save(descents: Mapping[str, Descent], options: argparse.Namespace) -> None:
    """Pictures and numbers, in files called by the protocol."""
    options.output.mkdir(parents=True, exist_ok=True)
    start = options.output / f"box_regression_{options.protocol}"
    protocol = PROTOCOLS[options.protocol]
    curves = pictures.curves(descents, title=protocol.title, published=protocol.published)
    curves.savefig(f"{start}.png", dpi=110)
    pictures.surfaces(descents).savefig(f"{start}_errors.png", dpi=110)
    numbers = {
        name: {key: np.round(value, 7).tolist() for key, value in vars(descent).items()}
        for name, descent in descents.items()
    }
    settings = {"protocol": options.protocol, "seed": options.seed, "jax": jax.__version__}
    Path(f"{start}.json").write_text(json.dumps(settings | {"losses": numbers}))


def main() -> None:
    options = parse()
    use_all_cores()
    started = time.perf_counter(), time.process_time()
    descents = run(options)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    points = len(next(iter(descents.values())).centers)
    protocol = PROTOCOLS[options.protocol]
    print(f"{protocol.title}, {points * CASES:,} cases, {protocol.measure}")
    print("\n".join(table(descents, protocol)))
    print(f"{wall:.0f} s for {len(descents)} losses, {cpu:.0f} s of processors")
    save(descents, options)


if __name__ == "__main__":
    main()
