"""How surprising a distribution is: to one who knows it, and to one who believes another."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._derivatives import settled, weighted
from jaxloss._logarithm import logarithm
from jaxloss._numerics import quotient
from jaxloss._reduced import Axis, reduced
from jaxloss.distribution._units import in_base


def information_content(
    probabilities: ArrayLike, *, base: ArrayLike | None = None, where: ArrayLike | None = None
) -> Array:
    """Information in an event of every probability: its surprise.

    Formula:
      `-log(p)` with `p` the probabilities, divided by `log(base)`.

    Args:
      probabilities: `[...]` in [0, 1].
      base: `> 0` and not 1, a scalar: 2 gives bits, 10 hartleys; e by default, nats. May be
        traced.
      where: boolean `[...]`; False makes the result exactly 0.

    Returns:
      `[...]` in [0, inf).

    Edge cases:
      Infinite at a probability of 0, and at one below the least normal number of its dtype, which
      XLA may take for 0; the gradient is `-1 / p`. A negative probability gives NaN.

    Differences:
      None known. Tutorials that take it in bits mean `base=2`.

    Raises:
      TypeError: an argument is a list, or `probabilities` are not floating point.
      ValueError: `base` is not a scalar, or `where` does not fit.

    Reference:
      Shannon, "A Mathematical Theory of Communication", 1948.

    Example:
      >>> print(jaxloss.information_content(jnp.array([0.5, 0.125, 1.0]), base=2))
      [1. 3. 0.]
    """
    check = Arguments("information_content")
    (p,) = check.floats(probabilities=probabilities)
    mask = check.where(where, p.shape)
    p = p if mask is None else jnp.where(mask, p, 1)
    return keep(mask, in_base(check, base, _information(p)))


def entropy(
    probabilities: ArrayLike,
    *,
    axis: Axis = -1,
    base: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Entropy of a distribution: the surprise that it holds on average.

    Formula:
      `-sum(p log(p))` with `p` the probabilities and `0 log(0) = 0`, divided by `log(base)`.

    Args:
      probabilities: `[..., C]` in [0, 1]; they are not made to sum to 1.
      axis: the axis or axes of the classes; None is all of them.
      base: `> 0` and not 1, a scalar: 2 gives bits, 10 hartleys; e by default, nats. May be
        traced.
      where: boolean, of the result's shape: False makes the result exactly 0; or of the rank of
        the probabilities: False removes a class from its row.

    Returns:
      `[...]`, the probabilities without `axis`, in [0, log(C)] for a distribution: 0 where it is
      certain, `log(C)` where it is uniform.

    Edge cases:
      The gradient is `-log(p) - 1`. At `p = 0`, where it is infinite, it is 0: a class that is
      absent stays so, and the gradient through a softmax in front is the exact one. A negative
      probability gives NaN.

    Differences:
      None known. Tutorials that take it in bits mean `base=2`.

    Raises:
      TypeError: an argument is a list, or `probabilities` are not floating point.
      ValueError: `axis` is no axis, `base` is not a scalar, or `where` has neither shape.

    Reference:
      Shannon, "A Mathematical Theory of Communication", 1948.

    Example:
      >>> print(jaxloss.entropy(jnp.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]), base=2))
      [1.5 0. ]
    """
    check = Arguments("entropy")
    rows = reduced(check, axis, where, *check.floats(probabilities=probabilities))
    return in_base(check, base, rows.total(_surprise(*rows.arrays)))


def cross_entropy(
    probabilities: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = -1,
    base: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of two distributions: the surprise of the targets to one who predicts.

    Formula:
      `-sum(t log(p))` with `p` the probabilities, `t` the targets and `0 log(0) = 0`, divided by
      `log(base)`.

    Args:
      probabilities: `[..., C]` in [0, 1], predicted; they are not made to sum to 1.
      targets: `[..., C]` in [0, 1], the probability of each class.
      axis: the axis or axes of the classes; None is all of them.
      base: `> 0` and not 1, a scalar: 2 gives bits, 10 hartleys; e by default, nats. May be
        traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        probabilities: False removes a class from its row.

    Returns:
      `[...]`, the probabilities without `axis`, in [0, inf): at least the targets' entropy.

    Edge cases:
      Infinite, with an infinite gradient, where a class is predicted with 0 and happens. Where it
      does not, it adds 0; with gradient `-log(p)` for its target, and 0 if both are 0. The gradient
      is `-t / p`. A negative probability gives NaN.

    Differences:
      Of logits, take `softmax_cross_entropy` in one step: it keeps the digits of a confident row,
      and is never infinite. It has no floor, unlike `binary_cross_entropy`. The opposite sign and
      logarithms to base 10 are slips of tutorials.

    Raises:
      TypeError: an argument is a list, or `probabilities` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, `base`
        is not a scalar, or `where` has neither shape.

    Reference:
      Good, "Rational Decisions", 1952.

    Example:
      >>> probabilities, targets = jnp.array([0.5, 0.25, 0.25]), jnp.array([0.0, 0.5, 0.5])
      >>> print(jaxloss.cross_entropy(probabilities, targets, base=2))
      2.0
    """
    check = Arguments("cross_entropy")
    arrays = check.pair(probabilities=probabilities, targets=targets)
    rows = reduced(check, axis, where, *arrays)
    return in_base(check, base, rows.total(_cross_surprise(*rows.arrays)))


@jax.custom_jvp
def _information(p: Array) -> Array:
    """-log(p), whose derivative shares nothing with it that a GPU would write."""
    return settled(0 - logarithm(p))


@_information.defjvp
def _information_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _information(*primals), -quotient(tangents[0], primals[0])


@jax.custom_jvp
def _surprise(p: Array) -> Array:
    """-p log(p), and 0 with derivative 0 at 0."""
    return settled(-p * logarithm(jnp.where(p == 0, 1, p)))


@_surprise.defjvp
def _surprise_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (p,) = primals
    slope = jnp.where(p == 0, 0, -1 - logarithm(jnp.where(p == 0, 1, p)))
    return _surprise(p), slope * tangents[0]


@jax.custom_jvp
def _cross_surprise(p: Array, t: Array) -> Array:
    """-t log(p), and 0 where both are 0."""
    return settled(-t * logarithm(_seen(p, t)))


def _cross_surprise_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    p, t = _seen(*primals), primals[1]
    return _cross_surprise(*primals), weighted((-quotient(t, p), -logarithm(p)), tangents)


_cross_surprise.defjvp(_cross_surprise_jvp, symbolic_zeros=True)


def _seen(p: Array, t: Array) -> Array:
    """The probabilities with 1 for classes that are neither predicted nor happen."""
    return jnp.where((p == 0) & (t == 0), 1, p)
