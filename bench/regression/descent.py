"""Millions of boxes that descend a loss, in chunks that fit the cache, on every device."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from jaxloss import boxes

from .losses import Loss
from .protocols import CASES, Protocol

Show = Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Descent:
    """What became of the boxes; entry `t` of a curve is after `t` updates.

    Attributes:
      error: mean over the cases of the L1 distance to the target's parameters.
      overlap: mean over the cases of the IoU with the target.
      centers: `[points, 2]`, of the anchors.
      final: `[points]`, the sum of the last errors over the cases of each centre.
    """

    error: np.ndarray
    overlap: np.ndarray
    centers: np.ndarray
    final: np.ndarray


def descend(
    loss: Loss,
    protocol: Protocol,
    *,
    points: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    chunk: int = 32,
    devices: Sequence[jax.Device] | None = None,
    show: Show = iter,
) -> Descent:
    """Runs the protocol with exact gradients.

    Args:
      loss: of predictions and targets `[cases, 4]`, without a sum.
      protocol: the cases and how they move.
      points: how many centres, the paper's number by default.
      seed: of the centres.
      steps: how many updates, the paper's number by default.
      chunk: how many centres each device has at a time, at most.
      devices: all by default.
      show: wraps the chunks, such as a progress bar.
    """
    centers = protocol.centers(points or protocol.points, seed)
    devices = devices or jax.devices()
    size = min(chunk, -(-len(centers) // len(devices))) * len(devices)
    padded = np.pad(centers, [(0, -len(centers) % size), (0, 0)], mode="edge")
    run = on_devices(devices, partial(errors_and_overlaps, loss, protocol, steps))
    found = [jax.device_get(run(part)) for part in show(np.split(padded, len(padded) // size))]
    errors, overlaps = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    errors, overlaps = (sums[:, : len(centers)].astype(float) for sums in (errors, overlaps))
    return Descent(
        error=errors.mean(axis=1) / CASES,
        overlap=overlaps.mean(axis=1) / CASES,
        centers=centers,
        final=errors[-1],
    )


def on_devices(
    devices: Sequence[jax.Device], function: Callable[[Array], tuple[Array, Array]]
) -> Callable[[np.ndarray], tuple[Array, Array]]:
    """`function` of centres, each device with its own part of them and nothing to say to others."""
    mesh = Mesh(np.asarray(devices), ("centers",))
    parts = PartitionSpec("centers"), PartitionSpec(None, "centers")
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=parts[0], out_specs=parts[1]))


def errors_and_overlaps(
    loss: Loss, protocol: Protocol, steps: int | None, centers: Array
) -> tuple[Array, Array]:
    """Errors and IoUs after 0, 1, ... updates, `[steps + 1, points]`: sums over cases."""
    anchors, targets = protocol.cases(centers)
    target_corners = protocol.corners(targets)

    def total(parameters: Array) -> Array:
        return jnp.sum(loss(protocol.corners(parameters), target_corners))

    def measures(parameters: Array, overlaps: Array) -> tuple[Array, Array]:
        errors = jnp.sum(jnp.abs(parameters - targets), axis=-1)
        return by_point(errors), by_point(overlaps)

    def overlaps_of(parameters: Array) -> Array:
        return boxes.iou(protocol.corners(parameters), target_corners)

    def step(carry: tuple[Array, optax.OptState], _: None) -> tuple[tuple, tuple[Array, Array]]:
        parameters, state = carry
        overlaps = overlaps_of(parameters)
        gradients = protocol.weight(overlaps)[:, None] * jax.grad(total)(parameters)
        updates, state = protocol.optimizer.update(gradients, state)
        moved = optax.apply_updates(parameters, updates)
        return (moved, state), measures(parameters, overlaps)

    start = anchors, protocol.optimizer.init(anchors)
    (last, _), curves = jax.lax.scan(step, start, length=steps or protocol.steps)
    ends = measures(last, overlaps_of(last))
    return jax.tree.map(lambda curve, end: jnp.concatenate([curve, end[None]]), curves, ends)


def by_point(values: Array) -> Array:
    """Sums over the cases of each centre."""
    return jnp.sum(values.reshape(-1, CASES), axis=-1)
