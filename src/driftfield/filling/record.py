"""What a user hands over, understood: one variable as it was seen, and the other component where it is one of a vector."""

__all__ = ["Record"]

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from driftfield.data.masks.alike import distance_to_seen
from driftfield.data.sources import GriddedArchive
from driftfield.filling.quantity import Quantity
from driftfield.gridded.region import is_periodic
from driftfield.interfaces import TrainingData
from driftfield.plain import JSONObject


@dataclass(frozen=True)
class Record:
    """One variable as it was seen.

    Arguments:
        field: (time, [depth,] lat, lon) as it is filled (a logarithm perhaps), NaN where not seen.
        original: The same in units of the file.
        domain: Where it exists: boolean ([depth,] lat, lon).
        error: Standard deviation of the observation error, as it is filled; None if none is stated.
        quantity: How it is filled.
        dated: Whether the file had a time axis.
        source: What messages call it.
        selection: Region, dates and file of the domain that were asked for, as a recipe has them.
        partner: The other component, where the variable is one of a vector.
        pair: Names of both, eastward and northward, then.
    """

    field: xr.DataArray
    original: xr.DataArray
    domain: xr.DataArray
    error: xr.DataArray | None
    quantity: Quantity
    dated: bool
    source: str
    selection: JSONObject = dataclasses.field(default_factory=dict)
    partner: "Record | None" = None
    pair: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Of the variable."""
        return str(self.field.name)

    @property
    def periodic(self) -> bool:
        """Whether longitude wraps."""
        return is_periodic(self.field["lon"])

    @property
    def seen(self) -> np.ndarray:
        """Where it was seen: boolean (time, [depth,] lat, lon)."""
        return np.isfinite(self.field.values) & self.domain.values

    @cached_property
    def distance(self) -> np.ndarray:
        """Of every cell to the nearest one that was seen on its date, in cells: (time, [depth,] lat, lon)."""
        return np.stack([distance_to_seen(seen, periodic=self.periodic) for seen in self.seen])

    def without(self, hidden: np.ndarray) -> "Record":
        """The record with some cells hidden; of a vector the other component with them, if it has the same gaps."""
        visible = xr.DataArray(~hidden, dims=self.field.dims)
        partner = self.partner
        if partner is not None and self._gaps_together:
            partner = dataclasses.replace(partner, field=partner.field.where(visible))
        return dataclasses.replace(self, field=self.field.where(visible), partner=partner)

    @cached_property
    def _gaps_together(self) -> bool:
        """Whether most gaps of the component are gaps of the other one, too."""
        if self.partner is None:
            return False
        gaps = self.domain.values & ~self.seen
        return not gaps.any() or bool((~self.partner.seen[gaps]).mean() > 0.5)

    def observations(self, times: np.ndarray | slice = slice(None), *, vector: bool = False) -> xr.Dataset:
        """As an observation file, with the other component where `vector` asks for it."""
        parts = {"domain": self.domain}
        for record in self._components(vector=vector):
            parts[record.name] = record.field
            if record is not self:
                parts[f"{record.name}_domain"] = record.domain
            if record.error is not None:
                parts[f"{record.name}_error"] = record.error
        return xr.Dataset(parts).isel(time=times)

    def _components(self, *, vector: bool) -> "tuple[Record, ...]":
        return (self, self.partner) if vector and self.partner is not None else (self,)

    def training(self, *, validation: int = 0, vector: bool = False) -> TrainingData:
        """As an archive to learn from: all dates train, or the last ones that are nearly complete validate.

        Both components of a vector are targets where `vector` asks for it.
        """
        components = self._components(vector=vector)
        fields = xr.Dataset({record.name: record.field for record in components})
        for record in components:
            if record.error is not None:
                fields[f"{record.name}_error"] = record.error
        archive = GriddedArchive(fields, {record.name: record.domain for record in components}, self.periodic)
        times = np.arange(self.field.sizes["time"])
        share = self.seen.reshape(len(times), -1).sum(axis=1)
        full = times[share >= 0.9 * share.max()]
        checked = full[full.size - min(validation, full.size // 2) :]
        return TrainingData(
            archive=archive,
            train=np.setdiff1d(times, checked),
            validation=checked,
            targets=tuple(record.name for record in components),
            vector_pairs=(self.pair,) if self.pair and len(components) == 2 else (),
        )
