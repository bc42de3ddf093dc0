"""The IoU family beyond CIoU against NumPy in float64: values, gradients, invariances, state."""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import _derivatives, boxes
from jaxloss.boxes import _blocks, terms
from tests.test_boxes_losses import PAIRS, random_pairs

MEAN = jaxloss.DynamicWiseIoUState(np.float64(0.4))


def dynamic(p, t, **setting):
    return jaxloss.dynamic_wise_iou_loss(p, t, MEAN, momentum=0.0, **setting)[0]


LOSSES = {
    "eiou": jaxloss.eiou_loss,
    "siou": jaxloss.siou_loss,
    "mpdiou": partial(jaxloss.mpdiou_loss, image_size=(240.0, 320.0)),
    "focal_eiou": partial(jaxloss.focal_eiou_loss, gamma=0.7),
    "wise": jaxloss.wise_iou_loss,
    "wise2": partial(dynamic, gamma=0.5),
    "wise3": dynamic,
    "alpha": jaxloss.alpha_iou_loss,
    "alpha_giou": partial(jaxloss.alpha_iou_loss, alpha=1.5, penalty="giou"),
    "alpha_ciou": partial(jaxloss.alpha_iou_loss, alpha=2.5, penalty="ciou"),
    "inner": jaxloss.inner_iou_loss,
    "outer": partial(jaxloss.inner_iou_loss, ratio=1.3),
    "focaler": partial(jaxloss.focaler_iou_loss, lower=0.1, upper=0.8),
    "powerful": jaxloss.powerful_iou_loss,
    "powerful2": partial(jaxloss.powerful_iou_loss, focus=1.3),
    "wasserstein": partial(jaxloss.normalized_wasserstein_loss, constant=40.0),
    "cdiou": partial(jaxloss.cdiou_loss, factor=0.5),
    "shape": partial(jaxloss.shape_iou_loss, scale=1.5),
    "rectified": jaxloss.rectified_iou_loss,
}
RESIZED = {"inner", "outer"}
MULTIPLIED = {"wise"}
SCALED = {"mpdiou", "wasserstein"}
TRANSFORMED = {"alpha", "alpha_giou", "alpha_ciou", "rectified", "powerful2", "wise2", "wise3"}
ASYMMETRIC = {"powerful", "powerful2", "shape"}
SIMILARITIES = {
    "eiou": boxes.eiou,
    "siou": boxes.siou,
    "inner": boxes.inner_iou,
}


@jax.jit
def single(p, t):
    """All losses in float32 at once, since compiling is the cost: always of 1000 pairs."""
    return {name: loss(p, t) for name, loss in LOSSES.items()}


@jax.jit
def double(p, t):
    """All losses in float64, and their gradients by both boxes."""

    def one(loss):
        value, pull = jax.vjp(loss, p, t)
        return value, pull(jnp.ones_like(value))

    return {name: one(loss) for name, loss in LOSSES.items()}


def values(p, t):
    return single(p.astype(np.float32), t.astype(np.float32))


def exact(p, t):
    with jax.enable_x64(True):
        return double(p.astype(np.float64), t.astype(np.float64))


def overlap(p, t):
    w, h, W, H = sides(p, t)
    across = np.minimum(p[..., 2], t[..., 2]) - np.maximum(p[..., 0], t[..., 0])
    up = np.minimum(p[..., 3], t[..., 3]) - np.maximum(p[..., 1], t[..., 1])
    shared = np.maximum(across, 0) * np.maximum(up, 0)
    return shared / (w * h + W * H - shared)


def sides(p, t):
    return (
        *np.moveaxis(p[..., 2:] - p[..., :2], -1, 0),
        *np.moveaxis(t[..., 2:] - t[..., :2], -1, 0),
    )


def resized(b, ratio):
    center, half = (b[..., :2] + b[..., 2:]) / 2, (b[..., 2:] - b[..., :2]) / 2
    return np.concatenate([center - ratio * half, center + ratio * half], -1)


def constants(p, t):
    """What is constant under differentiation: IoU, the squared diagonal, CIoU's alpha."""
    iou, (cw, ch) = overlap(p, t), enclosure(p, t)
    v = aspect(p, t)
    return iou, cw**2 + ch**2, v / (1 - iou + v)


