"""Segmentation losses against formulas in NumPy float64, at their edges, and in large images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import _sums
from jaxloss.segmentation import lovasz as lovasz_module
from tests.registry._row import normal, uniform

P6 = np.array([0.9, 0.2, 0.7, 0.4, 0.6, 0.1]).reshape(2, 3, 1)
Y6 = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0]).reshape(2, 3, 1)
TWO = np.concatenate([1 - P6, P6], -1), np.concatenate([1 - Y6, Y6], -1)
P, SOFT = uniform(2, 7, 5, 3, seed=1), uniform(2, 7, 5, 3, seed=2)
HARD = (SOFT < 0.4).astype(np.float64)
REGIONS = [
    jaxloss.dice_loss,
    functools.partial(jaxloss.dice_loss, squared=True),
    jaxloss.jaccard_loss,
    jaxloss.tversky_loss,
    jaxloss.focal_tversky_loss,
    jaxloss.log_cosh_dice_loss,
]


def total_and_slope(losses, p):
    """Sums of losses and their gradients, in one program."""
    return jax.jit(lambda p: [jax.value_and_grad(lambda p, f=f: jnp.sum(f(p)))(p) for f in losses])(
        p
    )


def counts(p, y):
    axes = (-3, -2)
    shared = np.minimum(p, y).sum(axes)
    return shared, np.maximum(p - y, 0).sum(axes), np.maximum(y - p, 0).sum(axes)


def dice(p, y, smooth=0.0):
    shared, _, _ = counts(p, y)
    return 1 - (2 * shared + smooth) / (p.sum((-3, -2)) + y.sum((-3, -2)) + smooth)


def squared_dice(p, y, smooth=0.0):
    below = (p**2).sum((-3, -2)) + (y**2).sum((-3, -2))
    return 1 - (2 * (p * y).sum((-3, -2)) + smooth) / (below + smooth)


def tversky(p, y, alpha=0.3, beta=0.7, smooth=0.0):
    shared, excess, missing = counts(p, y)
    return 1 - (shared + smooth) / (shared + alpha * excess + beta * missing + smooth)


def generalized_dice(p, y):
    shared, _, _ = counts(p, y)
    weights = 1 / y.sum((-3, -2)) ** 2
    below = (weights * (p.sum((-3, -2)) + y.sum((-3, -2)))).sum(-1)
    return 1 - 2 * (weights * shared).sum(-1) / below


def unified_focal(p, y, delta=0.6, gamma=0.5, weight=0.5):
    region = tversky(p, y, 1 - delta, delta)
    region[..., 1:] **= 1 - gamma
    entropy = -delta * y * np.log(p)
    entropy[..., 0] *= (1 - delta) / delta * (1 - p[..., 0]) ** gamma
    return weight * region.mean(-1) + (1 - weight) * entropy.sum(-1).mean((-2, -1))


def lovasz(errors, y):
    """The authors' code on one region: sort, Jaccard losses, differences."""
    order = np.argsort(-errors, kind="stable")
    truth = y[order]
    intersection = truth.sum() - truth.cumsum()
    union = truth.sum() + (1 - truth).cumsum()
    jaccard = 1 - intersection / union
    steps = np.diff(jaccard, prepend=0)
    return np.maximum(errors[order], 0) @ steps, steps[np.argsort(order)]


def by_region(function, *maps):
    """`function` on every image and class."""
    flat = [np.moveaxis(m, -1, 1).reshape(m.shape[0], m.shape[-1], -1) for m in maps]
    return np.array(
        [[function(*rows) for rows in zip(*x, strict=True)] for x in zip(*flat, strict=True)]
    )


