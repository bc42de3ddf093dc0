"""jit, vmap, grad, jvp and checkpoint agree with the plain function."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.laws.programs import first, floats, split, tangent, value, wave, waves
from tests.laws.table import COSTLY, held, rows_of

close = {"rtol": 2e-6, "atol": 1e-6}


@held("jit", every_setting=True, sample=COSTLY)
def test_jit_and_eager_agree(row, setting):
    arrays = row.cast(np.float32)
    jitted, eager = first(row, setting)(arrays).value, row.batched(**setting)(**arrays)
    size = max(1.0, *(float(jnp.max(jnp.abs(leaf), initial=0)) for leaf in floats(eager)), 0.0)
    chex.assert_trees_all_close(jitted, eager, rtol=2e-6, atol=1e-6 * size)


@held("vmap", sample=COSTLY)
def test_vmap_is_a_loop_over_every_argument_and_over_one(row, setting):
    arrays, function = row.cast(np.float32), value(row, setting)
    every = [{name: np.roll(a, k, axis=0) for name, a in arrays.items()} for k in (0, 1, 3)]
    name, array = next(iter(arrays.items()))
    one = [{**arrays, name: variant} for variant in (array, np.roll(array, 1, axis=0))]
    axes = {other: 0 if other == name else None for other in arrays}

    @jax.jit
    def mapped(every, one):
        return jax.vmap(function)(every), jax.vmap(function, in_axes=(axes,))(one)

    found = mapped(_stack(every), {**arrays, name: _stack([variant[name] for variant in one])})
    wanted = tuple(_stack([function(arrays) for arrays in variants]) for variants in (every, one))
    chex.assert_trees_all_close(found, wanted, **close)


PAIRS = [(row, name) for row in rows_of("vmap") for name in row.hyperparameters]
HYPERPARAMETERS = [
    pytest.param(
        row,
        name,
        id=f"{row.name}-{name}",
        marks=[pytest.mark.xdist_group(row.name), *([pytest.mark.thorough] if number % 4 else [])],
    )
    for number, (row, name) in enumerate(PAIRS)
]


@pytest.mark.parametrize(("row", "name"), HYPERPARAMETERS)
def test_hyperparameters_may_be_traced_mapped_and_differentiated(row, name):
    arrays = row.cast(np.float32)
    values = jnp.asarray(row.hyperparameters[name], jnp.float32)

    def function(value):
        return floats(row.batched(**{**row.settings[0], name: value})(**arrays))

    def total(value):
        return sum(jnp.sum(leaf) for leaf in function(value))

    @jax.jit
    def mapped(values):
        return jax.vmap(function)(values), jax.vmap(jax.grad(total))(values)

    found, slopes = mapped(values)
    static = jax.jit(lambda: function(row.hyperparameters[name][1]))()
    chex.assert_trees_all_close([leaf[1] for leaf in found], static, rtol=5e-6, atol=1e-6)
    chex.assert_tree_all_finite(slopes)


@held("gradient", every_setting=True, sample=3)
def test_derivatives_are_the_finite_difference(row, setting):
    """Central differences in float64; chex's check would replace every stop_gradient by ones."""
    with jax.enable_x64(True):
        arrays = row.cast(np.float64)
        program, step = first(row, setting), 1e-6

        def along(distance):
            active = split(row, arrays)[0]
            moved = {n: active[n] + distance * way for n, way in waves(active).items()}
            return floats(program({**arrays, **moved}).value)

        pushed = tangent(row, setting)(arrays)
        for found, high, low in zip(pushed, along(step), along(-step), strict=True):
            scale = float(jnp.max(jnp.abs(found), initial=0.1))
            wanted = (high - low) / (2 * step)
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * scale)
        _check_reverse(row, arrays, program(arrays).gradient, pushed)


def _check_reverse(row, arrays, gradient, pushed):
    """The pulled-back and the pushed-forward products are the same number."""
    steps = waves(split(row, arrays)[0])
    pulled = sum(np.vdot(step, gradient[name]) for name, step in steps.items())
    products = [np.asarray(wave(leaf) * leaf) for leaf in pushed]
    wanted, size = (sum(f(p).sum() for p in products) for f in (np.asarray, np.abs))
    np.testing.assert_allclose(pulled, wanted, rtol=1e-9, atol=1e-9 * size)


@pytest.mark.thorough
@held("gradient")
def test_checkpointed_gradient_is_the_gradient(row, setting):
    arrays = row.cast(np.float32)
    active, passive = split(row, arrays)
    losses = jax.checkpoint(lambda a: floats(row.batched(**setting)(**a, **passive)))

    @jax.jit
    def gradient(active):
        values, pull = jax.vjp(losses, active)
        return pull([wave(leaf) for leaf in values])[0]

    expected = first(row, setting)(arrays).gradient
    chex.assert_trees_all_close(gradient(active), expected, rtol=1e-5, atol=1e-6)


def _stack(results):
    return jax.tree.map(lambda *parts: jnp.stack(parts), *results)
