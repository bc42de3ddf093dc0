"""Masked means gone: exactly 0 in value and gradient, whatever nonsense is masked."""

import chex
import jax
import numpy as np
import pytest

from tests.laws.programs import first, floats, value
from tests.laws.table import held
from tests.registry import Kind

close = {"rtol": 2e-6, "atol": 1e-6}
KEPT = np.array([True, False, True, True, False, False, True, False])


@held("where", every_setting=True, sample=2)
def test_masking_a_row_is_slicing_it_away(row, setting):
    if not row.takes_where or row.padded:
        return
    arrays = row.cast(np.float32)
    found = first(row, setting)(_masked(row, _spoil(row, arrays, KEPT), KEPT))
    sliced = {name: a if name in row.shared else a[KEPT] for name, a in arrays.items()}
    expected = value(row, setting)(sliced)
    for leaf, wanted in zip(jax.tree.leaves(found.value), jax.tree.leaves(expected), strict=True):
        assert not np.any(np.asarray(leaf)[~KEPT])
        chex.assert_trees_all_close(leaf[KEPT], wanted, **close)


@held("where", every_setting=True, sample=2)
def test_masking_a_row_leaves_no_gradient_in_it_and_the_others_theirs(row, setting):
    if not row.takes_where or row.padded:
        return
    arrays = row.cast(np.float32)
    found = first(row, setting)(_masked(row, _spoil(row, arrays, KEPT), KEPT))
    whole = first(row, setting)(arrays)
    for name in set(found.gradient) - row.shared:
        gradient = found.gradient[name]
        assert not np.any(np.asarray(gradient)[~KEPT])
        chex.assert_trees_all_close(gradient[KEPT], whole.gradient[name][KEPT], **close)


@held("where")
def test_masking_an_element_leaves_the_others(row, setting):
    if not row.takes_where or row.kind is not Kind.ELEMENTWISE:
        return
    arrays = row.cast(np.float32)
    mask = np.random.default_rng(3).random(row.result) < 0.5
    spoiled = {name: _nonsense(array, mask) for name, array in arrays.items()}
    found = first(row, setting)({**spoiled, "where": mask})
    whole = first(row, setting)(arrays)
    chex.assert_trees_all_close(found.value, np.where(mask, whole.value, 0), **close)
    for name, gradient in found.gradient.items():
        chex.assert_trees_all_close(gradient, np.where(mask, whole.gradient[name], 0), **close)


@held("where", every_setting=True)
def test_padding_is_slicing_the_objects_away(row, setting):
    if not row.padded:
        return
    arrays = row.cast(np.float32)
    kept = np.arange(arrays["where"].shape[1]) % 3 != 1
    spoiled = {
        name: np.moveaxis(_nonsense(np.moveaxis(a, 1, 0), kept), 0, 1) if name in row.padded else a
        for name, a in arrays.items()
    }
    found = first(row, setting)({**spoiled, "where": arrays["where"] & kept})
    expected = first(row, setting)(
        {name: a[:, kept] if name in (*row.padded, "where") else a for name, a in arrays.items()}
    )
    for leaf, wanted in zip(floats(found.value), floats(expected.value), strict=True):
        if leaf.shape != wanted.shape:
            assert not np.any(np.asarray(leaf)[:, ~kept])
            leaf = leaf[:, kept]
        chex.assert_trees_all_close(leaf, wanted, rtol=5e-6, atol=1e-6)
    for name in set(row.differentiable) - set(row.padded):
        chex.assert_trees_all_close(
            found.gradient[name], expected.gradient[name], rtol=5e-6, atol=1e-6
        )


@held("void", every_setting=True)
def test_void_pixels_are_sliced_away(row, setting):
    """Lines of pixels, for all classes at once, in every image."""
    arrays = row.cast(np.float32)
    kept = np.arange(row.arrays[row.differentiable[0]].shape[1]) % 3 != 1
    spoiled = {
        n: np.moveaxis(_nonsense(np.moveaxis(a, 1, 0), kept), 0, 1) for n, a in arrays.items()
    }
    shape = next(iter(arrays.values())).shape
    mask = np.broadcast_to(kept.reshape(-1, *[1] * (len(shape) - 2)), (*shape[:-1], 1))
    found = first(row, setting)({**spoiled, "where": mask})
    expected = first(row, setting)({name: a[:, kept] for name, a in arrays.items()})
    chex.assert_trees_all_close(found.value, expected.value, **close)
    for name, gradient in found.gradient.items():
        assert not np.any(np.asarray(gradient)[:, ~kept])
        chex.assert_trees_all_close(gradient[:, kept], expected.gradient[name], **close)


@held("all_masked", every_setting=True)
def test_all_masked_is_zero(row, setting):
    if not row.takes_where or row.padded:
        return
    nothing = np.zeros_like(KEPT)
    found = first(row, setting)(_masked(row, _spoil(row, row.cast(np.float32), nothing), nothing))
    for leaf in floats(found.value) + floats(found.gradient):
        assert not np.any(np.asarray(leaf))


@held("where")
def test_a_mask_that_is_not_boolean_or_does_not_fit_is_refused(row, setting):
    if not row.takes_where or row.padded:
        return
    arrays, shape = row.cast(np.float32), _mask_shape(row)
    with pytest.raises(TypeError, match=r"`where` has dtype float32"):
        row.batched(**setting)(**arrays, where=np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=r"`where` has shape"):
        row.batched(**setting)(**arrays, where=np.ones((*shape, 2), bool))


def _mask_shape(row):
    by_element = row.kind in {Kind.REDUCTION, Kind.REGION}
    return next(iter(row.arrays.values())).shape if by_element else row.result


def _masked(row, arrays, kept):
    """`arrays` with a `where` over the results that keeps the rows `kept`."""
    shape = _mask_shape(row)
    return {**arrays, "where": np.broadcast_to(_expand(kept, np.empty(shape)), shape)}


def _spoil(row, arrays, kept):
    return {n: a if n in row.shared else _nonsense(a, kept) for n, a in arrays.items()}


def _nonsense(array, kept):
    """NaN, or a label that no class has, where `kept` is False; masks stay."""
    if array.dtype == bool:
        return array
    value = np.nan if array.dtype.kind == "f" else 1_000_000
    return np.where(_expand(kept, array), array, np.asarray(value, array.dtype))


def _expand(mask, array):
    return mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))
