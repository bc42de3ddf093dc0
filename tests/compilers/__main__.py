"""Prints `limits.py` with the figures of today; what has been reached, from a table's numbers.

make bench-compilers
.venv-compilers/bin/python -m tests.compilers output/compilers.json > limits.py
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import bench.compilers as environment
from bench.compilers.cases import cases
from bench.compilers.limits import LIMITS, over
from tests.compilers.figures import compiled, counted, per_element, temporary
from tests.registry import Kind

assert environment
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"  # as the tests have them
CHIPS = ("v5e", "H100")
Numbers = dict[str, dict[str, dict[str, float]]]


def limits(numbers: Path) -> Iterator[str]:
    yield '"""Largest figures; `python -m tests.compilers` prints this file."""\n'
    yield "# Exponentials, logarithms and the like per element, or per pair of boxes."
    yield "TRANSCENDENTALS = {"
    yield from (f'    "{case.name}": {per_element(case)},' for case in counted())
    yield "}\n\n# Temporary memory of a CPU over the inputs."
    yield "TEMPORARY = {"
    yield from (f'    "{case.name}": {temporary(case):.2f},' for case in compiled())
    figures = json.loads(numbers.read_text())
    yield "}\n\n# Millions of cycles of a v5e, of logits (32, 65536, 80) in bfloat16."
    yield "CYCLES = {"
    yield from cycles(figures)
    yield "}\n\n# Traffic and temporary memory of what is over the limit of its kind."
    yield "REACHED = {"
    yield from reached(figures)
    yield "}"


def cycles(numbers: Numbers) -> Iterator[str]:
    for case in cases():
        if case.kind is Kind.ELEMENTWISE and "v5e" in numbers.get(case.name, {}):
            yield f'    "{case.name}": {numbers[case.name]["v5e"]["megacycles"]:.2f},'


def reached(numbers: Numbers) -> Iterator[str]:
    for case in cases():
        for chip in CHIPS:
            figures = numbers.get(case.name, {}).get(chip)
            if figures is None or case.kind not in LIMITS[chip]:
                continue
            traffic, share = figures["traffic"], figures["temporary"]
            if any(over(case.kind, chip, traffic, share)):
                yield f'    ("{case.name}", "{chip}"): ({traffic:.2f}, {share:.3f}),'


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.compilers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("numbers", type=Path, help="what `python -m bench.compilers --json` wrote")
    for line in limits(parser.parse_args().numbers):
        print(line, flush=True)


if __name__ == "__main__":
    main()
