"""Boxes that descend a loss: the simulations by which the IoU family is compared in its papers."""
