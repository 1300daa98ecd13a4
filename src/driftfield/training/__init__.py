"""The only room that knows Lightning."""

import logging

from driftfield.training.lightning_trainer import LightningTrainer
from driftfield.training.power_ema import PowerEMA

__all__ = ["LightningTrainer", "PowerEMA"]

for _name in ("lightning.pytorch", "lightning.fabric"):
    # Lightning sets its own level when it is imported
    logging.getLogger(_name).setLevel(logging.WARNING)
