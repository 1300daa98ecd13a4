"""What `driftfield evaluate` writes beside its report: scores by group, per cell, of rain and of small scales."""

__all__ = ["Parts", "make_parts", "write_parts"]

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftfield.cli.shared import read_pairs
from driftfield.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Parts:
    """What was asked for.

    Arguments:
        by: Groups of dates.
        land: File of a land mask, `FILE` or `FILE:VARIABLE`.
        boxes: NAME=SOUTH:NORTH:WEST:EAST.
        sites: CSV of stations.
        cells: Whether to write scores per cell.
        rain: Variable of rain.
        wet: From which value on it is wet.
        coarse: The coarse file that was downscaled.
    """

    by: str | None = None
    land: str | None = None
    boxes: tuple[str, ...] = ()
    sites: Path | None = None
    cells: bool = False
    rain: str | None = None
    wet: float = 1.0
    coarse: Path | None = None

    def check(self) -> None:
        """Looks at what was typed, before anything is scored.

        Raises:
            ConfigurationError: a group or a box that makes no sense.
        """
        from driftfield.evaluate.groups import check_by

        check_by(_words(self.by))
        _boxes(self.boxes)

    @property
    def grouped(self) -> bool:
        """Whether any groups were asked for."""
        return bool(self.by or self.land or self.boxes or self.sites)


def make_parts(parts: Parts, truth: Any, methods: Mapping[str, Any], seen: Any) -> dict[str, Any]:
    """What was asked for, by the name of its file: text, or a data set; what is wrong is said before a file is written."""
    made: dict[str, Any] = {}
    if parts.grouped:
        made["groups.csv"] = _groups(parts, truth, methods, seen)
    if parts.cells:
        from driftfield.evaluate.groups import scores_per_cell

        made["cells.nc"] = scores_per_cell(truth, methods, seen)
    if parts.rain or parts.coarse:
        made["structure.json"] = _structures(parts, truth, methods, seen)
    return made


