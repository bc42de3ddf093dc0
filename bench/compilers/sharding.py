"""What chips say to each other of a softmax cross-entropy that is spread over them."""

from collections.abc import Iterator, Mapping
from typing import Any

from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from bench.compilers import targets
from bench.compilers.cases import Case, cases
from bench.compilers.hlo import Program
from bench.compilers.measure import lowered

SHARDED = "softmax_cross_entropy_with_integer_labels"
ALL = ("b", "v")
SPECS = {
    "the batch": {"logits": P(ALL), "labels": P(ALL)},
    "the classes": {"logits": P(None, ALL), "labels": P()},
    "both": {"logits": P("b", "v"), "labels": P("b")},
}


def sharded() -> Iterator[tuple[str, dict[str, int]]]:
    """What is sharded over sixteen v5e, and how many collectives of each name that takes."""
    (case,) = (case for case in cases() if case.name == SHARDED)
    mesh = targets.mesh((4, 4), ALL)
    for axes, specs in SPECS.items():
        yield axes, collectives(case, mesh, specs)


def collectives(case: Case, mesh: Mesh, specs: Mapping[str, P], **jit: Any) -> dict[str, int]:
    """The communication of value and gradient, by name."""
    shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
    return Program(lowered(case, shardings, **jit).compile().as_text()).collectives
