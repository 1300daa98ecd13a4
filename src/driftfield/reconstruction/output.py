"""What every method hands back: one data set, laid out as `driftfield.conventions` says.

    <variable>         (time, [depth,] lat, lon)            ensemble mean, cell_methods: member: mean
    <variable>_sd      (time, [depth,] lat, lon)            its spread, cell_methods: member: standard_deviation
    <variable>_member  (member, time, [depth,] lat, lon)    the ensemble
    <variable>_quantile  (quantile, time, [depth,] lat, lon)    where asked for

Files have these dimensions with time first (`driftfield.gridded.cf`). Without members in the data set there are no
`cell_methods`: they would name a dimension that the file has not.

float32, NaN outside the domain and nowhere else; coordinates, names and units are those of the observations. The
attributes say who made it: method, seed, members, version, date.
"""

__all__ = ["Estimate", "assemble", "check_quantiles", "domains_like", "joined", "with_quantiles"]

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr

from driftfield import __version__
from driftfield.conventions import DIMS, FORMAT, domain_of, state_variables
from driftfield.data.codec import FieldCodec
from driftfield.errors import ConfigurationError, DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """What a method says of one variable; at least the mean or the members are there.

    Arguments:
        mean: (time, [depth,] lat, lon); that of the members where it is None.
        sd: Its standard deviation; that of the members where it is None and there are two or more.
        members: (member, time, [depth,] lat, lon).
    """

    mean: np.ndarray | None = None
    sd: np.ndarray | None = None
    members: np.ndarray | None = None

    def by_part(self, change: Callable[[np.ndarray, int], np.ndarray]) -> "Estimate":
        """The same with every array changed; `change` takes it and the number of its time axis."""
        mean, sd = (None if part is None else change(part, 0) for part in (self.mean, self.sd))
        return Estimate(mean, sd, None if self.members is None else change(self.members, 1))


_KEPT = ("standard_name", "long_name", "units", "cell_measures", "grid_mapping")


def assemble(
    observations: xr.Dataset,
    fields: Mapping[str, Estimate],
    *,
    method: str,
    seed: int,
    members: int,
    attrs: Mapping[str, Any] | None = None,
    domains: Mapping[str, xr.DataArray] | None = None,
) -> xr.Dataset:
    """Joins the estimates of all variables into a reconstruction data set.

    Arguments:
        observations: What was reconstructed: gives coordinates, attributes and, where it says so, the domain.
        fields: The estimate of each variable, in units of the observations. Where its mean or its sd is None it is that of the
            members (ddof = 1); no sd is written for fewer than two.
        method: Short name of the method.
        seed: Of all random draws.
        members: Size of the ensemble that was asked for.
        attrs: Further global attributes, such as the run's hash.
        domains: Where the variables exist, used for a variable whose domain the observations do not give.

    Raises:
        DataError: an estimate that has not the shape of the observed variable, or is not finite inside the domain.
    """
    output = xr.Dataset(attrs=_provenance(method, seed, members) | dict(attrs or {}))
    for name, estimate in fields.items():
        mean, sd, drawn = estimate.mean, estimate.sd, estimate.members
        template = observations[name].transpose(*(d for d in DIMS if d in observations[name].dims))
        if mean is None:
            if drawn is None:
                raise DataError(f"No mean and no members were given for {name!r}. Give at least one of them.")
            mean = drawn.mean(axis=0, dtype=np.float64)
        if sd is None and drawn is not None and len(drawn) > 1:
            sd = drawn.std(axis=0, ddof=1, dtype=np.float64)
        inside = _inside(observations, name, domains, template)
        described = {key: template.attrs[key] for key in _KEPT if key in template.attrs}
        ancillary = [f"{name}_{suffix}" for suffix, part in (("sd", sd), ("member", drawn)) if part is not None]
        mean_over, sd_over = (
            {} if drawn is None else {"cell_methods": f"member: {how}"} for how in ("mean", "standard_deviation")
        )
        output[name] = _field(template, mean, inside, name).assign_attrs(
            described,
            **mean_over,
            **({"ancillary_variables": " ".join(ancillary)} if ancillary else {}),
        )
        if sd is not None:
            output[f"{name}_sd"] = _field(template, sd, inside, name).assign_attrs(
                _described_as(described, name, "standard deviation of the ensemble of"), **sd_over
            )
        if drawn is not None:
            output[f"{name}_member"] = _field(template, drawn, inside, name).assign_attrs(
                _described_as(described, name, "ensemble of")
            )
    if "member" in output.dims:
        output = output.assign_coords(
            member=(
                "member",
                np.arange(output.sizes["member"], dtype=np.int32),
                {"standard_name": "realization", "units": "1"},
            )
        )
    return output


def _field(template: xr.DataArray, values: np.ndarray, inside: np.ndarray, name: str) -> xr.DataArray:
    """One part of the output: shape checked, finite inside the domain, NaN outside."""
    dims = template.dims if values.ndim == template.ndim else ("member", *template.dims)
    if values.shape[-template.ndim :] != template.shape or values.ndim not in (template.ndim, template.ndim + 1):
        raise DataError(
            f"The estimate of {name!r} has shape {values.shape}, expected {template.shape} of the observations."
        )
    values = np.where(inside, values, np.nan).astype(np.float32)
    if not np.isfinite(values[..., inside] if inside.ndim == values.ndim else values[:, inside]).all():
        raise DataError(f"The estimate of {name!r} is not finite everywhere in its domain. Check the observations.")
    coords = {key: value for key, value in template.coords.items() if set(value.dims) <= set(dims)}
    return xr.DataArray(values, dims=dims, coords=coords)


