"""Vectors that are to be near or far: pairs, batches, and prototypes of classes."""

from jaxloss.embedding.batches import circle_loss as circle_loss
from jaxloss.embedding.batches import info_nce_loss as info_nce_loss
from jaxloss.embedding.batches import ntxent as ntxent
from jaxloss.embedding.batches import supervised_contrastive_loss as supervised_contrastive_loss
from jaxloss.embedding.pairs import contrastive_loss as contrastive_loss
from jaxloss.embedding.pairs import triplet_margin_loss as triplet_margin_loss
from jaxloss.embedding.prototypes import arcface_logits as arcface_logits
from jaxloss.embedding.prototypes import center_loss as center_loss
from jaxloss.embedding.prototypes import cosface_logits as cosface_logits
from jaxloss.embedding.prototypes import update_centers as update_centers
