"""An error is for people: it names the function, the argument, what it got and what it wants."""

import inspect
import math
import re

import jax
import numpy as np
import pytest

from tests.laws.table import held
from tests.registry import Kind

# What a hyperparameter's docstring says of its range, and a number that is not in it.
NUMBERS = {"1/e": 1 / math.e, "pi": math.pi}
RANGE = re.compile(r"`(>=|>|<) (-?[\d.]+)`|\bin ([\[(])([\d.]+|1/e), ([\d.]+|pi)([\])])")
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


def ranges(row):
    """The hyperparameters that have a range, each with numbers just outside of it."""
    entries = re.split(r"^  (?=\w+: )", inspect.getdoc(row.function), flags=re.MULTILINE)
    for entry in entries[1:]:
        name, text = entry.split("\n\n")[0].split(": ", 1)
        if name not in inspect.signature(row.function).parameters or name in row.arrays:
            continue
        found = RANGE.search(text)
        if found and not text.startswith("`["):
            yield name, list(outside(*found.groups()))


def outside(sign, bound, opening, low, high, closing):
    if sign:
        yield int(bound) - 1 if sign == ">=" else float(bound)
        return
    low, high = (NUMBERS.get(end) or float(end) for end in (low, high))
    yield low if opening == "(" else low - 0.1
    yield high if closing == ")" else high + 0.1


def filled(default, number):
    """`number` in the place of every number of a tuple, or instead of one."""
    return jax.tree.map(lambda _: number, default) if isinstance(default, tuple) else number


@held("errors")
def test_known_hyperparameters_out_of_their_range_are_refused(row, setting):
    arrays = one(row)
    for name, numbers in ranges(row):
        default = setting.get(name, inspect.signature(row.function).parameters[name].default)
        for number in numbers:
            wrong = {**setting, name: filled(default, number)}
            refused(row, wrong, ValueError, arrays, rf"`{name}\S*` (is|holds) .*expected")


@held("errors")
def test_boolean_hyperparameters_are_refused(row, setting):
    arrays = one(row)
    for name in row.hyperparameters:
        wrong = {**setting, name: True}
        refused(row, wrong, TypeError, arrays, f"`{name}` is boolean", "did you mean `where=`")


@held("errors")
def test_arrays_inside_of_something_are_taken(row, setting):
    """A parameter of `flax.nnx` has `__jax_array__`."""
    arrays = one(row)
    expected = jax.eval_shape(lambda: row.function(**arrays, **setting))
    found = jax.eval_shape(
        lambda: row.function(**{n: Inside(a) for n, a in arrays.items()}, **setting)
    )
    assert found == expected


class Inside:
    def __init__(self, array):
        self.array = array

    def __jax_array__(self):
        return jax.numpy.asarray(self.array)
