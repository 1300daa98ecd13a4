"""logs/tensorboard: curves and previews for `tensorboard --logdir RUN/logs`."""

__all__ = ["TensorBoardLog"]

import shutil
from collections.abc import Mapping
from pathlib import Path

from driftfield.errors import MissingExtraError
from driftfield.registry import register
from driftfield.training.logs.base import TrainingLog


@register("logger", "tensorboard")
class TensorBoardLog(TrainingLog):
    """Events.

    Arguments:
        folder, begun: See `TrainingLog`.
        images: Whether previews are logged too.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, begun: int, images: bool = True) -> None:
        super().__init__(folder, begun)
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("The logger 'tensorboard' needs: pip install 'driftfield[train]'.") from error
        place = folder / "logs" / "tensorboard"
        if not begun:
            shutil.rmtree(place, ignore_errors=True)
        self.images = images
        self.writer = SummaryWriter(str(place), purge_step=begun + 1 if begun else None)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def picture(self, step: int, path: Path) -> None:
        if self.images:
            from matplotlib.image import imread

            self.writer.add_image("preview", imread(path)[..., :3], step, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()
