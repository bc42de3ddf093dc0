# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Trees from the air
#
# A small convolutional network learns to put boxes around trees in two aerial photos of a forest,
# and is judged on ground that it has not seen. The matching of anchors with trees and all losses
# come from `jaxloss` and run inside one jitted training step.
#
# `make demo ARGS="--detector ssd --box-loss ciou --seed 3"` does the same with another loss. In a
# notebook, set the environment variable `DEMO` to the options.

# %%
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from tqdm import trange
from trees import data, evaluation, options, photos, pictures
from trees.model import MULTIPLE, STRIDE, Detector

import jaxloss
from jaxloss import boxes, detection

settings = options.parse()
print(" ".join(f"--{name.replace('_', '-')} {value}" for name, value in vars(settings).items()))

# %% [markdown]
# ## The ground
#
# Each photo is cut into a block to train on and a block to judge by, with some unused ground
# between them. Training sees squares of 128 pixels, mostly around one of the trees, from nearer
# and from farther, in changing light, and sometimes reflected in such a way that the sun stays
# where it is.

# %%
north, south = photos.read("trees_yell_528"), photos.read("trees_yell_541")
training = [data.strip(north, 0, 0.78), data.strip(south, 0, 0.60)]
held_out = [data.strip(north, 0.80, 1), data.strip(south, 0.64, 1)]
for name, grounds in ("training", training), ("held out", held_out):
    print(f"{name}: {' + '.join(str(len(ground.boxes)) for ground in grounds)} trees")

zooms = np.exp(np.linspace(-0.15, 0.15, 7))
zoomed = [photos.resized(ground, zoom) for ground in training for zoom in zooms]

# %% [markdown]
# ## The anchors
#
# Trees seen from above are nearly square, and 5 to 50 pixels wide: five sizes at every cell.

# %%
SIDES = (7.0, 11.0, 17.0, 26.0, 40.0)
SQUARE = 128


def anchors_of(height: int, width: int) -> jax.Array:
    cells = height // STRIDE, width // STRIDE
    return boxes.anchor_grid(cells, STRIDE, scales=SIDES, aspect_ratios=(1.0,)).reshape(-1, 4)


anchors = anchors_of(SQUARE, SQUARE)
print(f"{len(anchors)} anchors for each square")

# %% [markdown]
# ## The loss
#
# A detector's loss takes what the network says, the anchors, and the true boxes, of which every
# image has the same number: `where` tells the trees from the padding. It returns sums for each
# image, and how many anchors are positive. What to divide by is ours to say: here, by those of the
# batch.

# %%
LABEL = {"ssd": 1, "retinanet": 0}[settings.detector]  # SSD's class 0 is the background
detectors = {"ssd": detection.ssd_loss, "retinanet": detection.retinanet_loss}
localization = options.localization(settings.box_loss)  # such as {"box_loss": jaxloss.giou_loss}
detector_loss = partial(detectors[settings.detector], **localization)


def loss(network, batch):
    deltas, logits = network(batch.images)
    terms = detector_loss(deltas, logits, anchors, batch.boxes, batch.labels, where=batch.where)
    positives = jnp.maximum(jaxloss.sum(terms.positives), 1)
    shares = {
        "localization": jaxloss.sum(terms.localization) / positives,
        "classification": jaxloss.sum(terms.classification) / positives,
    }
    return jaxloss.sum(detection.total(terms)) / positives, shares


@nnx.jit
def train_step(network, average, optimizer, batch):
    (_, shares), gradients = nnx.value_and_grad(loss, has_aux=True)(network, batch)
    optimizer.update(network, gradients)
    weights = nnx.state(network, nnx.Param)
    return optax.incremental_update(weights, average, step_size=0.01), shares


# %% [markdown]
# ## Training
#
# What is judged in the end is a running mean of the weights.

# %%
rngs = nnx.Rngs(jax.random.key(settings.seed, impl="rbg"))  # compiles faster than the default
network = Detector(len(SIDES), classes=LABEL + 1, rngs=rngs)
rate = optax.warmup_cosine_decay_schedule(0.0, 3e-3, settings.steps // 15, settings.steps)
adam = optax.adamw(rate, b2=0.99, weight_decay=0.01)
clipped = optax.chain(optax.clip_by_global_norm(5.0), adam)
optimizer = nnx.Optimizer(network, clipped, wrt=nnx.Param)
average = jax.tree.map(jnp.copy, nnx.state(network, nnx.Param))
random = np.random.default_rng(settings.seed)

history = {"localization": [], "classification": []}
for _ in (progress := trange(settings.steps, ncols=100, mininterval=1.0)):
    squares = [data.sample(zoomed, SQUARE, random) for _ in range(4)]
    batch = data.collate(squares, most=64, label=LABEL)
    average, shares = train_step(network, average, optimizer, batch)
    for name, value in shares.items():
        history[name].append(float(value))
    progress.set_postfix({name: f"{values[-1]:.3f}" for name, values in history.items()})
nnx.update(network, average)

# %% [markdown]
# ## The held-out ground
#
# The network is convolutional: it looks at a whole block at once. Of boxes that overlap by more
# than half, the one with the best score is kept, and is then moved to the mean of all that agree
# with it.


# %%
@nnx.jit
def find(network, images, sizes):
    deltas, logits = network(images)
    anchors = anchors_of(*images.shape[1:3])[None]
    scores = (nnx.softmax(logits) if LABEL else nnx.sigmoid(logits))[..., LABEL]
    found = boxes.decode_deltas(deltas, anchors, weights=localization["coder_weights"])
    return jax.vmap(select)(boxes.clip(found, sizes[:, :1], sizes[:, 1:]), scores)


def select(found, scores):
    scores, best = jax.lax.top_k(jnp.where(boxes.area(found) > 0, scores, 0), 4000)
    found = found[best]
    kept = boxes.non_max_suppression(
        found, scores, max_outputs=evaluation.MOST, iou_threshold=0.5, score_threshold=0.05
    )
    overlaps = boxes.pairwise(boxes.iou)(found[kept.indices], found)
    votes = jnp.where(overlaps > 0.7, scores, 0)
    means = votes @ found / votes.sum(axis=-1, keepdims=True)
    return means, scores[kept.indices], kept.valid


candidates = map(np.asarray, find(network, *data.pad(held_out, MULTIPLE)))
found = [
    evaluation.Detections(block[valid], scores[valid])
    for block, scores, valid in zip(*candidates, strict=True)
]
precisions = evaluation.average_precisions([ground.boxes for ground in held_out], found)
print("".join(f"{name:>8}" for name in precisions))
print("".join(f"{value:8.3f}" for value in precisions.values()))

# %%
ground = pictures.held_out(held_out, found, threshold=0.3)
curves = pictures.curves(history)
output = Path("output" if Path("notebooks").is_dir() else "../output")
pictures.save(ground, output / "trees.png")
pictures.save(curves, output / "loss.png")
