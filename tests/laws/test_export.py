"""Every function exports for CPU, GPU and TPU at once, with a batch of any size, and comes back."""

import chex
import jax
import numpy as np
from jax import export

from tests.laws.programs import floats, split
from tests.laws.table import held


@held("export")
def test_export_with_a_symbolic_batch_and_back(row, setting):
    arrays = row.cast(np.float32)
    (batch,) = export.symbolic_shape("batch")
    specs = {
        name: jax.ShapeDtypeStruct(
            a.shape if name in row.shared else (batch, *a.shape[1:]), a.dtype
        )
        for name, a in arrays.items()
    }

    @jax.jit
    def step(arrays):
        active, passive = split(row, arrays)

        def losses(active):
            return floats(row.batched(**setting)(**active, **passive))

        values, pull = jax.vjp(losses, active)
        return row.batched(**setting)(**arrays), pull([jax.numpy.ones_like(v) for v in values])

    # A result that is a NamedTuple goes out as its leaves: serialisation knows no classes.
    flat = jax.jit(lambda arrays: jax.tree.leaves(step(arrays)))
    exported = export.export(flat, platforms=("cpu", "cuda", "tpu"))(specs)
    again = export.deserialize(exported.serialize())
    chex.assert_trees_all_close(again.call(arrays), flat(arrays), rtol=2e-6, atol=1e-6)