REFERENCES = [
    *((jaxloss.dice_loss, dice, y, {"smooth": s}) for y in (SOFT, HARD) for s in (0.0, 1.0)),
    (functools.partial(jaxloss.dice_loss, squared=True), squared_dice, SOFT, {"smooth": 0.7}),
    (jaxloss.tversky_loss, tversky, HARD, {}),
    (jaxloss.tversky_loss, tversky, SOFT, {"alpha": 0.9, "beta": 0.2, "smooth": 0.5}),
    (jaxloss.jaccard_loss, functools.partial(tversky, alpha=1, beta=1), SOFT, {"smooth": 2.0}),
    (jaxloss.focal_tversky_loss, lambda p, y: tversky(p, y) ** 0.75, HARD, {}),
    (
        jaxloss.focal_tversky_loss,
        lambda p, y, gamma: tversky(p, y) ** (1 / gamma),
        SOFT,
        {"gamma": 0.6},
    ),
    (jaxloss.log_cosh_dice_loss, lambda p, y: np.log(np.cosh(dice(p, y))), SOFT, {}),
    (jaxloss.generalized_dice_loss, generalized_dice, HARD, {}),
    (jaxloss.generalized_dice_loss, generalized_dice, SOFT, {}),
    (jaxloss.unified_focal_loss, unified_focal, HARD, {}),
    (jaxloss.unified_focal_loss, unified_focal, HARD, {"delta": 0.3, "gamma": 0.2, "weight": 0.9}),
]


def test_values_are_the_formulas():
    with jax.enable_x64(True):
        found = jax.jit(lambda p: [loss(p, y, **setting) for loss, _, y, setting in REFERENCES])(P)
    for value, (_, formula, y, setting) in zip(found, REFERENCES, strict=True):
        np.testing.assert_allclose(value, formula(P, y, **setting), rtol=1e-12)


def check_values(one, two, more):
    return [
        jaxloss.dice_loss(*one)[0],
        jaxloss.dice_loss(*one, smooth=1)[0],
        jaxloss.dice_loss(*one, squared=True)[0],
        jaxloss.generalized_dice_loss(*two),
        jaxloss.generalized_dice_loss(two[0], np.concatenate([1 - more, more], -1)),
        jaxloss.tversky_loss(*one)[0],
        jaxloss.tversky_loss(*one, alpha=0.5, beta=0.5)[0],
        jaxloss.tversky_loss(*one, alpha=1, beta=1)[0],
        jaxloss.jaccard_loss(*one)[0],
        jaxloss.focal_tversky_loss(*one)[0],
        jaxloss.focal_tversky_loss(*one, gamma=3 / 4)[0],
        jaxloss.log_cosh_dice_loss(*one)[0],
        *jaxloss.lovasz_softmax_loss(*two),
        jaxloss.lovasz_hinge_loss(np.log(P6 / (1 - P6)), Y6, axis=(0, 1))[0],
        jaxloss.unified_focal_loss(*two, weight=1),
        jaxloss.unified_focal_loss(*two, weight=0),
        jaxloss.unified_focal_loss(*two),
    ]


