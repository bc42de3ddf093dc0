"""A loss has the shape that its kind says, and one return type whatever the arguments."""

import jax
import numpy as np

from tests.laws.table import held
from tests.registry._row import BATCH


@held("shape")
def test_result_has_the_stated_shape(row, setting):
    result = jax.eval_shape(row.batched(**setting), **row.cast(np.float32))
    assert jax.tree.leaves(result)[0].shape == row.result


@held("shape")
def test_a_batch_may_be_empty(row, setting):
    """And so may be what is padded."""
    arrays, batched = row.cast(np.float32), row.batched(**setting)
    if not arrays.keys() - row.shared or row.result[:1] != (BATCH,):
        return
    empty = {name: a if name in row.shared else a[:0] for name, a in arrays.items()}
    result = jax.eval_shape(batched, **empty)
    assert jax.tree.leaves(result)[0].shape == (0, *row.result[1:])
    padded = {*row.padded, "where"} if row.padded else ()
    jax.eval_shape(batched, **{n: a[:, :0] if n in padded else a for n, a in arrays.items()})


@held("shape", every_setting=True)
def test_result_type_does_not_depend_on_settings(row, setting):
    def structure(setting):
        return jax.tree.structure(jax.eval_shape(row.batched(**setting), **row.cast(np.float32)))

    assert structure(setting) == structure(row.settings[0])
