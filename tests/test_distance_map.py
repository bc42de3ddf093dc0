"""Distances against every pair of pixels, and the losses that weigh by them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from tests.registry._row import uniform

P, SOFT = uniform(2, 9, 6, 3, seed=1), uniform(2, 9, 6, 3, seed=2)


def nearest(seeds):
    """The distance of every pixel to its nearest seed; infinite without any."""
    places, found = np.argwhere(np.ones_like(seeds)), np.argwhere(seeds)
    if not len(found):
        return np.full(seeds.shape, np.inf)
    gaps = np.linalg.norm(places[:, None] - found[None].astype(float), axis=-1)
    return gaps.min(1).reshape(seeds.shape)


def signed(mask):
    if mask.all() or not mask.any():
        return np.zeros(mask.shape)
    return np.where(mask, 1 - nearest(~mask), nearest(mask))


def across(inside, outside):
    """The distance of every pixel of each side to the other."""
    if not (inside.any() and outside.any()):
        return np.zeros(inside.shape)
    return np.where(inside, nearest(outside), np.where(outside, nearest(inside), 0))


@pytest.mark.parametrize("shape", [(23, 31), (31, 23), (1, 9), (9, 1), (6, 9, 7)])
def test_distances_are_exact(shape):
    masks = np.stack([uniform(*shape, seed=3) < share for share in (0, 0.03, 0.5, 0.97, 1.1)])
    axis = tuple(range(-len(shape), 0))
    found = jax.jit(functools.partial(jaxloss.signed_distance_map, axis=axis))(masks)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, [signed(mask) for mask in masks], atol=1e-6)


def test_distances_along_other_axes():
    mask = uniform(7, 2, 5, seed=4) < 0.2
    found = jaxloss.signed_distance_map(mask, axis=(2, 0))
    expected = np.stack([signed(mask[:, i]) for i in (0, 1)], 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_pixel_in_a_large_image():
    mask = np.zeros((700, 900), bool)
    mask[3, 890] = True
    rows, columns = np.indices(mask.shape)
    found = jax.jit(jaxloss.signed_distance_map)(mask)
    np.testing.assert_allclose(found, np.hypot(rows - 3, columns - 890), rtol=2e-7)


def test_memory_is_a_few_images():
    mask = jax.ShapeDtypeStruct((4, 256, 256), bool)
    memory = jax.jit(jaxloss.signed_distance_map).lower(mask).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 8 * 4 * mask.size


def hausdorff(p, y, exponent, kept):
    weight = sum(across((x > 0.5) & kept, (x <= 0.5) & kept) ** exponent for x in (p, y))
    return ((p - y) ** 2 * weight)[kept].mean()


@pytest.mark.parametrize("exponent", [2.0, 1.3])
def test_hausdorff_loss_is_the_formula(exponent):
    kept = uniform(2, 9, 6, 1, seed=5) < 0.8
    kept = np.broadcast_to(kept, P.shape)
    loss = functools.partial(jaxloss.hausdorff_loss, exponent=exponent)
    with jax.enable_x64(True):
        found = jax.jit(lambda p: (loss(p, SOFT), loss(p, SOFT, where=kept)))(P)
    for values, mask in zip(found, (np.ones_like(kept), kept), strict=True):
        expected = [
            [hausdorff(P[i, ..., c], SOFT[i, ..., c], exponent, mask[i, ..., c]) for c in range(3)]
            for i in range(2)
        ]
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_hausdorff_loss_without_a_boundary_is_0():
    low = jnp.full((4, 5, 1), 0.2)
    value, slope = jax.value_and_grad(lambda p: jaxloss.hausdorff_loss(p, 0 * low)[0])(low)
    assert value == 0
    assert not np.any(slope)


def test_boundary_loss_is_the_mean_of_the_products():
    target = SOFT < 0.3
    p, kept = P.astype(np.float32), uniform(*P.shape, seed=6) < 0.7
    phi = jaxloss.signed_distance_map(target, axis=(-3, -2))
    loss = jax.jit(lambda p: jaxloss.boundary_loss(p, phi, where=kept))
    products = np.where(kept, P * phi, 0).sum((1, 2)) / kept.sum((1, 2))
    np.testing.assert_allclose(loss(p), products, rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda p: jnp.sum(loss(p)))(p)
    expected = np.where(kept, phi, 0) / kept.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 4, 4)])
def test_of_no_pixels_there_are_no_distances(shape):
    maps = np.zeros(shape, np.float32)
    assert jaxloss.signed_distance_map(maps > 0, axis=(-2, -1)).shape == shape
    assert not np.any(jaxloss.hausdorff_loss(maps, maps, axis=(-2, -1)))
