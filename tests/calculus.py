"""What the rooms' tests measure functions with: differences, derivatives, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def differences(function, x, step=1e-5):
    """Central differences of a sum, one element at a time."""
    slopes = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = x.copy()
        moved[index] += step
        above = function(moved).sum()
        moved[index] -= 2 * step
        slopes[index] = (above - function(moved).sum()) / (2 * step)
    return slopes


def both(function, x):
    """Values, and the gradient of their sum, in one program."""

    def value_and_slope(x):
        value, pull = jax.vjp(function, x)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(value_and_slope)(x)


def relative(found, exact, least=1e-35):
    """The largest relative error where the exact number is no underflow."""
    found, exact = np.asarray(found, np.float64), np.asarray(exact, np.float64)
    error = np.abs(found - exact)[np.abs(exact) > least]
    return np.max(error / np.abs(exact)[np.abs(exact) > least])


def precision(function, x, least=1e-35):
    """Errors of value and gradient in float32, against the same function in float64."""

    found = both(function, x)
    with jax.enable_x64(True):
        exact = both(function, jnp.asarray(x, jnp.float64))
    return [relative(low, high, least) for low, high in zip(found, exact, strict=True)]


def assert_total(function, x, order=2):
    """Value, gradient, Hessian-vector product (and what else `order` asks) are finite."""
    tangent = jnp.full(x.shape, 0.5, x.dtype)
    derivative = jax.grad(lambda x: jnp.sum(function(x)))
    derivatives = [function, derivative]
    for _ in range(order - 1):
        derivatives.append(lambda x, f=derivatives[-1]: jax.jvp(f, (x,), (tangent,))[1])
    for found in jax.jit(lambda x: [f(x) for f in derivatives])(x):
        assert np.isfinite(found).all()


def few(*values, first=3):
    """Parameters of which the first few run, and the others in thorough runs."""
    late = (pytest.param(value, marks=pytest.mark.thorough) for value in values[first:])
    return [*values[:first], *late]
