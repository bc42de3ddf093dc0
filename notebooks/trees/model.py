"""A small convolutional detector that predicts at every fourth pixel and sees the forest around."""

import jax.numpy as jnp
from flax import nnx
from jax import Array

STRIDE = 4  # pixels between neighbouring cells of the output
MULTIPLE = 16  # heights and widths must be multiples of this
MEAN, SPREAD = 135.0, 55.0  # of the photos' pixels


class Detector(nnx.Module):
    """Images `[B, H, W, 3]` to box deltas `[B, A, 4]` and class logits `[B, A, C]`.

    The anchors are in the order of `jaxloss.boxes.anchor_grid`: row, column, anchor of the cell.
    """

    def __init__(self, anchors_a_cell: int, classes: int, *, rngs: nnx.Rngs):
        self.classes = classes
        self.stem = nnx.Conv(3, 32, (6, 6), strides=STRIDE, rngs=rngs)
        self.fine = Block(32, 32, rngs=rngs)
        self.middle = nnx.Sequential(Block(32, 64, 2, rngs=rngs), Block(64, 64, rngs=rngs))
        self.coarse = Block(64, 96, 2, rngs=rngs)
        self.coarse_to_middle = nnx.Conv(96, 64, (1, 1), rngs=rngs)
        self.middle_again = Block(64, 64, rngs=rngs)
        self.middle_to_fine = nnx.Conv(64, 32, (1, 1), rngs=rngs)
        self.fine_again = Block(32, 32, rngs=rngs)
        self.deltas = head(32, 4 * anchors_a_cell, rngs=rngs)
        self.logits = head(32, classes * anchors_a_cell, rngs=rngs, prior=0.01)

    def __call__(self, images: Array) -> tuple[Array, Array]:
        fine = self.fine(self.stem((images.astype(jnp.float32) - MEAN) / SPREAD))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.middle_again(middle + doubled(self.coarse_to_middle(coarse)))
        fine = self.fine_again(fine + doubled(self.middle_to_fine(middle)))
        deltas, logits = self.deltas(fine), self.logits(fine)
        batch = images.shape[0]
        return deltas.reshape(batch, -1, 4), logits.reshape(batch, -1, self.classes)


class Block(nnx.Module):
    """Two convolutions that add to what passes them by."""

    def __init__(self, channels: int, width: int, stride: int = 1, *, rngs: nnx.Rngs):
        faint = nnx.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
        self.norm = nnx.LayerNorm(channels, rngs=rngs)
        self.first = nnx.Conv(channels, width, (3, 3), strides=stride, rngs=rngs)
        self.second = nnx.Conv(width, width, (3, 3), kernel_init=faint, rngs=rngs)
        self.past = (
            (lambda x: x)
            if channels == width and stride == 1
            else nnx.Conv(channels, width, (stride, stride), strides=stride, rngs=rngs)
        )

    def __call__(self, x: Array) -> Array:
        return self.past(x) + self.second(nnx.silu(self.first(self.norm(x))))


def head(channels: int, width: int, *, rngs: nnx.Rngs, prior: float = 0.5) -> nnx.Conv:
    """A last layer whose sigmoid is `prior` before training."""
    return nnx.Conv(
        channels,
        width,
        (1, 1),
        kernel_init=nnx.initializers.normal(0.01),
        bias_init=nnx.initializers.constant(jnp.log(prior / (1 - prior))),
        rngs=rngs,
    )


def doubled(x: Array) -> Array:
    """Twice the height and width: every cell becomes four."""
    batch, height, width, channels = x.shape
    spread = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return spread.reshape(batch, 2 * height, 2 * width, channels)
