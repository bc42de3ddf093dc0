"""Means that divide by what they should: masks, weights, normalizers, microbatches, mesh axes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import jaxloss
from tests.registry._row import normal, uniform

LOSSES = normal(6, 4, seed=1).astype(np.float32)
WEIGHTS = uniform(6, 4, seed=2, low=0.1).astype(np.float32)
MASK = np.random.default_rng(3).random((6, 4)) < 0.6


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_mean_is_the_weighted_mean_of_what_is_selected(axis):
    found = jaxloss.mean(LOSSES, where=MASK, weights=WEIGHTS, axis=axis)
    wanted = (LOSSES * WEIGHTS * MASK).sum(axis) / (WEIGHTS * MASK).sum(axis)
    chex.assert_trees_all_close(found, wanted, rtol=1e-5)


def test_normalizer_replaces_the_denominator():
    normalizer = uniform(6, 4, seed=5, low=1).astype(np.float32)
    found = jaxloss.mean(LOSSES, where=MASK, weights=WEIGHTS, normalizer=normalizer)
    np.testing.assert_allclose(
        found, (LOSSES * WEIGHTS * MASK).sum() / (normalizer * MASK).sum(), rtol=1e-5
    )
    found = jaxloss.mean(LOSSES, normalizer=7.0)
    np.testing.assert_allclose(found, LOSSES.sum() / 7, rtol=1e-5)


def test_a_vector_of_weights_lies_along_the_last_axis():
    weights = np.array([1, 2, 3, 4], np.float32)
    found = jaxloss.mean(LOSSES, weights=weights)
    np.testing.assert_allclose(
        found, np.average(LOSSES, weights=weights[None] + 0 * LOSSES), rtol=1e-5
    )


@pytest.mark.parametrize(
    "nothing", [{"where": np.zeros((6, 4), bool)}, {"weights": 0.0}, {"normalizer": 0.0}]
)
def test_the_mean_over_nothing_is_zero_with_gradient_zero(nothing):
    value, gradient = jax.value_and_grad(lambda x: jaxloss.mean(x, **nothing))(LOSSES)
    assert value == 0
    assert not np.any(gradient)


def test_nan_behind_the_mask_is_gone_and_before_it_stays():
    spoiled = np.where(MASK, LOSSES, np.nan).astype(np.float32)
    for reduce in (jaxloss.mean, jaxloss.sum):
        np.testing.assert_allclose(
            reduce(spoiled, where=MASK), reduce(LOSSES, where=MASK), rtol=1e-6
        )
        assert np.isnan(reduce(spoiled))


def test_sums_and_weights_add_over_microbatches():
    parts = [
        jaxloss.sum_and_weight(LOSSES[rows], where=MASK[rows], weights=WEIGHTS[rows])
        for rows in (slice(0, 1), slice(1, 6))
    ]
    total = jax.tree.map(lambda *part: sum(part), *parts)
    whole = jaxloss.mean(LOSSES, where=MASK, weights=WEIGHTS)
    np.testing.assert_allclose(total.sum / total.weight, whole, rtol=1e-6)


@pytest.mark.parametrize("axis", [5, (0, 0), "0"])
def test_an_axis_that_is_none_is_refused(axis):
    for reduce in (jaxloss.mean, jaxloss.sum, jaxloss.sum_and_weight):
        with pytest.raises(ValueError, match=rf"`{reduce.__name__}`: `axis` is .*2 dimensions"):
            reduce(LOSSES, axis=axis)


def test_bfloat16_is_added_up_in_float32():
    ones = jnp.ones(1000, jnp.bfloat16)
    assert jaxloss.sum(ones) == 1000
    assert jaxloss.sum(ones).dtype == jnp.float32


def shard_mean(losses, mask):
    return jaxloss.mean(losses, where=mask, axis_name="batch")


def over_mesh(function, out_specs, **options):
    """`function` of the losses and their mask inside shard_map, over shards of unequal counts."""
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    specs = {"in_specs": (P("batch"), P("batch")), "out_specs": out_specs}
    losses = normal(8, 3, seed=7).astype(np.float32)
    mask = np.random.default_rng(8).random((8, 3)) < 0.5
    sharded = jax.shard_map(function, mesh=mesh, **specs, **options)
    wanted = jax.value_and_grad(lambda x: jaxloss.mean(x, where=mask))(losses)
    return sharded, losses, mask, wanted


def test_the_mean_over_a_mesh_axis_differentiated_outside():
    sharded, losses, mask, wanted = over_mesh(shard_mean, P())
    found = jax.jit(jax.value_and_grad(sharded))(losses, mask)
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_the_mean_over_a_mesh_axis_differentiated_inside():
    specs = (P(), P("batch"))
    sharded, losses, mask, wanted = over_mesh(jax.value_and_grad(shard_mean), specs)
    found = jax.jit(sharded)(losses, mask)
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_without_check_vma_the_gradient_counts_every_device():
    specs = (P(), P("batch"))
    sharded, losses, mask, wanted = over_mesh(
        jax.value_and_grad(shard_mean), specs, check_vma=False
    )
    value, gradient = jax.jit(sharded)(losses, mask)
    chex.assert_trees_all_close((value, gradient / 8), wanted, rtol=1e-5, atol=1e-7)


def test_a_vmapped_axis_counts_too():
    found = jax.vmap(lambda x, m: jaxloss.mean(x, where=m, axis_name="rows"), axis_name="rows")(
        LOSSES, MASK
    )
    chex.assert_trees_all_close(found, np.full(6, jaxloss.mean(LOSSES, where=MASK)), rtol=1e-5)
