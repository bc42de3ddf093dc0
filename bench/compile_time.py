"""How long users wait before the first step: compiling value and gradient, and importing jaxloss.

Run with `make bench`; `--only NAME` picks losses.
"""

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

from bench.compilers.cases import Case, cases
from tests.registry import Kind

KINDS = (Kind.ELEMENTWISE, Kind.CLASS, Kind.BOX, Kind.REGION)


def seconds(case: Case) -> float:
    """To trace, lower and compile value and gradient for the CPU."""
    start = time.perf_counter()
    jax.jit(case.step).lower(dict(case.arrays)).compile()
    return time.perf_counter() - start


def import_seconds(rounds: int = 7) -> float:
    """The median over as many new interpreters, which find bytecode from one before."""
    program = (
        "import jax, chex; from time import *; t = perf_counter(); "
        "import jaxloss; print(perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {name: v for name, v in os.environ.items() if "BYTECODE" not in name}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        run = functools.partial(
            subprocess.check_output, [sys.executable, "-c", program], env=environment
        )
        run()
        return statistics.median(float(run()) for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="losses whose name holds this")
    options = parser.parse_args()
    jax.jit(lambda x: x + 1).lower(1.0).compile()
    chosen = [case for case in cases(options.only) if case.kind in KINDS]
    times = [(seconds(case.in_float32()), case) for case in chosen]
    print("\n| compiling value and gradient, s | median | slowest |")
    print("|---|---|---|")
    for kind in KINDS:
        of_kind = sorted((took, case.name) for took, case in times if case.kind is kind)
        if of_kind:
            slowest = ", ".join(f"{name} {took:.2f}" for took, name in of_kind[:-4:-1])
            middle = statistics.median(took for took, _ in of_kind)
            print(f"| {kind.value} | {middle:.2f} | {slowest} |")
    print(f"| all {len(times)} | {statistics.median(took for took, _ in times):.2f} | |")
    print(f"\n`import jaxloss` after `import jax, chex`: {import_seconds():.3f} s")


if __name__ == "__main__":
    main()