def enclosure(p, t):
    low, high = np.minimum(p[..., :2], t[..., :2]), np.maximum(p[..., 2:], t[..., 2:])
    return np.moveaxis(high - low, -1, 0)


def aspect(p, t):
    w, h, W, H = sides(p, t)
    return 4 / np.pi**2 * (np.arctan(W / H) - np.arctan(w / h)) ** 2


def reference(name, p, t, fixed=None):
    """Straight from the definitions; `fixed` are the `constants` of the point of a derivative."""
    fixed_iou, fixed_diagonal, fixed_alpha = constants(p, t) if fixed is None else fixed
    iou, (w, h, W, H), (cw, ch) = overlap(p, t), sides(p, t), enclosure(p, t)
    (d1x, d1y, d2x, d2y) = np.moveaxis(p - t, -1, 0)
    dx, dy = (d1x + d2x) / 2, (d1y + d2y) / 2
    rho2, c2 = dx**2 + dy**2, cw**2 + ch**2
    eiou = 1 - iou + rho2 / c2 + (w - W) ** 2 / cw**2 + (h - H) ** 2 / ch**2
    omega = np.abs(w - W) / np.maximum(w, W), np.abs(h - H) / np.maximum(h, H)
    wise = np.exp(rho2 / fixed_diagonal) * (1 - iou)
    outlier = (1 - fixed_iou) / 0.4

    def siou():
        turn = np.arcsin(np.abs(dy) / np.sqrt(rho2)) - np.pi / 4
        gamma = 2 - (1 - 2 * np.sin(turn) ** 2)
        distance = 2 - np.exp(-gamma * (dx / cw) ** 2) - np.exp(-gamma * (dy / ch) ** 2)
        return 1 - iou + (distance + sum((1 - np.exp(-o)) ** 4 for o in omega)) / 2

    def powerful():
        P = np.minimum(((np.abs(d1x) + np.abs(d2x)) / W + (np.abs(d1y) + np.abs(d2y)) / H) / 4, 32)
        return P, 2 - iou - np.exp(-(P**2))

    def corners():
        norms = [np.hypot(x, y) for x in (d1x, d2x) for y in (d1y, d2y)]
        return sum(norms) / 4 / np.sqrt(c2)

    def shape(scale):
        ww, hh = 2 * W**scale / (W**scale + H**scale), 2 * H**scale / (W**scale + H**scale)
        cost = (1 - np.exp(-hh * omega[0])) ** 4 + (1 - np.exp(-ww * omega[1])) ** 4
        return 1 - iou + (hh * dx**2 + ww * dy**2) / c2 + cost / 2

    def rectified(beta=0.95, a=0.1, b=1.05, c=0.2):
        k = (c + a / (b - beta)) / (1 - beta)
        rising = k * (1 - beta) ** 2 / 2 + c * (beta - iou) + a * np.log((b - iou) / (b - beta))
        return np.where(iou > beta, k * (1 - iou) ** 2 / 2, rising)

    area = cw * ch
    return {
        "eiou": lambda: eiou,
        "siou": siou,
        "mpdiou": lambda: 1 - iou + (d1x**2 + d1y**2 + d2x**2 + d2y**2) / (240**2 + 320**2),
        "focal_eiou": lambda: fixed_iou**0.7 * eiou,
        "wise": lambda: wise,
        "wise2": lambda: outlier**0.5 * wise,
        "wise3": lambda: outlier / (3 * 1.9 ** (outlier - 3)) * wise,
        "alpha": lambda: 1 - iou**3,
        "alpha_giou": lambda: (
            1 - iou**1.5 + np.maximum(1 - (w * h + W * H) / (1 + iou) / area, 0) ** 1.5
        ),
        "alpha_ciou": lambda: (
            1 - iou**2.5 + (rho2 / c2) ** 2.5 + (fixed_alpha * aspect(p, t)) ** 2.5
        ),
        "inner": lambda: 1 - overlap(resized(p, 0.7), resized(t, 0.7)),
        "outer": lambda: 1 - overlap(resized(p, 1.3), resized(t, 1.3)),
        "focaler": lambda: 1 - np.clip((iou - 0.1) / 0.7, 0, 1),
        "powerful": lambda: powerful()[1],
        "powerful2": lambda: (
            3.9 * np.exp(-powerful()[0] - (1.3 * np.exp(-powerful()[0])) ** 2) * powerful()[1]
        ),
        "wasserstein": lambda: 1 - np.exp(-np.sqrt(rho2 + ((w - W) ** 2 + (h - H) ** 2) / 4) / 40),
        "cdiou": lambda: 1 - iou + 0.5 * corners(),
        "shape": lambda: shape(1.5),
        "rectified": rectified,
    }[name]()


