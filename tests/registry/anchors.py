"""Rows of `jaxloss.boxes.anchors`."""

from tests.registry._row import Kind, Row, uniform

NO_ARRAYS = {
    "vmap": "every argument is a static setting, none an array",
    "errors": "every argument is a static setting, checked in tests/test_anchors.py",
    "dtypes": "takes no arrays, so that the result is always float32",
    "mesh": "the result has no batch axis to shard",
}

ROWS = [
    Row(
        name="boxes.grid_points",
        kind=Kind.SELECTION,
        arrays={"stride": uniform(8, 2, seed=1, low=4.0, high=32.0)},
        settings=({"feature_shape": (3, 2)}, {"feature_shape": (3, 2), "offset": 0.0}),
        result=(8, 3, 2, 2),
        differentiable=("stride",),
        hyperparameters={"offset": (0.0, 0.5, 0.7)},
        per_image=True,
    ),
    Row(
        name="boxes.anchor_grid",
        kind=Kind.SELECTION,
        arrays={
            "stride": uniform(8, 2, seed=1, low=4.0, high=32.0),
            "scales": uniform(8, 2, seed=2, low=8.0, high=64.0),
            "aspect_ratios": uniform(8, 3, seed=3, low=0.3, high=3.0),
        },
        settings=({"feature_shape": (3, 2)}, {"feature_shape": (3, 2), "offset": 0.0}),
        result=(8, 3, 2, 6, 4),
        differentiable=("stride", "scales", "aspect_ratios"),
        hyperparameters={"offset": (0.0, 0.5, 0.7)},
        per_image=True,
        any_shape=frozenset({"scales", "aspect_ratios"}),
    ),
    Row(
        name="boxes.ssd_anchors",
        kind=Kind.SELECTION,
        arrays={},
        settings=({}, {"image_shape": (300, 400), "strides": None}, {"clip": False}),
        result=(8732, 4),
        exempt=NO_ARRAYS,
    ),
    Row(
        name="boxes.retinanet_anchors",
        kind=Kind.SELECTION,
        arrays={},
        settings=({"image_shape": (64, 96)}, {"image_shape": (64, 96), "aspect_ratios": (0.3,)}),
        result=(1161, 4),
        exempt=NO_ARRAYS,
    ),
]
