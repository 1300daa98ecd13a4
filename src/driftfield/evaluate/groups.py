"""Scores by groups of dates and places: hours, months, seasons, years; land and sea, boxes, sites; and cell by cell.

    score of a group = sum over its scored cells / how many              the same cells for every method, as in `evaluation`

Every group of every method is a row of one table; a score of each cell is a field in a NetCDF file.
"""

__all__ = ["GroupPlaces", "group_table", "scores_per_cell"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import domain_of, geometry_of, held_out_of, require, state_variables
from driftfield.errors import ConfigurationError, DataError, FileFormatError, suggest
from driftfield.evaluate.alignment import Aligned, align

BY = ("hour", "month", "season", "year")
_SEASONS = ("DJF", "MAM", "JJA", "SON")


@dataclass(frozen=True)
class GroupPlaces:
    """Groups of cells.

    Arguments:
        land: Share or mask of land (lat, lon) on the scored grid; gives the groups land (more than half) and sea.
        boxes: {name: (south, north, west, east)}, degrees.
        sites: Table with name, lat and lon; each is the cell whose centre is nearest.
    """

    land: xr.DataArray | None = None
    boxes: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    sites: pd.DataFrame | None = None

    def masks(self, fields: xr.Dataset) -> Iterator[tuple[str, str, np.ndarray]]:
        """(kind, name, cells) of every group: boolean (lat, lon).

        Raises:
            DataError: a box without a cell, a site beyond the grid, or a land mask of another grid.
        """
        geometry = geometry_of(fields)
        shape = (fields.sizes["lat"], fields.sizes["lon"])
        if self.land is not None:
            land = self.land.transpose("lat", "lon").values
            if land.shape != shape:
                raise DataError(
                    f"The land mask has {land.shape} cells, and the fields have {shape}: expected the same grid."
                )
            share = land / (100.0 if np.nanmax(land) > 1.5 else 1.0)
            yield "surface", "land", share > 0.5
            yield "surface", "sea", share <= 0.5
        for name, (south, north, west, east) in self.boxes.items():
            inside = (geometry.latitude >= south) & (geometry.latitude <= north)
            inside &= (geometry.longitude - west) % 360.0 <= (east - west) % 360.0
            if not inside.any():
                raise DataError(f"The box {name!r} holds no cell of the fields. Check its degrees.")
            yield "box", name, inside
        for _, row in self.sites.iterrows() if self.sites is not None else ():
            cell = _nearest(
                geometry.latitude, geometry.longitude, float(row["lat"]), float(row["lon"]), str(row["name"])
            )
            mask = np.zeros(shape, dtype=bool)
            mask[cell] = True
            yield "site", str(row["name"]), mask


def read_sites(path: str | Path) -> pd.DataFrame:
    """A table of stations.

    Raises:
        FileFormatError: it cannot be read, or lacks name, lat or lon.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"Cannot read the sites {path}: {error}. Expected CSV with name, lat, lon.") from error
    if lacking := [column for column in ("name", "lat", "lon") if column not in table]:
        raise FileFormatError(
            f"{path} lacks the column {lacking[0]!r}: found {list(table)}. Expected name, lat and lon."
        )
    return table


def _nearest(lat: np.ndarray, lon: np.ndarray, south_north: float, west_east: float, name: str) -> tuple[int, int]:
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    p, m = np.deg2rad(south_north), np.deg2rad(west_east)
    near = np.sin(phi) * np.sin(p) + np.cos(phi) * np.cos(p) * np.cos(lam - m)
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    angle = float(np.rad2deg(np.arccos(np.clip(near[row, column], -1, 1))))
    steps = [np.abs(np.diff(lat, axis=0)).max(initial=0.0), np.abs(np.diff(lon, axis=1)).max(initial=0.0)]
    if angle > max(steps):
        raise DataError(
            f"The site {name!r} lies {angle:.2f} degrees from the nearest cell: expected none so far. Leave it out."
        )
    return int(row), int(column)


@dataclass(frozen=True)
class _Parts:
    """What scores are sums of, of one method and variable: (time, lat, lon) each; NaN where it does not count."""

    error: np.ndarray
    crps: np.ndarray
    variance: np.ndarray | None
    members: int

    def scores(self, chosen: np.ndarray) -> dict[str, float | int]:
        """Of the cells of a mask."""
        used = chosen & np.isfinite(self.error)
        count = int(used.sum())
        if not count:
            return {"n": 0, **dict.fromkeys(("rmse", "mae", "bias", "crps", "spread_skill"), float("nan"))}
        error = self.error[used]
        square = float(np.mean(error**2))
        ratio = float("nan")
        if self.variance is not None and square > 0:
            ratio = float(np.sqrt((self.members + 1) / self.members * self.variance[used].mean() / square))
        return {
            "n": count,
            "rmse": square**0.5,
            "mae": float(np.abs(error).mean()),
            "bias": float(error.mean()),
            "crps": float(self.crps[used].mean()),
            "spread_skill": ratio,
        }


def group_table(
    truth: xr.Dataset,
    outputs: Mapping[str, xr.Dataset],
    observations: xr.Dataset,
    by: Sequence[str],
    places: GroupPlaces,
) -> pd.DataFrame:
    """Scores of every method and variable in every group.

    Arguments:
        truth, outputs, observations: As of `evaluation.evaluate`; surface fields.
        by: Of `BY`.
        places: Groups of cells.

    Returns:
        Rows with variable, method, by, group, n, rmse, mae, bias, crps, spread_skill.

    Raises:
        ConfigurationError: a word in `by` that is none.
        DataError: fields with levels, or groups without cells.
    """
    check_by(by)
    aligned = align(truth, outputs, observations)
    dates = pd.DatetimeIndex(pd.to_datetime([_plain(stamp) for stamp in aligned.times]))
    rows = []
    for name, method, parts in _all_parts(aligned):
        for kind, group, chosen in _groups(aligned, dates, by, places):
            found = parts.scores(np.broadcast_to(chosen, parts.error.shape))
            rows.append({"variable": name, "method": method, "by": kind, "group": group, **found})
    return pd.DataFrame(rows)


def check_by(by: Sequence[str]) -> None:
    """Refuses a word that is none of `BY`.

    Raises:
        ConfigurationError: there is one.
    """
    for word in by:
        if word not in BY:
            raise ConfigurationError(f"Cannot group by {word!r}: {suggest(word, BY)}")


def _groups(
    aligned: Aligned, dates: pd.DatetimeIndex, by: Sequence[str], places: GroupPlaces
) -> Iterator[tuple[str, str, np.ndarray]]:
    for kind in by:
        labels = _labels(dates, kind)
        for label in dict.fromkeys(sorted(labels) if kind != "season" else [s for s in _SEASONS if s in labels]):
            chosen = np.array([found == label for found in labels])
            yield kind, label, chosen[:, None, None]
    for kind, label, cells in places.masks(next(iter(aligned.outputs.values()))):
        yield kind, label, cells[None]


def _labels(dates: pd.DatetimeIndex, by: str) -> list[str]:
    if by == "season":
        return [_SEASONS[(month % 12) // 3] for month in dates.month]
    return [f"{value:02d}" for value in getattr(dates, by)]


def _plain(stamp: str) -> str:
    """29 and 30 February of a 360-day calendar count as the 28th: only hour, month and year are asked for."""
    day = stamp[8:10]
    return f"{stamp[:8]}28{stamp[10:]}" if day in ("29", "30", "31") else stamp


def _all_parts(aligned: Aligned) -> Iterator[tuple[str, str, _Parts]]:
    for method, output in aligned.outputs.items():
        for name in state_variables(output):
            if name not in aligned.truth or held_out_of(aligned.observations, name) is None:
                continue
            yield name, method, _parts(aligned, output, name)


def _parts(aligned: Aligned, output: xr.Dataset, name: str) -> _Parts:
    require(aligned.truth, [name], "the truth")
    if "depth" in output[name].dims:
        raise DataError(f"{name!r} has levels: scores by group are of surface fields. Select a level first.")
    dims = ("time", "lat", "lon")
    truth = aligned.truth[name].transpose(*dims).values.astype(np.float64)
    held_out, domain = held_out_of(aligned.observations, name), domain_of(aligned.observations, name)
    assert held_out is not None
    counts = (held_out if domain is None else held_out & domain).transpose(*dims).values & np.isfinite(truth)
    mean = output[name].transpose(*dims).values.astype(np.float64)
    error = np.where(counts, mean - truth, np.nan)
    drawn = output.get(f"{name}_member")
    if drawn is None or drawn.sizes["member"] < 2:
        return _Parts(error, np.abs(error), None, 1)
    members = drawn.transpose("time", "member", "lat", "lon")
    count = members.sizes["member"]
    weight = (2 * np.arange(1, count + 1) - count - 1)[:, None, None] / (count * (count - 1))
    crps, variance = np.empty(truth.shape), np.empty(truth.shape)
    for index in range(len(truth)):
        x = members.isel(time=index).values.astype(np.float64)
        crps[index] = np.abs(x - truth[index]).mean(axis=0) - (weight * np.sort(x, axis=0)).sum(axis=0)
        variance[index] = x.var(axis=0, ddof=1)
    return _Parts(error, np.where(counts, crps, np.nan), np.where(counts, variance, np.nan), count)


def scores_per_cell(truth: xr.Dataset, outputs: Mapping[str, xr.Dataset], observations: xr.Dataset) -> xr.Dataset:
    """RMSE, bias, CRPS and spread over skill of every cell over the scored dates: (output, lat, lon), NaN where nothing counts.

    Arguments:
        truth, outputs, observations: As of `evaluation.evaluate`; surface fields.
    """
    aligned = align(truth, outputs, observations)
    methods = list(aligned.outputs)
    like = next(iter(aligned.outputs.values()))
    coords = {n: like[n] for n in ("lat", "lon", "latitude", "longitude") if n in like.coords}
    by_score: dict[str, dict[str, np.ndarray]] = {}
    for name, method, parts in _all_parts(aligned):
        count = np.isfinite(parts.error).sum(axis=0)
        some = np.maximum(count, 1)
        square = np.nansum(parts.error**2, axis=0) / some
        cells = {
            "rmse": np.sqrt(square),
            "bias": np.nansum(parts.error, axis=0) / some,
            "crps": np.nansum(parts.crps, axis=0) / some,
        }
        if parts.variance is not None:
            spread = (parts.members + 1) / parts.members * np.nansum(parts.variance, axis=0) / some
            cells["spread_skill"] = np.sqrt(spread / np.where(square > 0, square, np.nan))
        for score, values in cells.items():
            by_score.setdefault(f"{name}_{score}", {})[method] = np.where(count > 0, values, np.nan)
    empty = np.full((like.sizes["lat"], like.sizes["lon"]), np.nan)
    fields = {
        key: (("output", "lat", "lon"), np.stack([by_method.get(m, empty) for m in methods]).astype(np.float32))
        for key, by_method in by_score.items()
    }
    return xr.Dataset(fields, coords={"output": methods, **coords}, attrs={"dates": len(aligned.times)})