def test_check_values():
    one, two = (P6, Y6), TWO
    more = Y6.copy()
    more[1, 1] = 1
    with jax.enable_x64(True):
        found = jax.jit(lambda: check_values(one, two, more))()
    expected = [
        0.3220338983,
        0.2753623188,
        0.1786447639,
        0.3166666667,
        0.3113553114,
        0.3265993266,
        0.3220338983,
        0.4871794872,
        0.4871794872,
        0.4320275713,
        0.2249160149,
        0.05098070471,
        0.39,
        0.405,
        0.740908089,
        0.4393526619,
        0.1940237191,
        0.3166881905,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("loss", REGIONS[:1] + REGIONS[2:4])
def test_hard_targets_have_the_products_derivatives_at_0_and_1_too(loss):
    p, y = (np.resize(v, (4, 3, 1)) for v in ([0.0, 1.0, 0.3, 0.0, 1.0, 1.0, 0.0], HARD.ravel()))

    def products(p):
        shared, excess, missing = (jnp.sum(x, (0, 1)) for x in (p * y, p * (1 - y), (1 - p) * y))
        alpha, beta = {jaxloss.tversky_loss: (0.3, 0.7), jaxloss.dice_loss: (0.5, 0.5)}.get(
            loss, (1.0, 1.0)
        )
        return 1 - jnp.sum(shared / (shared + alpha * excess + beta * missing))

    with jax.enable_x64(True):
        found = jax.grad(lambda p: jnp.sum(loss(p, y)))(p)
        expected = jax.grad(products)(p)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_soft_targets_are_met_at_themselves():
    target = jnp.asarray(SOFT, jnp.float32)
    losses = [functools.partial(loss, targets=target) for loss in REGIONS]
    for loss, (value, slope) in zip(REGIONS, total_and_slope(losses, target), strict=True):
        assert value == 0
        if loss is not jaxloss.tversky_loss:  # its kink has sides of different slopes
            np.testing.assert_allclose(slope, 0, atol=1e-8)
    for moved in (0.9 * target, 0.9 * target + 0.1):
        assert all(value > 1e-3 for value, _ in total_and_slope(losses, moved))


def test_empty_targets():
    nothing, something = jnp.zeros((4, 3, 1)), jnp.zeros((4, 3, 1)).at[2, 1].set(1e-6)
    full = [0.4337808 if loss is jaxloss.log_cosh_dice_loss else 1.0 for loss in REGIONS]
    on_nothing = [functools.partial(loss, targets=nothing) for loss in REGIONS]
    for value, slope in total_and_slope(on_nothing, nothing):
        assert value == 0
        assert not np.any(slope)
    for wanted, (value, slope) in zip(full, total_and_slope(on_nothing, something), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-6)
        assert not np.any(slope)
    on_something = [functools.partial(loss, targets=something) for loss in REGIONS]
    values = [value for value, _ in total_and_slope(on_something, nothing)]
    np.testing.assert_allclose(values, full, rtol=1e-6)


def test_small_losses_keep_their_digits():
    p, y = np.full((8, 8, 1), 1.0, np.float32), np.ones((8, 8, 1), bool)
    y[2:5, 3] = False
    p[2:5, 3] = 1e-20
    np.testing.assert_allclose(jaxloss.dice_loss(p, y), 3e-20 / 122, rtol=1e-6)
    np.testing.assert_allclose(
        jaxloss.log_cosh_dice_loss(p**0.4, y), 0.5 * (3e-8 / 122) ** 2, rtol=1e-5
    )


def test_float32_agrees_with_float64_in_large_images():
    p, y = uniform(200, 300, 2, seed=1).astype(np.float32), uniform(200, 300, 1, seed=2) < 0.01
    y = np.concatenate([y, ~y], -1)
    losses = [functools.partial(f, targets=y) for f in (*REGIONS, jaxloss.generalized_dice_loss)]
    found = total_and_slope(losses, p)
    with jax.enable_x64(True):
        exact = total_and_slope(losses, p.astype(np.float64))
    for low, high in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(low, high, rtol=2e-6)


def test_float16_does_not_overflow():
    ones = jnp.ones((512, 512, 1), jnp.float16)
    losses = [functools.partial(loss, targets=ones) for loss in REGIONS]
    losses.append(functools.partial(jaxloss.boundary_loss, distance_map=ones))
    for (value, slope), wanted in zip(total_and_slope(losses, ones), [0] * 6 + [1], strict=True):
        assert value == wanted
        assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("loss", "dtype"),
    [
        (jaxloss.tversky_loss, np.float32),
        (jaxloss.focal_tversky_loss, bool),
        (functools.partial(jaxloss.dice_loss, squared=True), bool),
        (jaxloss.generalized_dice_loss, np.float32),
    ],
)
def test_one_hot_targets_are_never_written(loss, dtype):
    """Under jit, value and gradient from an integer label map need strips beyond the gradient."""

    def cost(p, labels):
        return jnp.mean(loss(p, jax.nn.one_hot(labels, p.shape[-1], dtype=dtype)))

    p = jax.ShapeDtypeStruct((2, 128, 128, 16), jnp.float32)
    labels = jax.ShapeDtypeStruct(p.shape[:-1], jnp.int32)
    memory = jax.jit(jax.value_and_grad(cost)).lower(p, labels).compile().memory_analysis()
    assert memory.temp_size_in_bytes < p.size * 4 / 5