@pytest.mark.parametrize("name", LOSSES)
def test_values_are_the_formula(name):
    p, t = random_pairs()
    expected = reference(name, p, t)
    found = values(p, t)[name]
    assert found.dtype == jnp.float32
    rtol = 4e-6 if name == "wise3" else 1e-6  # exp(3 - q / 0.4) of a float32 q
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=3e-8)
    np.testing.assert_allclose(exact(p, t)[name][0], expected, rtol=1e-7, atol=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_differences_of_the_formula(name):
    p, t = random_pairs()
    fixed, step = constants(p, t), 1e-5
    change = step * np.eye(4)[:, None]
    wide_p, wide_t = (np.broadcast_to(x, (4, *x.shape)) for x in (p, t))

    def slopes(move):
        pairs = move(change), move(-change)
        return (reference(name, *pairs[0], fixed) - reference(name, *pairs[1], fixed)).T / 2 / step

    expected = slopes(lambda d: (p + d, wide_t)), slopes(lambda d: (wide_p, t + d))
    chex.assert_trees_all_close(exact(p, t)[name][1], expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (jaxloss.eiou_loss, 0.8785091775),
        (jaxloss.siou_loss, 0.7190441798),
        (partial(jaxloss.mpdiou_loss, image_size=(12.0, 16.0)), 0.6713461538),
        (jaxloss.focal_eiou_loss, 0.5168694737),
        (jaxloss.wise_iou_loss, 0.6784137353),
        (partial(dynamic, gamma=0.5), 0.867366058),
        (dynamic, 0.8879629345),
        (jaxloss.alpha_iou_loss, 0.9585229859),
        (partial(jaxloss.alpha_iou_loss, penalty="giou"), 0.9608933563),
        (partial(jaxloss.alpha_iou_loss, penalty="diou"), 0.9585731691),
        (partial(jaxloss.alpha_iou_loss, penalty="ciou"), 0.9585732208),
        (partial(jaxloss.inner_iou_loss, ratio=0.7), 0.7468030691),
        (partial(jaxloss.inner_iou_loss, ratio=1.2), 0.6138613861),
        (jaxloss.focaler_iou_loss, 0.6356275304),
        (jaxloss.powerful_iou_loss, 0.7492600446),
        (partial(jaxloss.powerful_iou_loss, focus=1.3), 0.8681036564),
        (jaxloss.normalized_wasserstein_loss, 0.1359792478),
        (jaxloss.cdiou_loss, 0.8875314835),
        (jaxloss.shape_iou_loss, 0.697177877),
        (partial(jaxloss.shape_iou_loss, scale=1.0), 0.6936826377),
        (terms.corner_distance, 0.2336853296),
        (terms.edge_distance, 0.3166666667),
        (lambda p, t: terms.wasserstein_distance(p, t) ** 2, 3.5),
        (lambda p, t: jaxloss.giou_loss(p, t) + terms.corner_distance(p, t), 1.020864817),
        (
            lambda p, t: (
                jaxloss.ciou_loss(p, t) - jaxloss.iou_loss(p, t) + jaxloss.inner_iou_loss(p, t)
            ),
            0.7874147093,
        ),
    ],
)
def test_check_values(loss, value):
    with jax.enable_x64(True):
        found = np.asarray(loss(PAIRS[:, 0], PAIRS[:, 1]))
    np.testing.assert_allclose(found[0], value, rtol=1e-9)
    assert found[3] == 0


