"""Every function exports for CPU, GPU and TPU at once, with a batch of any size, and comes back."""

import chex
import jax
import numpy as np
from jax import export

from tests.laws.programs import first
from tests.laws.table import COSTLY, held


@held("export", sample=COSTLY)
def test_export_with_a_symbolic_batch_and_back(row, setting):
    arrays = row.cast(np.float32)
    (batch,) = export.symbolic_shape("batch")
    specs = {
        name: jax.ShapeDtypeStruct(
            a.shape if name in row.shared else (batch, *a.shape[1:]), a.dtype
        )
        for name, a in arrays.items()
    }

    # A result that is a NamedTuple goes out as its leaves: serialisation knows no classes.
    program = jax.jit(lambda arrays: jax.tree.leaves(first(row, setting)(arrays)))
    exported = export.export(program, platforms=("cpu", "cuda", "tpu"))(specs)
    again = export.deserialize(exported.serialize())
    expected = jax.tree.leaves(first(row, setting)(arrays))
    chex.assert_trees_all_close(again.call(arrays), expected, rtol=2e-6, atol=1e-6)
