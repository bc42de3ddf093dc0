"""Residual losses against formulas in NumPy float64, check values, invariances and kinks."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss
from jaxloss import _lengths, _sums
from tests.calculus import few
from tests.registry._row import normal, uniform

P, T = normal(7, 3, seed=1, scale=2), normal(7, 3, seed=2)
R = P - T
X = np.abs(R)
E = np.e
INFINITY = np.inf


def huber(r, delta):
    return np.where(np.abs(r) <= delta, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))


def robust(r, alpha, scale):
    z = (r / scale) ** 2
    limits = {
        2: 0.5 * z,
        0: np.log1p(0.5 * z),
        -INFINITY: -np.expm1(-0.5 * z),
        INFINITY: np.expm1(0.5 * z),
    }
    if alpha in limits:
        return limits[alpha]
    distance = abs(alpha - 2)
    return distance / alpha * ((z / distance + 1) ** (alpha / 2) - 1)


def robust_slope(r, alpha, scale):
    z = (r / scale) ** 2
    if np.isinf(alpha):
        return r / scale**2 * np.exp(np.sign(alpha) * 0.5 * z)
    distance = abs(alpha - 2) if alpha != 2 else 1
    return r / scale**2 * (z / distance + 1) ** (alpha / 2 - 1)


def balanced(x, alpha, gamma, beta):
    b = np.expm1(gamma / alpha)
    inner = alpha / b * (b * x + beta) * np.log(b * x / beta + 1) - alpha * x
    return np.where(x < beta, inner, gamma * x + (gamma / b - alpha) * beta)


def focal(x, alpha, beta):
    inner = -alpha * x**2 * (2 * np.log(beta * x) - 1) / 4
    return np.where(
        x <= 1,
        inner,
        -alpha * np.log(beta) * x + (2 * alpha * np.log(beta) + alpha) / 4,
    )


def wing(x, width, curvature):
    constant = width - width * np.log(1 + width / curvature)
    return np.where(x < width, width * np.log(1 + x / curvature), x - constant)


def adaptive_wing(p, y, omega=14, theta=0.5, epsilon=1, alpha=2.1):
    d, n = np.abs(p - y), alpha - y
    t = (theta / epsilon) ** n
    A = omega * (1 / (1 + t)) * n * (theta / epsilon) ** (n - 1) / epsilon
    C = theta * A - omega * np.log(1 + t)
    return np.where(d < theta, omega * np.log(1 + np.abs(d / epsilon) ** n), A * d - C)


ALPHAS = (2.0, 1.0, 0.0, -2.0, -INFINITY, INFINITY, 1.5, 2.7, -7.0, 4.0)
REFERENCES = [
    (jaxloss.log_cosh, {}, np.log(np.cosh(R)), np.tanh(R)),
    (jaxloss.charbonnier_loss, {"epsilon": 0.3}, np.hypot(R, 0.3), R / np.hypot(R, 0.3)),
    *(
        (
            jaxloss.general_robust_loss,
            {"alpha": alpha, "scale": 1.7},
            robust(R, alpha, 1.7),
            robust_slope(R, alpha, 1.7),
        )
        for alpha in ALPHAS
    ),
    (
        jaxloss.balanced_l1_loss,
        {"alpha": 0.4, "gamma": 1.3, "beta": 0.6},
        balanced(X, 0.4, 1.3, 0.6),
        np.sign(R) * np.minimum(0.4 * np.log1p(np.expm1(1.3 / 0.4) * X / 0.6), 1.3),
    ),
    (
        jaxloss.focal_l1_loss,
        {"beta": 0.6, "alpha": 1.4},
        focal(X, 1.4, 0.6),
        np.sign(R) * np.where(X <= 1, -1.4 * X * np.log(0.6 * X), -1.4 * np.log(0.6)),
    ),
    (
        jaxloss.wing_loss,
        {"width": 0.8, "curvature": 0.3},
        wing(X, 0.8, 0.3),
        np.sign(R) * np.where(X < 0.8, 0.8 / (0.3 + X), 1),
    ),
    (
        jaxloss.quantile_loss,
        {"quantile": 0.9},
        np.maximum(0.9 * -R, -0.1 * -R),
        np.where(R < 0, -0.9, 0.1),
    ),
    (jaxloss.squared_error, {}, R**2, 2 * R),
    (jaxloss.l2_loss, {}, R**2 / 2, R),
    (jaxloss.absolute_error, {}, np.abs(R), np.sign(R)),
    (jaxloss.huber_loss, {"delta": 0.7}, huber(R, 0.7), np.clip(R, -0.7, 0.7)),
    (jaxloss.smooth_l1_loss, {"beta": 0.7}, huber(R, 0.7) / 0.7, np.clip(R / 0.7, -1, 1)),
    (jaxloss.smooth_l1_loss, {"beta": 0.0}, np.abs(R), np.sign(R)),
]


@pytest.mark.parametrize(("loss", "setting", "value", "slope"), REFERENCES)
def test_value_and_gradient_are_the_formulas(loss, setting, value, slope):
    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda p, t: loss(p, t, **setting), P, T)
        chex.assert_trees_all_close(found, value, rtol=1e-12, atol=1e-14)
        down, up = pull(jnp.ones_like(found))
    chex.assert_trees_all_close((down, up), (slope, -slope), rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "setting", "at_03", "at_17"),
    [
        (jaxloss.smooth_l1_loss, {}, 0.045, 1.2),
        (jaxloss.smooth_l1_loss, {"beta": 1 / 9}, 0.2444444444, 1.644444444),
        (jaxloss.huber_loss, {"delta": 0.5}, 0.045, 0.725),
        (jaxloss.log_cosh, {}, 0.04434076993, 1.03968129),
        (jaxloss.charbonnier_loss, {}, 0.3000016667, 1.700000294),
        (jaxloss.wing_loss, {}, 1.397619424, 6.151856391),
        (jaxloss.balanced_l1_loss, {}, 0.185820804, 2.128593545),
        *(
            (jaxloss.general_robust_loss, {"alpha": alpha, "scale": 0.5}, at_03, at_17)
            for alpha, at_03, at_17 in [
                (2.0, 0.18, 5.78),
                (1.0, 0.166190379, 2.544009029),
                (0.0, 0.1655144385, 1.913977102),
                (-2.0, 0.1651376147, 1.485861183),
                (-INFINITY, 0.1647297886, 0.9969112846),
                (1.5, 0.1673061302, 3.294620257),
            ]
        ),
    ],
)
def test_check_values(loss, setting, at_03, at_17):
    with jax.enable_x64(True):
        found = loss(np.array([0.3, -1.7]), **setting)
    np.testing.assert_allclose(found, [at_03, at_17], rtol=1e-9)


def test_huber_is_delta_times_smooth_l1_even_by_column():
    delta = np.array([0.1, 0.7, 3.0], np.float32)
    huber = jaxloss.huber_loss(R.astype(np.float32), delta=delta)
    smooth = jaxloss.smooth_l1_loss(R.astype(np.float32), beta=delta)
    chex.assert_trees_all_close(huber, delta[None] * smooth, rtol=1e-6)


@pytest.mark.parametrize(
    "loss", [jaxloss.absolute_error, lambda r: jaxloss.smooth_l1_loss(r, beta=0.0)]
)
def test_the_kink_has_derivative_zero(loss):
    assert jax.grad(loss)(0.0) == 0


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10])
def test_smooth_l1_scales_with_its_unit(scale):
    residual = jnp.float32(0.3)
    plain = jaxloss.smooth_l1_loss(residual, beta=0.5)
    scaled = jaxloss.smooth_l1_loss(residual * scale, beta=0.5 * scale)
    np.testing.assert_allclose(scaled, plain * scale, rtol=1e-6)


def test_nan_is_never_a_number():
    for loss, setting, *_ in REFERENCES:
        assert jnp.isnan(loss(jnp.float32(jnp.nan), jnp.float32(0), **setting))
        assert jnp.isnan(jax.grad(loss)(jnp.float32(jnp.nan), jnp.float32(0), **setting))
    for two in (partial(jaxloss.quantile_loss, quantile=0.9), jaxloss.adaptive_wing_loss):
        assert np.isnan(jax.value_and_grad(two)(jnp.float32(jnp.nan), jnp.float32(0))).all()
        assert np.isnan(jax.grad(two, 1)(jnp.float32(0), jnp.float32(jnp.nan)))


def test_dimensions_of_one_broadcast_and_nothing_else():
    assert jaxloss.squared_error(jnp.ones((4, 1)), jnp.ones((1, 3))).shape == (4, 3)
    with pytest.raises(ValueError, match=r"`huber_loss`: `targets` has shape \(4,\).*\(4, 1\)"):
        jaxloss.huber_loss(jnp.ones((4, 1)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"`huber_loss`: `delta` has shape \(4,\)"):
        jaxloss.huber_loss(jnp.ones((4, 3)), delta=jnp.ones(4))


def test_check_values_of_losses_of_two_arguments():
    with jax.enable_x64(True):
        tilted = jaxloss.quantile_loss(np.zeros(2), np.array([0.3, 1.7]), quantile=0.9)
        maps = np.array([0.7, 0.8, 0.1]), np.array([1.0, 0.0, 0.5])
        waves = jaxloss.adaptive_wing_loss(*maps)
    np.testing.assert_allclose(tilted, [0.27, 1.53], rtol=1e-9)
    np.testing.assert_allclose(waves, [3.301745698, 6.271661581, 2.907664917], rtol=1e-9)


def differences(function, x, step=1e-6):
    """Central differences of a function of one element each."""
    return (function(x + step) - function(x - step)) / (2 * step)


@pytest.mark.parametrize(
    "setting", [{}, {"omega": 5.0, "theta": 0.3, "epsilon": 0.6, "alpha": 2.7}]
)
def test_adaptive_wing_is_the_formula(setting):
    y = uniform(7, 3, seed=4)
    p = y + normal(7, 3, seed=5, scale=0.5)
    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda p, y: jaxloss.adaptive_wing_loss(p, y, **setting), p, y)
        down, up = pull(jnp.ones_like(found))
    np.testing.assert_allclose(found, adaptive_wing(p, y, **setting), rtol=1e-12)
    np.testing.assert_allclose(down, differences(lambda p: adaptive_wing(p, y, **setting), p), 1e-6)
    np.testing.assert_allclose(up, differences(lambda y: adaptive_wing(p, y, **setting), y), 1e-6)


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_likelihood_is_the_formula(full):
    variance = uniform(7, 1, seed=6, low=0.1, high=3.0)
    constant = 0.5 * np.log(2 * np.pi) if full else 0

    def formula(v):
        return 0.5 * (np.log(v) + R**2 / v) + constant

    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda v: jaxloss.gaussian_nll_loss(P, T, v, full=full), variance)
        slope = pull(jnp.ones_like(found))[0]
    np.testing.assert_allclose(found, formula(variance), rtol=1e-12)
    expected = differences(formula, variance).sum(1, keepdims=True)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_a_small_variance_counts_as_the_least_but_is_not_stuck_and_a_negative_one_is_nan():
    def loss(v):
        return jaxloss.gaussian_nll_loss(jnp.float32(2.0), jnp.float32(0.5), v, epsilon=0.5)

    both = jax.jit(jax.vmap(jax.value_and_grad(loss)))
    value, slope = both(jnp.array([0.5, 0.1, 0.0, -0.1]))
    assert value[0] == value[1] == value[2]
    assert slope[0] == slope[1] == slope[2] != 0
    assert jnp.isnan(value[3])
    assert jnp.isnan(slope[3])


@pytest.mark.parametrize("axis", [-1, 0, (0, 1), None])
def test_root_mean_squared_error_is_the_formula(axis):
    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda p: jaxloss.root_mean_squared_error(p, T, axis=axis), P)
        slope = pull(jnp.ones_like(found))[0]
    expected = np.sqrt(np.mean(R**2, axis, keepdims=True))
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-12)
    np.testing.assert_allclose(slope, R / (expected * R.size / expected.size), rtol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
def test_root_mean_squared_error_of_any_size(size):
    residual = jnp.full((1, 4), size, jnp.float32)
    value, slope = jax.value_and_grad(
        lambda r: jaxloss.root_mean_squared_error(r, jnp.zeros_like(r))[0]
    )(residual)
    np.testing.assert_allclose(value, np.float32(size), rtol=1e-6)
    np.testing.assert_allclose(slope, np.full((1, 4), 0.25 if size else 0), rtol=1e-6)


@pytest.mark.parametrize("axis", few(-1, (0, 1), 0, None, first=2))
@pytest.mark.parametrize("epsilon", few(4.0, 0.0, first=1))
def test_cosines_are_the_formula(axis, epsilon):
    def unit(x):
        square = np.sum(x**2, axis, keepdims=True)
        return x / np.sqrt(np.maximum(square, epsilon))

    def formula(p):
        return np.sum(unit(p) * unit(T), axis)

    setting = {"axis": axis, "epsilon": epsilon}
    with jax.enable_x64(True):
        near = jaxloss.cosine_similarity(P, T, **setting)
        far, pull = jax.vjp(lambda p: jaxloss.cosine_distance(p, T, **setting), P)
        slope = pull(jnp.ones_like(far))[0]
    np.testing.assert_allclose(near, formula(P), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(far, 1 - formula(P), rtol=1e-12, atol=1e-14)
    for index in np.ndindex(P.shape):
        moved = [P.copy(), P.copy()]
        moved[0][index] += 1e-6
        moved[1][index] -= 1e-6
        expected = (np.sum(formula(moved[1])) - np.sum(formula(moved[0]))) / 2e-6
        np.testing.assert_allclose(slope[index], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", [jaxloss.cosine_similarity, jaxloss.cosine_distance])
@pytest.mark.parametrize("alone", [True, False])
def test_axes_of_vectors_are_in_any_order(loss, alone, monkeypatch):
    """Alone, a CPU adds strips of them up, for which they have to be in order."""
    for module in (_sums, _lengths):
        monkeypatch.setattr(module, "undivided", lambda: alone)
    jax.clear_caches()
    p, t = normal(16, 16, 8, seed=1), normal(16, 16, 8, seed=2)
    found, expected = (jax.jit(partial(loss, axis=a))(p, t) for a in ((0, 2, 1), (0, 1, 2)))
    jax.clear_caches()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_rounding_leaves_no_cosine_outside_of_its_range():
    x = normal(1000, 5, seed=1).astype(np.float32)
    factors = np.float32(uniform(1000, 1, seed=2, low=0.1, high=10.0))
    for sign in (1, -1):
        y = sign * factors * x
        assert np.abs(jaxloss.cosine_similarity(x, y)).max() <= 1
        assert np.max(jaxloss.cosine_distance(x, y)) <= 2
        slope = jax.jit(jax.vmap(jax.grad(jaxloss.cosine_similarity)))(x, y + 0.1)
        assert np.all(np.any(slope != 0, -1))


def test_a_vector_of_zero_is_at_a_right_angle_and_stays_there():
    vectors = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    for loss, value in ((jaxloss.cosine_similarity, [0, 0.6]), (jaxloss.cosine_distance, [1, 0.4])):
        found, pull = jax.vjp(lambda x, f=loss: f(x, jnp.array([[1.0, 0.0]])), vectors)
        np.testing.assert_allclose(found, value, rtol=1e-6)
        slope = pull(jnp.ones(2))[0]
        assert not np.any(slope[0])
        assert np.all(slope[1])


def test_a_small_angle_is_seen_where_one_minus_its_cosine_is_not():
    angle = np.float32(1e-5)
    found, slope = jax.value_and_grad(
        lambda a: jaxloss.cosine_distance(
            jnp.stack([jnp.cos(a), jnp.sin(a)]), jnp.array([1.0, 0.0])
        )
    )(angle)
    np.testing.assert_allclose(found, angle.astype(np.float64) ** 2 / 2, rtol=1e-5)
    np.testing.assert_allclose(slope, angle, rtol=1e-5)
    assert 1 - jnp.cos(angle) == 0


@pytest.mark.parametrize(
    "loss", [jaxloss.root_mean_squared_error, jaxloss.cosine_similarity, jaxloss.cosine_distance]
)
def test_elements_that_a_mask_removes_do_not_exist(loss):
    p, t = P.astype(np.float32), T.astype(np.float32)
    kept = np.array([True, False, True])
    hidden = np.where(kept, p, np.float32(np.nan))
    where = np.broadcast_to(kept, p.shape)
    found, pull = jax.vjp(lambda p: loss(p, t, where=where), hidden)
    chex.assert_trees_all_close(found, loss(p[:, kept], t[:, kept]), rtol=1e-6)
    assert not np.any(pull(jnp.ones_like(found))[0][:, ~kept])
    assert not np.any(loss(hidden, t, where=np.zeros_like(where)))


SWEEP = np.concatenate([np.logspace(-17, 2, 1000), np.linspace(0.01, 100, 3000)])
SPECIAL = (2.0, 1.999999, 2.000001, 1.0, 1e-7, 0.0, -1e-7, -2.0, -1e20, -INFINITY)
SWEPT = [
    (jaxloss.log_cosh, {}, 1e-6),
    (jaxloss.charbonnier_loss, {"epsilon": 0.3}, 1e-6),
    (jaxloss.balanced_l1_loss, {}, 1e-6),
    (jaxloss.focal_l1_loss, {"beta": 0.8}, 1e-6),
    (jaxloss.wing_loss, {}, 1e-6),
    (jaxloss.general_robust_loss, {"alpha": np.array(SPECIAL), "scale": 1.0}, 1e-5),
]


@pytest.mark.parametrize(("loss", "setting", "tolerance"), SWEPT)
def test_every_digit_is_kept_from_tiny_to_large(loss, setting, tolerance):
    columns = len(SPECIAL) if "alpha" in setting else 1
    x = np.repeat(SWEEP[:, None], columns, 1).astype(np.float32)
    parameters = {name: np.float32(value) for name, value in setting.items()}

    @jax.jit
    def both(x, parameters):
        value, pull = jax.vjp(lambda x: loss(x, **parameters), x)
        return value, pull(jnp.ones_like(value))[0]

    found = both(x, parameters)
    with jax.enable_x64(True):
        exact = both(*jax.tree.map(lambda a: a.astype(np.float64), (x, parameters)))
    for low, high in zip(found, exact, strict=True):
        normal = np.abs(high) > 1e-35
        np.testing.assert_allclose(np.asarray(low)[normal], np.asarray(high)[normal], tolerance)


def test_log_cosh_against_its_series_where_the_formula_cancels():
    x = np.float64(np.logspace(-15, -1, 50)).astype(np.float32)
    exact = np.float64(x) ** 2 * (1 / 2 - np.float64(x) ** 2 * (1 / 12 - np.float64(x) ** 2 / 45))
    np.testing.assert_allclose(jaxloss.log_cosh(x), exact, rtol=1e-6)


def test_the_robust_family_is_one_continuous_function_of_its_shape():
    """Near every special case it is the special case, but for the step."""
    r = np.array([0.1, 0.7, 3.0])
    with jax.enable_x64(True):
        for alpha in (2.0, 1.0, 0.0, -2.0, 3.0):
            exact = jaxloss.general_robust_loss(r, alpha=alpha, scale=0.8)
            for step in (1e-12, -1e-12):
                near = jaxloss.general_robust_loss(r, alpha=alpha + step, scale=0.8)
                np.testing.assert_allclose(near, exact, rtol=1e-9)
        for alpha in (-INFINITY, INFINITY):
            exact = jaxloss.general_robust_loss(r, alpha=alpha, scale=1.6)
            near = jaxloss.general_robust_loss(r, alpha=np.copysign(1e14, alpha), scale=1.6)
            np.testing.assert_allclose(near, exact, rtol=1e-9)


def test_the_shape_of_the_robust_family_is_learned():
    r, alphas = (
        np.array([0.1, 0.7, 3.0]),
        np.array([-30.0, -2.0, -1e-5, 0.0, 0.9, 1.0, 1.7, 2.4, 3]),
    )

    def total(alpha):
        return jnp.sum(jaxloss.general_robust_loss(r, alpha=alpha, scale=0.8))

    with jax.enable_x64(True):
        limits = np.array([2.0, INFINITY, -INFINITY])
        slopes = jax.jit(jax.vmap(jax.grad(total)))(np.concatenate([alphas, limits]))
        expected = differences(jax.jit(jax.vmap(total)), alphas)
    np.testing.assert_allclose(slopes[:-3], expected, rtol=1e-5)
    np.testing.assert_array_equal(slopes[-3:], 0)


def test_smooth_losses_have_their_second_derivative_at_zero():
    for loss, expected in (
        (jaxloss.log_cosh, 1.0),
        (lambda r: jaxloss.charbonnier_loss(r, epsilon=0.25), 4.0),
        (lambda r: jaxloss.general_robust_loss(r, alpha=-2.0, scale=0.5), 4.0),
        (jaxloss.balanced_l1_loss, 0.5 * np.expm1(3.0)),
        (lambda r: jaxloss.adaptive_wing_loss(r, jnp.float32(0), alpha=2.0), 28.0),
    ):
        np.testing.assert_allclose(jax.jit(jax.grad(jax.grad(loss)))(0.0), expected, rtol=1e-6)


def test_balanced_l1_has_one_slope_at_its_seam_in_any_unit():
    setting = {"alpha": 0.7, "gamma": 1.2, "beta": 0.3}
    sides = jnp.array([0.3 * (1 - 1e-6), 0.3, 0.3 * (1 + 1e-6)], jnp.float32)
    slope = jax.grad(lambda r: jaxloss.balanced_l1_loss(r, **setting))
    slopes = jax.jit(jax.vmap(slope))(sides)
    np.testing.assert_allclose(slopes, 1.2, rtol=1e-5)
    plain = jaxloss.balanced_l1_loss(R, alpha=0.7, gamma=1.2, beta=0.3)
    scaled = jaxloss.balanced_l1_loss(4 * R, alpha=0.7, gamma=1.2, beta=1.2)
    np.testing.assert_allclose(scaled, 4 * plain, rtol=1e-5)


def test_balanced_l1_is_exact_where_its_exponential_overflows():
    """Where exp(gamma / alpha) = exp(150), it is `|r| (gamma + alpha (log |r| - 1))`, and its
    derivatives are those of that."""

    def loss(r, alpha, gamma):
        return jaxloss.balanced_l1_loss(r, alpha=alpha, gamma=gamma)

    point = jnp.float32(0.3), jnp.float32(0.01), jnp.float32(1.5)
    logarithm = np.log(0.3)
    np.testing.assert_allclose(loss(*point), 0.3 * (1.5 + 0.01 * (logarithm - 1)), rtol=1e-6)
    slopes = 1.5 + 0.01 * logarithm, 0.3 * (logarithm - 1), 0.3
    np.testing.assert_allclose(jax.grad(loss, (0, 1, 2))(*point), slopes, rtol=1e-5)
    (curvature, *mixed), *others = jax.hessian(loss, (0, 1, 2))(*point)
    np.testing.assert_allclose((curvature, *mixed), (0.01 / 0.3, logarithm, 1.0), rtol=1e-5)
    np.testing.assert_allclose([row[1:] for row in others], 0.0, atol=1e-5)
    np.testing.assert_allclose(loss(jnp.float32(1.0), *point[1:]), 1.49, rtol=1e-6)


def test_balanced_l1_grows_from_zero_with_its_slope():
    def loss(gamma):
        return jaxloss.balanced_l1_loss(jnp.float32(0.5), gamma=gamma)

    np.testing.assert_allclose(jax.value_and_grad(loss)(0.0), (0.0, 0.5**2 / 2), rtol=1e-6)


def test_the_largest_slope_of_the_focal_l1_loss_is_one():
    beta = 0.7
    slope = jax.grad(lambda r: jaxloss.focal_l1_loss(r, beta=beta))
    slopes = jax.jit(jax.vmap(slope))(jnp.append(jnp.linspace(0, 2, 1001), 1 / (E * beta)))
    np.testing.assert_allclose(slopes.max(), 1, rtol=1e-6)
    np.testing.assert_allclose(slopes[-1], 1, rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        jaxloss.wing_loss,
        lambda r: jaxloss.charbonnier_loss(r, epsilon=0.0),
        lambda r: jaxloss.balanced_l1_loss(r, beta=0.0),
        lambda r: jaxloss.quantile_loss(r, jnp.zeros_like(r), quantile=0.9),
        lambda r: jaxloss.adaptive_wing_loss(r + 0.5, jnp.full_like(r, 0.5)),
    ],
)
def test_the_middle_of_other_kinks_has_derivative_zero_too(loss):
    assert jax.jit(jax.grad(loss))(0.0) == 0


def test_quantiles_of_a_sample_minimise_their_losses():
    """Several quantiles at once, of targets that they share."""
    sample, levels = normal(101, 1, seed=8), np.array([0.1, 0.5, 0.8])
    grid = np.sort(sample, 0)[:, None]
    costs = jaxloss.quantile_loss(
        np.broadcast_to(grid, (101, 1, 3)), sample[None], quantile=levels
    ).mean(1)
    found = np.sort(sample[:, 0])[np.asarray(costs).argmin(0)]
    np.testing.assert_allclose(found, np.quantile(sample, levels, method="inverted_cdf"))


@pytest.mark.thorough
def test_optax_has_the_same_numbers():
    p, t = P.astype(np.float32), T.astype(np.float32)
    kept = np.arange(21).reshape(7, 3) % 4 > 0
    for name, setting in (
        ("log_cosh", {}),
        ("cosine_similarity", {}),
        ("cosine_distance", {"axis": 0}),
        ("cosine_distance", {"axis": (0, 1), "epsilon": 1e-3}),
        ("cosine_distance", {"axis": None}),
        ("cosine_similarity", {"epsilon": 3.0}),
        ("cosine_distance", {"where": kept}),
    ):
        ours, theirs = getattr(jaxloss, name), getattr(optax.losses, name)
        (found, down), (expected, descent) = (
            jax.vjp(lambda p, f=loss, s=setting: f(p, t, **s), p) for loss in (ours, theirs)
        )
        chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=1e-6)
        ones = jnp.ones_like(found)
        chex.assert_trees_all_close(down(ones), descent(ones), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "curvature"), [(jaxloss.huber_loss, 1), (jaxloss.smooth_l1_loss, 4)]
)
def test_the_parabola_is_curved_in_its_middle(loss, curvature):
    residuals = jnp.array([-0.1, 0.0, 0.1, 0.3])

    def slope(r):
        return jax.grad(lambda r: jnp.sum(loss(r, jnp.zeros(4), 0.25)))(r)

    _, second = jax.jvp(slope, (residuals,), (jnp.ones(4),))
    np.testing.assert_allclose(second, [curvature, curvature, curvature, 0])


def test_what_is_static_says_so():
    with pytest.raises(TypeError, match="`gaussian_nll_loss`: `full` is 'no', expected True or"):
        jaxloss.gaussian_nll_loss(np.ones(3), np.ones(3), np.ones(3), full="no")


def test_numbers_that_jax_has_not_are_named():
    for targets in (np.ones(3, object), np.array(["a"] * 3)):
        with pytest.raises(TypeError, match=r"`huber_loss`: `targets` has dtype .* JAX has not"):
            jaxloss.huber_loss(np.ones(3, np.float32), targets)
    with pytest.raises(ValueError, match=r"`delta` is \d+, which is too large"):
        jaxloss.huber_loss(np.ones(3, np.float32), None, 2**100)


def test_known_hyperparameters_in_arrays_are_checked_too():
    x, quantile = np.ones(3, np.float32), np.array([0.1, 0.5, 2.0])
    with pytest.raises(ValueError, match=r"`quantile` holds 2.0, expected >= 0 and <= 1"):
        jaxloss.quantile_loss(x, x, quantile=quantile)
    edge = jaxloss.focal_l1_loss(x, x, beta=np.float32(1 / np.e))
    np.testing.assert_array_equal(edge, np.zeros(3))
    assert jaxloss.quantile_loss(x, x, quantile=jnp.asarray(quantile)).shape == (3,)
