"""Rules that give a loss its derivatives."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from jaxloss._platform import tracing_for_tpu, undivided

Places = tuple[int, ...]


def weighted(slopes: tuple[Array, ...], tangents: tuple[Array, ...]) -> Array:
    """The sum of slopes times tangents, over the tangents that are not known to be 0."""
    pairs = zip(slopes, tangents, strict=True)
    terms = [slope * tangent for slope, tangent in pairs if not isinstance(tangent, SymbolicZero)]
    return functools.reduce(operator.add, terms)


def pullback(
    function: Callable[..., Any], varied: Places, inputs: Sequence[Any]
) -> tuple[Any, Callable[..., Any]]:
    """`jax.vjp` of the inputs at the places `varied` alone."""

    of_varied = _of_varied(function, varied, inputs)
    result: tuple[Any, Callable[..., Any]] = jax.vjp(of_varied, *(inputs[i] for i in varied))
    return result


def _of_varied(
    function: Callable[..., Any], varied: Places, inputs: Sequence[Any]
) -> Callable[..., Any]:
    def of_varied(*values: Any) -> Any:
        changed = dict(zip(varied, values, strict=True))
        return function(*(changed.get(place, x) for place, x in enumerate(inputs)))

    return of_varied


def known_at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which a rule calls to be evaluated.

    JAX linearises a rule by tracing all its branches and jits again, to find out what in them
    depends on tangents, but for functions with a rule of their own.
    """
    whole = jax.custom_jvp(function)

    def jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        varied = varied_places(tangents)
        chosen, changes = (tuple(x[place] for place in varied) for x in (primals, tangents))
        result: tuple[Any, Any] = jax.jvp(_of_varied(function, varied, primals), chosen, changes)
        return result

    whole.defjvp(jvp, symbolic_zeros=True)
    return whole


def varied_places(tangents: Sequence[Any]) -> Places:
    """Those of the tangents that are not known to be 0."""
    return tuple(i for i, x in enumerate(tangents) if not isinstance(x, SymbolicZero))


def elementwise(loss: Callable[..., Array], *, expensive: int = 1) -> Callable[..., Array]:
    """`loss`, a function of arrays that broadcast, whose value and slopes need one pass over them.

    Plain differentiation of a loss with exponentials keeps them between its value and its slopes:
    on a GPU that is 3 to 5 times the memory traffic of the inputs and the gradient, and full-size
    temporaries. So the slopes start from the inputs again. A TPU fuses both into one kernel that
    is bound by arithmetic, and shares what they share; a CPU writes that once and works on vectors.
    Every transformation, and export for several platforms at once, passes through it.
    `expensive` is how many of the first inputs the exponentials are of; those are finite or NaN
    but for the first.
    """

    @jax.custom_jvp
    def function(*inputs: Array) -> Array:
        losses: Array = lax.platform_dependent(
            *jnp.broadcast_arrays(*inputs), cpu=_on_vectors(value), default=value
        )
        return losses

    def value(*inputs: Array) -> Array:
        return settled(loss(*inputs))

    def value_and_slopes(varied: Places, *inputs: Array) -> tuple[Array, tuple[Array, ...]]:
        losses, pull = pullback(loss, varied, inputs)
        return settled(losses), pull(jnp.ones_like(losses))

    def of_tpu(varied: Places, *inputs: Array) -> tuple[Array, tuple[Array, ...]]:
        with tracing_for_tpu():
            return value_and_slopes(varied, *inputs)

    def apart(varied: Places, *inputs: Array) -> tuple[Array, tuple[Array, ...]]:
        again = map(_unmerged, inputs[:expensive])
        _, slopes = value_and_slopes(varied, *again, *inputs[expensive:])
        return value(*inputs), slopes

    def jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
        varied = varied_places(tangents)
        by_platform = functools.partial(
            lax.platform_dependent,
            tpu=functools.partial(of_tpu, varied),
            cpu=_on_vectors(functools.partial(value_and_slopes, varied)),
            default=functools.partial(apart, varied),
        )
        losses, slopes = known_at_once(by_platform)(*jnp.broadcast_arrays(*primals))
        return losses, weighted(slopes, tuple(tangents[place] for place in varied))

    function.defjvp(jvp, symbolic_zeros=True)
    return function


def _unmerged(x: Array) -> Array:
    """`x` in a text that no compiler takes for `x`, so that it computes twice what follows."""
    return jnp.maximum(x, np.finfo(x.dtype).min)