def test_wrong_integers_are_never_right():
    targets = np.array([[[0], [1]], [[255], [1]]])
    predictions = jnp.full(targets.shape, 0.25)
    losses = [*REGIONS, jaxloss.lovasz_softmax_loss, jaxloss.hausdorff_loss]
    losses += [jaxloss.generalized_dice_loss, jaxloss.centerline_dice_loss]

    @jax.jit
    def both(p):
        kept = targets != 255
        return [(loss(p, targets), loss(p, targets, where=kept)) for loss in losses]

    for wrong, masked in both(predictions):
        assert np.isnan(wrong).all()
        assert np.isfinite(masked).all()


def test_axes_are_the_callers():
    p, y = P.astype(np.float32), HARD.astype(np.float32)
    expected = jaxloss.dice_loss(p, y)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    close(jaxloss.dice_loss(p[..., 1], y[..., 1], axis=(-1, -2)), expected[:, 1])
    close(jaxloss.dice_loss(*(np.moveaxis(x, 1, -1) for x in (p, y)), axis=(1, 3)), expected)
    volume = jaxloss.tversky_loss(p, y, axis=(-4, -3, -2))
    close(volume, tversky(*(x.reshape(-1, 1, 3) for x in (P, HARD))))
    first = functools.partial(jaxloss.generalized_dice_loss, axis=(-2, -1), class_axis=1)
    close(first(*(np.moveaxis(x, -1, 1) for x in (p, y))), jaxloss.generalized_dice_loss(p, y))
    for wrong in ((), (-5,), (1, 1), 7):
        with pytest.raises(ValueError, match=r"`dice_loss`: `axis` is"):
            jaxloss.dice_loss(p, y, axis=wrong)
    with pytest.raises(ValueError, match=r"`generalized_dice_loss`: `class_axis` is -2"):
        jaxloss.generalized_dice_loss(p, y, class_axis=-2)
    with pytest.raises(ValueError, match=r"`class_axis` is \(-1, 0\), expected one axis"):
        jaxloss.generalized_dice_loss(p, y, class_axis=(-1, 0))


def test_an_absent_class_has_the_largest_weight():
    p, y = P[:1].copy(), HARD[:1].copy()
    y[..., 1] = 0
    sizes = y.sum((-3, -2))
    weights = np.where(sizes > 0, 1 / np.maximum(sizes, 1) ** 2, 1 / sizes[sizes > 0].min() ** 2)
    shared, excess, missing = counts(p, y)
    cost = (weights * (excess + missing)).sum(-1)
    with jax.enable_x64(True):
        found = jaxloss.generalized_dice_loss(p, y)
    np.testing.assert_allclose(found, cost / (cost + (2 * weights * shared).sum(-1)), rtol=1e-12)


def test_meeting_a_target_exactly_has_a_finite_gradient():
    y = jnp.asarray(np.stack([HARD[0, ..., 0], 1 - HARD[0, ..., 0]], -1), jnp.float32)
    met = (jaxloss.focal_tversky_loss, jaxloss.unified_focal_loss)
    for value, slope in total_and_slope([functools.partial(f, targets=y) for f in met], y):
        assert value == 0
        assert np.isfinite(slope).all()


def test_lovasz_values_and_gradients_are_the_authors():
    logits = normal(*P.shape, seed=4)
    softmax = functools.partial(jaxloss.lovasz_softmax_loss, targets=HARD)
    hinge = functools.partial(jaxloss.lovasz_hinge_loss, labels=HARD, axis=(-3, -2))
    with jax.enable_x64(True):
        each, hinge = jax.jit(lambda p, x: (softmax(p), hinge(x)))(P, logits)
        ((found, slope),) = total_and_slope([softmax], P)
    expected = by_region(lambda p, y: lovasz(np.abs(p - y), y)[0], P, HARD)
    np.testing.assert_allclose(each, expected, rtol=1e-12)
    np.testing.assert_allclose(found, expected.sum(), rtol=1e-12)
    steps = by_region(lambda p, y: lovasz(np.abs(p - y), y)[1], P, HARD)
    steps = np.moveaxis(steps.reshape(2, 3, 7, 5), 1, -1)
    np.testing.assert_allclose(slope, steps * np.where(HARD > 0, -1, 1), rtol=1e-9, atol=1e-15)
    expected = by_region(lambda x, y: lovasz(1 - x * (2 * y - 1), y)[0], logits, HARD)
    np.testing.assert_allclose(hinge, expected, rtol=1e-12)


