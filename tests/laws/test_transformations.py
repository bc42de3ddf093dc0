"""jit, vmap, grad, jvp, checkpoint and forward-over-reverse agree with the plain function."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from tests.laws.programs import derivatives, floats, split, wave
from tests.laws.table import held, rows_of


@held("jit", every_setting=True)
def test_jit_and_eager_agree(row, setting):
    arrays = row.cast(np.float32)
    chex.assert_trees_all_close(
        derivatives(row, setting, arrays).value,
        row.batched(**setting)(**arrays),
        rtol=2e-6,
        atol=1e-6,
    )


@held("vmap")
def test_vmap_is_a_loop(row, setting):
    arrays = row.cast(np.float32)
    variants = [{name: np.roll(a, k, axis=0) for name, a in arrays.items()} for k in (0, 1, 3)]
    function = jax.jit(row.batched(**setting))
    loop = [function(**variant) for variant in variants]
    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *variants)
    mapped = jax.vmap(lambda a: function(**a))(stacked)
    chex.assert_trees_all_close(mapped, _stack(loop), rtol=2e-6, atol=1e-6)


@held("vmap")
def test_vmap_over_one_argument(row, setting):
    arrays = row.cast(np.float32)
    name = next(iter(arrays))
    function = jax.jit(lambda array: row.batched(**setting)(**{**arrays, name: array}))
    variants = jnp.stack([arrays[name], np.roll(arrays[name], 1, axis=0)])
    chex.assert_trees_all_close(
        jax.vmap(function)(variants), _stack([function(v) for v in variants]), rtol=2e-6, atol=1e-6
    )


HYPERPARAMETERS = [
    pytest.param(row, name, id=f"{row.name}-{name}", marks=pytest.mark.xdist_group(row.name))
    for row in rows_of("vmap")
    for name in row.hyperparameters
]


@pytest.mark.parametrize(("row", "name"), HYPERPARAMETERS)
def test_hyperparameters_may_be_traced_mapped_and_differentiated(row, name):
    arrays = row.cast(np.float32)
    values = jnp.asarray(row.hyperparameters[name], jnp.float32)

    def function(value):
        return floats(row.batched(**{**row.settings[0], name: value})(**arrays))

    def total(value):
        return sum(jnp.sum(leaf) for leaf in function(value))

    static = [function(float(value)) for value in values]
    chex.assert_trees_all_close(
        jax.jit(jax.vmap(function))(values), _stack(static), rtol=5e-6, atol=1e-6
    )
    chex.assert_tree_all_finite(jax.jit(jax.vmap(jax.grad(total)))(values))


@held("gradient", every_setting=True)
def test_gradient_is_the_finite_difference(row, setting):
    with jax.enable_x64(True):
        active, passive = split(row, row.cast(np.float64))
        batched = row.batched(**setting)

        @jax.jit
        def function(*values):
            return floats(batched(**dict(zip(active, values, strict=True)), **passive))

        # Not chex.assert_numerical_grads: it replaces every stop_gradient by ones.
        check_grads(function, tuple(active.values()), order=1, atol=1e-6, rtol=1e-6, eps=1e-5)


@held("gradient", every_setting=True)
def test_forward_and_reverse_agree_and_the_hessian_is_finite(row, setting):
    arrays = row.cast(np.float32)
    found = derivatives(row, setting, arrays)
    direction = {name: wave(array) for name, array in split(row, arrays)[0].items()}
    pulled = sum(np.vdot(direction[name], found.gradient[name]) for name in direction)
    pushed = sum(np.vdot(wave(tangent), tangent) for tangent in found.tangent)
    np.testing.assert_allclose(pulled, pushed, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(found.checkpointed, found.gradient, rtol=1e-6, atol=1e-7)
    chex.assert_tree_all_finite(found.hvp)


def _stack(results):
    return jax.tree.map(lambda *parts: jnp.stack(parts), *results)
