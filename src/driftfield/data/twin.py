"""A twin experiment: hide what is known, and keep it for scoring.

    observations = truth + N(0, error^2)   where the pattern sees
                 = NaN                     elsewhere
    held_out     = domain, known in the truth, and not seen

A pattern of several observing systems (a+b) may have an error for each: a cell that more than one sees has the value of the most
exact one.

The draw of one time depends on (seed, variable, date) only: a part of the times gets the same masks as the whole (except from
the pattern `own`, which borrows the gaps of the other times).
"""

__all__ = ["observe"]

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.array
import numpy as np
import xarray as xr

from driftfield.conventions import FORMAT, check_dimensions, domain_of, ever_finite, require
from driftfield.data.masks import Lender, Pattern, parse_pattern
from driftfield.data.masks.pattern import Together
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.encodings import as_dates, date_text
from driftfield.gridded.region import is_periodic


@dataclass(frozen=True)
class _Seen:
    """One variable of the twin experiment, all with dimensions of the field."""

    values: xr.DataArray
    error: xr.DataArray
    domain: xr.DataArray
    held_out: xr.DataArray


def observe(
    fields: xr.Dataset,
    observe: Mapping[str, str],
    *,
    error: float | Mapping[str, float | Sequence[float]] = 0.0,
    seed: int = 0,
    domain: Mapping[str, xr.DataArray] | xr.DataArray | None = None,
) -> xr.Dataset:
    """Writes an observation data set (see `conventions`) from complete fields.

    Arguments:
        fields: Truth (time, [depth,] lat, lon).
        observe: Variable -> pattern, such as `{"thetao": "profiles:0.95", "tos": "clouds:0.6"}`.
        error: Standard deviation of the observation error in units of the variable, one for all or by variable; of a pattern a+b
            also one for each part, in their order.
        seed: Of masks and noise; written into the output.
        domain: Where the variables exist, by name or one for all; else what the file says, else finite at any time.

    Returns:
        The variables with NaN where not seen, their errors, `domain` and `held_out`.

    Raises:
        ConfigurationError: an unknown pattern, a negative error, or not one error for each part of a pattern.
        DataError: a variable that is not there, or no time axis.
    """
    if not observe:
        raise ConfigurationError("Nothing to observe: name a variable and a pattern, such as thetao=profiles:0.95.")
    require(fields, list(observe))
    if isinstance(error, Mapping) and (unknown := [name for name in error if name not in observe]):
        raise ConfigurationError(f"An error for {unknown[0]!r}, which is not observed: {suggest(unknown[0], observe)}")
    output = xr.Dataset(attrs={"driftfield_format": FORMAT, "seed": int(seed)})
    first: _Seen | None = None
    for name, text in observe.items():
        instruments = _instruments(name, text, error.get(name, 0.0) if isinstance(error, Mapping) else error)
        where = domain.get(name) if isinstance(domain, Mapping) else domain
        seen = _observe_one(fields, name, instruments, seed=seed, domain=where)
        output[name] = seen.values.assign_attrs(pattern=text)
        output[f"{name}_error"] = seen.error
        if first is None:
            first = seen
            output["domain"], output["held_out"] = seen.domain, seen.held_out
            continue
        output[f"{name}_held_out"] = seen.held_out
        shared = domain_of(output, name)
        if shared is None or shared.dims != seen.domain.dims or not bool((shared == seen.domain).all()):
            output[f"{name}_domain"] = seen.domain
    output.attrs["patterns"] = ", ".join(f"{name}={text}" for name, text in observe.items())
    return output