def test_lovasz_is_the_jaccard_loss_of_hard_predictions():
    other = (P < 0.6).astype(np.float32)
    np.testing.assert_allclose(
        jaxloss.lovasz_softmax_loss(other, HARD), jaxloss.jaccard_loss(other, HARD), rtol=1e-6
    )


def test_lovasz_of_an_absent_class_is_the_largest_error():
    nothing = np.zeros(P.shape, bool)
    p = P.astype(np.float32)
    np.testing.assert_allclose(jaxloss.lovasz_softmax_loss(p, nothing), p.max((1, 2)), rtol=1e-6)
    ((_, slope),) = total_and_slope([lambda p: jaxloss.lovasz_softmax_loss(p, nothing)], p)
    np.testing.assert_allclose(slope, p == p.max((1, 2), keepdims=True), rtol=1e-6)


def test_lovasz_steps_keep_their_digits_in_large_images():
    p, y = uniform(300, 200, seed=1).astype(np.float32), uniform(300, 200, seed=2) < 0.5
    loss = functools.partial(jaxloss.lovasz_softmax_loss, targets=y, axis=(-2, -1))
    ((_, slope),) = total_and_slope([loss], p)
    errors = np.where(y, 1 - p, p)
    expected = lovasz(errors.ravel(), y.ravel().astype(np.float64))[1].reshape(p.shape)
    np.testing.assert_allclose(np.abs(slope), expected, rtol=2e-6)


def test_one_device_has_the_values_of_many(monkeypatch):
    """The forms for a CPU that is one device: lines and strips in sums, and keys in sorts."""
    p, y = P.astype(np.float32), HARD.astype(np.float32)
    p[0, :3, :2] = 0.5  # ties
    losses = [*REGIONS, jaxloss.generalized_dice_loss, jaxloss.lovasz_softmax_loss]
    losses.append(lambda p, targets: jaxloss.lovasz_hinge_loss(p - 0.5, targets, axis=(1, 2)))
    losses.append(functools.partial(jaxloss.dice_loss, axis=(-2, -1)))
    losses.append(lambda p, targets: jaxloss.dice_loss(jnp.tile(p, 12), jnp.tile(targets, 12)))
    losses.append(lambda p, targets: jaxloss.dice_loss(p[..., :1], targets[..., :1]))
    p, y = (np.tile(x, (1, 4, 3, 1)) for x in (p, y))
    found = []
    for alone in (False, True):
        for module in (_sums, lovasz_module):
            monkeypatch.setattr(module, "undivided", lambda alone=alone: alone)
        found.append(total_and_slope([functools.partial(f, targets=y) for f in losses], p))
    for one, many in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(one, many, rtol=1e-5, atol=1e-7)


def plain_skeleton(x, iterations):
    """The authors' loop on one image, with windows cut out of a padded array."""

    def windows(x, fill, offsets):
        padded = np.pad(x, 1, constant_values=fill)
        height, width = x.shape
        return np.stack([padded[1 + a :, 1 + b :][:height, :width] for a, b in offsets])

    cross = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    square = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]

    def opened(x):
        return windows(windows(x, np.inf, cross).min(0), -np.inf, square).max(0)

    skeleton = np.maximum(x - opened(x), 0)
    for _ in range(iterations):
        x = windows(x, np.inf, cross).min(0)
        d = np.maximum(x - opened(x), 0)
        skeleton = skeleton + np.maximum(d - skeleton * d, 0)
    return skeleton


@pytest.mark.parametrize("iterations", [0, 3])
def test_soft_skeleton_is_the_authors(iterations):
    x = uniform(2, 9, 7, seed=5)
    with jax.enable_x64(True):
        found = jaxloss.soft_skeleton(x, iterations=iterations, axis=(-2, -1))
    expected = [plain_skeleton(image, iterations) for image in x]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def centerline_example():
    y, p = np.zeros((8, 8)), np.full((8, 8), 0.1)
    y[2:5, 1:7] = 1
    p[2:5, 1:6], p[3, 6] = 0.8, 0.6
    return p, y


