"""Windows of a large grid as fields of their own, for downscalers that look at a neighbourhood.

archive (time, lat, lon), windows  ->  archive (window of a date, row, column)        complete windows alone

They are numbered as one reads: date by date, from the north-west, row by row. The n-th window of a date is dated n seconds
later, and its cells lie around the equator, where they are as wide as high: a method knows nothing of where it comes from.
"""

__all__ = ["windows_as_dates"]

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from driftfield.data.patches import Window, window_index
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.encodings import as_dates, time_days

log = logging.getLogger(__name__)

KEYS = ("size", "stride", "holding")


def windows_as_dates(archive: GriddedArchive, targets: Sequence[str], windows: Mapping[str, Any]) -> GriddedArchive:
    """The complete windows of all dates.

    Arguments:
        archive: Surface fields on a regular grid.
        targets: Variables; a window counts where all of them are known in all of its cells.
        windows: `size` and `stride` in cells (the size by default); `holding: {above, share}` leaves out windows of which no
            larger share than that lies above a value.

    Raises:
        ConfigurationError: keys that make no sense.
        DataError: no window is left, fields with levels, or more windows than seconds between two dates.
    """
    for key in windows:
        if key not in KEYS:
            raise ConfigurationError(
                f"data.windows.{key} has no meaning beside data.coarse, where windows are complete fields: "
                f"{suggest(str(key), KEYS)}"
            )
    if "size" not in windows:
        raise ConfigurationError("data.windows lacks its size: expected cells, such as {size: 128}. Add it.")
    above, share = _holding(windows.get("holding"))
    fields = archive.dataset[list(targets)].transpose("time", ..., "lat", "lon")
    if any(field.ndim != 3 or field["lat"].ndim != 1 for field in fields.values()):
        raise DataError("Windows of a downscaler are of surface fields on (time, lat, lon). Select a level first.")
    shape = (fields.sizes["lat"], fields.sizes["lon"])
    cuts, _ = window_index(
        np.ones(shape, dtype=bool), windows["size"], windows.get("stride", windows["size"]), periodic=archive.periodic
    )
    cuts.sort(key=lambda window: (-window.row, window.col))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in targets}
    places: list[tuple[int, int]] = []
    looked = 0
    for index in range(fields.sizes["time"]):
        image = {name: np.asarray(field.isel(time=index).values) for name, field in fields.items()}
        number = 0
        for window in cuts:
            cut = {str(name): values[window.rows][:, window.columns(shape[1])] for name, values in image.items()}
            looked += 1
            if all(np.isfinite(part).all() for part in cut.values()) and _holds(cut, above, share):
                places.append((index, number))
                number += 1
                for name, part in cut.items():
                    parts[name].append(part)
    if not places:
        raise DataError(
            f"None of {looked} windows is complete and holds what data.windows.holding asks for: expected some. Choose smaller "
            "windows, or ask for less."
        )
    log.info("%d of %d windows are complete and hold enough: each is a date of its own", len(places), looked)
    return _archive(archive, targets, parts, _dates(fields["time"], places), cuts[0])


def _holding(holding: Any) -> tuple[float, float]:
    """(above, share); every window holds enough where nothing is asked."""
    if holding is None:
        return -np.inf, -1.0
    numbers: list[Any] = list(holding.values()) if isinstance(holding, Mapping) else []
    known = isinstance(holding, Mapping) and set(holding) == {"above", "share"}
    if not known or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise ConfigurationError(
            f"data.windows.holding is {holding!r}: expected {{above: 0.1, share: 0.05}}: more than this share above this value."
        )
    return float(holding["above"]), float(holding["share"])


def _holds(cut: Mapping[str, np.ndarray], above: float, share: float) -> bool:
    return any(float((part > above).mean()) > share for part in cut.values())


def _dates(times: xr.DataArray, places: Sequence[tuple[int, int]]) -> xr.DataArray:
    """A date for every window: that of its field, some seconds later."""
    most = max(number for _, number in places) + 1
    step = float(np.diff(time_days(times)).min()) * 86400.0 if times.size > 1 else np.inf
    if most >= step:
        raise DataError(
            f"A date has {most} windows and the next is {step:.0f} seconds later: expected fewer windows than seconds. Choose "
            "larger windows, or a longer step."
        )
    dates = as_dates(times).values
    if dates.dtype.kind == "M":
        values = np.array([dates[i] + np.timedelta64(n, "s") for i, n in places], dtype=dates.dtype)
    else:
        from datetime import timedelta

        values = np.array([dates[i] + timedelta(seconds=n) for i, n in places], dtype=object)
    return xr.DataArray(values, dims="time")


def _archive(
    archive: GriddedArchive,
    targets: Sequence[str],
    parts: Mapping[str, list[np.ndarray]],
    times: xr.DataArray,
    window: Window,
) -> GriddedArchive:
    step = float(np.median(np.abs(np.diff(archive.dataset["lat"].values))))
    axes = {
        axis: xr.DataArray(
            step * (np.arange(size) - 0.5 * (size - 1)), dims=axis, attrs=dict(archive.dataset[axis].attrs)
        )
        for axis, size in (("lat", window.height), ("lon", window.width))
    }
    fields = {
        name: (("time", "lat", "lon"), np.stack(parts[name]).astype(np.float32), dict(archive.dataset[name].attrs))
        for name in targets
    }
    everywhere = xr.DataArray(np.ones((window.height, window.width), dtype=bool), axes, ("lat", "lon"))
    dataset = xr.Dataset(fields, coords={"time": times, **axes})
    return GriddedArchive(dataset, dict.fromkeys(targets, everywhere), periodic=False)
