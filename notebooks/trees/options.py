"""The choices of a run: from the command line or, in a notebook, from the variable DEMO."""

import os
import shlex
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Callable
from inspect import Parameter, signature

import jaxloss

DELTA_LOSSES = {"l1": jaxloss.absolute_error, "smooth_l1": jaxloss.smooth_l1_loss}


def parse() -> Namespace:
    """`--steps 100 --box-loss ciou` on the command line; DEMO="--steps 100" for a notebook."""
    parser = ArgumentParser(
        description="Train a tree detector on aerial photos.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    names = sorted(DELTA_LOSSES | box_losses())
    parser.add_argument("--detector", choices=["retinanet", "ssd"], default="retinanet")
    parser.add_argument("--box-loss", choices=names, default="giou")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    in_notebook = "ipykernel" in sys.modules
    return parser.parse_args(shlex.split(os.environ.get("DEMO", "")) if in_notebook else None)


def box_losses() -> dict[str, Callable]:
    """Every loss that `jaxloss` has for boxes and that needs no other argument, by name."""
    return {
        name.removesuffix("_loss"): loss
        for name, loss in vars(jaxloss).items()
        if getattr(loss, "__module__", "").startswith("jaxloss.boxes.losses")
        and name.endswith("_loss")
        and needed(loss) == 2
    }


def needed(function: Callable) -> int:
    """How many arguments have no default."""
    parameters = signature(function).parameters.values()
    return sum(parameter.default is Parameter.empty for parameter in parameters)


def localization(name: str) -> dict[str, object]:
    """What a detector's loss is to be told so that boxes are learnt by the loss called `name`.

    Losses of deltas need deltas of the order of 1; losses of boxes get these as they are.
    """
    if name in DELTA_LOSSES:
        return {"delta_loss": DELTA_LOSSES[name], "coder_weights": (10.0, 10.0, 5.0, 5.0)}
    return {"box_loss": box_losses()[name], "coder_weights": (1.0, 1.0, 1.0, 1.0)}
