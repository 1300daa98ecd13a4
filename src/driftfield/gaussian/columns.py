"""Arrays of one length beside each other: rows are taken of all of them at once."""

__all__ = ["Columns"]

from dataclasses import dataclass, fields
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Columns:
    """A dataclass whose fields are arrays (row,)."""

    def __getitem__(self, index: np.ndarray) -> Self:
        return type(self)(*(getattr(self, column.name)[index] for column in fields(self)))

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))
