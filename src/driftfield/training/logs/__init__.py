"""Where a training writes its figures and pictures: one file for each kind of log, each entry at its own step.

training --figures, pictures--> csv | tensorboard | wandb          a resumed one goes on behind the step it resumes at
"""

from driftfield.training.logs.base import TrainingLog, check_logs, open_logs

__all__ = ["TrainingLog", "check_logs", "open_logs"]
