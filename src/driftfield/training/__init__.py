"""The only room that knows Lightning; importing it makes the trainer known to recipes."""

from driftfield.training.lightning_trainer import LightningTrainer

__all__ = ["LightningTrainer"]
