"""What may be done while a network trains, one kind a file: a recipe names it, or Python hands over an object.

training --step, validation--> callback --> nothing, or: enough
"""

from driftfield.training.callbacks.base import TrainingCallback, make_callbacks

__all__ = ["TrainingCallback", "make_callbacks"]
