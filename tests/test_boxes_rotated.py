"""Rotated boxes against shapely's polygons, definitions in float64 matrices, and invariances."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shapely

import jaxloss
from jaxloss import boxes
from jaxloss.boxes.gaussian import logarithmic_divergence, wasserstein_distance
from tests.registry.rotated import edge_pairs, rotated_boxes

iou, loss = jax.jit(boxes.rotated_iou), jax.jit(jaxloss.rotated_iou_loss)
value_and_gradient = jax.jit(jax.vmap(jax.value_and_grad(jaxloss.rotated_iou_loss)))
FIRST, SECOND = np.array([0.0, 0.0, 4.0, 2.0, 0.3]), np.array([0.5, -0.3, 3.0, 2.5, -0.2])


def corners_reference(box):
    x, y, w, h, turn = np.moveaxis(box, -1, 0)
    u = np.stack([np.cos(turn), np.sin(turn)], -1) * w[..., None] / 2
    v = np.stack([-np.sin(turn), np.cos(turn)], -1) * h[..., None] / 2
    return np.stack([x, y], -1)[..., None, :] + np.stack([-u - v, u - v, u + v, v - u], -2)


def iou_reference(a, b):
    first, second = (shapely.polygons(corners_reference(box)) for box in (a, b))
    shared = shapely.area(shapely.intersection(first, second))
    return shared / (shapely.area(first) + shapely.area(second) - shared)


def pairs(count, seed=0):
    """Pairs of which a quarter are parallel, a quarter orthogonal, and an eighth equal in sides."""
    rng = np.random.default_rng(seed)
    a = rotated_boxes(count, seed=seed, size=40.0)
    b = a + rng.normal(size=(count, 5)) * [4.0, 4.0, 2.0, 2.0, 1.0]
    b[:, 2:4] = np.abs(b[:, 2:4]) + 0.1
    b[::4, 4] = a[::4, 4]
    b[1::4, 4] = a[1::4, 4] + np.pi / 2
    b[::8, 2:4] = a[::8, 2:4]
    return a, b


def differences(function, x, step=1e-6):
    """The gradient of each of a batch of boxes."""
    slopes = [function(x + shift) - function(x - shift) for shift in step * np.eye(x.shape[-1])]
    return np.stack(slopes, -1) / (2 * step)


def test_iou_is_that_of_polygons():
    a, b = pairs(10_000)
    expected = iou_reference(a, b)
    assert 0.3 < np.mean(expected > 0.1) < 0.95
    np.testing.assert_allclose(iou(np.float32(a), np.float32(b)), expected, rtol=0, atol=1e-5)
    with jax.enable_x64(True):
        np.testing.assert_allclose(iou(a, b), expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(loss(a, b), 1 - expected, rtol=0, atol=1e-12)


def test_disjoint_is_exactly_0_and_touching_almost():
    a, b = (np.float32(box) for box in pairs(2000, seed=1))
    apart = shapely.distance(*(shapely.polygons(corners_reference(box)) for box in (a, b))) > 1e-3
    assert apart.sum() > 50
    assert not np.any(np.asarray(iou(a, b))[apart])
    a = np.float32([[0, 0, 2, 1, 0], [0, 0, 2, 1, 0]])
    b = np.float32([[2, 0, 2, 1, 0], [0, 1, 1, 1, np.pi / 2]])
    np.testing.assert_allclose(iou(a, b), 0, atol=1e-7)


@pytest.mark.parametrize("size", [1e-18, 1e-4, 1.0, 1e4, 1e17])
def test_identical_boxes_are_exactly_1_with_gradient_0(size):
    box = np.float32(rotated_boxes(64, seed=2)) * np.float32([size] * 4 + [1])
    value, gradient = value_and_gradient(box, box)
    gradient = np.asarray(gradient)
    assert not np.any(value)
    side = np.max(box[:, 2:4], 1, keepdims=True)
    np.testing.assert_allclose(gradient[:, :4] * side, 0, atol=2e-6)
    np.testing.assert_allclose(gradient[:, 4], 0, atol=2e-6)
    np.testing.assert_array_equal(iou(box, box), 1)


def test_boxes_without_area_are_the_limit_of_both_thickened():
    segment = np.float32([1, 2, 4, 0, 0.3])
    along = segment + np.float32([np.cos(0.3), np.sin(0.3), 0, 0, 0])
    point = np.float32([1, 2, 0, 0, 0.3])
    assert iou(segment, segment) == iou(point, point) == 1
    np.testing.assert_allclose(iou(np.float32([1, 2, 4, 0, 0]), np.float32([2, 2, 4, 0, 0])), 3 / 5)
    turned = point + np.float32([0, 0, 0, 0, np.pi / 4])
    squares = (1.0 * np.array([0, 0, 1, 1, turn]) for turn in (0, np.pi / 4))
    np.testing.assert_allclose(iou(point, turned), iou_reference(*squares), rtol=1e-6)
    box = np.float32([1, 2, 4, 3, 0.3])
    for other in (segment, point, along + np.float32([0, 0, 0, 0, 1])):
        assert iou(box, other) == 0
    assert iou(segment, segment + np.float32([0, 0, 0, 0, 1])) == 0


def test_iou_gradient_is_that_of_differences():
    a, b = pairs(400, seed=3)
    keep = (iou_reference(a, b) > 0.01) & (np.arange(400) % 4 > 1)
    a, b = a[keep], b[keep]
    assert len(a) > 50
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(jax.grad(boxes.rotated_iou, (0, 1))))(a, b)
        expected = differences(lambda x: iou(x, b), a), differences(lambda x: iou(a, x), b)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_iou_does_not_change_with_the_frame_or_the_order():
    a, b = pairs(500, seed=4)
    with jax.enable_x64(True):
        expected = iou(a, b)
        np.testing.assert_allclose(iou(b, a), expected, atol=1e-12)
        for move in (moved, scaled, quartered):
            np.testing.assert_allclose(iou(*move(a, b)), expected, atol=1e-11)


def moved(a, b):
    """Both turned about the origin and shifted."""
    turn = np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]])
    return tuple(
        np.concatenate([box[:, :2] @ turn + [5, -9], box[:, 2:4], box[:, 4:] + 0.7], 1)
        for box in (a, b)
    )


def scaled(a, b):
    return tuple(box * [3e-5, 3e-5, 3e-5, 3e-5, 1] for box in (a, b))


def quartered(a, b):
    """The second with its sides exchanged and turned by a quarter: the same box."""
    return a, b[:, [0, 1, 3, 2, 4]] + [0, 0, 0, 0, np.pi / 2]


def test_pairwise():
    a, b = pairs(7, seed=5)
    found = boxes.pairwise(boxes.rotated_iou)(np.float32(a), np.float32(b[:4]))
    expected = iou_reference(a[:, None], b[None, :4])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_corners_there_and_back():
    box = np.float32(rotated_boxes(100, seed=6))
    corners = boxes.rotated_corners(box)
    np.testing.assert_allclose(corners, corners_reference(box), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(boxes.rotated_from_corners(corners), box, rtol=1e-4, atol=1e-4)
    again = boxes.rotated_from_corners(np.roll(corners, 1, 1))
    np.testing.assert_allclose(iou(again, box), 1, atol=1e-5)


def test_a_positive_angle_turns_from_x_towards_y():
    corners = boxes.rotated_corners(jnp.array([0.0, 0.0, 4.0, 0.0, np.pi / 2]))
    np.testing.assert_allclose(corners, [[0, -2], [0, 2], [0, 2], [0, -2]], atol=1e-6)
    segment = boxes.rotated_from_corners(jnp.array([[1.0, 0], [1, 0], [1, 3], [1, 3]]))
    np.testing.assert_allclose(segment, [1, 1.5, 0, 3, 0], atol=1e-6)


def covariance(box, divisor):
    turn = box[..., 4]
    rotation = np.moveaxis(
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), (0, 1), (-2, -1)
    )
    squares = np.square(box[..., 2:4])[..., None] * np.eye(2) / divisor
    return rotation @ squares @ np.swapaxes(rotation, -1, -2)


def offset_term(a, b, matrix):
    d = a[..., :2] - b[..., :2]
    return np.einsum("...i,...ij,...j", d, np.linalg.inv(matrix), d)


def gwd_reference(a, b):
    first, second = covariance(a, 4), covariance(b, 4)
    mixed = np.trace(first @ second, axis1=-2, axis2=-1)
    mixed = mixed + 2 * np.sqrt(np.linalg.det(first) * np.linalg.det(second))
    traces = np.trace(first + second, axis1=-2, axis2=-1)
    square = np.sum(np.square(a[..., :2] - b[..., :2]), -1) + traces - 2 * np.sqrt(mixed)
    return square, 1 - 1 / (2 + np.sqrt(square)), 1 - 1 / (1 + np.log1p(square))


def normalized_reference(a, b):
    areas = np.prod(a[..., 2:4], -1) * np.prod(b[..., 2:4], -1)
    return 1 - 1 / (1 + np.log1p(np.sqrt(gwd_reference(a, b)[0]) / areas**0.25))


def kld_reference(first, second, transform=np.log1p):
    S, T = covariance(first, 4), covariance(second, 4)
    trace = np.trace(np.linalg.inv(T) @ S, axis1=-2, axis2=-1)
    logarithm = np.log(np.linalg.det(T) / np.linalg.det(S))
    divergence = 0.5 * (offset_term(first, second, T) + trace + logarithm) - 1
    return 1 - 1 / (1 + transform(divergence))


def kfiou_reference(a, b):
    first, second = covariance(a, 4), covariance(b, 4)
    product = first - first @ np.linalg.inv(first + second) @ first
    area = 4 * np.sqrt(np.linalg.det(product))
    return area / (np.prod(a[..., 2:4], -1) + np.prod(b[..., 2:4], -1) - area)


def bhattacharyya_reference(a, b):
    first, second = covariance(a, 12), covariance(b, 12)
    middle = 0.5 * (first + second)
    roots = np.sqrt(np.linalg.det(first) * np.linalg.det(second))
    return offset_term(a, b, middle) / 8 + 0.5 * np.log(np.linalg.det(middle) / roots)


GAUSSIAN = [
    (jaxloss.gwd_loss, {}, lambda p, t: gwd_reference(p, t)[1], 0.6521158812),
    (
        jaxloss.gwd_loss,
        {"tau": 1.0, "transform": "log1p"},
        lambda p, t: gwd_reference(p, t)[2],
        0.3622568586,
    ),
    (
        jaxloss.gwd_loss,
        {"tau": 1.0, "transform": "normalized"},
        normalized_reference,
        1 - 1 / (1 + np.log1p(np.sqrt(0.7647859484) / 60**0.25)),
    ),
    (
        jaxloss.kld_loss,
        {"transform": "sqrt"},
        lambda p, t: kld_reference(t, p, np.sqrt),
        1 - 1 / (1 + np.sqrt(0.2995474977)),
    ),
    (
        jaxloss.kld_loss,
        {"transform": "sqrt", "tau": 1.0, "direction": "prediction||target"},
        partial(kld_reference, transform=np.sqrt),
        1 - 1 / (1 + np.sqrt(0.2910342612)),
    ),
    (jaxloss.kld_loss, {}, lambda p, t: kld_reference(t, p), 0.2076170977),
    (jaxloss.kld_loss, {"direction": "prediction||target"}, kld_reference, 0.2034688295),
    (jaxloss.kfiou_loss, {}, lambda p, t: 1 - kfiou_reference(p, t), 0.6871194628),
    (
        jaxloss.kfiou_loss,
        {"form": "exponential"},
        lambda p, t: np.expm1(1 - kfiou_reference(p, t)),
        0.987980825,
    ),
    (
        jaxloss.kfiou_loss,
        {"form": "logarithm"},
        lambda p, t: -np.log(kfiou_reference(p, t)),
        1.161933832,
    ),
    (
        jaxloss.kfiou_loss,
        {"form": "rescaled"},
        lambda p, t: 1 - 3 * kfiou_reference(p, t),
        0.0613583885,
    ),
    (
        jaxloss.probiou_loss,
        {},
        lambda p, t: np.sqrt(-np.expm1(-bhattacharyya_reference(p, t))),
        0.3281028333,
    ),
    (jaxloss.probiou_loss, {"form": "bhattacharyya"}, bhattacharyya_reference, 0.1138984932),
]
each_loss = pytest.mark.parametrize(("loss", "setting", "reference", "known"), GAUSSIAN)


@each_loss
def test_gaussian_losses_are_their_definitions(loss, setting, reference, known):
    p, t = pairs(500, seed=8)
    run = jax.jit(lambda p, t: loss(p, t, **setting))
    gradients = jax.jit(jax.vmap(jax.grad(lambda p, t: loss(p, t, **setting), (0, 1))))
    with jax.enable_x64(True):
        assert float(loss(jnp.asarray(FIRST), jnp.asarray(SECOND), **setting)) == pytest.approx(
            known, abs=1e-9
        )
        np.testing.assert_allclose(run(p, t), reference(p, t), rtol=1e-9, atol=1e-14)
        expected = (
            differences(lambda x: reference(x, t), p, 1e-5),
            differences(lambda x: reference(p, x), t, 1e-5),
        )
        np.testing.assert_allclose(gradients(p, t), expected, rtol=1e-5, atol=1e-7)
    found = run(np.float32(p), np.float32(t))
    np.testing.assert_allclose(found, reference(p, t), rtol=1e-5, atol=1e-7)


@each_loss
def test_gaussian_losses_lose_the_angle_of_squares_and_keep_the_frame(
    loss, setting, reference, known
):
    p, t = pairs(50, seed=9)
    p[:, 3] = p[:, 2]
    turned = p + np.array([0, 0, 0, 0, 0.7])
    with jax.enable_x64(True):
        expected = loss(p, t, **setting)
        np.testing.assert_allclose(loss(turned, t, **setting), expected, rtol=1e-9)
        absolute = loss is jaxloss.gwd_loss and setting.get("transform") != "normalized"
        for move in (moved, quartered) if absolute else (moved, quartered, scaled):
            np.testing.assert_allclose(loss(*move(p, t), **setting), expected, rtol=1e-9)


@pytest.mark.parametrize("loss", [jaxloss.kld_loss, jaxloss.kfiou_loss, jaxloss.probiou_loss])
def test_gaussian_losses_have_gradients_down_to_the_smallest_sides(loss):
    p, t = (np.float32(box) for box in edge_pairs(5000).values())
    run = jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1))))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run(p, t)))


CONVERGED = [
    (jaxloss.rotated_iou_loss, {}),
    (jaxloss.gwd_loss, {"tau": 1.0}),
    (jaxloss.gwd_loss, {"tau": 1.0, "transform": "normalized"}),
    (jaxloss.kld_loss, {}),
    (jaxloss.kld_loss, {"transform": "sqrt"}),
    (jaxloss.kfiou_loss, {"form": "rescaled"}),
    (jaxloss.probiou_loss, {}),
    (jaxloss.probiou_loss, {"form": "bhattacharyya"}),
]
zero_at_best = pytest.mark.parametrize(("loss", "setting"), CONVERGED)


@zero_at_best
def test_converged_boxes_keep_their_digits(loss, setting):
    """Centres, sides and angles 1e-6 to 1e-2 apart: within a few units in the last place."""
    run = jax.jit(partial(loss, **setting))
    rng = np.random.default_rng(10)
    for apart in (1e-6, 1e-4, 1e-2):
        t = rng.uniform([0, 0, 1, 1, -3], [5, 5, 3, 3, 3], (1000, 5)).astype(np.float32)
        p = (t + apart * rng.normal(size=t.shape)).astype(np.float32)
        low = np.asarray(run(p, t), np.float64)
        with jax.enable_x64(True):
            high = np.asarray(run(np.float64(p), np.float64(t)))
        ulps = np.abs(low - high) / np.spacing(high.astype(np.float32))
        assert np.median(ulps) <= 1.2
        assert ulps.max() <= 7


@zero_at_best
def test_identical_boxes_have_exactly_nothing_to_lose(loss, setting):
    """Points and segments included, with gradient 0 up to rounding."""
    shapes = np.array([[4, 2, 0.3], [4, 0, 0.3], [0, 2, 1.3], [0, 0, 0.3], [2, 2, -2.9]])
    sizes = 10.0 ** np.arange(-12, 13)[:, None, None]
    box = np.concatenate([[[0.5, 0.3]] * 5, shapes], 1) * np.concatenate(
        [np.broadcast_to(sizes, (25, 1, 4)), np.ones((25, 1, 1))], -1
    )
    box = box.astype(np.float32).reshape(-1, 5)

    @jax.jit
    def value_and_slope(p):
        value, pull = jax.vjp(lambda p: loss(p, box, **setting), p)
        return value, *pull(jnp.ones_like(value))

    value, slope = value_and_slope(box)
    side = np.maximum(box[:, 2:4].max(1, keepdims=True), 1e-12)
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_allclose(slope * side ** [1, 1, 1, 1, 0], 0, atol=1e-6)


@zero_at_best
@pytest.mark.parametrize("turn", [0.3, 0.9, 0.3 + np.pi / 2])
def test_a_loss_never_falls_as_boxes_move_apart(loss, setting, turn):
    box = np.array([0.0, 0.0, 30.0, 20.0, 0.3])
    steps = np.linspace(0, 150, 1000)[:, None]
    run = jax.jit(partial(loss, **setting))
    for direction in ([1.0, 0.0], [0.6, 0.8], [-1.0, 0.3]):
        moved = box + steps * np.array([*direction, 0, 0, 0])
        moved[:, 4] = turn
        with jax.enable_x64(True):
            losses = np.asarray(run(moved, np.broadcast_to(box, moved.shape)))
        assert np.all(np.diff(losses) >= -1e-13), direction


@pytest.mark.parametrize("transform", ["sqrt", "log1p"])
def test_boxes_far_away_are_pulled_as_the_formula_says(transform):
    far = 10.0 ** np.arange(2, 19)
    t = np.float32(np.broadcast_to(FIRST, (far.size, 5)))
    p = t + np.float32([1, 0, 0, 0, 0]) * np.float32(far)[:, None]
    loss = partial(jaxloss.gwd_loss, tau=1.0, transform=transform)
    found = jax.vmap(jax.grad(loss))(p, t)[:, 0]
    expected = {
        "sqrt": 1 / (1 + far) ** 2,
        "log1p": 2 * far / (1 + far**2) / (1 + np.log1p(far**2)) ** 2,
    }[transform]
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@zero_at_best
def test_the_farthest_boxes_have_a_loss_and_a_gradient(loss, setting):
    away = np.float32([3e38, -3e38, 0, 0, 0])
    run = jax.jit(jax.value_and_grad(partial(loss, **setting)))
    found = run(np.float32(FIRST) + away, np.float32(SECOND) - away)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_check_values_of_distances():
    """The squared Wasserstein distance, both divergences, and what is left of ProbIoU."""
    with jax.enable_x64(True):
        p, t = jnp.asarray(FIRST), jnp.asarray(SECOND)
        distance = wasserstein_distance(p, t) ** 2
        divergences = jnp.expm1(
            jnp.stack([logarithmic_divergence(p, t), logarithmic_divergence(t, p)])
        )
        overlap, similarity = 1 - jaxloss.kfiou_loss(p, t), 1 - jaxloss.probiou_loss(p, t)
    np.testing.assert_allclose(distance, 0.7647859484, rtol=1e-9)
    np.testing.assert_allclose(divergences, [0.2910342612, 0.2995474977], rtol=1e-9)
    np.testing.assert_allclose(overlap, 0.3128805372, rtol=1e-9)
    np.testing.assert_allclose(similarity, 0.6718971667, rtol=1e-9)


@pytest.mark.parametrize("size", [1e-17, 1.0, 1e17])
def test_identical_gaussians_are_exactly_at_the_minimum(size):
    box = np.float32(rotated_boxes(16, seed=11)) * np.float32([size, size, size, size, 1])
    box = np.concatenate([box, box * [1, 1, 1, 0, 1], box * [1, 1, 0, 0, 1]]).astype(np.float32)
    for loss, least in (
        (jaxloss.gwd_loss, 0.5),
        (jaxloss.kld_loss, 0.0),
        (jaxloss.kfiou_loss, 2 / 3),
        (jaxloss.probiou_loss, 0.0),
    ):
        np.testing.assert_allclose(loss(box, box), least, rtol=1e-6, atol=0)


def test_errors():
    box = np.zeros((3, 5), np.float32)
    with pytest.raises(ValueError, match=r"`direction` is 'p', expected one of"):
        jaxloss.kld_loss(box, box, direction="p")
    with pytest.raises(ValueError, match=r"`transform` is None, expected one of 'log1p', 'sqrt'"):
        jaxloss.kld_loss(box, box, transform=None)
    with pytest.raises(ValueError, match=r"`boxes` has shape \(3, 4\), expected \(..., 5\)"):
        boxes.rotated_corners(box[:, :4])
