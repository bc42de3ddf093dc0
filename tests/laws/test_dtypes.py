"""At least float32 inside, gradients in the input's dtype, nothing promoted silently."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.laws.programs import first, floats
from tests.laws.table import COSTLY, held


@held("dtypes", sample=COSTLY)
@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", pytest.param("float16", marks=pytest.mark.thorough)]
)
def test_small_floats_are_computed_in_float32(row, setting, dtype):
    arrays = row.cast(jnp.dtype(dtype))
    found = first(row, setting)(arrays)
    assert {leaf.dtype for leaf in floats(found.value)} <= {jnp.dtype(jnp.float32)}
    for name, gradient in found.gradient.items():
        assert gradient.dtype == arrays[name].dtype, name


@held("dtypes", sample=COSTLY)
def test_float64_stays_float64(row, setting):
    with jax.enable_x64(True):
        found = first(row, setting)(row.cast(np.float64))
        assert {leaf.dtype for leaf in floats(found.value)} <= {jnp.dtype(jnp.float64)}


@pytest.mark.thorough
@held("strict")
def test_float32_stays_float32_under_x64(row, setting):
    arrays = row.cast(np.float32)
    plain = first(row, setting)(arrays)
    with jax.enable_x64(True):
        found = first(row, setting)(arrays)
    for leaf, expected in zip(floats(found), floats(plain), strict=True):
        assert leaf.dtype == expected.dtype
        np.testing.assert_allclose(leaf, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.thorough
@held("strict")
def test_nothing_is_nan_on_the_way(row, setting):
    """Operation by operation, which is how JAX hunts for the first NaN."""
    arrays = row.cast(np.float32)
    with jax.debug_nans(True):
        jax.block_until_ready(row.batched(**setting)(**arrays))
