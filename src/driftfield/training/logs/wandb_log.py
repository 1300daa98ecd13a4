"""Weights & Biases: a run of its own for each training, the same one when it is resumed."""

__all__ = ["WandbLog"]

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftfield.errors import MissingExtraError
from driftfield.files import write_text
from driftfield.registry import register
from driftfield.training.logs.base import TrainingLog


@register("logger", "wandb")
class WandbLog(TrainingLog):
    """Curves and previews; `logs/wandb.json` remembers which run it is.

    Arguments:
        folder, begun: See `TrainingLog`.
        project, entity, name: As W&B calls them; the name is that of the run folder by default.
        images: Whether previews are logged too.

    Raises:
        MissingExtraError: W&B is not installed.
    """

    def __init__(
        self,
        folder: Path,
        begun: int,
        project: str = "driftfield",
        entity: str | None = None,
        name: str | None = None,
        images: bool = True,
    ) -> None:
        super().__init__(folder, begun)
        try:
            import wandb
        except ImportError as error:
            raise MissingExtraError("The logger 'wandb' needs: pip install 'driftfield[wandb]'.") from error
        place, self.images, self.wandb = folder / "logs" / "wandb.json", images, wandb
        known = json.loads(place.read_text(encoding="utf-8"))["id"] if begun and place.is_file() else None
        folder.mkdir(parents=True, exist_ok=True)
        self.run: Any = wandb.init(
            project=project, entity=entity, name=name or folder.name, dir=str(folder), id=known, resume="allow"
        )
        write_text(place, json.dumps({"id": self.run.id}) + "\n")

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        self.run.log(dict(figures), step=step)

    def picture(self, step: int, path: Path) -> None:
        if self.images:
            self.run.log({"preview": self.wandb.Image(str(path))}, step=step)

    def close(self) -> None:
        self.run.finish()
