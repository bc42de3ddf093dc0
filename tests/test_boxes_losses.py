"""The IoU family against NumPy in float64, check values, degenerate pairs and edge pairs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import boxes
from tests.registry.boxes import PREDICTIONS, TARGETS, edge_pairs

LOSSES = {
    "iou": jaxloss.iou_loss,
    "log_iou": jaxloss.log_iou_loss,
    "giou": jaxloss.giou_loss,
    "diou": jaxloss.diou_loss,
    "ciou": jaxloss.ciou_loss,
}
SIMILARITIES = {"iou": boxes.iou, "giou": boxes.giou, "diou": boxes.diou, "ciou": boxes.ciou}


def terms(p, t, alpha=None):
    """IoU, (C - U) / C, rho^2 / c^2, v and alpha, straight from their definitions."""
    (x1, y1, x2, y2), (X1, Y1, X2, Y2) = np.moveaxis(p, -1, 0), np.moveaxis(t, -1, 0)
    w, h, W, H = x2 - x1, y2 - y1, X2 - X1, Y2 - Y1
    across = np.maximum(np.minimum(x2, X2) - np.maximum(x1, X1), 0)
    up = np.maximum(np.minimum(y2, Y2) - np.maximum(y1, Y1), 0)
    shared = across * up
    union = w * h + W * H - shared
    cw, ch = np.maximum(x2, X2) - np.minimum(x1, X1), np.maximum(y2, Y2) - np.minimum(y1, Y1)
    distance = ((x1 + x2 - X1 - X2) ** 2 + (y1 + y2 - Y1 - Y2) ** 2) / 4
    v = 4 / np.pi**2 * (np.arctan(W / H) - np.arctan(w / h)) ** 2
    iou = shared / union
    if alpha is None:
        alpha = v / np.where(v == 0, 1, 1 - iou + v)
    return iou, (cw * ch - union) / (cw * ch), distance / (cw**2 + ch**2), v, alpha


def reference(name, p, t, alpha=None):
    iou, empty, distance, v, alpha = terms(p, t, alpha)
    with np.errstate(divide="ignore"):
        return {
            "iou": 1 - iou,
            "log_iou": np.minimum(-np.log(iou), 100),
            "giou": 1 - iou + empty,
            "diou": 1 - iou + distance,
            "ciou": 1 - iou + distance + alpha * v,
        }[name]


def random_pairs(count=1000, seed=0):
    """Overlapping, contained, touching nothing, thin and wide, in pixels; no two edges tie."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, 300, (count, 1, 2)) + rng.normal(0, 25, (count, 2, 2))
    sides = np.exp(rng.uniform(0, 5.5, (count, 2, 2)))
    pairs = np.concatenate([centers - sides / 2, centers + sides / 2], -1)
    pairs = pairs.astype(np.float32).astype(np.float64)
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize("name", LOSSES)
def test_float32_values_are_the_formula(name):
    p, t = random_pairs()
    found = LOSSES[name](p.astype(np.float32), t.astype(np.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, reference(name, p, t), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_float64_values_are_the_formula(name):
    p, t = random_pairs()
    with jax.enable_x64(True):
        np.testing.assert_allclose(LOSSES[name](p, t), reference(name, p, t), rtol=1e-9)


def touching_pairs():
    """Targets moved until one edge, or a corner, touches the prediction from outside."""
    p, t = random_pairs()
    moves = p[:, 2:] - t[:, :2]
    moves[::3, 0] = moves[1::3, 1] = 0
    t = t + np.tile(moves, 2)
    t[:, :2] = np.where(moves != 0, p[:, 2:], t[:, :2])
    t = t.astype(np.float32).astype(np.float64)
    return p, np.concatenate([t[:, :2], np.maximum(t[:, 2:], t[:, :2] + 1)], -1)


@pytest.mark.parametrize("name", LOSSES)
def test_values_of_touching_boxes_are_the_formula(name):
    p, t = touching_pairs()
    found = LOSSES[name](p.astype(np.float32), t.astype(np.float32))
    np.testing.assert_allclose(found, reference(name, p, t), rtol=1e-6)
    if name == "iou":
        np.testing.assert_array_equal(found, 1)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_never_falls_as_boxes_move_apart(name):
    box = np.array([0.0, 0.0, 30.0, 20.0])
    steps = np.linspace(0, 150, 1000)[:, None]
    for direction in ([1.0, 0.0], [0.6, 0.8], [-1.0, 0.3]):
        moved = box + steps * np.array(direction * 2)
        with jax.enable_x64(True):
            losses = np.asarray(LOSSES[name](moved, np.tile(box, (1000, 1))))
        assert np.all(np.diff(losses) >= -1e-14), direction


def differences(name, p, t, step=1e-5):
    """Central differences of the reference by both boxes, with alpha constant."""
    *_, alpha = terms(p, t)
    change = step * np.eye(4)[:, None]

    def slopes(move):
        return (reference(name, *move(change), alpha) - reference(name, *move(-change), alpha)).T

    by_p = slopes(lambda d: (p + d, np.broadcast_to(t, (4, *t.shape))))
    by_t = slopes(lambda d: (np.broadcast_to(p, (4, *p.shape)), t + d))
    return by_p / (2 * step), by_t / (2 * step)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_differences_of_the_formula(name):
    p, t = random_pairs()
    near = reference("log_iou", p, t) < 20
    p, t = p[near], t[near]
    expected = differences(name, p, t)
    gradient = jax.jit(jax.grad(lambda p, t: LOSSES[name](p, t).sum(), (0, 1)))
    with jax.enable_x64(True):
        found = gradient(p, t)
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-8)
    for single, exact in zip(gradient(np.float32(p), np.float32(t)), expected, strict=True):
        largest = np.abs(exact).max(-1, keepdims=True)
        np.testing.assert_allclose(single / largest, exact / largest, atol=1e-5)


PAIRS = np.array(
    [
        [[1, 2, 5, 7], [2, 3, 7, 6]],
        [[0, 0, 2, 3], [5, 4, 8, 6]],
        [[2, 2, 3, 3], [1, 1, 5, 4]],
        [[1, 2, 5, 7], [1, 2, 5, 7]],
    ],
    np.float64,
)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("iou", {}, 0.6538461538),
        ("log_iou", {}, 1.060871961),
        ("giou", {}, 0.7871794872),
        ("diou", {}, 0.6907313997),
        ("ciou", {}, 0.6944577941),
        ("ciou", {"minimum_iou": 0.5}, 0.6907313997),
        ("ciou", {"minimum_iou": 0.3}, 0.6944577941),
    ],
)
def test_check_values(name, setting, value):
    with jax.enable_x64(True):
        found = np.asarray(LOSSES[name](PAIRS[:, 0], PAIRS[:, 1], **setting))
    np.testing.assert_allclose(found[0], value, rtol=1e-9)
    assert found[3] == 0
    if not setting:
        np.testing.assert_allclose(found, reference(name, PAIRS[:, 0], PAIRS[:, 1]), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_identical_boxes_have_loss_zero_and_gradient_zero(name):
    unit = np.array([[0.5, 0.3, 1.5, 0.9], [0.5, 0.3, 0.5, 0.9], [0.5, 0.3, 0.5, 0.3]])
    boxes = (10.0 ** np.arange(-12, 13, 3)[:, None, None] * unit).reshape(-1, 4)
    boxes = jnp.asarray(boxes, jnp.float32)

    @jax.jit
    def value_and_gradients(predictions, targets):
        value, pull = jax.vjp(LOSSES[name], predictions, targets)
        return value, pull(jnp.ones_like(value))

    value, gradients = value_and_gradients(boxes, boxes)
    assert not np.any(value)
    chex.assert_trees_all_equal(gradients, jax.tree.map(jnp.zeros_like, gradients))
    if name in SIMILARITIES:
        assert np.all(SIMILARITIES[name](boxes, boxes) == 1)


def test_a_tiny_box_far_from_the_origin_is_itself():
    box = jnp.array([0.5, 0.5, 0.5002, 0.5002], jnp.float32)
    for loss in LOSSES.values():
        assert loss(box, box) == 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("apart", [1e-6, 1e-4, 1e-2])
def test_converged_boxes_keep_their_digits(name, apart):
    """Within 3 units in the last place, where 1 - I / U has lost them all."""
    rng = np.random.default_rng(5)
    t = np.cumsum(rng.uniform(1, 2, (1000, 4)), -1).astype(np.float32)
    p = (t + apart * rng.normal(size=t.shape)).astype(np.float32)
    found = np.asarray(LOSSES[name](p, t), np.float64)
    with jax.enable_x64(True):
        exact = np.asarray(LOSSES[name](p.astype(np.float64), t.astype(np.float64)))
    ulps = np.abs(found - exact) / np.spacing(exact.astype(np.float32))
    assert np.median(ulps) <= 1
    assert ulps.max() <= 3.5


POINT, BOX = [3.0, 4.0, 3.0, 4.0], [1.0, 1.0, 6.0, 5.0]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (POINT, POINT, (0, 0, 0)),
        ([1.0, 2.0, 5.0, 2.0], [1.0, 2.0, 5.0, 2.0], (0, 0, 0)),
        (POINT, BOX, (1, 1, 1 + (0.5**2 + 1) / 41)),
        (POINT, [7.0, 1.0, 7.0, 1.0], (1, 2, 2)),
        (POINT, [3.0, 1.0, 3.0, 1.0], (1, 2, 2)),
        ([0.0, 1.0, 2.0, 1.0], [1.0, 1.0, 3.0, 1.0], (2 / 3, 2 / 3, 2 / 3 + 1 / 9)),
        ([0.0, 1.0, 2.0, 1.0], [1.0, 0.0, 1.0, 2.0], (1, 2, 1)),
        ([0.0, 0.0, 2.0, 1.0], [2.0, 0.0, 3.0, 1.0], (1, 1, 1 + 1.5**2 / 10)),
        ([2.0, 0.0, 0.0, 1.0], [0.0, 0.0, 2.0, 1.0], (1, 1, 1)),
    ],
    ids=[
        "points",
        "segments",
        "point in a box",
        "two points",
        "two points in line",
        "overlapping segments",
        "crossing segments",
        "touching boxes",
        "inverted",
    ],
)
def test_degenerate_boxes_are_limits(a, b, expected):
    a, b = jnp.array(a), jnp.array(b)
    for name, value in zip(("iou", "giou", "diou"), expected, strict=True):
        np.testing.assert_allclose(LOSSES[name](a, b), value, rtol=1e-6)
        np.testing.assert_allclose(LOSSES[name](b, a), value, rtol=1e-6)
        np.testing.assert_allclose(SIMILARITIES[name](a, b), 1 - value, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_degenerate_boxes_are_the_limit_of_thickened_ones(name):
    """But for the aspect of a point, which is none, while that of a thickened one is a square's."""
    thick = 1e-7 * np.array([-1, -1, 1, 1])
    for a, b in np.array(
        [
            [POINT, POINT],
            [[0.0, 1.0, 2.0, 1.0], [1.0, 1.0, 3.0, 1.0]],
            [[3.0, 0.0, 3.0, 4.0], [3.0, 1.0, 3.0, 9.0]],
            [POINT, [2.0, 3.0, 4.0, 5.0]],
        ]
    ):
        with jax.enable_x64(True):
            found = np.asarray(LOSSES[name](a, b))
        if found < 100:
            np.testing.assert_allclose(found, reference(name, a + thick, b + thick), atol=1e-6)


def test_an_inverted_box_is_turned_back_by_its_aspect():
    inverted, target = jnp.array([3.0, 0.0, 1.0, 2.0]), jnp.array([1.0, 0.0, 3.0, 2.0])
    slope = jax.grad(jaxloss.ciou_loss)(inverted, target)
    assert slope[0] > 0 > slope[2]
    assert jaxloss.iou_loss(inverted, inverted) == 1


@pytest.mark.parametrize("name", LOSSES)
def test_disjoint_boxes_are_pulled_together_or_not_at_all(name):
    p, t = jnp.array([0.0, 0.0, 2.0, 3.0]), jnp.array([5.0, 4.0, 8.0, 6.0])
    slope = jax.grad(LOSSES[name])(p, t)
    if name in ("iou", "log_iou"):
        chex.assert_trees_all_equal(slope, jnp.zeros(4))
    else:
        assert LOSSES[name](p - 0.01 * slope, t) < LOSSES[name](p, t)


def test_alpha_is_constant_and_the_gate_closes_it():
    p, t = jnp.array(PAIRS[0, 0], jnp.float32), jnp.array(PAIRS[0, 1], jnp.float32)
    *_, alpha = terms(*PAIRS[0])
    whole, gated = (
        jax.grad(jaxloss.ciou_loss)(p, t, minimum_iou=minimum) for minimum in (0.0, 0.5)
    )
    w, h, W, H = 4, 5, 5, 3
    slope = -8 / np.pi**2 * (np.arctan(W / H) - np.arctan(w / h)) * alpha / (w**2 + h**2)
    expected = slope * np.array([-h, w, h, -w])
    np.testing.assert_allclose(whole - gated, expected, rtol=1e-4)
    chex.assert_trees_all_close(gated, jax.grad(jaxloss.diou_loss)(p, t), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [2.0**-60, 1e-6, 3.0, 2.0**60])
def test_the_unit_does_not_matter(name, scale):
    p, t = (x.astype(np.float32) for x in random_pairs())
    scale = np.float32(scale)
    rtol = 0 if np.log2(scale) % 1 == 0 else 2e-5
    np.testing.assert_allclose(
        LOSSES[name](p * scale, t * scale), LOSSES[name](p, t), rtol=rtol, atol=rtol
    )


@pytest.mark.parametrize("name", LOSSES)
def test_shifting_transposing_and_mirroring_both_boxes_changes_nothing(name):
    p, t = random_pairs()
    with jax.enable_x64(True):
        plain = LOSSES[name](p, t)
        for change in (
            lambda b: b + np.array([7.5, -31, 7.5, -31]),
            lambda b: b[:, [1, 0, 3, 2]],
            lambda b: -b[:, [2, 1, 0, 3]] * np.array([1, -1, 1, -1]),
        ):
            np.testing.assert_allclose(LOSSES[name](change(p), change(t)), plain, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_predictions_and_targets_may_change_places(name):
    p, t = random_pairs()
    with jax.enable_x64(True):
        np.testing.assert_allclose(LOSSES[name](p, t), LOSSES[name](t, p), rtol=1e-12)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_a_similarity_is_one_less_its_loss(name):
    p, t = (x.astype(np.float32) for x in random_pairs())
    np.testing.assert_allclose(SIMILARITIES[name](p, t), 1 - LOSSES[name](p, t), atol=3e-7)


def test_a_small_overlap_keeps_its_digits():
    a, b = jnp.array([0.0, 0.0, 1e4, 1e4]), jnp.array([9999.0, 9999.5, 1.5e4, 2e4])
    np.testing.assert_allclose(boxes.iou(a, b), 0.5 / (1e8 + 5001 * 10000.5 - 0.5), rtol=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES.values())
def test_pairwise_is_every_pair(similarity):
    a, b = PREDICTIONS.astype(np.float32), TARGETS[:1, :3].astype(np.float32)
    found = boxes.pairwise(similarity)(a, b)
    assert found.shape == (8, 5, 3)
    for n, m in np.ndindex(5, 3):
        np.testing.assert_allclose(
            found[:, n, m], similarity(a[:, n], np.broadcast_to(b[:, m], (8, 4))), atol=3e-7
        )


def test_pairwise_refuses_what_is_no_function():
    with pytest.raises(TypeError, match="`pairwise`: `similarity` is an int, expected a function"):
        boxes.pairwise(3)


def test_pairwise_takes_losses_and_differentiates():
    a, b = PREDICTIONS[0].astype(np.float32), TARGETS[0, :3].astype(np.float32)
    weights = np.arange(15, dtype=np.float32).reshape(5, 3)

    def total(a, b):
        return jnp.sum(weights * boxes.pairwise(jaxloss.iou_loss)(a, b))

    found = jax.jit(jax.grad(total, (0, 1)))(a, b)
    flat = [jnp.repeat(a, 3, 0), jnp.tile(b, (5, 1))]
    down, up = jax.grad(lambda a, b: jnp.sum(weights.ravel() * jaxloss.iou_loss(a, b)), (0, 1))(
        *flat
    )
    expected = (down.reshape(5, 3, 4).sum(1), up.reshape(5, 3, 4).sum(0))
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_nan_is_never_a_number(name):
    p, t = jnp.array(PAIRS[1, 0], jnp.float32), jnp.array(PAIRS[1, 1], jnp.float32)
    for column in range(4):
        assert jnp.isnan(LOSSES[name](p.at[column].set(jnp.nan), t)), column
        assert jnp.isnan(LOSSES[name](p, t.at[column].set(jnp.nan))), column


@pytest.mark.parametrize("name", ["giou", "ciou"])
def test_third_derivatives_exist(name):
    p, t = jnp.array(PAIRS[0, 0], jnp.float32), jnp.array(PAIRS[0, 1], jnp.float32)
    third = jax.jit(jax.jacfwd(jax.jacfwd(jax.jacrev(LOSSES[name]))))(p, t)
    chex.assert_tree_all_finite(third)
    chex.assert_trees_all_close(third, jnp.swapaxes(third, 1, 2), atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_edge_pairs_are_finite(name):
    """Value, gradient and Hessian-vector product, by both boxes, of all 20,000."""
    p, t = (jnp.asarray(x, jnp.float32) for x in edge_pairs().values())
    directions = 1 + 0.5 * jnp.sin(jnp.arange(p.size, dtype=jnp.float32)).reshape(p.shape)

    def gradient(p, t):
        return jax.grad(lambda p, t: LOSSES[name](p, t).sum(), (0, 1))(p, t)

    @jax.jit
    def everything(p, t):
        return LOSSES[name](p, t), jax.jvp(gradient, (p, t), (directions, -directions[::-1]))

    chex.assert_tree_all_finite(everything(p, t))