def _on_vectors(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays of one shape, whose results have it, too, on vectors instead."""

    def on_vectors(*inputs: Array) -> Any:
        results = function(*_in_line(*inputs))
        return jax.tree.map(lambda x: x.reshape(inputs[0].shape), results)

    return on_vectors


def _in_line(first: Array, *others: Array) -> tuple[Array, ...]:
    """Arrays of one shape as vectors.

    XLA for CPUs vectorises the innermost axis alone, and what is left over of it by 8 is done one
    by one. It would move the reshaping behind the arithmetic, if the first vector were not mixed
    with one that has no other shape: the sign of a count, which is 0.
    """
    static = all(isinstance(size, int) for size in first.shape)
    if first.ndim < 2 or not static or first.size > np.iinfo(np.int32).max or not undivided():
        return (first, *others)
    line = [array.reshape(-1) for array in (first, *others)]
    integer = jnp.int64 if first.dtype == jnp.float64 else jnp.int32
    zero = lax.iota(integer, line[0].size) >> (np.iinfo(integer).bits - 1)
    bits = lax.bitcast_convert_type(line[0], integer) | zero
    return (lax.bitcast_convert_type(bits, first.dtype), *line[1:])


def written_together(tangents: tuple[Any, ...]) -> tuple[Any, ...]:
    """`tangents`, whose cotangents are written by one kernel of a CPU.

    XLA for CPUs makes a kernel of each array, which reads all inputs again, but for reductions of
    several arrays: so this is one, over an axis of two numbers of which one is 0.
    """
    present = [t for t in tangents if not isinstance(t, SymbolicZero)]
    if len(present) < 2 or len({t.shape for t in present}) > 1 or not undivided():
        return tangents

    def written(_: Any, arrays: list[Array]) -> list[Array]:
        return list(lax.platform_dependent(*arrays, cpu=_in_one_kernel, default=_unchanged))

    # What is solved is x = t: the only linear function whose transpose can be given and is
    # differentiable again.
    joined = iter(lax.custom_linear_solve(lambda x: x, present, lambda _, t: t, written))
    return tuple(t if isinstance(t, SymbolicZero) else next(joined) for t in tangents)


@jax.custom_jvp
def computed_together(*arrays: Array) -> tuple[Array, ...]:
    """`arrays` of one shape, which one kernel computes, with what they share only once.

    A CPU's kernels have one result each, if they do not reduce. A GPU joins them with whatever
    follows, such as the sum of the losses; where their number is no product of two that suit such a
    sum, that takes two kernels, between which all they have in common is stored.
    """
    joined: tuple[Array, ...] = lax.platform_dependent(
        *arrays,
        cpu=_in_one_kernel if undivided() else _unchanged,
        tpu=_unchanged,
        default=_before_all_else,
    )
    return joined


@computed_together.defjvp
def _computed_together_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return computed_together(*primals), tangents


def _unchanged(*arrays: Array) -> tuple[Array, ...]:
    return arrays


def _before_all_else(*arrays: Array) -> tuple[Array, ...]:
    joined: tuple[Array, ...] = lax.optimization_barrier(arrays)
    return joined


def _in_one_kernel(*arrays: Array) -> tuple[Array, ...]:
    axis = arrays[0].ndim
    first = lax.iota(jnp.int32, 2) == 0
    operands = tuple(
        jnp.where(jnp.expand_dims(first, tuple(range(axis))), jnp.expand_dims(x, axis), 0)
        for x in arrays
    )
    zeros = tuple(np.zeros((), x.dtype) for x in arrays)
    add = functools.partial(jax.tree.map, operator.add)
    return tuple(lax.reduce(operands, zeros, add, (axis,)))


def settled(losses: Array) -> Array:
    """`losses`, unchanged.

    XLA for CPUs hands arithmetic that ends in a sum to a library that does one operation at a
    time over whole arrays, several times as slow here; it does not look behind a rounding.
    """
    precision = np.finfo(losses.dtype)
    return lax.reduce_precision(losses, precision.nexp, precision.nmant)


def settled_in_line(losses: Array) -> Array:
    """`settled` losses, which a CPU computes as one vector, whatever their last axis is."""

    def on_cpu(losses: Array) -> Array:
        return _in_line(losses)[0].reshape(losses.shape)

    in_line: Array = lax.platform_dependent(settled(losses), cpu=on_cpu, default=lambda x: x)
    return in_line