def write_parts(made: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes what `make_parts` made into the report folder, and says which files."""
    from driftfield.data.sources import write_dataset
    from driftfield.files import write_text

    for name, content in made.items():
        if isinstance(content, str):
            write_text(folder / name, content)
        else:
            write_dataset(content, folder / name, overwrite=True)
    return [folder / name for name in made]


def _groups(parts: Parts, truth: Any, methods: Mapping[str, Any], seen: Any) -> str:
    from driftfield.evaluate.groups import Places, group_table, read_sites

    like = next(iter(methods.values()))
    land = None if parts.land is None else _land(parts.land, like)
    sites = None if parts.sites is None else read_sites(parts.sites)
    table = group_table(truth, methods, seen, _words(parts.by), Places(land, _boxes(parts.boxes), sites))
    return str(table.to_csv(index=False, float_format="%.6g"))


def _words(by: str | None) -> list[str]:
    return [word.strip() for word in by.split(",")] if by else []


def _boxes(texts: tuple[str, ...]) -> dict[str, tuple[float, float, float, float]]:
    found = {}
    for name, text in read_pairs(list(texts), "--in-box", "NAME=SOUTH:NORTH:WEST:EAST").items():
        try:
            south, north, west, east = (float(end) for end in text.split(":"))
        except ValueError as error:
            raise ConfigurationError(
                f"Cannot read --in-box {name}={text}: expected NAME=SOUTH:NORTH:WEST:EAST."
            ) from error
        found[name] = (south, north, west, east)
    return found


def _land(text: str, like: Any) -> Any:
    """The land mask on the grid of the reconstructions."""
    import xarray as xr

    from driftfield.data.coarsening import cell_grid_of
    from driftfield.data.statics import read_statics
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.linalg.regridding import Regridding

    file, _, name = text.rpartition(":") if ":" in text and not Path(text).exists() else (text, "", "")
    found = [str(n) for n in open_fields(file).data_vars]
    variable = name or next((n for n in ("sftlf", "lsm", "land", "mask") if n in found), "")
    if not variable:
        raise DataError(f"No land mask in {file}: found {sorted(found)}. Name it with --land FILE:VARIABLE.")
    grid = cell_grid_of(like)
    values = read_statics(file, [variable], fine=like, regridding=Regridding.blocks(grid, 1)).fine[variable]
    return xr.DataArray(values, dims=("lat", "lon"))


def _structures(parts: Parts, truth: Any, methods: Mapping[str, Any], seen: Any) -> str:
    from driftfield.conventions import state_variables
    from driftfield.evaluate.alignment import align

    aligned = align(truth, methods, seen)
    found: dict[str, Any] = {}
    for method, output in aligned.outputs.items():
        names = [n for n in state_variables(output) if n in aligned.truth and "depth" not in output[n].dims]
        if parts.rain and parts.rain not in names:
            raise DataError(f"{method} has no variable {parts.rain!r} for --rain: found {names}.")
        fields = {
            n: (_members(output, n), aligned.truth[n].transpose("time", "lat", "lon").values.astype(float))
            for n in names
        }
        found[method] = _structure(parts, fields, output, truth)
    return json.dumps(found, indent=2, default=float) + "\n"


def _members(output: Any, name: str) -> "np.ndarray":
    drawn = output.get(f"{name}_member")
    fields = output[name].expand_dims("member") if drawn is None else drawn
    return fields.transpose("member", "time", "lat", "lon").values.astype(float)


def _structure(
    parts: Parts, fields: "Mapping[str, tuple[np.ndarray, np.ndarray]]", output: Any, truth: Any
) -> dict[str, Any]:
    from itertools import combinations

    import numpy as np

    from driftfield.evaluate.rain import rain_scores
    from driftfield.evaluate.structure import correlation_bias, ralsd, spectrum_beyond

    found: dict[str, Any] = {}
    coarse = None if parts.coarse is None else _coarse_under(parts.coarse, output)
    for name, (members, true) in fields.items():
        part: dict[str, Any] = {}
        if np.isfinite(members).all() and np.isfinite(true).all():
            part["ralsd_db"] = _number(ralsd, members[0], true)
            if coarse is not None:
                part["log10_spectrum_beyond"] = _number(spectrum_beyond, members[0], true, coarse.width)
        if name == parts.rain:
            wet = None if coarse is None else coarse.of(name) >= 0.1 * parts.wet
            part["rain"] = _finite(rain_scores(members, true, wet=parts.wet, breaks=_breaks(output), coarse_wet=wet))
        found[name] = part
    for a, b in combinations(fields, 2):
        made = tuple(np.nan_to_num(fields[n][0][0]) for n in (a, b))
        real = tuple(np.nan_to_num(fields[n][1]) for n in (a, b))
        found[f"correlation bias of {a} and {b}"] = correlation_bias((made[0], made[1]), (real[0], real[1]))
    return found


def _number(score: Any, *arguments: Any) -> float | None:
    try:
        value = float(score(*arguments))
    except DataError:
        return None
    return value if isfinite(value) else None


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if isfinite(value) else None for key, value in scores.items()}


def _breaks(output: Any) -> "np.ndarray":
    """Dates that do not follow the one before: more than one and a half steps later."""
    import numpy as np
    import pandas as pd

    stamps = pd.to_datetime([str(t) for t in output["time"].values]).to_numpy().astype("datetime64[s]").astype(float)
    steps = np.diff(stamps)
    return np.concatenate([[False], steps > 1.5 * np.median(steps)]) if steps.size else np.zeros(1, dtype=bool)


@dataclass(frozen=True)
class _Coarse:
    """Coarse fields under every fine cell.

    Arguments:
        fields: The coarse data set at the scored dates.
        cells: Number of the coarse cell under every fine one.
        width: Fine cells along the edge of a coarse one.
    """

    fields: Any
    cells: "np.ndarray"
    width: float

    def of(self, name: str) -> "np.ndarray":
        """(time, row, column) on the fine grid."""
        values = self.fields[name].transpose("time", "lat", "lon").values
        return values.reshape(len(values), -1)[:, self.cells]


def _coarse_under(path: Path, output: Any) -> _Coarse:
    import numpy as np
    from scipy.spatial import cKDTree

    from driftfield.data.coarsening import cell_grid_of
    from driftfield.evaluate.alignment import time_keys
    from driftfield.gridded.gridded_files import open_fields

    fields = open_fields(path)
    have = {key: index for index, key in enumerate(time_keys(fields["time"]))}
    wanted = [str(t) for t in output["time"].values]
    if lacking := [key for key in wanted if key not in have]:
        raise DataError(
            f"{path} lacks {len(lacking)} of {len(wanted)} scored times, the first is {lacking[0]}. Name the file that was "
            "downscaled."
        )
    fine, coarse = cell_grid_of(output), cell_grid_of(fields)
    nearest = cKDTree(coarse.centres.reshape(-1, 3)).query(fine.centres.reshape(-1, 3))[1].reshape(fine.shape)
    width = float(np.sqrt(np.median(coarse.area) / np.median(fine.area)))
    return _Coarse(fields.isel(time=[have[key] for key in wanted]), nearest, width)
