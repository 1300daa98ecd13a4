"""From states to an ensemble forecast and its file.

    states at one date [member]  (+ perturbations)  --emulator, step by step-->  <variable>, _sd, _member (member, time, ...)

`time` holds the dates that are forecast; `forecast_reference_time` is the date of the states, `forecast_period` the lead.
"""

__all__ = ["forecast", "initial_states"]

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import require
from driftfield.data.codec import with_levels
from driftfield.diffusion.noise import CellNoise
from driftfield.errors import ConfigurationError, DataError
from driftfield.gridded.choosing import dates_beginning
from driftfield.gridded.encodings import date_text, time_days
from driftfield.gridded.units import check_plausible
from driftfield.reconstruction.draws import Keeper
from driftfield.reconstruction.output import Estimate, assemble
from driftfield.trajectories.emulator import Emulator


def forecast(
    emulator: Emulator,
    initial: xr.Dataset,
    *,
    steps: int,
    members: int | None = None,
    seed: int = 0,
    start: str | None = None,
    perturb: float | Mapping[str, float] = 0.0,
    batch_size: int = 512,
    keeper: Keeper | None = None,
) -> xr.Dataset:
    """An ensemble forecast; member m depends on (seed, m) and on its own state only.

    Arguments:
        emulator: A run.
        initial: Complete states on the grid of the run: `<variable>`, or `<variable>_member` (member, ...).
        steps: Time steps to go.
        members: Size of the ensemble; by default all members of `initial`, or one.
        seed: Of perturbations and draws.
        start: Date of the states, if `initial` has several; the beginning of its text is enough.
        perturb: Standard deviation of independent noise that is added to the states of every member, physical units.
        batch_size: Members at a time; does not change them.
        keeper: Remembers batches of members.

    Raises:
        ConfigurationError: several dates and none chosen, too few members, or an impossible number.
        DataError: states that are not complete, or not on the grid of the run.
    """
    if steps < 1:
        raise ConfigurationError(f"Found steps={steps}: expected 1 or more.")
    initial = emulator.codec.measures.brought(_at_date(initial, start), "the file of initial states")
    date = initial["time"].values[0]
    states = initial_states(emulator, initial, members=members, perturb=perturb, seed=seed)
    codec, count = emulator.codec, len(states)
    walked = emulator.roll_out(
        states, [date] * count, range(count), steps=steps, seed=seed, batch_size=batch_size, keeper=keeper
    )
    valid = emulator.valid_dates(date, steps)
    rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
    levels = [len(codec.grid.levels[name]) for name in codec.targets]
    template, estimates, domains = _template(initial, codec.targets, valid), {}, {}
    for name, part in zip(codec.targets, np.split(walked, np.cumsum(levels)[:-1], axis=2), strict=True):
        fields = codec.decode(name, part, valid, rows, columns)
        deep = "depth" in template[name].dims
        estimates[name] = Estimate(members=fields if deep else fields[:, :, 0])
        mask = codec.domains[name]
        dims = ("depth", "lat", "lon") if deep else ("lat", "lon")
        domains[name] = xr.DataArray(mask if deep else mask[0], dims=dims)
    stated = {"perturbation": str(perturb)} if perturb else {}
    attrs = emulator.provenance() | stated
    output = assemble(
        template, estimates, method=emulator.method, seed=seed, members=count, attrs=attrs, domains=domains
    )
    return _with_leads(output, initial["time"])