def test_check_values_of_similarities_and_transforms():
    with jax.enable_x64(True):
        similarity = boxes.cdiou(PAIRS[0, 0], PAIRS[0, 1])
        rectified = terms.rectified(1 - np.array([0, 0.3, 0.9, 0.97]))
        pieces = [
            piece(PAIRS[0, 0], PAIRS[0, 1])
            for piece in (
                boxes.iou,
                boxes.giou,
                terms.center_distance,
                terms.aspect_difference,
                lambda p, t: terms.aspect_penalty(p, t) / terms.aspect_difference(p, t),
                lambda p, t: 1 - jaxloss.normalized_wasserstein_loss(p, t),
            )
        ]
    np.testing.assert_allclose(similarity, 0.3469201608, rtol=1e-9)
    expected = [0.4551375257, 0.3614903021, 0.08054651081, 0.0108]
    np.testing.assert_allclose(rectified, expected, rtol=1e-9)
    expected = [
        0.3461538462,
        0.2128205128,
        0.0368852459,
        0.05125914963,
        0.07269715513,
        0.8640207522,
    ]
    np.testing.assert_allclose(pieces, expected, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_identical_boxes_have_loss_zero_and_gradient_zero(name):
    unit = np.array([[0.5, 0.3, 1.5, 0.9], [0.5, 0.3, 0.5, 0.9], [0.5, 0.3, 0.5, 0.3]])
    box = (10.0 ** np.arange(-12, 13, 3)[:, None, None] * unit).astype(np.float32)
    box = np.resize(box, (1000, 4))
    value, slopes = values(box, box)[name], exact(box, box)[name]
    chex.assert_trees_all_equal((value, slopes), jax.tree.map(jnp.zeros_like, (value, slopes)))
    if name in SIMILARITIES:
        assert np.all(np.asarray(SIMILARITIES[name](box, box)) == 1)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("apart", [1e-6, 1e-3])
def test_converged_boxes_keep_their_digits(name, apart):
    rng = np.random.default_rng(5)
    t = np.cumsum(rng.uniform(1, 2, (1000, 4)), -1).astype(np.float32)
    p = (t + apart * rng.normal(size=t.shape)).astype(np.float32)
    found, wanted = (np.float64(x) for x in (values(p, t)[name], exact(p, t)[name][0]))
    ulps = np.abs(found - wanted) / np.spacing(wanted.astype(np.float32))
    assert np.median(ulps) <= 1.5
    # A power or a product of rounded overlaps has as many times their relative error.
    assert ulps.max() <= (
        10 if name in TRANSFORMED else 4.5 if name in RESIZED | MULTIPLIED else 3.5
    )


@pytest.mark.parametrize("name", ["siou", "alpha", "rectified", "gwd"])
def test_one_kernel_has_the_derivatives_of_several(monkeypatch, name):
    """The form for a CPU that is one device: value and slopes computed together."""
    loss = LOSSES.get(name, jaxloss.gwd_loss)
    p, t = (x.astype(np.float32) for x in random_pairs())
    if name == "gwd":
        p, t = (np.concatenate([x, x[:, :1]], -1) for x in (p, t))

    def step(p, t):
        slope = jax.grad(lambda p, t: loss(p, t).sum(), argnums=(0, 1))
        bent = jax.grad(lambda p: jnp.vdot(slope(p, t)[0], jnp.cos(p)))(p)
        return loss(p, t), slope(p, t), bent

    found = []
    for alone in (False, True):
        monkeypatch.setattr(_derivatives, "undivided", lambda alone=alone: alone)
        jax.clear_caches()
        found.append(jax.jit(lambda p, t: step(p, t))(p, t))
    for one, many in zip(*map(jax.tree.leaves, found), strict=True):
        scale = np.abs(many).max()
        np.testing.assert_allclose(one, many, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("shape", [(3, 256), (6, 35), (1, 768)])
@pytest.mark.parametrize("name", ["giou", "ciou", "inner"])
def test_blocks_have_the_derivatives_of_the_whole(monkeypatch, name, shape):
    """The form for a TPU that is one device and has very many pairs, with few of them."""
    p, t = (x.astype(np.float32)[: math.prod(shape)] for x in random_pairs())
    p, t = (x.reshape(*shape, 4) for x in (p, t))
    loss = {"ciou": jaxloss.ciou_loss, "inner": jaxloss.inner_iou_loss}.get(name, jaxloss.giou_loss)
    setting = {"ciou": "minimum_iou", "inner": "ratio"}.get(name)

    def step(p, t, x):
        def total(p, t, x):
            return loss(p, t, **({setting: x} if setting else {})).sum()

        slope = jax.grad(total, argnums=(0, 1))
        bent = jax.grad(lambda p: jnp.vdot(slope(p, t, x)[0], jnp.cos(p)))(p)
        of_setting = jax.grad(total, argnums=2)(p, t, x)
        return total(p, t, x), slope(p, t, x), bent, of_setting

    def chosen(*operands, default=None, tpu=None, **_):
        return (tpu or default)(*operands)

    found = []
    for blocks in (1, 3):
        monkeypatch.setattr(_blocks, "_number_of_blocks", lambda shape, blocks=blocks: blocks)
        monkeypatch.setattr(jax.lax, "platform_dependent", chosen)
        jax.clear_caches()
        per_line = np.linspace(0.3, 0.6, shape[-1], dtype=np.float32)
        found.append([jax.jit(step)(p, t, x) for x in (np.float32(0.5), per_line)])
    jax.clear_caches()
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * scale)


def test_very_many_pairs_are_split_into_equal_blocks_of_whole_lines(monkeypatch):
    monkeypatch.setattr(_blocks, "undivided", lambda: True)
    for shape in [(), (1000,), (2**19,), (2, 3, 40), (6_400_001,), (0, 4)]:
        assert _blocks._number_of_blocks(shape) == 1
    for shape in [(2**20,), (6_400_000,), (64, 33600), (8, 4, 65536), (1, 4_000_000)]:
        count = _blocks._number_of_blocks(shape)
        pairs = math.prod(shape)
        assert 2**15 <= pairs // count <= 2**19
        assert pairs // _blocks._length_of_line(shape) % count == 0
    monkeypatch.setattr(_blocks, "undivided", lambda: False)
    assert _blocks._number_of_blocks((6_400_000,)) == 1


@pytest.mark.parametrize("name", sorted(set(LOSSES) - SCALED))
def test_the_unit_does_not_matter(name):
    p, t = (x.astype(np.float32) for x in random_pairs())
    plain = values(p, t)[name]
    for scale in np.float32([2.0**-60, 2.0**60]):
        found = values(p * scale, t * scale)[name]
        np.testing.assert_allclose(found, plain, rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"mpdiou"}))
