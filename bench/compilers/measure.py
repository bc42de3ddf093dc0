"""Compiles a case for a chip, and reads what became of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax.sharding import Sharding, SingleDeviceSharding

from bench.compilers import cycles, targets
from bench.compilers.cases import Case
from bench.compilers.hlo import Program


class Figures(NamedTuple):
    """Of a compiled loss: see `bench.compilers`; `temporary` is over the inputs."""

    traffic: float
    temporary: float
    kernels: int
    megacycles: float | None
    text: str


def measure(case: Case, chip: str) -> Figures:
    sharding = SingleDeviceSharding(targets.device(chip))
    cycles.forget()
    compiled = lowered(case, dict.fromkeys(case.arrays, sharding)).compile()
    text = compiled.as_text()
    program = Program(text)
    return Figures(
        program.traffic / case.least,
        compiled.memory_analysis().temp_size_in_bytes / case.inputs,
        program.kernels,
        cycles.cycles(program) / 1e6 if chip in targets.TPUS else None,
        text,
    )


def lowered(case: Case, shardings: Mapping[str, Sharding], **jit: Any) -> jax.stages.Lowered:
    """Value and gradient of arrays that lie where `shardings` say."""
    arrays = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=shardings[name])
        for name, array in case.arrays.items()
    }
    return jax.jit(case.step, **jit).lower(arrays)
