"""What a downscaler keeps of its pair: two grids, the map between them, domains, statics, units.

A coarse file is laid on the coarse grid of the run by the places of its cells. One that has other variables or units, lies half a
cell off, or does not cover the grid is refused in one line.
"""

__all__ = ["PairGrids"]

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from driftfield.conventions import description_of
from driftfield.data.coarsening import cell_grid_of
from driftfield.data.codec import bounds_from_json, bounds_to_json
from driftfield.data.pairing import Pair, extent, named_as_targets
from driftfield.data.statics import Statics
from driftfield.errors import DataError
from driftfield.gridded.measures import Measures
from driftfield.interfaces import TrainingData
from driftfield.linalg.regridding import Regridding
from driftfield.peers.background import part

log = logging.getLogger(__name__)

_AXES = ("lat", "lon", "latitude", "longitude")
_ON, _NEAR = 0.05, 0.75
"""Shares of a coarse cell: within the first a cell is in its place, within the second it is off."""


@dataclass(frozen=True)
class PairGrids:
    """Two grids and what lives on them.

    Arguments:
        fine: Coordinates of the fine grid (a data set without variables).
        regridding: From the fine grid to the coarse one.
        domains: Where each target exists: boolean (row, column) of the fine grid.
        known: Which coarse cells had values in training: boolean (row, column) of the coarse grid, by target.
        statics: Static fields.
        measures: What the targets are measured in.
        descriptions: Their attributes.
        names: How a coarse file calls the targets.
        bounds: (lower, upper) of targets that have bounds.
        means: Whether coarse fields are means of fine ones.
    """

    fine: xr.Dataset
    regridding: Regridding
    domains: dict[str, np.ndarray]
    known: dict[str, np.ndarray]
    statics: Statics
    measures: Measures
    descriptions: dict[str, dict[str, str]]
    names: dict[str, str]
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    means: bool = True

    @classmethod
    def fit(cls, data: TrainingData, pair: Pair) -> "PairGrids":
        """From what a method is fitted to."""
        fields = data.archive.dataset
        axes = {
            n: fields[n].drop_vars([c for c in fields[n].coords if c not in _AXES]) for n in _AXES if n in fields.coords
        }
        times = data.train if pair.paired else np.arange(pair.coarse.sizes["time"])
        return cls(
            fine=xr.Dataset(coords=axes),
            regridding=pair.regridding,
            domains={n: data.archive.domain(n).transpose("lat", "lon").values.astype(bool) for n in data.targets},
            known={n: np.isfinite(pair.coarse[n].isel(time=times).values).any(axis=0) for n in data.targets},
            statics=pair.statics,
            measures=Measures.fit(fields, data.targets, data.train),
            descriptions={n: description_of(fields[n].attrs) for n in data.targets},
            names={n: pair.names.get(n, n) for n in data.targets},
            bounds=dict(data.bounds),
            means=pair.means,
        )

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(self.domains)

    def map_of(self, name: str) -> Regridding:
        """The map of one variable: means over the cells of its domain."""
        if name not in self._maps:
            self._maps[name] = self.regridding.within(self.domains[name])
        return self._maps[name]

    @cached_property
    def _maps(self) -> dict[str, Regridding]:
        return {}

    @cached_property
    def _said(self) -> set[str]:
        """Of which targets it was said that values are missing."""
        return set()

    @cached_property
    def domain_arrays(self) -> dict[str, xr.DataArray]:
        """The domains with coordinates."""
        return {n: xr.DataArray(d, dims=("lat", "lon"), coords=self.fine.coords) for n, d in self.domains.items()}

    def template(self, times: xr.DataArray) -> xr.Dataset:
        """Empty fine fields at some times: coordinates and attributes of an answer."""
        shape = (times.size, *self.regridding.fine.shape)
        empty = np.broadcast_to(np.float32(0), shape)
        fields = {n: (("time", "lat", "lon"), empty, self.descriptions[n]) for n in self.targets}
        return xr.Dataset(fields, coords={**self.fine.coords, "time": times})

    # A coarse file

    def place(self, fields: xr.Dataset, source: str = "the coarse file") -> xr.Dataset:
        """Coarse fields (time, row, column) on the coarse grid of the run, in its units.

        Raises:
            DataError: other variables, units or axes, cells that lie elsewhere, or that are not there.
        """
        names = self.names if all(theirs in fields for theirs in self.names.values()) else dict.fromkeys(self.names)
        coarse = named_as_targets(fields, {mine: theirs or mine for mine, theirs in names.items()}, source)
        coarse = self.measures.brought(coarse, source)
        rows, columns = np.divmod(self._cells(coarse, source), coarse.sizes["lon"])
        block = coarse.isel(lat=slice(rows.min(), rows.max() + 1), lon=slice(columns.min(), columns.max() + 1))
        shape = self.regridding.coarse.shape
        placed = xr.Dataset(attrs=fields.attrs)
        for name in self.targets:
            values = block[name].values[:, rows - rows.min(), columns - columns.min()].reshape(-1, *shape)
            placed[name] = (("time", "row", "column"), values.astype(np.float64), coarse[name].attrs)
        placed = placed.assign_coords(time=coarse["time"])
        self._check_values(placed, source)
        return placed

    def _cells(self, fields: xr.Dataset, source: str) -> np.ndarray:
        """The number of the file's cell for every coarse cell of the run."""
        theirs = cell_grid_of(fields)
        wanted, have = self.regridding.coarse.centres.reshape(-1, 3), theirs.centres.reshape(-1, 3)
        width = np.sqrt(self.regridding.coarse.area.ravel())
        distance, nearest = cKDTree(have).query(wanted)
        off = distance / width
        if (off <= _ON).all():
            return nearest
        used = np.any([known.ravel() for known in self.known.values()], axis=0)
        near = off <= _NEAR
        if near.all():
            rows, columns = _steps_off(
                (have[nearest] - wanted).reshape(*self.regridding.coarse.shape, 3), self.regridding.coarse.centres
            )
            raise DataError(
                f"The cells of {source} lie off those of the run, by {rows:.2f} rows and {columns:.2f} columns: expected "
                "the grid that "
                "the run was fitted with. Regrid it, or train a run on it."
            )
        raise DataError(
            f"{source} holds {int((off <= _ON).sum())} of the {off.size} coarse cells of the run "
            f"({int((near & ~(off <= _ON)).sum())} "
            f"more are close by, {int((used & ~near).sum())} of those that are needed are not covered): it reaches from "
            f"{extent(theirs)}, "
            f"the run from {extent(self.regridding.coarse)}. Name a file of the whole region, on the grid of the run."
        )

    def _check_values(self, placed: xr.Dataset, source: str) -> None:
        for name in self.targets:
            known = self.known[name]
            values = np.isfinite(placed[name].values)
            empty = ~values[:, known].any(axis=1)
            if empty.any():
                date = str(placed["time"].values[int(empty.argmax())])
                raise DataError(
                    f"{name!r} in {source} is missing everywhere at {int(empty.sum())} of {empty.size} times, the first "
                    f"is {date}: "
                    "expected a value. Leave those times out."
                )
            gaps = int((~values[:, known]).sum())
            if gaps and name not in self._said:
                self._said.add(name)
                log.warning("%r in %s is missing in %d of %d coarse cells and dates: taken from the nearest ones", name,
                source, gaps,
                            values[:, known].size)  # fmt: skip

    # What is kept

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers, for a run."""
        arrays = {f"grid.{n}": c.values.astype(np.float64) for n, c in self.fine.coords.items()}
        arrays |= {f"regridding.{k}": v for k, v in self.regridding.to_arrays().items()}
        arrays |= {f"statics.{k}": v for k, v in self.statics.to_arrays().items()}
        arrays |= {f"domain.{n}": d.astype(np.uint8) for n, d in self.domains.items()}
        return arrays | {f"known.{n}": k.astype(np.uint8) for n, k in self.known.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything else, for a run."""
        return {
            "axes": {
                str(n): {k: v for k, v in c.attrs.items() if isinstance(v, str)} for n, c in self.fine.coords.items()
            },
            "measures": self.measures.to_json(),
            "descriptions": self.descriptions,
            "targets": list(self.targets),
            "names": self.names,
            "bounds": bounds_to_json(self.bounds),
            "means": self.means,
        }

    @classmethod
    def from_run(cls, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> "PairGrids":
        """The inverse of `to_arrays` and `to_json`."""
        dims = {"lat": ("lat",), "lon": ("lon",)}
        axes = {n: (dims.get(n, ("lat", "lon")), v, extra["axes"][n]) for n, v in part(arrays, "grid.").items()}
        names = list(extra["targets"])
        return cls(
            fine=xr.Dataset(coords=axes),
            regridding=Regridding.from_arrays(part(arrays, "regridding.")),
            domains={n: arrays[f"domain.{n}"].astype(bool) for n in names},
            known={n: arrays[f"known.{n}"].astype(bool) for n in names},
            statics=Statics.from_arrays(part(arrays, "statics.")),
            measures=Measures.from_json(extra["measures"]),
            descriptions=extra["descriptions"],
            names=extra["names"],
            bounds=bounds_from_json(extra["bounds"]),
            means=bool(extra["means"]),
        )


def _steps_off(apart: np.ndarray, centres: np.ndarray) -> tuple[float, float]:
    """Sizes of differences (row, column, 3) in steps from row to row and from column to column, the medians."""
    sizes = []
    for axis in (0, 1):
        if centres.shape[axis] < 2:
            sizes.append(float("nan"))
            continue
        step = np.gradient(centres, axis=axis)
        sizes.append(float(np.median(np.abs((apart * step).sum(-1)) / np.square(step).sum(-1))))
    return sizes[0], sizes[1]