def test_shifting_transposing_and_mirroring_both_boxes_changes_nothing(name):
    p, t = random_pairs()
    plain, _ = exact(p, t)[name]
    for change in (
        lambda b: b + np.array([7.5, -31, 7.5, -31]),
        lambda b: b[:, [1, 0, 3, 2]],
        lambda b: -b[:, [2, 1, 0, 3]] * np.array([1, -1, 1, -1]),
    ):
        found, _ = exact(change(p), change(t))[name]
        np.testing.assert_allclose(found, plain, rtol=1e-8, atol=1e-14)
    if name not in ASYMMETRIC:
        np.testing.assert_allclose(exact(t, p)[name][0], plain, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"focal_eiou", "wise3", "powerful2"}))
def test_a_loss_never_falls_as_boxes_move_apart(name):
    box = np.array([0.0, 0.0, 30.0, 20.0])
    steps = np.linspace(0, 150, 1000)[:, None]
    for direction in ([1.0, 0.0], [0.6, 0.8], [-1.0, 0.3]):
        moved = box + steps * np.array(direction * 2)
        losses = np.asarray(exact(moved, np.tile(box, (1000, 1)))[name][0])
        assert np.all(np.diff(losses) >= -1e-14), direction


@pytest.mark.parametrize(
    "name", ["eiou", "siou", "mpdiou", "powerful", "wasserstein", "cdiou", "shape"]
)
def test_an_inverted_box_is_turned_back(name):
    target, inverted = [1.0, 0.0, 3.0, 2.0], [[2.7, 0.0, 1.2, 2.0], [2.2, 0.0, 1.9, 2.0]]
    slope = np.asarray(exact(*(np.resize(b, (1000, 4)) for b in (inverted, target)))[name][1][0])
    assert np.all(slope[:, 0] > slope[:, 2])


@pytest.mark.parametrize("name", LOSSES)
def test_nan_is_never_a_number(name):
    p, t = (np.tile(box.astype(np.float32), (1000, 1)) for box in PAIRS[1])
    p[range(4), range(4)] = np.nan
    t[range(4, 8), range(4)] = np.nan
    found = values(p, t)[name]
    # The mean of the batch would be NaN where a state is kept, but for a momentum of 0.
    assert np.all(np.isnan(found[:8]))


