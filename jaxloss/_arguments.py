"""Arguments made arrays once; their shapes and dtypes are checked while tracing, in one wording.

A public function makes one `Arguments` with its own name, passes every argument through it, and
works on arrays of one floating dtype afterwards.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Unpack

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, export
from jax.typing import ArrayLike

from jaxloss._bounds import Bounds, broken

Shape = tuple[int, ...]
Like = Array | jax.ShapeDtypeStruct


def hide(where: Array | None, *arrays: Array) -> tuple[Array, ...]:
    """`arrays` with 0 where `where` is False, so that no masked value is computed with."""
    if where is None:
        return arrays
    return tuple(jnp.where(where, array, jnp.zeros((), array.dtype)) for array in arrays)


def keep(where: Array | None, losses: Array) -> Array:
    """`losses`, exactly 0 in value and gradient where `where` is False."""
    return losses if where is None else jnp.where(where, losses, jnp.zeros((), losses.dtype))


def broadcast_shape(*arrays: Array) -> Shape:
    """The shape that arrays of equal rank have together."""
    return jnp.broadcast_shapes(*(array.shape for array in arrays))


def kind_of(value: object) -> str:
    """What a wrong argument is, in words."""
    if isinstance(value, jax.core.Tracer):
        return f"a traced array of shape {value.shape}"
    if isinstance(value, jax.Array | np.ndarray):
        return f"an array of shape {value.shape}"
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def result_like(*arrays: Array) -> jax.ShapeDtypeStruct:
    """What hyperparameters of arrays of equal rank broadcast against: their shape together."""
    return jax.ShapeDtypeStruct(broadcast_shape(*arrays), arrays[0].dtype)


@dataclass(frozen=True)
class Arguments:
    """Checks the arguments of the public function called `function`."""

    function: str

    def array(self, name: str, value: ArrayLike | None) -> Array:
        """`value` as a JAX array; lists, tuples and None are refused.

        What has an array inside and says so, as a parameter of `flax.nnx` does, is that array.
        """
        if isinstance(value, jax.Array):
            return value
        inside = getattr(value, "__jax_array__", None)
        if inside is not None:
            return jnp.asarray(inside())
        if not isinstance(value, np.ndarray | np.generic | bool | int | float):
            raise TypeError(
                f"`{self.function}`: `{name}` is {kind_of(value)}, expected an array; "
                f"convert it with `jnp.asarray`"
            )
        try:
            return jnp.asarray(value)
        except TypeError:
            raise TypeError(
                f"`{self.function}`: `{name}` has dtype {np.asarray(value).dtype}, which JAX has "
                f"not; cast it with `.astype(np.float32)`"
            ) from None
        except OverflowError:
            raise ValueError(
                f"`{self.function}`: `{name}` is {value}, which is too large for an integer here; "
                f"write it as a floating-point number"
            ) from None

    def floats(self, **values: ArrayLike) -> tuple[Array, ...]:
        """Arrays in the dtype computed in: the widest of theirs and float32.

        The first is the prediction and must be floating point already; the others are cast.
        """
        arrays = {name: self.array(name, value) for name, value in values.items()}
        first = next(iter(arrays))
        self._require(
            f"`{first}` has dtype {arrays[first].dtype}, expected floating point; "
            f"cast it with `.astype(jnp.float32)`",
            chex.assert_type,
            arrays[first],
            float,
            error=TypeError,
        )
        for name, array in arrays.items():
            self._real(name, array)
        wide = any(array.dtype == jnp.float64 for array in arrays.values())
        dtype = jnp.float64 if wide else jnp.float32
        return tuple(array.astype(dtype) for array in arrays.values())

    def pair(self, **values: ArrayLike) -> tuple[Array, ...]:
        """`floats` of equal rank whose dimensions are equal or 1: nothing else broadcasts."""
        arrays = self.floats(**values)
        (first, *names), (reference, *others) = values, arrays
        for name, array in zip(names, others, strict=True):
            self.broadcastable(name, array, reference.shape, f"`{first}`")
        return arrays

    def masked_pair(
        self, where: ArrayLike | None, **values: ArrayLike
    ) -> tuple[tuple[Array, ...], Array | None]:
        """`pair` with 0 where a mask of the result is False, and that mask."""
        arrays = self.pair(**values)
        mask = self.where(where, broadcast_shape(*arrays))
        return hide(mask, *arrays), mask

    def broadcastable(
        self, name: str, array: Array, shape: Shape, what: str, *, within: bool = False
    ) -> None:
        """Refuses an `array` of another rank than `shape`, or with a dimension that clashes.

        And one that is more than 1 where `shape` is 1, if it has to be `within` that.
        """
        fits = array.ndim == len(shape) and all(
            a == b or a == 1 or (b == 1 and not within)
            for a, b in zip(array.shape, shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`{self.function}`: `{name}` has shape {array.shape}, expected the rank of {what} "
                f"{shape} with each dimension equal or 1; reshape it, or add dimensions of 1 "
                f"with `jnp.expand_dims`"
            )

    def shape(self, name: str, array: Array, expected: tuple[Any, ...], what: str) -> None:
        """Refuses an `array` that is not of the `expected` shape (`...` and None match any)."""
        self._require(
            f"`{name}` has shape {array.shape}, expected {_readable(expected)}: {what}",
            chex.assert_shape,
            array,
            expected,
        )

    def where(
        self, where: ArrayLike | None, shape: Shape, what: str = "the losses"
    ) -> Array | None:
        """The mask as a boolean array that broadcasts against `shape` without changing it."""
        if where is None:
            return None
        mask = self._boolean("where", where)
        self.broadcastable("where", mask, shape, what, within=True)
        return mask

    def parameter(
        self,
        name: str,
        value: ArrayLike,
        like: Like,
        axis: int = -1,
        *,
        hint: str = "",
        **bounds: Unpack[Bounds],
    ) -> Array:
        """A hyperparameter in the dtype of `like`, ready to broadcast against it.

        It is a scalar, a vector along `axis` of `like`, or of the rank of `like`, and within its
        `bounds` if it is known while tracing.
        """
        array = self.number(name, value)
        array = self.fitting(name, array, like, axis)
        self.within(name, value, hint, **bounds)
        return array

    def number(self, name: str, value: ArrayLike) -> Array:
        """An array of numbers, which True and False are not."""
        array = self.array(name, value)
        if array.dtype == bool:
            raise TypeError(
                f"`{self.function}`: `{name}` is boolean, expected a number; did you mean `where=`?"
            )
        return array

    def fitting(self, name: str, value: ArrayLike, like: Like, axis: int = -1) -> Array:
        """Numbers of the shapes that a hyperparameter has, in the dtype of `like`."""
        array = self.array(name, value)
        self._real(name, array)
        array = array.astype(like.dtype)
        if array.ndim == 0:
            return array
        if array.ndim == 1 and like.ndim > 1 and array.shape[0] in (1, like.shape[axis]):
            return jnp.expand_dims(array, [i for i in range(like.ndim) if i != axis % like.ndim])
        fits = array.ndim == like.ndim and all(
            a in (1, b) for a, b in zip(array.shape, like.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`{self.function}`: `{name}` has shape {array.shape}, expected a scalar, "
                f"{(like.shape[axis],) if like.ndim else '()'} along axis {axis}, or the rank of "
                f"{like.shape} with each dimension equal or 1"
            )
        return array

    def scalar(
        self, name: str, value: ArrayLike, like: Like, *, hint: str = "", **bounds: Unpack[Bounds]
    ) -> Array:
        """A hyperparameter of no dimensions, otherwise as `parameter` takes it."""
        array = self.number(name, value)
        self.shape(name, array, (), "a scalar; map over several with `jax.vmap`")
        return self.parameter(name, value, like, hint=hint, **bounds)

    def within(self, name: str, value: object, hint: str = "", **bounds: Unpack[Bounds]) -> None:
        """Refuses a number outside `bounds` if it is known while tracing; JAX arrays pass."""
        message = broken(value, bounds)
        if message:
            raise ValueError(f"`{self.function}`: `{name}` {message}{'; ' if hint else ''}{hint}")

    def count(
        self, name: str, value: object, why: str = "the shape of the result hangs on it"
    ) -> int:
        """A static whole number, 0 or more."""
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(
                f"`{self.function}`: `{name}` is {kind_of(value)}, expected a Python integer: {why}"
            )
        if value < 0:
            raise ValueError(f"`{self.function}`: `{name}` is {value}, expected 0 or more")
        return int(value)

    def switch(self, name: str, value: object) -> bool:
        """A static True or False."""
        if not isinstance(value, bool | np.bool_):
            shown = repr(value) if isinstance(value, str | int | float) else kind_of(value)
            raise TypeError(
                f"`{self.function}`: `{name}` is {shown}, expected True or False, known while "
                f"tracing: it selects a formula"
            )
        return bool(value)

    def state(self, value: object, kind: type[Any], made_by: str) -> None:
        """Refuses a state that is not of its `kind`."""
        if not isinstance(value, kind):
            raise TypeError(
                f"`{self.function}`: `state` is {kind_of(value)}, expected a {kind.__name__}: "
                f"start with `{made_by}`, go on with the state that the call before returned"
            )

    def mask(self, name: str, value: ArrayLike, shape: Shape, what: str) -> Array:
        """A boolean array of exactly `shape`."""
        array = self._boolean(name, value)
        self.shape(name, array, shape, what)
        return array

    def labels(self, name: str, value: ArrayLike, shape: Shape) -> Array:
        """Integer labels of exactly `shape`."""
        array = self.array(name, value)
        what = "one label an example" if shape else "one label"
        self._require(
            f"`{name}` has dtype {array.dtype}, expected integers: {what}; "
            f"cast with `.astype(jnp.int32)`",
            chex.assert_type,
            array,
            int,
            error=TypeError,
        )
        self.shape(name, array, shape, what)
        return array

    def sizes(self, name: str, value: Any) -> tuple[int, int]:
        """Height and width, static whole numbers, or dimensions of a symbolic shape."""
        fits = isinstance(value, tuple) and len(value) == 2
        if not fits or not all(_is_size(n) for n in value):
            raise ValueError(
                f"`{self.function}`: `{name}` is {value}, expected a tuple of two whole numbers, 0 "
                f"or more: height and width"
            )
        height, width = value
        return height, width

    def length(self, name: str, value: Any, expected: int, what: str) -> None:
        """Refuses a tuple of settings that has not the `expected` length."""
        if not isinstance(value, tuple) or len(value) != expected:
            raise ValueError(
                f"`{self.function}`: `{name}` is {value}, expected a tuple of {expected}: {what}"
            )

    def numbers(self, name: str, value: Any, what: str, **bounds: Unpack[Bounds]) -> None:
        """Refuses what is no tuple of numbers within their `bounds`."""
        known = isinstance(value, tuple) and all(isinstance(n, int | float) for n in value)
        if not known:
            raise ValueError(
                f"`{self.function}`: `{name}` has {value!r}, expected a tuple of numbers: {what}"
            )
        for number in value:
            self.within(name, number, **bounds)

    def axes(self, axis: int | tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
        """The axes counted from the front; None is all of them."""
        axes = tuple(range(rank)) if axis is None else axis
        try:
            return tuple(np.lib.array_utils.normalize_axis_tuple(axes, rank))
        except (ValueError, TypeError):
            raise ValueError(
                f"`{self.function}`: `axis` is {axis}, expected one axis, or a tuple of different "
                f"axes, of an array of {rank} dimensions"
            ) from None

    def axis(self, axis: int, rank: int, name: str = "axis") -> int:
        """One axis counted from the front."""
        if not isinstance(axis, int | np.integer) or not -rank <= axis < rank:
            raise ValueError(
                f"`{self.function}`: `{name}` is {axis}, expected one axis of an array of {rank} "
                f"dimensions"
            )
        return int(axis) % rank

    def classes(self, shape: Shape, *axes: int) -> None:
        """Refuses a `shape` without classes along the `axes`."""
        if any(shape[axis] == 0 for axis in axes):
            along = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
            raise ValueError(
                f"`{self.function}`: there are no classes along {along} of an array of shape "
                f"{shape}, expected one at least"
            )

    def function_of_boxes(self, name: str, value: object) -> Callable[..., Any]:
        """Refuses what cannot be called."""
        if not callable(value):
            raise TypeError(
                f"`{self.function}`: `{name}` is {kind_of(value)}, expected a function of "
                f"two boxes, such as `jaxloss.boxes.iou`"
            )
        return value

    def similarity(self, name: str, value: object, sides: int, dtype: Any) -> None:
        """Refuses what is no function of two boxes `[..., sides]` with a result `[...]`."""
        function = self.function_of_boxes(name, value)
        one, two = (jax.ShapeDtypeStruct((count, sides), dtype) for count in (1, 2))
        shape = getattr(jax.eval_shape(function, one, two), "shape", None)
        if shape != (2,):
            raise ValueError(
                f"`{self.function}`: `{name}` makes {shape} of boxes {one.shape} and {two.shape}, "
                f"expected (2,): boxes that broadcast, not all pairs as of `pairwise`"
            )

    def option(self, name: str, value: object, options: Iterable[object], remedy: str) -> None:
        """Refuses a `value` that is none of the `options`."""
        known = list(options)
        if value not in known:
            names = ", ".join(repr(option) for option in known)
            raise ValueError(
                f"`{self.function}`: `{name}` is {value!r}, expected one of {names}; {remedy}"
            )

    def _boolean(self, name: str, value: ArrayLike) -> Array:
        array = self.array(name, value)
        self._require(
            f"`{name}` has dtype {array.dtype}, expected bool; compare to make it one, as in "
            f"`weights > 0`",
            chex.assert_type,
            array,
            bool,
            error=TypeError,
        )
        return array

    def _real(self, name: str, array: Array) -> None:
        if jnp.issubdtype(array.dtype, jnp.complexfloating):
            raise TypeError(
                f"`{self.function}`: `{name}` has dtype {array.dtype}, expected real numbers"
            )

    def _require(
        self,
        message: str,
        assertion: Callable[..., None],
        *values: object,
        error: type[Exception] = ValueError,
    ) -> None:
        try:
            assertion(*values)
        except AssertionError:
            raise error(f"`{self.function}`: {message}") from None


def _is_size(value: Any) -> bool:
    whole = isinstance(value, int | np.integer)
    return value >= 0 if whole else export.is_symbolic_dim(value)


def _readable(shape: tuple[Any, ...]) -> str:
    sizes = ["..." if size is ... else "any" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
