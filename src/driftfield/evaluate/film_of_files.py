"""From files to a film: what each word of a layout shows, on the dates of the first file.

truth       the complete fields                observed    what was seen; white where nothing was
mean        the variable itself                spread      its standard deviation
member:N    one member
"""

__all__ = ["LAYOUT", "film_of"]

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, positions_of, require
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.alignment import TOLERANCE
from driftfield.evaluate.drawing import MapPanel
from driftfield.evaluate.film import Film, FilmPanel
from driftfield.gridded.choosing import nearest_on_axis
from driftfield.gridded.encodings import date_text

LAYOUT = ("truth", "observed", "mean", "spread")
"""Shown by default, as far as there is something to show."""


def film_of(
    fields: xr.Dataset,
    name: str,
    *,
    layout: Sequence[str] | None = None,
    truth: xr.Dataset | None = None,
    observations: xr.Dataset | None = None,
    depth: float | None = None,
) -> Film:
    """The film of one variable.

    Arguments:
        fields: A reconstruction, a forecast or an archive: (time, [depth], lat, lon), members beside it.
        name: The variable.
        layout: Words of the module's table; by default those that there is something for.
        truth: For the word truth: every date of `fields`.
        observations: For the word observed: dates that are not in it were not observed.
        depth: Metres, the nearest level; the first by default.

    Raises:
        ConfigurationError: an unknown word, or one that there is nothing for.
        DataError: a variable or dates that are not there.
    """
    require(fields, [name])
    if "time" not in fields[name].dims:
        raise DataError(f"{name} has no dates: a film needs several. Use `driftfield plot`.")
    sources = _sources(fields, name, truth, observations)
    words = [word for word in LAYOUT if word in sources] if layout is None else list(layout)
    dates = [date_text(date) for date in fields["time"].values]
    level = _level(fields[name], depth)
    panels = [_panel(word, sources, dates, level) for word in words]
    for word in ("truth", "observed"):
        if word in sources:
            _check_places(fields, sources[word], word)
    return Film(
        _plane(fields, name, panels, level),
        panels,
        [date.removesuffix("T00:00:00").replace("T", " ") for date in dates],
        str(fields[name].attrs.get("long_name", name)) + (f" at {level:g} m" if level is not None else ""),
        str(fields[name].attrs.get("units", "")),
    )


def _sources(
    fields: xr.Dataset, name: str, truth: xr.Dataset | None, observations: xr.Dataset | None
) -> Mapping[str, xr.DataArray]:
    """What there is to show, by word; members as one."""
    sources = {"mean": fields[name]}
    for word, key in (("spread", f"{name}_sd"), ("member", f"{name}_member")):
        if key in fields:
            sources[word] = fields[key]
    for word, dataset in (("truth", truth), ("observed", observations)):
        if dataset is not None:
            require(dataset, [name], f"the file for {word!r}")
            sources[word] = dataset[name]
    return sources


def _level(field: xr.DataArray, depth: float | None) -> float | None:
    """Depth of the level that is shown."""
    if "depth" not in field.dims:
        if depth is not None:
            raise ConfigurationError(f"{field.name} has no levels: leave out --depth.")
        return None
    return float(field["depth"].values[0 if depth is None else nearest_on_axis(field, "depth", depth)])


def _panel(word: str, sources: Mapping[str, xr.DataArray], dates: list[str], level: float | None) -> FilmPanel:
    """(frame, lat, lon) of a word."""
    kind, colon, number = word.partition(":")
    if kind not in sources or bool(colon) != (kind == "member"):
        there = sorted("member:N" if word == "member" else word for word in sources)
        raise ConfigurationError(f"Nothing to show for {word!r} in --layout: expected some of {', '.join(there)}.")
    array = sources[kind]
    if kind == "member":
        count = array.sizes["member"]
        if not number.isdigit() or int(number) >= count:
            raise ConfigurationError(f"Found {word!r} in --layout: the file has members 0 to {count - 1}.")
        array = array.isel(member=int(number))
    if "depth" in array.dims:
        array = _at_level(array, level, word)
    array = array.transpose("time", "lat", "lon")
    index_of = {date_text(date): index for index, date in enumerate(array["time"].values)}
    missing = [date for date in dates if date not in index_of]
    if missing and kind != "observed":
        raise DataError(
            f"The file for {word!r} does not hold {missing[0]}, a date of the film. Expected all of its dates."
        )
    nothing = np.full(array.shape[1:], np.nan)
    values = np.stack([array.isel(time=index_of[date]).values if date in index_of else nothing for date in dates])
    title = {"mean": "mean" if "member" in sources or "spread" in sources else "field", "spread": "standard deviation"}
    return FilmPanel(f"member {number}" if kind == "member" else title.get(kind, kind), values, kind == "spread")


def _check_places(fields: xr.Dataset, other: xr.DataArray, word: str) -> None:
    """Refuses a file whose cells lie elsewhere: panels side by side show the same places."""
    for axis in ("lat", "lon"):
        ours, theirs = fields[axis].values, other[axis].values
        if len(ours) != len(theirs) or np.abs(ours - theirs).max() > TOLERANCE[axis]:
            raise DataError(
                f"The files are on different grids: {axis} of the film is {ours[0]:g} to {ours[-1]:g} ({len(ours)} cells), in "
                f"the file for {word!r} it is {theirs[0]:g} to {theirs[-1]:g} ({len(theirs)}). Cut both with "
                "--region, or regrid one."
            )


def _at_level(array: xr.DataArray, level: float | None, word: str) -> xr.DataArray:
    """The level that the film shows, and no other in its place."""
    try:
        return array.sel(depth=level, method="nearest", tolerance=TOLERANCE["depth"])
    except KeyError as error:
        held = ", ".join(f"{depth:g}" for depth in array["depth"].values)
        raise DataError(
            f"The file for {word!r} has no level at {level:g} m: it holds {held}. Choose another --depth."
        ) from error


def _plane(fields: xr.Dataset, name: str, panels: Sequence[FilmPanel], level: float | None) -> MapPanel:
    """The map under all panels; land is what the file says, or what no panel ever knows."""
    domain = domain_of(fields, name)
    if domain is not None and "depth" in domain.dims:
        domain = domain.sel(depth=level, method="nearest")
    ever = np.any([np.isfinite(panel.values).any(0) for panel in panels], axis=0)
    water = ever if domain is None else domain.transpose("lat", "lon").values.astype(bool)
    numbered = None if positions_of(fields) is None else ("column", "row")
    x, y = fields["lon"].values, fields["lat"].values
    if numbered:
        x, y = np.arange(len(x)), np.arange(len(y))
    nothing = np.full(water.shape, np.nan)
    return MapPanel(x, y, False, nothing, nothing, np.zeros(water.shape, dtype=bool), water, numbered)
