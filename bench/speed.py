"""How long functions take beside optax, PyTorch (eager and compiled) and torchvision.

All cases run in one process, ours and each peer in turn, and are checked equal before they are
timed: value and gradient of the mean together, and the value alone. Run with `make bench`;
`--only NAME` picks cases, `--eager` leaves out `torch.compile`, which takes seconds to compile.
All run on the GPU where JAX has one: there `--times 16` makes batches that are worth one.
"""

import argparse
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchvision

from bench.cases import CASES
from bench.cases.case import Case
from bench.pictures import Bar, draw_ratios
from bench.timing import Times, times

OURS = "jaxloss"
OUTPUT = Path("output")
DEVICE = "cuda" if jax.default_backend() == "gpu" else "cpu"
# A GPU works on a step while the next ones are handed to it, as in training.
STEPS = 20 if DEVICE == "cuda" else 1
# There both round in other ways, which may decide what an anchor is matched with.
UNEQUAL = 2e-3 if DEVICE == "cuda" else 0.0

Call = Callable[[], Any]
Calls = dict[str, Call]  # "step", value and gradient; "forward", the value alone


class Result(NamedTuple):
    """The times of a case by library, of the step (value and gradient) and of the value alone."""

    case: Case
    step: dict[str, Times]
    forward: dict[str, Times]

    @property
    def main(self) -> dict[str, Times]:
        return self.step or self.forward


def jax_calls(case: Case, function: Callable[..., Any], arrays: list[np.ndarray]) -> Calls:
    first, *others = (jnp.asarray(array) for array in arrays)
    inputs = first.astype(case.dtype), *others
    if not case.differentiated:
        forward = jax.jit(function)
        return {"forward": lambda: forward(*inputs)}

    def mean(*inputs: Any) -> jax.Array:
        return jnp.mean(function(*inputs))

    argnums = tuple(range(case.differentiated))
    value, step = jax.jit(mean), jax.jit(jax.value_and_grad(mean, argnums))
    return {"forward": lambda: value(*inputs), "step": lambda: step(*inputs)}


def torch_calls(
    case: Case, function: Callable[..., Any], arrays: list[np.ndarray], compiled: bool
) -> Calls:
    # Copied, as JAX copies them: NumPy asks for large pages, which are read a tenth faster.
    first, *others = (torch.tensor(array, device=DEVICE) for array in arrays)
    inputs = first.to(getattr(torch, case.dtype)), *others
    if not case.differentiated:
        return {"forward": lambda: function(*inputs)}

    def mean(*inputs: Any) -> torch.Tensor:
        return function(*inputs).mean()

    mean = torch.compile(mean, dynamic=False) if compiled else mean

    def value() -> torch.Tensor:
        with torch.no_grad():
            return mean(*inputs)

    def step() -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        leaves = [array.detach().requires_grad_() for array in inputs[: case.differentiated]]
        loss = mean(*leaves, *inputs[case.differentiated :])
        loss.backward()
        return loss.detach(), [leaf.grad for leaf in leaves]

    return {"forward": value, "step": step}


def finished(call: Call) -> Call:
    """STEPS of `call`, until the device has done them."""

    def steps() -> Any:
        for _ in range(STEPS):
            result = call()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return jax.block_until_ready(result)

    return steps


def calls(case: Case, eager: bool, copies: int) -> dict[str, Calls]:
    """What to time, by library."""
    torch.compiler.reset()  # or it gives up compiling after a few cases
    arrays = case.arrays(np.random.default_rng(0))
    if case.batched:
        arrays = [np.concatenate([array] * copies) for array in arrays]
    made = {OURS: jax_calls(case, case.ours, arrays)}
    for name, peer in case.jax_peers.items():
        made[name] = jax_calls(case, peer, arrays)
    for name, peer in case.torch_peers.items():
        made[name] = torch_calls(case, peer, arrays, compiled=False)
        if case.differentiated and case.compiled and not eager:
            made["torch.compile"] = torch_calls(case, peer, arrays, compiled=True)
    return made


