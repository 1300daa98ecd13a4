"""`dataset.driftfield.fill()`: the calls of `driftfield` on a data set in hand.

Registered when `driftfield` is imported after xarray, or with the first call of `driftfield`.
"""

__all__ = ["DriftfieldAccessor"]

from typing import Any

import xarray as xr


@xr.register_dataset_accessor("driftfield")
class DriftfieldAccessor:
    """What `driftfield` can make of a data set.

    Arguments:
        dataset: In memory or lazy.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def fill(self, variable: str | None = None, **options: Any) -> xr.Dataset:
        """Fills the gaps of a field; arguments as of `driftfield.fill`."""
        from driftfield.face import fill

        return fill(self._dataset, variable, **options)
