"""What `driftfield evaluate` can be asked for beside its report: scores by group, per cell, of rain and of small scales."""

__all__ = ["Parts", "make_parts", "structure_of", "write_parts"]

from collections.abc import Mapping
from dataclasses import dataclass
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


def make_parts(parts: Parts, truth: Any, methods: Mapping[str, Any], seen: Any) -> Mapping[str, Any]:
    """What was asked for, by the name of its file: text, or a data set; what is wrong is said before a file is written."""
    made: dict[str, Any] = {}
    if parts.grouped:
        made["groups.csv"] = _groups(parts, truth, methods, seen)
    if parts.cells:
        from driftfield.evaluate.groups import scores_per_cell

        made["cells.nc"] = scores_per_cell(truth, methods, seen)
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
    from driftfield.evaluate.groups import GroupPlaces, group_table, read_sites

    like = next(iter(methods.values()))
    land = None if parts.land is None else _land(parts.land, like)
    sites = None if parts.sites is None else read_sites(parts.sites)
    table = group_table(truth, methods, seen, _words(parts.by), GroupPlaces(land, _boxes(parts.boxes), sites))
    return str(table.to_csv(index=False, float_format="%.6g"))


def _words(by: str | None) -> list[str]:
    return [word.strip() for word in by.split(",")] if by else []


def _boxes(texts: tuple[str, ...]) -> dict[str, tuple[float, float, float, float]]:
    boxes = {}
    for name, text in read_pairs(list(texts), "--in-box", "NAME=SOUTH:NORTH:WEST:EAST").items():
        try:
            south, north, west, east = (float(end) for end in text.split(":"))
        except ValueError as error:
            raise ConfigurationError(
                f"Cannot read --in-box {name}={text}: expected NAME=SOUTH:NORTH:WEST:EAST."
            ) from error
        boxes[name] = (south, north, west, east)
    return boxes


def _land(text: str, like: Any) -> Any:
    """The land mask on the grid of the reconstructions."""
    import xarray as xr

    from driftfield.data.statics import read_land

    return xr.DataArray(read_land(text, like).astype(float), dims=("lat", "lon"))


def structure_of(parts: Parts, methods: Mapping[str, Any], measures: Any) -> Any:
    """What scores of whole fields are told (`evaluate.whole.StructureAsked`); None where nobody asked for them.

    Arguments:
        parts: What was asked for.
        methods: The reconstructions.
        measures: What the truth is measured in; the coarse file is brought to it.

    Raises:
        DataError: the coarse file lacks scored times.
    """
    from driftfield.evaluate.whole import StructureAsked

    if not (parts.rain or parts.coarse):
        return None
    wet = {parts.rain: parts.wet} if parts.rain else {}
    if parts.coarse is None:
        return StructureAsked(wet)
    coarse = _coarse_under(parts.coarse, list(methods.values()), measures)
    found = {name: coarse.of(name) >= 0.1 * least for name, least in wet.items() if name in coarse.fields}
    return StructureAsked(wet, coarse.width, found)


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


def _coarse_under(path: Path, outputs: list[Any], measures: Any) -> _Coarse:
    import numpy as np
    from scipy.spatial import cKDTree

    from driftfield.data.coarsening import cell_grid_of
    from driftfield.evaluate.alignment import time_keys
    from driftfield.gridded.gridded_files import open_fields

    fields = measures.brought(open_fields(path), str(path))
    output = outputs[0]
    have = {key: index for index, key in enumerate(time_keys(fields["time"]))}
    shared = set.intersection(*(set(time_keys(made["time"])) for made in outputs))
    wanted = [key for key in time_keys(output["time"]) if key in shared]
    if lacking := [key for key in wanted if key not in have]:
        raise DataError(
            f"{path} lacks {len(lacking)} of {len(wanted)} scored times, the first is {lacking[0]}. Name the file that was "
            "downscaled."
        )
    fine, coarse = cell_grid_of(output), cell_grid_of(fields)
    nearest = cKDTree(coarse.centres.reshape(-1, 3)).query(fine.centres.reshape(-1, 3))[1].reshape(fine.shape)
    width = float(np.sqrt(np.median(coarse.area) / np.median(fine.area)))
    return _Coarse(fields.isel(time=[have[key] for key in wanted]), nearest, width)