def test_centerline_check_values():
    p, y = centerline_example()
    with jax.enable_x64(True):
        lines, loss, dice = jax.jit(
            lambda p, y: (
                jaxloss.soft_skeleton(jnp.stack([p, y]), axis=(-2, -1)),
                jaxloss.centerline_dice_loss(p, y, axis=(-2, -1)),
                jaxloss.dice_loss(p, y, axis=(-2, -1), smooth=1),
            )
        )(p, y)
    lines = np.asarray(lines)
    np.testing.assert_allclose(lines.sum((1, 2)), [2.6, 4], rtol=1e-9)
    assert np.argwhere(lines[1]).tolist() == [[3, column] for column in (2, 3, 4, 5)]
    np.testing.assert_allclose(
        [loss, 0.5 * float(dice) + 0.5 * float(loss)], [0.08695652174, 0.1780936455], rtol=1e-9
    )


def test_centerline_without_smoothing():
    _, y = centerline_example()
    loss = jax.jit(functools.partial(jaxloss.centerline_dice_loss, axis=(-2, -1), smooth=0.0))
    assert loss(np.float32(y), y) == 0
    assert loss(np.zeros((8, 8), np.float32), 0 * y) == 0
    assert loss(np.zeros((8, 8), np.float32), y) == 1
    assert loss(np.float32(y), np.roll(y, 4, 0)) == 1


def test_skeletons_of_volumes_are_thin():
    tube = np.zeros((7, 7, 12), np.float32)
    tube[2:5, 2:5, 1:11] = 1
    line = jaxloss.soft_skeleton(tube, axis=(0, 1, 2))
    assert set(np.argwhere(np.asarray(line) > 0)[:, :2].ravel()) == {3}
    assert np.sum(line) == 8


def test_neighbours_that_tie_share_the_derivative():
    """Turning an image over turns its gradient over, which no order of pixels would allow."""
    p, _ = centerline_example()
    weight = uniform(8, 8, seed=3).astype(np.float32)

    @jax.jit
    def slope(p, weight):
        return jax.grad(lambda p: jnp.sum(weight * jaxloss.soft_skeleton(p, axis=(-2, -1))))(p)

    p = np.float32(p)
    turned = slope(p[::-1, ::-1], weight[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_allclose(slope(p, weight), turned, atol=1e-6)


def test_a_target_is_no_distance_map():
    for target in (HARD > 0, HARD.astype(np.int32)):
        with pytest.raises(TypeError, match=r"`distance_map` .* `signed_distance_map\(target\)`"):
            jaxloss.boundary_loss(P, target)


def test_what_is_static_says_so():
    with pytest.raises(TypeError, match="`dice_loss`: `squared` is 'no', expected True or False"):
        jaxloss.dice_loss(P, HARD, squared="no")
    with pytest.raises(TypeError, match=r"`squared` is a traced array .* known while tracing"):
        jax.jit(lambda squared: jaxloss.dice_loss(P, HARD, squared=squared))(True)
    with pytest.raises(TypeError, match=r"`iterations` is a traced array .*: how often"):
        jax.jit(lambda n: jaxloss.soft_skeleton(P, iterations=n))(3)


def test_a_square_has_its_curvature_where_a_region_meets_its_target():
    """`L^2` with `L = 0.7 (1 - p)` near `p = y = 1`, where 0.7 is the weight of misses."""

    def loss(p):
        maps = jnp.stack([p, jnp.float32(0)]), jnp.array([1, 0])
        return jaxloss.focal_tversky_loss(*maps, gamma=0.5, axis=0)

    slope = jax.grad(loss)
    assert slope(1.0) == 0
    curvature = jax.jit(jax.vmap(jax.grad(slope)))(jnp.array([1.0, 1 - 1e-5]))
    np.testing.assert_allclose(curvature, 2 * 0.7**2, rtol=1e-4)
