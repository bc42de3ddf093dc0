"""A linear layer and cross-entropy in one: equal to the dense form, in little of its memory."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import jaxloss
from tests.registry._row import integers, normal

F, K, B = (jnp.asarray(normal(*shape, seed=1), jnp.float32) for shape in ((7, 5), (5, 24), (24,)))
LABELS = jnp.asarray(integers(7, high=24, seed=2))
WEIGHTS = jnp.arange(1.0, 8.0)


def fused(features, kernel, bias, smoothing, **setting):
    return jaxloss.fused_linear_cross_entropy(
        features, kernel, LABELS, bias=bias, label_smoothing=smoothing, **setting
    )


def dense(features, kernel, bias, smoothing, **setting):
    return jaxloss.softmax_cross_entropy_with_integer_labels(
        features @ kernel + bias[None], LABELS, label_smoothing=smoothing, **setting
    )


def both(function, *arguments, **setting):
    def total(*arguments):
        return jnp.sum(WEIGHTS * function(*arguments, **setting))

    return jax.jit(jax.value_and_grad(total, range(len(arguments))))(*arguments)


@pytest.mark.parametrize("chunk_size", [1, 5, 8, 24, 1000])
def test_value_and_every_gradient_are_the_dense_form(chunk_size):
    ignored = int(LABELS[2])
    found = both(fused, F, K, B, 0.1, chunk_size=chunk_size, ignore_label=ignored)
    wanted = both(dense, F, K, B, 0.1, ignore_label=ignored)
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_mask_and_a_wrong_label():
    labels, where = LABELS.at[0].set(24).at[1].set(-1), jnp.arange(7) != 1

    def losses(features):
        return jaxloss.fused_linear_cross_entropy(features, K, labels, where=where, chunk_size=7)

    values, pull = jax.vjp(losses, F.at[1].set(jnp.nan))
    (slope,) = pull(jnp.ones(7))
    assert np.isnan(values[0])
    assert np.isnan(slope[0]).all()
    assert values[1] == 0
    assert not slope[1].any()
    assert np.isfinite(values[2:]).all()


def test_small_floats_keep_their_dtype_in_the_gradient():
    kernel = K.astype(jnp.bfloat16)
    value, (features, found, *_) = both(fused, F.astype(jnp.bfloat16), kernel, B, 0.0, chunk_size=5)
    assert (value.dtype, features.dtype, found.dtype) == (jnp.float32, jnp.bfloat16, jnp.bfloat16)
    exact = both(
        dense, F.astype(jnp.bfloat16).astype(jnp.float32), kernel.astype(jnp.float32), B, 0.0
    )
    np.testing.assert_allclose(value, exact[0], rtol=1e-5)
    np.testing.assert_allclose(found.astype(jnp.float32), exact[1][1], rtol=1e-2, atol=1e-2)


def test_memory_is_a_fraction_of_the_logits():
    examples, dimensions, classes = 8192, 512, 131_072
    shapes = [(examples, dimensions), (dimensions, classes), (classes,)]

    def loss(features, kernel, bias, labels):
        losses = jaxloss.fused_linear_cross_entropy(
            features, kernel, labels, bias=bias, label_smoothing=0.1, ignore_label=7
        )
        return jaxloss.mean(losses)

    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    labels = jax.ShapeDtypeStruct((examples,), jnp.int32)
    program = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    memory = program.lower(*arrays, labels).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 0.03 * 4 * examples * classes


def test_classes_divided_over_devices():
    mesh = jax.make_mesh((2, 4), ("batch", "classes"))
    specs = P("batch"), P(None, "classes"), P("classes"), P("batch"), P("batch")
    features, labels = jnp.concatenate([F, F[:1]]), jnp.concatenate([LABELS, LABELS[:1]])
    weights = jnp.arange(1.0, 9.0)

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=specs, out_specs=P())
    def total(features, kernel, bias, labels, weights):
        losses = jaxloss.fused_linear_cross_entropy(
            features, kernel, labels, bias=bias, chunk_size=4, axis_name="classes"
        )
        return jax.lax.psum(jnp.sum(weights * losses), "batch")

    def whole(features, kernel, bias, labels, weights):
        losses = jaxloss.fused_linear_cross_entropy(features, kernel, labels, bias=bias)
        return jnp.sum(weights * losses)

    arguments = features, K, B, labels, weights
    wanted = jax.value_and_grad(whole, (0, 1, 2))(*arguments)
    with jax.set_mesh(mesh):
        placed = [jax.reshard(a, spec) for a, spec in zip(arguments, specs, strict=True)]
        found = jax.value_and_grad(total, (0, 1, 2))(*placed)
    found = jax.tree.map(np.asarray, found)
    chex.assert_trees_all_close(found, jax.tree.map(np.asarray, wanted), rtol=1e-5, atol=1e-5)