def _inside(
    observations: xr.Dataset, name: str, domains: Mapping[str, xr.DataArray] | None, template: xr.DataArray
) -> np.ndarray:
    """Where the variable exists, spread over all times: boolean in the shape of `template`."""
    domain = domain_of(observations, name)
    if domain is None and domains is not None:
        domain = domains.get(name)
    if domain is None:
        raise DataError(
            f"Where {name!r} exists is not known: the observations have no 'domain'. "
            "Add it (NaN alone never means land)."
        )
    if "time" in domain.dims:
        domain = domain.isel(time=0, drop=True) if domain.sizes["time"] == 1 else domain
    inside = domain.transpose(*(d for d in template.dims if d in domain.dims)).values.astype(bool)
    if "time" in template.dims and "time" not in domain.dims:
        inside = inside[None]
    return np.broadcast_to(inside, template.shape)


def _described_as(attrs: Mapping[str, object], name: str, what: str) -> dict[str, object]:
    """The attributes of a part, whose long name says of which variable it is."""
    long_name = attrs.get("long_name") or str(attrs.get("standard_name", name)).replace("_", " ")
    return dict(attrs) | {"long_name": f"{what} {long_name}"}


def _provenance(method: str, seed: int, members: int) -> dict[str, str | int]:
    return {
        "Conventions": "CF-1.10",
        "driftfield_format": FORMAT,
        "driftfield_version": __version__,
        "method": method,
        "seed": int(seed),
        "members": int(members),
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def joined(estimates: Sequence[Estimate], depth: bool) -> Estimate:
    """The estimates of all dates of one variable, with a time axis, and a depth axis only where the variable has one.

    Arguments:
        estimates: Per date ([member,] level, lat, lon).
        depth: Whether the variable has a depth axis.
    """

    def stacked(parts: Iterable[np.ndarray | None], axis: int = 0) -> np.ndarray | None:
        stated = [part for part in parts if part is not None]
        if not stated:
            return None
        whole = np.stack(stated, axis=axis)
        return whole if depth else whole[..., 0, :, :]

    return Estimate(
        stacked(estimate.mean for estimate in estimates),
        stacked(estimate.sd for estimate in estimates),
        stacked((estimate.members for estimate in estimates), axis=1),
    )


def check_quantiles(probabilities: Sequence[float], members: int) -> tuple[float, ...]:
    """The probabilities in rising order; those beyond the reach of an ensemble are logged.

    Raises:
        ConfigurationError: not between 0 and 1, twice the same, or fewer than two members.
    """
    rising = _rising(probabilities, members)
    for p in rising:
        if (needed := math.ceil(round(1 / min(p, 1 - p), 9)) - 1) > members:
            log.warning("The quantile %g needs %d members: of %d it is the outermost", p, needed, members)
    return rising


def _rising(probabilities: Sequence[float], members: int) -> tuple[float, ...]:
    levels = tuple(sorted(float(p) for p in probabilities))
    if not levels or not all(0 < p < 1 for p in levels) or len(set(levels)) < len(levels):
        raise ConfigurationError(
            f"Found the quantiles {list(probabilities)}: expected different numbers between 0 and 1, such as 0.05,0.5,0.95."
        )
    if members < 2:
        raise ConfigurationError(f"Found quantiles of {members} member(s): expected 2 or more. Ask for more members.")
    return levels


def with_quantiles(result: xr.Dataset, probabilities: Sequence[float]) -> xr.Dataset:
    """A reconstruction with the quantiles of its members beside them.

    Place k = p (M + 1) among M sorted members, in between on a straight line (Hyndman and Fan 1996, definition 6): a truth that
    is like one more member then lies below with probability p. Beyond the outermost members there is nothing to say but those.

    Arguments:
        result: As `assemble` made it, also calibrated or smoothed.
        probabilities: Between 0 and 1.

    Raises:
        ConfigurationError: probabilities that make no sense, or a variable without members.
    """
    output = result.copy()
    for name in state_variables(result):
        members = result.get(f"{name}_member")
        count = 0 if members is None else members.sizes["member"]
        levels = _rising(probabilities, count)
        assert members is not None
        place = np.clip(np.array(levels) * (count + 1) - 1, 0, count - 1)
        below = np.minimum(place.astype(int), count - 2)
        share = (place - below).reshape(-1, *[1] * (members.ndim - 1))
        ordered = np.sort(members.transpose("member", ...).values, axis=0)
        values = (1 - share) * ordered[below] + share * ordered[below + 1]
        dims = [str(d) for d in members.dims if d != "member"]
        field = xr.DataArray(values.astype(np.float32), dims=("quantile", *dims))
        described = {key: result[name].attrs[key] for key in _KEPT if key in result[name].attrs}
        output[f"{name}_quantile"] = field.assign_attrs(_described_as(described, name, "quantiles of the ensemble of"))
        beside = f"{result[name].attrs.get('ancillary_variables', '')} {name}_quantile".strip()
        output[name] = output[name].assign_attrs(ancillary_variables=beside)
        output = output.assign_coords(
            quantile=("quantile", np.array(levels), {"long_name": "probability of a value below", "units": "1"})
        )
    return output


def domains_like(
    codec: FieldCodec, template: xr.Dataset, rows: np.ndarray, columns: np.ndarray
) -> dict[str, xr.DataArray]:
    """The domain of a run's targets, for observations that state none.

    Arguments:
        codec: Of the run.
        template: Observations; their dimensions are those of the answer.
        rows, columns: Their cells on the grid of the run.
    """
    domains = {}
    for name in codec.targets:
        dims = [dim for dim in ("depth", "lat", "lon") if dim in template[name].dims]
        mask = codec.domains[name][:, rows][:, :, columns]
        domains[name] = xr.DataArray(mask if "depth" in dims else mask[0], dims=dims)
    return domains
