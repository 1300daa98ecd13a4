"""Fields that do not change in time (orography, land fraction), at both resolutions of a pair.

file on any grid  --overlap, or bilinear where it is the coarser-->  fine z  --means-->  coarse z
difference = z - interpolate(coarse z)         the relief that a coarse model does not have
channel = (z - mean) / sd                      over the cells of the domain: a z-score, since a climatology of it would be 0
"""

__all__ = ["LAND_NAMES", "Statics", "checked", "read_land", "read_statics", "statics_on"]

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import require
from driftfield.data.coarsening import cell_grid_of
from driftfield.data.varying import z_score
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.region import select_region
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.interpolation import interpolation_matrix
from driftfield.linalg.regridding import Kind, Regridding

log = logging.getLogger(__name__)

_GRAVITY = 9.80665


@dataclass(frozen=True)
class Statics:
    """Static fields of a pair by name.

    Arguments:
        fine: (row, column) on the fine grid.
        coarse: (row, column) on the coarse one.
    """

    fine: dict[str, np.ndarray] = field(default_factory=dict)
    coarse: dict[str, np.ndarray] = field(default_factory=dict)

    def difference(self, name: str, regridding: Regridding, kind: Kind = "bicubic") -> np.ndarray:
        """The fine field minus the interpolated coarse one: (row, column).

        Raises:
            ConfigurationError: no static field of this name.
        """
        if name not in self.fine:
            next_step = suggest(name, self.fine) if self.fine else "name a file under data.statics."
            raise ConfigurationError(f"No static field {name!r}: {next_step}")
        return self.fine[name] - regridding.interpolate(regridding.fill_coarse(self.coarse[name]), kind)

    def channels(self, regridding: Regridding, domain: np.ndarray) -> np.ndarray:
        """Every field and its difference as z-scores over a domain, 0 outside it: (2 fields, row, column)."""
        stacked = []
        for name, values in self.fine.items():
            for part, channel in (
                (name, values),
                (f"{name} (fine minus coarse)", self.difference(name, regridding, "bilinear")),
            ):
                stacked.append(z_score(channel, domain, part))
        return np.stack(stacked) if stacked else np.zeros((0, *regridding.fine.shape))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers, for a run."""
        return {f"fine.{n}": v for n, v in self.fine.items()} | {f"coarse.{n}": v for n, v in self.coarse.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Statics":
        """The inverse of `to_arrays`."""
        parts = {part: {k.removeprefix(f"{part}."): v for k, v in arrays.items() if k.startswith(f"{part}.")}
                 for part in ("fine", "coarse")}  # fmt: skip
        return cls(parts["fine"], parts["coarse"])


def read_statics(
    file: str | Path,
    variables: Sequence[str],
    *,
    fine: xr.Dataset,
    regridding: Regridding,
    coarse_file: str | Path | None = None,
    coarse: xr.Dataset | None = None,
) -> Statics:
    """Static fields at both resolutions.

    Arguments:
        file: On any grid that covers the fine one.
        variables: Which fields.
        fine: Gives the fine grid.
        regridding: From the fine grid to the coarse one.
        coarse_file: The same fields of the coarse model; means of the fine ones if not given.
        coarse: Gives the coarse grid, where there is such a file.

    Raises:
        DataError: a field that is missing, changes in time, does not cover the grid, or says nothing.
    """  # fmt: skip
    fields = _on_grid(file, variables, fine, regridding.fine)
    if coarse_file is not None and coarse is not None:
        below = _on_grid(coarse_file, variables, coarse, regridding.coarse)
    else:
        below = {name: regridding.apply(values) for name, values in fields.items()}
    for name, values in fields.items():
        z_score(values, np.isfinite(values), name)
    return Statics(fields, below)


LAND_NAMES = ("sftlf", "lsm", "land", "mask")
"""How files call the share of land."""


def read_land(text: str, like: xr.Dataset) -> np.ndarray:
    """Where there is more than half land: boolean (row, column) on the grid of some fields.

    Arguments:
        text: `FILE` or `FILE:VARIABLE`, on any grid that covers theirs; a share of 1 or of 100, or a mask.
        like: The fields.

    Raises:
        DataError: no such variable, or it does not cover the grid.
    """
    file, _, name = text.rpartition(":") if ":" in text and not Path(text).exists() else (text, "", "")
    have = [str(n) for n in open_fields(file).data_vars]
    variable = name or next((n for n in LAND_NAMES if n in have), "")
    if not variable:
        raise DataError(f"No land mask in {file}: found {sorted(have)}. Name it as {file}:VARIABLE.")
    share = _on_grid(file, [variable], like, cell_grid_of(like))[variable]
    return np.asarray(share > (50.0 if np.nanmax(share) > 1.5 else 0.5))


def statics_on(fields: xr.Dataset, section: Any) -> dict[str, np.ndarray]:
    """The static fields of a recipe without a pair, on the grid of its archive: (lat, lon) by name, in their units.

    Arguments:
        fields: Give the grid.
        section: `data.statics`.

    Raises:
        ConfigurationError: keys that make no sense, or fields of a coarse model, which is not there.
        DataError: a field that is missing, changes in time or does not cover the grid.
    """
    asked = checked(section)
    if asked["coarse_file"] is not None:
        raise ConfigurationError(
            "data.statics.coarse belongs to a pair of grids: expected data.coarse beside it. Add it, or leave it out."
        )
    return _on_grid(asked["file"], asked["variables"], fields, cell_grid_of(fields))


_REMEMBERED: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
"""Fields that were brought to a grid already: methods of one comparison read the same."""


def _on_grid(path: str | Path, variables: Sequence[str], like: xr.Dataset, grid: CellGrid) -> dict[str, np.ndarray]:
    digest = hashlib.sha256(
        b"".join(np.ascontiguousarray(corners).tobytes() for corners in (grid.lat, grid.lon))
    ).hexdigest()
    changed = str(Path(path).stat().st_mtime_ns) if Path(path).exists() else ""
    key = (str(path), changed, *variables, digest)
    if key not in _REMEMBERED:
        if len(_REMEMBERED) >= 8:
            _REMEMBERED.clear()
        _REMEMBERED[key] = _read_on_grid(path, variables, like, grid)
    return {name: values.copy() for name, values in _REMEMBERED[key].items()}


def _read_on_grid(
    path: str | Path, variables: Sequence[str], like: xr.Dataset, grid: CellGrid
) -> dict[str, np.ndarray]:
    opened = open_fields(path)
    require(opened, variables, str(path))
    lat, lon = grid.corners
    margin = 1.0 + np.abs(np.diff(lat, axis=0)).max()
    south, north = max(-90.0, lat.min() - margin), min(90.0, lat.max() + margin)
    wide = margin / np.cos(np.deg2rad(min(89.0, max(abs(south), abs(north)))))
    box = {"lat": [south, north], "lon": [lon.min() - wide, lon.max() + wide]}
    opened = select_region(
        opened[list(variables)], box if lon.max() - lon.min() + 2 * wide < 360 else {"lat": box["lat"]}
    )
    source = cell_grid_of(opened)
    return {name: _placed(_still(opened[name], path), source, grid, f"{name!r} in {path}") for name in variables}


def _placed(values: np.ndarray, source: CellGrid, grid: CellGrid, what: str) -> np.ndarray:
    if source.shape == grid.shape and np.allclose(source.centres, grid.centres, atol=1e-5):
        return values
    if np.median(source.area) > 1.2 * np.median(grid.area):
        log.info("%s is coarser than the grid: interpolated", what)
        return np.asarray(interpolation_matrix(source, grid, "bilinear") @ values.ravel()).reshape(grid.shape)
    means, share = Regridding.overlap(source, grid).apply_known(values, 0.5)
    if lacking := int(np.isnan(means).sum()):
        raise DataError(
            f"{what} covers {means.size - lacking} of {means.size} cells of the grid (the least by {share.min():.0%}): "
            "expected all. "
            "Name a file of the whole region, or a smaller data.region."
        )
    return means


def _still(array: xr.DataArray, path: str | Path) -> np.ndarray:
    """The values (row, column); geopotential becomes height."""
    others = [str(d) for d in array.dims if d not in ("lat", "lon")]
    if any(array.sizes[d] > 1 for d in others):
        sizes = ", ".join(f"{array.sizes[d]} along {d}" for d in others)
        raise DataError(
            f"The static field {array.name!r} in {path} changes: found {sizes}. Name a file with one field."
        )
    values = array.isel(dict.fromkeys(others, 0)).transpose("lat", "lon").values.astype(np.float64)
    units = str(array.attrs.get("units", "")).replace("**", "").replace("^", "").replace(" ", "")
    if units in ("m2s-2", "m2/s2"):
        log.info("%r in %s is a geopotential: divided by %g m/s2", array.name, path, _GRAVITY)
        return values / _GRAVITY
    return values


def checked(statics: Any) -> dict[str, Any]:
    """The section `data.statics` of a recipe.

    Raises:
        ConfigurationError: a key that does not exist, or one that is missing.
    """
    if not isinstance(statics, Mapping):
        raise ConfigurationError(f"data.statics is {statics!r}: expected {{file: FILE, variables: [orog]}}.")
    for key in statics:
        if key not in ("file", "variables", "coarse"):
            raise ConfigurationError(
                f"Unknown key {key!r} under data.statics: {suggest(str(key), ('file', 'variables', 'coarse'))}"
            )
    if not statics.get("file") or not isinstance(statics.get("variables"), list):
        raise ConfigurationError(f"data.statics is {dict(statics)}: expected {{file: FILE, variables: [orog]}}.")
    return {"file": statics["file"], "variables": statics["variables"], "coarse_file": statics.get("coarse")}