def initial_states(
    emulator: Emulator,
    initial: xr.Dataset,
    *,
    members: int | None = None,
    perturb: float | Mapping[str, float] = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """The states of one date, (member, channel, lat, lon) in network units, NaN outside the domain.

    Arguments:
        emulator, initial, members, perturb, seed: As of `forecast`; `initial` has one date.

    Raises:
        ConfigurationError: more members than `initial` has, or a perturbation of something unknown.
        DataError: states that are not complete, or not on the grid of the run.
    """
    codec = emulator.codec
    require(initial, codec.targets, "the initial states")
    rows, columns = codec.grid.cells(initial)
    whole = (codec.grid.lat.size, codec.grid.lon.size)
    if not (np.array_equal(rows, np.arange(whole[0])) and np.array_equal(columns, np.arange(whole[1]))):
        raise DataError(
            f"The states cover {len(rows)} x {len(columns)} cells, the run {whole[0]} x {whole[1]}: expected its whole grid, "
            "in its order. An emulator steps the whole grid."
        )
    spread = perturb if isinstance(perturb, Mapping) else dict.fromkeys(codec.targets, perturb)
    if unknown := sorted(set(spread) - set(codec.targets)):
        raise ConfigurationError(f"Cannot perturb {unknown[0]!r}: expected one of {codec.targets}.")
    count = _count(initial, codec.targets, members)
    stamp = initial["time"].values[:1]
    names = [f"{channel.variable}@{channel.level}" for channel in codec.channels()]
    noise = CellNoise(seed, range(count), [f"perturbation {date_text(stamp[0])}"] * count, names, rows, columns)(
        0
    ).numpy()
    parts, first = [], 0
    for name in codec.targets:
        values = _state(initial, name)
        _check_state(name, values, codec.domains[name], codec.grid.levels[name])
        check_plausible(initial[name].isel(time=0), source="the initial states")
        size = values.shape[1]
        values = np.broadcast_to(values, (count, *values.shape[1:])) if len(values) == 1 else values[:count]
        values = values + spread.get(name, 0.0) * noise[:, first : first + size]
        encoded = codec.encode(name, values, stamp, rows, columns)
        parts.append(np.where(codec.domains[name], encoded, np.nan))
        first += size
    return np.concatenate(parts, axis=1)


def _at_date(initial: xr.Dataset, start: str | None) -> xr.Dataset:
    """The data set at one date; `time` stays, with a size of one."""
    if "time" not in initial.dims:
        raise DataError("The initial states have no time axis: a forecast needs their date. Add one.")
    texts, matching = dates_beginning(initial, start)
    if len(matching) != 1:
        several = f"{len(matching)} dates" if matching else "no date"
        asked = "" if start is None else f" that begin with {start!r}"
        raise ConfigurationError(
            f"The initial states have {several}{asked}: expected one of {texts[0]} ... {texts[-1]}. Choose it with --start."
        )
    return initial.isel(time=matching).load()


def _count(initial: xr.Dataset, names: Sequence[str], members: int | None) -> int:
    """Size of the ensemble."""
    sizes = {initial[f"{name}_member"].sizes["member"] for name in names if f"{name}_member" in initial}
    if sizes and (len(sizes) > 1 or not all(f"{name}_member" in initial for name in names)):
        raise DataError("Some variables have members and others not, or another number. Give all of them the same.")
    there = min(sizes) if sizes else None
    if members is not None and members < 1:
        raise ConfigurationError(f"Found members={members}: expected 1 or more.")
    if there is not None and members is not None and members > there:
        raise ConfigurationError(
            f"Found members={members}, but the initial states have {there}. Ask for that many or fewer."
        )
    return members or there or 1


def _state(initial: xr.Dataset, name: str) -> np.ndarray:
    """(member or 1, level, lat, lon) in physical units."""
    array = initial.get(f"{name}_member")
    array = initial[name].expand_dims("member") if array is None else array
    return with_levels(array.isel(time=0, drop=True).rename(member="time").transpose("time", ...))


def _check_state(name: str, values: np.ndarray, domain: np.ndarray, levels: tuple[float | None, ...]) -> None:
    if values.shape[1:] != domain.shape:
        raise DataError(
            f"{name!r} has {values.shape[1]} levels, the run has {len(levels)}. Give the levels of the run."
        )
    if missing := int((~np.isfinite(values[:, domain])).sum()):
        raise DataError(
            f"{missing} values of {name!r} are missing: a forecast starts from complete states. "
            "Complete them with `driftfield reconstruct`."
        )


def _template(initial: xr.Dataset, names: Sequence[str], valid: np.ndarray) -> xr.Dataset:
    """The variables on the dates to come, empty."""
    fields = {}
    for name in names:
        field = initial[name].isel(time=np.zeros(len(valid), int))
        dims = [dim for dim in ("time", "depth", "lat", "lon") if dim in field.dims]
        fields[name] = field.assign_coords(time=valid).transpose(*dims)
    template = xr.Dataset(fields)
    template["time"].attrs = dict(initial["time"].attrs)
    return template[list(names)]


def _with_leads(output: xr.Dataset, start: xr.DataArray) -> xr.Dataset:
    """CF's words for when a forecast was made and how far it reaches."""
    hours = (time_days(output["time"]) - time_days(start)[0]) * 24
    return output.assign_coords(
        forecast_reference_time=((), start.values[0], {"standard_name": "forecast_reference_time"}),
        forecast_period=("time", hours, {"standard_name": "forecast_period", "units": "hours"}),
    )
