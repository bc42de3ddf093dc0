"""An error is for people: it names the function, the argument, what it got and what it wants."""

import re

import jax
import numpy as np
import pytest

from tests.laws.table import held
from tests.registry import Kind

BOXES = {Kind.BOX, Kind.PAIRWISE, Kind.GEOMETRY}


def one(row):
    """The example as the function itself takes it: one image of it where it takes one image."""
    arrays = row.cast(np.float32)
    if row.per_image:
        arrays = {name: a if name in row.shared else a[1] for name, a in arrays.items()}
    return arrays


def refused(row, setting, error, arrays, *words):
    with pytest.raises(error) as caught:
        jax.eval_shape(lambda: row.function(**arrays, **setting))
    message = str(caught.value)
    assert f"`{row.name.split('.')[-1]}`" in message, message
    for word in words:
        assert re.search(word, message), (word, message)


@held("errors")
def test_lists_are_refused(row, setting):
    arrays = one(row)
    for name, array in arrays.items():
        refused(row, setting, TypeError, {**arrays, name: array.tolist()}, f"`{name}` is a list")


@held("errors")
def test_predictions_that_are_not_floating_are_refused(row, setting):
    arrays = one(row)
    name, array = next(iter(arrays.items()))
    if array.dtype.kind != "f":
        return
    wrong = {**arrays, name: array.astype(np.int32)}
    refused(row, setting, TypeError, wrong, f"`{name}` has dtype int32", "expected")


@held("errors")
def test_another_rank_is_refused(row, setting):
    arrays = one(row)
    for name in set(arrays) - row.any_shape:
        wrong = {**arrays, name: arrays[name][None]}
        refused(row, setting, ValueError, wrong, r"`\w+` has shape \(", "expected")


@held("errors")
def test_another_length_is_refused(row, setting):
    arrays = one(row)
    for name in set(arrays) - row.any_shape:
        wrong = {**arrays, name: np.concatenate([arrays[name]] * 2)}
        refused(row, setting, ValueError, wrong, r"`\w+` has shape \(", "expected")


@held("errors")
def test_boxes_have_four_numbers(row, setting):
    if row.kind not in BOXES:
        return
    arrays = one(row)
    name, array = next(iter(arrays.items()))
    wrong = {**arrays, name: array[..., :-1]}
    refused(row, setting, ValueError, wrong, f"`{name}` has shape", r"expected \(\.\.\., ")
