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
# # How fast boxes become their targets
#
# Losses of the IoU family are compared by moving boxes down them, without any network: an anchor, a
# target, a few hundred steps. Two papers' simulations are run here, each over all combinations of
# 7 sizes and 7 aspect ratios of anchors and 7 aspect ratios of targets, around many centres. With
# the papers' 5,000 centres these are 1,715,000 boxes.
#
# `make box-regression ARGS="--protocol diou --losses all"` does the same from the command line. In
# a notebook, set the environment variable `CENTERS` to run with more or fewer.

# %%
import os

from tqdm import tqdm

from bench import box_regression
from bench.regression import pictures
from bench.regression.descent import descend
from bench.regression.losses import named
from bench.regression.protocols import PROTOCOLS

box_regression.use_all_cores()
points = int(os.environ.get("CENTERS", "400"))


def run(protocol, names):
    progress = tqdm(names.split(), ncols=80, mininterval=10)
    return {name: descend(named(name, protocol), protocol, points=points) for name in progress}


# %% [markdown]
# ## Wise-IoU's simulation
#
# The corners move by Adam. Most anchors start apart from their targets, so that IoU alone, which
# has no gradient there, leaves them where they are. All others arrive; what differs is when.

# %%
wiou = PROTOCOLS["wiou"]
descents = run(wiou, "iou giou diou ciou eiou siou wise_iou powerful_iou")
print("\n".join(box_regression.table(descents, wiou)))
figure = pictures.curves(descents, title=wiou.title, published=False)

# %% [markdown]
# Where the boxes that have not arrived come from: the colour is the error that is left over the
# 343 boxes of a centre.

# %%
figure = pictures.surfaces(descents)

# %% [markdown]
# ## Distance-IoU's simulation
#
# Centre and sides move along the gradient, `2 - IoU` times as far, at first by a tenth of it. The
# dashed dots are read off the paper's figure.

# %%
diou = PROTOCOLS["diou"]
descents = run(diou, "iou giou diou ciou eiou wise_iou")
print("\n".join(box_regression.table(descents, diou)))
figure = pictures.curves(descents, title=f"{diou.title}, exact gradients", published=True)

# %%
figure = pictures.surfaces(descents)

# %% [markdown]
# ## Why the published curves are others
#
# With exact gradients GIoU arrives, and DIoU needs longer than it did in the paper. No correct
# differentiation can give those curves: the paper's code moves boxes along directions that were
# derived by hand, and
#
# 1. the derivatives of IoU and GIoU by width and height are twice what they should be;
# 2. the two negative sides of an empty intersection are multiplied to a positive area, so that GIoU
#    is wrong for every pair that is apart;
# 3. in the derivative of DIoU's penalty the part of the enclosing diagonal has the wrong sign,
#    which pulls distant boxes several times as hard;
# 4. the diagonal's derivatives mix the edges of both axes;
# 5. CIoU's aspect lacks the factor `1 / (w^2 + h^2)`.
#
# With these faults put in, the published curves nearly come out: that of GIoU by the second, those
# of DIoU and CIoU by the third and fourth. The errors that are left at a rate of 0.1 are
# oscillation, which ends when the rate falls.

# %%
descents = run(diou, "iou_as_published giou_as_published diou_as_published ciou_as_published")
print("\n".join(box_regression.table(descents, diou)))
figure = pictures.curves(descents, title=f"{diou.title}, faulty directions", published=True)

# %% [markdown]
# The second fault leaves GIoU's boxes where they are level with their target, or above or below it.

# %%
figure = pictures.surfaces(descents)