@dataclass(frozen=True)
class _Instruments:
    """Observing systems of one variable, each with the standard deviation of its error."""

    patterns: tuple[Pattern, ...]
    errors: tuple[float, ...]
    comment: str

    def draw(
        self, record: Lender, known: np.ndarray, rng: np.random.Generator, *, periodic: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """What is seen, and the error there: both of the shape of `known`."""
        planes = known if known.ndim == 3 else known[None]
        error = np.full(planes.shape, np.inf, dtype=np.float32)
        for pattern, std in zip(self.patterns, self.errors, strict=True):
            seen = pattern.among(record).draw(planes, rng, periodic=periodic)
            error = np.where(seen, np.minimum(error, np.float32(std)), error)
        error = error.reshape(known.shape)
        return np.isfinite(error), error


def _instruments(name: str, text: str, error: float | Sequence[float]) -> _Instruments:
    """The parts of a pattern, each with its error; one error counts for all."""
    pattern = parse_pattern(text)
    patterns = pattern.parts if isinstance(pattern, Together) else (pattern,)
    errors = tuple(map(float, error)) if isinstance(error, Sequence) else (float(error),) * len(patterns)
    for std in errors:
        if not 0.0 <= std < np.inf:
            raise ConfigurationError(f"The observation error of {name!r} is {std}: expected 0 or more.")
    if len(errors) != len(patterns):
        raise ConfigurationError(
            f"Found {len(errors)} errors of {name!r} for the {len(patterns)} part(s) of {text!r}: expected one for each, "
            "or a single one for all."
        )
    comment = ""
    if len(set(errors)) > 1:
        stated = [f"{std:g} of {part.strip()}" for std, part in zip(errors, text.split("+"), strict=True)]
        comment = f"{', '.join(stated)}; the smallest where several see a cell"
    return _Instruments(patterns, errors, comment)


def _observe_one(
    fields: xr.Dataset, name: str, instruments: _Instruments, *, seed: int, domain: xr.DataArray | None
) -> _Seen:
    field, space = _dated(fields[name], name)
    if domain is None:
        domain = domain_of(fields, name)
    if domain is None:
        domain = ever_finite(field)
    exists = domain.transpose(*space).values.astype(bool)
    periodic = is_periodic(field["lon"])

    def known_at(time: int) -> np.ndarray:
        finite = exists & np.isfinite(field.isel(time=time).values)
        return finite if finite.ndim == 3 else finite[None]

    dates = as_dates(field["time"]).values

    def drawn(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mask_rng, noise_rng = _streams(seed, name, dates[index])
        truth = np.asarray(field.isel(time=index).values, dtype=np.float32)
        known = exists & np.isfinite(truth)
        record = Lender(known_at, index, field.sizes["time"])
        seen, std = instruments.draw(record, known, mask_rng, periodic=periodic)
        noise: np.ndarray | np.float32 = np.float32(0.0)
        if any(instruments.errors):
            noise = np.where(seen, std, 0.0) * noise_rng.standard_normal(truth.shape, dtype=np.float32)
        missing = np.float32(np.nan)
        return np.where(seen, truth + noise, missing), np.where(seen, std, missing), known & ~seen

    values, errors, held_out = _all_dates(field, drawn)
    place = {d: exists_coordinate for d in space if (exists_coordinate := field.coords.get(d)) is not None}
    return _Seen(
        values=field.copy(data=values),
        error=field.copy(data=errors).assign_attrs(
            long_name=f"standard deviation of the observation error of {name}",
            **({"comment": instruments.comment} if instruments.comment else {}),
        ),
        domain=xr.DataArray(exists, dims=space, coords=place, name="domain"),
        held_out=xr.DataArray(held_out, dims=field.dims, coords={**place, "time": field["time"]}, name="held_out"),
    )


def _all_dates(field: xr.DataArray, drawn: Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[Any]:
    """What is seen, its error and what is held out of all dates; of a lazy field lazily, a date at a time."""
    dates, shape, kinds = field.sizes["time"], field.shape[1:], (np.float32, np.float32, bool)
    if field.chunks is None:
        arrays = [np.empty(field.shape, dtype=kind) for kind in kinds]
        for index in range(dates):
            for array, part in zip(arrays, drawn(index), strict=True):
                array[index] = part
        return arrays
    parts = [dask.delayed(drawn, pure=False)(index) for index in range(dates)]
    return [
        dask.array.stack([dask.array.from_delayed(part[k], shape, kind) for part in parts])
        for k, kind in enumerate(kinds)
    ]


def _dated(field: xr.DataArray, name: str) -> tuple[xr.DataArray, list[str]]:
    """The field (time, [depth,] lat, lon), and its axes in space."""
    if "time" not in field.dims:
        raise DataError(f"{name!r} has no time axis, found {field.dims}. A twin experiment needs dated fields.")
    space: list[str] = [d for d in ("depth", "lat", "lon") if d in field.dims]
    check_dimensions(field, "the fields")
    return field.transpose("time", *space), space


def _streams(seed: int, variable: str, date: Any) -> tuple[np.random.Generator, np.random.Generator]:
    """Random streams of mask and noise; the date as text, so that its resolution does not matter."""
    root = np.random.SeedSequence([abs(int(seed)), zlib.crc32(variable.encode()), zlib.crc32(date_text(date).encode())])
    mask, noise = root.spawn(2)
    return np.random.default_rng(mask), np.random.default_rng(noise)
