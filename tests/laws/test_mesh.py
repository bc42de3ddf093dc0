"""Sharded over eight devices, with explicit and automatic axes, and inside shard_map."""

import re

import chex
import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from tests.laws.programs import first, on_host, value
from tests.laws.table import COSTLY, held

TYPES = [
    pytest.param(AxisType.Explicit, id="explicit"),
    pytest.param(AxisType.Auto, id="auto", marks=pytest.mark.thorough),
]


@held("mesh", sample=COSTLY)
@pytest.mark.parametrize("axes", TYPES)
def test_a_sharded_batch_needs_no_communication(row, setting, axes):
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(axes,))
    specs = {name: P() if name in row.shared else P("batch") for name in row.arrays}
    compiled = _check(row, setting, mesh, specs)
    assert not re.findall(r" (all-gather|all-to-all|collective-permute)", compiled)


@held("mesh", sample=COSTLY)
@pytest.mark.parametrize("axes", TYPES)
def test_sharded_classes_need_only_all_reduces(row, setting, axes):
    if not row.class_axis:
        return
    mesh = jax.make_mesh((2, 4), ("batch", "classes"), axis_types=(axes,) * 2)
    specs = {
        name: P("batch", *_at(row.class_axis[name], array.ndim, "classes"))
        if name in row.class_axis
        else (P() if name in row.shared else P("batch"))
        for name, array in row.arrays.items()
    }
    compiled = _check(row, setting, mesh, specs)
    assert not re.findall(r" (all-gather|all-to-all|collective-permute)", compiled)


@held("mesh", sample=COSTLY)
def test_inside_shard_map(row, setting):
    arrays = row.cast(np.float32)
    mesh = jax.make_mesh((8,), ("batch",))
    specs = {name: P() if name in row.shared else P("batch") for name in arrays}
    shared_state = {"axis_name": "batch"} if row.stateful else {}
    program = value(row, {**setting, **shared_state})
    sharded = jax.shard_map(program, mesh=mesh, in_specs=(specs,), out_specs=P("batch"))
    with jax.set_mesh(mesh):
        found = jax.jit(sharded)(_placed(arrays, mesh, specs))
    chex.assert_trees_all_close(
        on_host(found), on_host(value(row, setting)(arrays)), rtol=2e-6, atol=1e-6
    )


def _at(axis, rank, name):
    return [name if i == axis % rank else None for i in range(1, rank)]


def _check(row, setting, mesh, specs):
    """Compares value and gradient with one device's; returns the compiled text."""
    arrays = row.cast(np.float32)

    program = first(row, setting)
    expected = program(arrays)
    with jax.set_mesh(mesh):
        placed = _placed(arrays, mesh, specs)
        compiled = program.lower(placed).compile()
        found = compiled(placed)
    chex.assert_trees_all_close(on_host(found), on_host(expected), rtol=3e-6, atol=2e-6)
    return compiled.as_text()


def _placed(arrays, mesh, specs):
    return {n: jax.device_put(a, NamedSharding(mesh, specs[n])) for n, a in arrays.items()}