def check_equal(case: Case, made: Mapping[str, Calls]) -> None:
    kind = "step" if case.differentiated else "forward"
    ours = [plain(leaf) for leaf in jax.tree.leaves(made[OURS][kind]())]
    for peer, of_peer in made.items():
        theirs = [plain(leaf) for leaf in jax.tree.leaves(of_peer[kind]())]
        for mine, other in zip(ours, theirs, strict=True):
            near = case.tolerance * np.abs(mine).max(initial=0)
            equal = np.isclose(mine, other, rtol=case.tolerance, atol=near, equal_nan=True)
            unequal = 1 - equal.mean() if equal.size else 0.0
            assert unequal <= UNEQUAL, f"{case.name}: {unequal:.2%} of {peer}'s differ"


def plain(array: Any) -> np.ndarray:
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        array = array.float().numpy() if array.is_floating_point() else array.numpy()
    return np.asarray(array).astype(np.float64)


def measure(case: Case, rounds: int, eager: bool, copies: int) -> Result:
    made = calls(case, eager, copies)
    check_equal(case, made)
    step, forward = (timed(made, kind, rounds) for kind in ("step", "forward"))
    return Result(case, step, forward)


def timed(made: Mapping[str, Calls], kind: str, rounds: int) -> dict[str, Times]:
    chosen = {name: finished(calls[kind]) for name, calls in made.items() if kind in calls}
    return times(chosen, rounds=rounds, steps=STEPS) if OURS in chosen else {}


def fastest(taken: Mapping[str, Times]) -> tuple[str, Times]:
    return min(
        ((name, t) for name, t in taken.items() if name != OURS), key=lambda item: item[1].median
    )


def ratio(taken: Mapping[str, Times]) -> float:
    """How many times as long as ours the fastest peer takes."""
    return fastest(taken)[1].median / taken[OURS].median


def row(result: Result) -> str:
    main, mine = result.main, result.main[OURS]
    peers = ", ".join(f"{name} {t.median:.3g}" for name, t in main.items() if name != OURS)
    name = fastest(main)[0]
    forward = f"{ratio(result.forward):.1f}x" if result.forward and result.step else ""
    cells = (
        result.case.name,
        f"{mine.median:.3g} ({mine.low:.3g} to {mine.high:.3g})",
        peers,
        f"**{ratio(main):.1f}x** {name}",
        forward,
    )
    return f"| {' | '.join(cells)} |"


HEADER = (
    "| value and gradient, ms | jaxloss (quartiles) | peers | than the fastest | value alone |\n"
    "|---|---|---|---|---|"
)


def summary(results: list[Result]) -> str:
    """Geometric means of the ratios to the fastest peer."""
    groups = {
        "all cases": results,
        "cases with a better form": [r for r in results if r.case.better_form],
    }
    return "\n".join(
        f"{name}: {math.exp(sum(math.log(ratio(r.main)) for r in group) / len(group)):.2f} times "
        f"as fast as the fastest peer (geometric mean of {len(group)})"
        for name, group in groups.items()
        if group
    )


def record(results: list[Result]) -> dict[str, Any]:
    return {
        "versions": versions(),
        "device": jax.devices()[0].device_kind,
        "threads": len(os.sched_getaffinity(0)),
        "cases": [
            {
                "name": result.case.name,
                "better_form": result.case.better_form,
                "value_and_gradient_ms": {k: t._asdict() for k, t in result.step.items()},
                "value_ms": {k: t._asdict() for k, t in result.forward.items()},
                "ratio": ratio(result.main),
            }
            for result in results
        ],
    }


def versions() -> dict[str, str]:
    return {
        "jax": jax.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="cases whose name holds one")
    parser.add_argument("--times", type=int, default=1, help="make batches so often as large")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--eager", action="store_true", help="leave out torch.compile")
    parser.add_argument("--json", type=Path, default=OUTPUT / "speed.json")
    parser.add_argument("--picture", type=Path, help="draw a bar chart of the ratios here")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"\n{HEADER}")
    results = []
    for case in CASES:
        if any(name.lower() in case.name.lower() for name in options.only):
            results.append(measure(case, options.rounds, options.eager, options.times))
            print(row(results[-1]), flush=True)
    print(f"\n{summary(results)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record(results), indent=2) + "\n")
    if options.picture:
        draw_ratios([Bar(r.case.name, *_beside(r)) for r in results], options.picture)


def _beside(result: Result) -> tuple[str, float]:
    return fastest(result.main)[0], ratio(result.main)


if __name__ == "__main__":
    main()
