"""An observation file, opened and held against what it says of itself: the way in of `reconstruct` and `assimilate`.

nothing observed, no date        refused
values outside of the domain     counted; refused where they are many (`gridded.domains`)
one constant at all times        land that nobody masked: missing, with a line, where no domain is stated
error missing in part            the largest error that the file states for the variable, and a line
"""

__all__ = ["complete_errors", "open_observations"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, error_of, state_variables
from driftfield.data.domain_files import add_domain
from driftfield.data.named_otherwise import with_own_mask
from driftfield.errors import ConfigurationError, DataError
from driftfield.gridded.acceptance import USUAL, Acceptance
from driftfield.gridded.domains import check_observed, with_domain
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.region import select_region
from driftfield.gridded.removal import count_removed
from driftfield.gridded.sentinels import without_still_land
from driftfield.gridded.units import check_plausible

log = logging.getLogger(__name__)

IN_MEMORY = 2**29
"""Bytes of observations that are read at once; more than that is read date by date."""


def open_observations(
    path: Path,
    domain: Path | None = None,
    *,
    region: Mapping[str, Sequence[float]] | None = None,
    acceptance: Acceptance = USUAL,
    drop_outside: bool = False,
) -> xr.Dataset:
    """Opens gridded observations and refuses what no reconstruction could be made of.

    Arguments:
        path: NetCDF, GRIB or Zarr.
        domain: File with the domain, if the observations have none.
        region: The part to take, as for `region.select_region`.
        acceptance: Which quality flags reject a value.
        drop_outside: Values outside of the domain are left out, however many they are.

    Raises:
        ConfigurationError: no time axis, or `drop_outside` where no domain is stated.
        DataError: a table, nothing observed, impossible values or errors, values outside of the domain.
    """
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt", ".parquet", ".pq"):
        raise DataError(
            f"{path} is a table: expected gridded fields (NetCDF, GRIB or Zarr). Bring it onto a grid with `driftfield gather "
            "--like`, or constrain a run by it with `driftfield assimilate`."
        )
    observations = select_region(open_fields(path, marks=True, acceptance=acceptance), region or {})
    names = state_variables(observations)
    _check_dates_and_numbers(observations, names, path)
    if observations.nbytes <= IN_MEMORY:
        observations = observations.load()
    observations, _ = count_removed(observations, names, str(path))
    observations = with_own_mask(observations, [name for name in names if name != "mask"], str(path))
    observations = observations.drop_vars("mask", errors="ignore")
    names = [name for name in names if name != "mask"]
    if domain is not None:
        observations = add_domain(observations, with_domain(open_fields(domain), str(domain)), source=str(domain))
    still = [name for name in names if domain_of(observations, name) is None]
    observations = observations.assign({name: without_still_land(observations[name], str(path)) for name in still})
    if exact := [name for name in names if error_of(observations, name) is None]:
        log.info("%s states no error of %s: taken as exact", path, ", ".join(exact))
    if not any(bool(observations[name].notnull().any()) for name in names):
        raise DataError(
            f"Nothing was observed in {path}: there is no value of {', '.join(map(repr, names))} at any date. Check the file; "
            "`driftfield sample` draws fields without observations."
        )
    if drop_outside and all(domain_of(observations, name) is None for name in names):
        raise ConfigurationError(
            f"--drop-outside: {path} states no domain that a value could lie outside of. Name one with --domain, or leave the "
            "option out: what lies outside of the domain of the run is never used."
        )
    check_observed(observations, str(path), leave_out=drop_outside)
    for name in names:
        check_plausible(observations[name], inside=domain_of(observations, name), source=str(path))
        _check_error(observations, name, str(path))
    return complete_errors(observations, str(path))


def _check_dates_and_numbers(observations: xr.Dataset, names: Sequence[str], path: Path) -> None:
    if "time" not in observations.dims:
        raise ConfigurationError(f"{path} has no time axis: a reconstruction needs the date. Add one.")
    if not observations.sizes["time"]:
        raise DataError(f"{path} holds no date: its time axis is empty. Expected observations of one date or more.")
    if odd := [name for name in names if observations[name].dtype.kind not in "fiub"]:
        raise DataError(
            f"{odd[0]!r} in {path} holds {observations[odd[0]].dtype}, expected numbers. Leave the variable out."
        )


def _check_error(observations: xr.Dataset, name: str, source: str) -> None:
    error = error_of(observations, name)
    if error is None:
        return
    error = error.where(observations[name].notnull())
    if bool(((error < 0) | (abs(error) == float("inf"))).any()):
        raise DataError(
            f"'{name}_error' in {source} holds negative or infinite numbers: expected standard deviations, "
            "NaN where nothing was seen. Correct the file."
        )


def complete_errors(observations: xr.Dataset, source: str) -> xr.Dataset:
    """Where a value was observed and its error is missing: the largest error that is stated for the variable.

    An error that is missing everywhere is not stated: those values are taken as exact, and a line says so.

    Arguments:
        observations: An observation data set.
        source: What messages call it.
    """
    filled = {}
    for name in state_variables(observations):
        error = error_of(observations, name)
        if error is None:
            continue
        observed = observations[name].notnull()
        lacking = observed & error.isnull()
        number = int(lacking.sum())
        if not number:
            continue
        largest = float(error.where(observed).max())
        if not np.isfinite(largest):
            log.info("%s states no error of %s where it was observed: taken as exact", source, name)
            continue
        log.info(
            "%s: the error of %d of %d observed values of %r is missing: taken as %.4g, the largest that is stated",
            source, number, int(observed.sum()), name, largest,
        )  # fmt: skip
        filled[f"{name}_error"] = error.where(~lacking, largest).transpose(*error.dims).assign_attrs(error.attrs)
    return observations.assign(filled)
