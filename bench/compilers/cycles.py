"""How many cycles a TPU's kernels take: the compiler's schedules, which it writes if told to."""

import os
import re
import tempfile
from pathlib import Path

from bench.compilers.hlo import Program

# libtpu reads its flags once, when it is loaded.
SCHEDULES = tempfile.TemporaryDirectory()
SUFFIX = "final_hlo-static-per-bundle-utilization.txt"
os.environ["LIBTPU_INIT_ARGS"] = " ".join(
    [
        os.environ.get("LIBTPU_INIT_ARGS", ""),
        f"--xla_jf_dump_to={SCHEDULES.name}",
        "--xla_jf_dump_llo_text=true",
        "--xla_jf_dump_llo_pass_label_regex=final_hlo-static",
    ]
).strip()


def forget() -> None:
    for file in Path(SCHEDULES.name).iterdir():
        file.unlink()


def cycles(program: Program) -> int:
    """Instruction bundles times iterations, over the kernels that were compiled since `forget`.

    Kernels with loops of their own, such as sorts, and copies count for less than they are.
    """
    often = program.repetitions()
    iterations = {i.name: often[i.name] * (i.iterations or 1) for i in program.started()}
    return sum(
        iterations.get(_kernel(file), 0) * _bundles(file)
        for file in Path(SCHEDULES.name).glob(f"*{SUFFIX}")
    )


def _kernel(file: Path) -> str:
    """Of `1234-fusion.1-5-final_hlo-...`, the instruction."""
    found = re.match(rf"\d+-(.*)-\d+-{SUFFIX}", file.name)
    return found[1] if found else ""


def _bundles(file: Path) -> int:
    header = 4
    return sum(bool(line.strip()) for line in file.read_text().splitlines()[header:])
