"""A loss has the shape that its kind says, and one return type whatever the arguments."""

import jax
import numpy as np

from tests.laws.table import held


@held("shape")
def test_result_has_the_stated_shape(row, setting):
    result = jax.eval_shape(row.batched(**setting), **row.cast(np.float32))
    assert jax.tree.leaves(result)[0].shape == row.result


@held("shape", every_setting=True)
def test_result_type_does_not_depend_on_settings(row, setting):
    def structure(setting):
        return jax.tree.structure(jax.eval_shape(row.batched(**setting), **row.cast(np.float32)))

    assert structure(setting) == structure(row.settings[0])
