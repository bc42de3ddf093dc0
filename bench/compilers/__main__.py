"""Prints the table."""

import argparse
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

import bench.compilers
from bench.compilers import targets
from bench.compilers.cases import Case, cases
from bench.compilers.limits import over
from bench.compilers.measure import Figures, measure
from bench.compilers.sharding import SHARDED, sharded


def cells(case: Case, chip: str, figures: Figures) -> str:
    over_traffic, over_temporary = over(case.kind, chip, figures.traffic, figures.temporary)
    written = [
        marked(f"{figures.traffic:.2f}x", over_traffic),
        marked(f"{100 * figures.temporary:.2g} %", over_temporary),
        str(figures.kernels),
        *([] if figures.megacycles is None else [f"{figures.megacycles:.2f} M"]),
    ]
    return " | ".join(written)


def marked(text: str, missed: bool) -> str:
    return f"**{text}**" if missed else text


def header(chips: list[str]) -> Iterator[str]:
    columns = ["loss", "least, MB"]
    for chip in chips:
        columns += [f"{chip} traffic", "temp", "kernels"] + ["cycles"] * (chip in targets.TPUS)
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"


def row(case: Case, chips: list[str], numbers: dict[str, Any], hlo: Path | None) -> str:
    written = [case.name, f"{case.least / 1e6:.0f}"]
    for chip in chips:
        figures = measure(case, chip)
        written.append(cells(case, chip, figures))
        numbers.setdefault(case.name, {})[chip] = {
            name: value for name, value in figures._asdict().items() if name != "text"
        }
        if hlo is not None:
            hlo.mkdir(parents=True, exist_ok=True)
            (hlo / f"{case.name.replace(' ', '_')}.{chip}.hlo").write_text(figures.text)
    return f"| {' | '.join(written)} |"


def table_of_collectives() -> Iterator[str]:
    yield f"\n| {SHARDED} on sixteen v5e, sharded over | collectives |"
    yield "|---|---|"
    for axes, counts in sharded():
        yield f"| {axes} | {', '.join(f'{count} {name}' for name, count in counts.items())} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compilers",
        description=bench.compilers.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="losses whose name holds this")
    parser.add_argument("--on", nargs="+", choices=targets.NAMES, default=list(targets.NAMES))
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--hlo", type=Path, help="where to write the compiled programs")
    options = parser.parse_args()
    absent = {chip: targets.missing(chip) for chip in options.on}
    for reason in filter(None, absent.values()):
        print(f"Skipped, {reason}.")
    chips = [chip for chip in options.on if not absent[chip]]
    if not chips:
        return
    libtpu = f", libtpu {version('libtpu')}" if targets.TPUS.keys() & set(chips) else ""
    print(f"jax {jax.__version__}{libtpu}")
    print("\n" + "\n".join(header(chips)))
    numbers: dict[str, Any] = {}
    for case in cases(options.only):
        print(row(case, chips, numbers, options.hlo), flush=True)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(numbers, indent=1))
    if "v5e" in chips and options.only.lower() in SHARDED:
        print("\n".join(table_of_collectives()))


if __name__ == "__main__":
    main()
