"""The only room that knows Lightning; importing it makes the trainer and its averages known to recipes."""

from driftfield.training.lightning_trainer import LightningTrainer
from driftfield.training.power_ema import PowerEMA

__all__ = ["LightningTrainer", "PowerEMA"]