@pytest.mark.parametrize("name", SIMILARITIES)
def test_a_similarity_is_one_less_its_loss(name):
    p, t = (x.astype(np.float32) for x in random_pairs())
    np.testing.assert_allclose(SIMILARITIES[name](p, t), 1 - values(p, t)[name], atol=4e-7)


def test_at_a_ratio_of_one_inner_boxes_are_the_boxes():
    p, t = (x.astype(np.float32) for x in random_pairs())
    found = jaxloss.inner_iou_loss(p, t, ratio=1.0)
    np.testing.assert_allclose(found, jaxloss.iou_loss(p, t), rtol=2e-6)


def test_a_small_box_at_the_edge_of_a_large_one_keeps_its_overlap():
    p, t = np.array([999.9, 3.0, 1000.1, 3.2]), np.array([0.0, -1000.0, 1000.0, 1000.0])
    with jax.enable_x64(True):
        wanted = float(boxes.inner_iou(p, t, ratio=1.0002))
    found = boxes.inner_iou(p.astype(np.float32), t.astype(np.float32), ratio=1.0002)
    assert wanted > 0
    np.testing.assert_allclose(found, wanted, rtol=2e-3)


def test_image_sizes_may_be_traced_and_differ():
    p, t = (x[:3].astype(np.float32) for x in random_pairs())
    heights, widths = jnp.array([100.0, 200.0, 300.0]), jnp.array([50.0, 400.0, 300.0])
    found = jaxloss.mpdiou_loss(p, t, image_size=(heights, widths))
    mapped = jax.jit(jax.vmap(lambda *a: jaxloss.mpdiou_loss(a[0], a[1], image_size=a[2:])))
    np.testing.assert_allclose(found, mapped(p, t, heights, widths), rtol=1e-6)
    with pytest.raises(ValueError, match="image_size"):
        jaxloss.mpdiou_loss(p, t, image_size=(100.0,))


def test_an_unknown_penalty_is_refused():
    with pytest.raises(ValueError, match="`penalty` is 'iou'"):
        jaxloss.alpha_iou_loss(*PAIRS[0].astype(np.float32), penalty="iou")


def test_alpha_of_one_is_the_loss_itself():
    p, t = (x.astype(np.float32) for x in random_pairs())
    for penalty, loss in (("giou", jaxloss.giou_loss), ("ciou", jaxloss.ciou_loss)):
        found = jaxloss.alpha_iou_loss(p, t, alpha=1.0, penalty=penalty)
        np.testing.assert_allclose(found, loss(p, t), rtol=2e-6, atol=1e-7)
    inverted, box = np.float32([5, 7, 1, 2]), np.float32([2, 3, 7, 6])
    expected = jaxloss.ciou_loss(inverted, box)
    found = jaxloss.alpha_iou_loss(inverted, box, alpha=1.0, penalty="ciou")
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_penalties_of_any_size_are_raised(alpha):
    penalty = np.float32([1e-12, 0.3, 1 - 1e-3, 1, 1 + 1e-3, 2, 7, 1e6, 1e12])
    power = jax.vmap(jax.value_and_grad(partial(terms.powered_penalty, alpha=alpha)))
    exact = penalty.astype(np.float64)
    expected = exact**alpha, alpha * exact ** (alpha - 1)
    chex.assert_trees_all_close(power(penalty), expected, rtol=1e-5)


def test_focal_weights_normalise_the_mean():
    p, t = (x[:50].astype(np.float32) for x in random_pairs())
    weights = terms.focal_weight(p, t)
    losses = jaxloss.focal_eiou_loss(p, t)
    expected = np.sum(weights * jaxloss.eiou_loss(p, t)) / np.sum(weights)
    np.testing.assert_allclose(jaxloss.mean(losses, normalizer=weights), expected, rtol=1e-6)
    apart = jnp.array([[0.0, 0.0, 1.0, 1.0]]), jnp.array([[5.0, 5.0, 6.0, 6.0]])
    nothing = jaxloss.mean(jaxloss.focal_eiou_loss(*apart), normalizer=terms.focal_weight(*apart))
    assert nothing == 0


