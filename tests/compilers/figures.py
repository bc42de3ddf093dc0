"""The figures that need no other compiler than the CPU's."""

from collections.abc import Iterator

import jax

from bench.compilers.cases import Case, cases
from bench.compilers.jaxpr import transcendentals
from tests.compiling import OPTIMIZED
from tests.registry import Kind

COUNTED = (Kind.ELEMENTWISE, Kind.BOX)
# Seconds to compile for a figure that an operation of the same kind has, too.
SLOW = {"hausdorff_loss", "centerline_dice_loss", "arcface_logits", "cosface_logits"}


def counted() -> Iterator[Case]:
    """Losses whose transcendental functions are counted: those that have no loops."""
    return (case for case in cases() if case.kind in COUNTED)


def compiled() -> Iterator[Case]:
    """Losses that are compiled for the CPU."""
    return (case.in_float32() for case in cases() if case.name not in SLOW)


def per_element(case: Case) -> int:
    """Transcendental functions per element, or per pair of boxes, of value and gradient."""
    return sum(transcendentals(case.step, dict(case.arrays), platform="tpu").values())


def temporary(case: Case) -> float:
    """Temporary memory of value and gradient on a CPU, over the inputs."""
    step = jax.jit(case.step, compiler_options=OPTIMIZED)
    analysis = step.lower(dict(case.arrays)).compile().memory_analysis()
    return analysis.temp_size_in_bytes / case.inputs
