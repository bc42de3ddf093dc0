"""The IoU family beside torchvision, and beside the plain form where torchvision has none."""

import torch
from torchvision.ops import (
    box_iou,
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

import jaxloss
from bench.cases.case import Case, boxes, pairs

COUNT = 200_000
EPSILON = 1e-7


def plain_eiou_loss(p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    enclosing = torch.max(p[:, 2:], t[:, 2:]) - torch.min(p[:, :2], t[:, :2])
    sides = (p[:, 2:] - p[:, :2]) - (t[:, 2:] - t[:, :2])
    return distance_box_iou_loss(p, t) + (sides / (enclosing + EPSILON)).square().sum(-1)


def plain_siou_loss(p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """As mmdetection and YOLOv6 write it."""
    w, h = (p[:, 2:] - p[:, :2]).unbind(-1)
    W, H = (t[:, 2:] - t[:, :2] + EPSILON).unbind(-1)
    dx, dy = ((t[:, :2] + t[:, 2:] - p[:, :2] - p[:, 2:]) / 2).unbind(-1)
    shared = (torch.min(p[:, 2:], t[:, 2:]) - torch.max(p[:, :2], t[:, :2])).clamp(min=0).prod(-1)
    iou = shared / (w * h + W * H - shared + EPSILON)
    cw, ch = (torch.max(p[:, 2:], t[:, 2:]) - torch.min(p[:, :2], t[:, :2])).unbind(-1)
    sigma = torch.sqrt(dx**2 + dy**2) + EPSILON
    sine = torch.clamp(dy.abs() / sigma, max=1 - EPSILON)
    angle = torch.cos(2 * torch.arcsin(sine) - torch.pi / 2)
    gamma = angle - 2
    distance = 2 - torch.exp(gamma * (dx / cw) ** 2) - torch.exp(gamma * (dy / ch) ** 2)
    omega_w = (w - W).abs() / torch.max(w, W)
    omega_h = (h - H).abs() / torch.max(h, H)
    shape = (1 - torch.exp(-omega_w)) ** 4 + (1 - torch.exp(-omega_h)) ** 4
    return 1 - iou + 0.5 * (distance + shape)


CASES = [
    Case(
        "GIoU, 200,000 pairs",
        pairs(COUNT),
        jaxloss.giou_loss,
        torch_peers={"torchvision": generalized_box_iou_loss},
        better_form=True,
    ),
    Case(
        "DIoU, 200,000 pairs",
        pairs(COUNT),
        jaxloss.diou_loss,
        torch_peers={"torchvision": distance_box_iou_loss},
        better_form=True,
    ),
    Case(
        "CIoU, 200,000 pairs",
        pairs(COUNT),
        jaxloss.ciou_loss,
        torch_peers={"torchvision": complete_box_iou_loss},
        better_form=True,
        tolerance=1e-3,
    ),
    Case(
        "EIoU, 200,000 pairs",
        pairs(COUNT),
        jaxloss.eiou_loss,
        torch_peers={"torch, plain form": plain_eiou_loss},
        better_form=True,
    ),
    Case(
        "SIoU, 200,000 pairs",
        pairs(COUNT),
        jaxloss.siou_loss,
        torch_peers={"torch, plain form": plain_siou_loss},
        better_form=True,
        tolerance=5e-2,  # the plain form's arcsine is imprecise where centres are level
    ),
    Case(
        "pairwise IoU (8732 x 64)",
        lambda random: [boxes(random, 8732), boxes(random, 64)],
        jaxloss.boxes.pairwise(jaxloss.boxes.iou),
        torch_peers={"torchvision": box_iou},
        differentiated=0,
        better_form=True,
        batched=False,
    ),
]
