"""Average precision by pycocotools."""

from contextlib import redirect_stdout
from io import StringIO
from typing import NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

MOST = 400  # detections of a block that count; pycocotools' own limit is 100
THRESHOLDS = np.array([0.4, *np.arange(0.5, 1.0, 0.05)])


class Detections(NamedTuple):
    """Boxes `[N, 4]` found on a block of ground and their scores `[N]`."""

    boxes: np.ndarray
    scores: np.ndarray


def average_precisions(truths: list[np.ndarray], found: list[Detections]) -> dict[str, float]:
    """AP at IoU 0.5, at 0.4, and its mean over 0.5, 0.55, ..., 0.95, of all blocks together."""
    results = [
        {"image_id": image, "category_id": 1, "bbox": corner_and_size(box), "score": float(score)}
        for image, detections in enumerate(found, start=1)
        for box, score in zip(*detections, strict=True)
    ]
    if not results:  # `loadRes` fails on an empty list
        return {"AP50": 0.0, "AP40": 0.0, "AP": 0.0}
    with redirect_stdout(StringIO()):
        coco = ground_truth(truths)
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = THRESHOLDS, [MOST]
        evaluation.evaluate()
        evaluation.accumulate()
    # Not `summarize`, which knows no other limit than 100. [threshold, recall, class, size, limit]
    at_40, at_50, *stricter = evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1).tolist()
    return {"AP50": at_50, "AP40": at_40, "AP": float(np.mean([at_50, *stricter]))}


def ground_truth(truths: list[np.ndarray]) -> COCO:
    coco = COCO()
    annotations = [(image, box) for image, boxes in enumerate(truths, start=1) for box in boxes]
    coco.dataset = {
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "categories": [{"id": 1, "name": "tree"}],
        "annotations": [
            {
                "id": number,  # pycocotools takes an id of 0 for "not found"
                "image_id": image,
                "category_id": 1,
                "bbox": corner_and_size(box),
                "area": float(np.prod(box[2:] - box[:2])),
                "iscrowd": 0,
            }
            for number, (image, box) in enumerate(annotations, start=1)
        ],
    }
    coco.createIndex()
    return coco


def corner_and_size(box: np.ndarray) -> list[float]:
    return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
