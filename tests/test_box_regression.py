"""The regression simulations, small: their cases, their updates, and that chunks do not matter."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from bench.regression.descent import Descent, descend
from bench.regression.losses import named, names
from bench.regression.protocols import CASES, PROTOCOLS, RATIOS, Protocol
from bench.regression.published import SUMS, as_published

DIOU, WIOU = PROTOCOLS["diou"], PROTOCOLS["wiou"]


@pytest.fixture(autouse=True)
def promotion():
    """optax's Adam needs it."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@cache
def small(protocol: str, loss: str) -> Descent:
    """Two centres, 686 cases."""
    chosen = PROTOCOLS[protocol]
    return descend(named(loss, chosen), chosen, points=2, chunk=2, devices=jax.devices()[:1])


@pytest.mark.parametrize("protocol", [DIOU, WIOU])
def test_a_centre_has_every_combination_of_shapes_once(protocol: Protocol):
    centers = protocol.centers(3, seed=1)
    anchors, targets = (
        np.asarray(protocol.corners(boxes)) for boxes in protocol.cases(jnp.asarray(centers))
    )
    assert anchors.shape == targets.shape == (3 * CASES, 4)
    assert len(np.unique(np.hstack([anchors, targets])[:CASES].round(4), axis=0)) == CASES
    sides = targets[:, 2:] - targets[:, :2]
    np.testing.assert_allclose(sides.prod(-1), protocol.area, rtol=1e-5)
    np.testing.assert_allclose(sorted(set((sides[:, 0] / sides[:, 1]).round(4))), RATIOS, rtol=1e-3)
    np.testing.assert_allclose((targets[:, 2:] + targets[:, :2]) / 2, protocol.center, rtol=1e-5)
    np.testing.assert_allclose(
        (anchors[:, 2:] + anchors[:, :2]) / 2, np.repeat(centers, CASES, axis=0), rtol=1e-4
    )
    areas = (anchors[:, 2:] - anchors[:, :2]).prod(-1)
    np.testing.assert_allclose(areas.mean(), np.mean(protocol.areas), rtol=1e-4)


def test_the_papers_have_as_many_cases_as_they_say():
    assert DIOU.points * CASES == WIOU.points * CASES == 1_715_000


def test_centres_fill_their_disc():
    distances = np.linalg.norm(DIOU.centers(20_000, seed=0) - 10, axis=-1)
    np.testing.assert_allclose(distances.max(), 3, rtol=1e-3)
    np.testing.assert_allclose(distances.mean(), 2, rtol=1e-2)  # 2/3 of the radius
    rim = np.linalg.norm(WIOU.centers(20_000, seed=0) - 0.5, axis=-1)
    # The mean of ln(u (e^3 - 1) + 1) / 3 is e^3 / (e^3 - 1) - 1 / 3.
    np.testing.assert_allclose(rim.mean(), 0.5 * (np.exp(3) / np.expm1(3) - 1 / 3), rtol=1e-2)


def test_boxes_arrive():
    error = small("diou", "diou").error
    assert (np.diff(error[:40]) < 0).all()
    assert error[200] < 0.05 * error[0]
    overlap = small("wiou", "diou").overlap
    assert (np.diff(overlap[:60]) > -1e-3).all()
    assert overlap[120] > 0.9 > 0.1 > overlap[0]


@pytest.mark.thorough
@pytest.mark.parametrize("name", names())
def test_every_loss_of_the_family_runs_and_brings_boxes_nearer(name: str):
    # Several centres: inner boxes of one may share nothing with the target's, so that none moves.
    run = partial(descend, points=4, steps=30, chunk=4, devices=jax.devices()[:1])
    overlap = run(named(name, WIOU), WIOU).overlap
    assert np.isfinite(overlap).all()
    assert overlap[30] > overlap[0]


def test_runs_are_repeatable():
    """Values before oscillation makes them depend on rounding."""
    expected = {
        "diou": [4.00567, 3.97004, 3.60130, 2.52535],
        "wiou": [1.02213, 1.01001, 0.89209, 0.54718],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(small(name, "diou").error[[0, 1, 10, 30]], values, rtol=1e-3)


@pytest.mark.parametrize("name", ["giou", "diou"])
def test_faulty_directions_give_the_published_curves(name: str):
    faulty = named(f"{name}_as_published", DIOU)
    found = descend(faulty, DIOU, points=50, steps=20, chunk=50, devices=jax.devices()[:1])
    for update in (10, 20):
        sum_of_all = 1_715_000 * found.error[update]
        np.testing.assert_allclose(sum_of_all, SUMS[name][update], rtol=0.03)


def test_iou_leaves_boxes_that_are_apart():
    assert small("diou", "iou").error[200] > 10 * small("diou", "diou").error[200]


@pytest.mark.parametrize("name", ["diou", "wiou"])
def test_the_first_update_is_the_papers(name: str):
    """By hand: 0.1 (2 - IoU) times the gradient, and Adam's first step of 0.01."""
    protocol = PROTOCOLS[name]
    anchors, targets = protocol.cases(jnp.asarray(protocol.centers(2, seed=0)))
    corners = protocol.corners(targets)

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def total(anchors):
        boxes = protocol.corners(anchors)
        return jaxloss.diou_loss(boxes, corners).sum(), jaxloss.boxes.iou(boxes, corners)

    (_, iou), gradient = jax.tree.map(np.asarray, total(anchors))
    mean = gradient / 1_715_000
    moves = {"diou": 0.1 * (2 - iou[:, None]) * gradient, "wiou": 0.01 * mean / (abs(mean) + 1e-8)}
    before = np.asarray(anchors - targets)
    expected = [np.abs(offsets).sum(-1).mean() for offsets in (before, before - moves[name])]
    np.testing.assert_allclose(small(name, "diou").error[:2], expected, rtol=1e-5)


def test_chunks_and_devices_do_not_matter():
    run = partial(descend, jaxloss.diou_loss, DIOU, points=5, steps=12, seed=3)
    whole = run(chunk=5, devices=jax.devices()[:1])
    parts = run(chunk=1, devices=jax.devices()[:2])
    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)
    assert whole.final.shape == (5,)
    np.testing.assert_allclose(whole.final.mean() / CASES, whole.error[-1], rtol=1e-6)


def test_published_directions_are_right_where_their_faults_have_no_effect():
    """Overlapping boxes: GIoU's direction is the gradient but for the doubled sides."""
    predictions, targets = jnp.array([[9.0, 9.0, 10.5, 10.9]]), jnp.array([[9.5, 9.3, 10.9, 10.7]])

    def of_center(loss, parameters):
        return loss(DIOU.corners(parameters), targets).sum()

    parameters = jaxloss.boxes.convert(predictions, "xyxy", "cxcywh")
    exact = jax.grad(partial(of_center, jaxloss.giou_loss))(parameters)
    published = jax.grad(partial(of_center, partial(as_published, "giou")))(parameters)
    np.testing.assert_allclose(published, exact * jnp.array([[1.0, 1, 2, 2]]), rtol=1e-4)