def test_the_running_mean_is_updated_before_use_and_only_by_what_counts():
    p, t = (x[:6].astype(np.float32) for x in random_pairs())
    kept = np.array([True, True, False, True, False, True])
    gap = np.asarray(jaxloss.iou_loss(p, t))
    start = jaxloss.dynamic_wise_iou_init()
    losses, state = jaxloss.dynamic_wise_iou_loss(p, t, start, momentum=0.25, where=kept)
    mean = 0.75 + 0.25 * gap[kept].mean()
    np.testing.assert_allclose(state.mean, mean, rtol=1e-6)
    outlier = gap / mean
    expected = outlier / (3 * 1.9 ** (outlier - 3)) * jaxloss.wise_iou_loss(p, t)
    np.testing.assert_allclose(losses, np.where(kept, expected, 0), rtol=1e-5)
    _, same = jaxloss.dynamic_wise_iou_loss(p, t, state, momentum=0.25, where=np.zeros(6, bool))
    assert same.mean == state.mean
    with pytest.raises(TypeError, match="`state` is a float"):
        jaxloss.dynamic_wise_iou_loss(p, t, 1.0)


def test_the_state_goes_through_scan_and_is_the_same_on_all_devices():
    p, t = (x[:64].astype(np.float32).reshape(8, 8, 4) for x in random_pairs())
    step = partial(jaxloss.dynamic_wise_iou_loss, momentum=0.1)

    def one(state, batch):
        losses, state = step(*batch, state)
        return state, losses

    state, losses = jax.jit(lambda: jax.lax.scan(one, jaxloss.dynamic_wise_iou_init(), (p, t)))()
    assert losses.shape == (8, 8)
    by_device = jax.vmap(
        lambda p, t: step(p, t, jaxloss.dynamic_wise_iou_init(), axis_name="i"), axis_name="i"
    )
    split, states = by_device(p, t)
    whole, expected = step(p, t, jaxloss.dynamic_wise_iou_init())
    np.testing.assert_allclose(states.mean, np.full(8, expected.mean), rtol=1e-6)
    np.testing.assert_allclose(split, whole, rtol=1e-6)
    assert 0 < state.mean < 1


def test_a_new_loss_is_three_lines_with_gradient_and_hessian():
    def alpha_inner_siou(p, t, alpha=3.0):
        gap, iou = jaxloss.inner_iou_loss(p, t, ratio=0.8), boxes.inner_iou(p, t, ratio=0.8)
        costs = terms.angular_distance(p, t), terms.shape_difference(p, t)
        powers = [terms.powered_penalty(cost, alpha=alpha) for cost in costs]
        return terms.powered(gap, iou, alpha=alpha) + sum(powers) / 2

    p, t = jnp.array(PAIRS[0, 0], jnp.float32), jnp.array(PAIRS[0, 1], jnp.float32)
    slopes = jax.grad(alpha_inner_siou)
    product = jax.jit(lambda v: jax.jvp(lambda p: slopes(p, t), (p,), (v,)))
    u, v = jnp.array([1.0, 0.5, -2.0, 3.0]), jnp.array([0.0, 1.0, 1.5, -1.0])
    gradient, along = product(u)
    np.testing.assert_allclose(jnp.vdot(v, along), jnp.vdot(u, product(v)[1]), rtol=1e-4)
    assert alpha_inner_siou(p - 0.1 * gradient, t) < alpha_inner_siou(p, t)
    for alpha in (0.5, 1.5, 3.0):
        assert alpha_inner_siou(t, t, alpha) == 0
        chex.assert_tree_all_finite(jax.jit(jax.hessian(alpha_inner_siou))(t, t, alpha))


@pytest.mark.parametrize("inner", ["focaler", "inner"])
@pytest.mark.parametrize("name", ["eiou", "siou"])
def test_every_loss_may_have_another_overlap(name, inner):
    """Inner-X and Focaler-X: the overlap is replaced, the penalties stay."""
    p, t = random_pairs()
    with jax.enable_x64(True):
        found = LOSSES[name](p, t) - jaxloss.iou_loss(p, t) + LOSSES[inner](p, t)
    expected = reference(name, p, t) + overlap(p, t) - 1 + reference(inner, p, t)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
