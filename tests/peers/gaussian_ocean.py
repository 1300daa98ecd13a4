"""A small Gaussian ocean: three levels that share one pattern, and a surface that knows most of it."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter


@dataclass(frozen=True)
class TinyArchive:
    """An archive in memory."""

    dataset: xr.Dataset
    domains: dict[str, xr.DataArray]
    periodic: bool = False

    def domain(self, variable: str) -> xr.DataArray:
        return self.domains[variable]


def tiny_ocean(seed: int, months: int, start: str = "2000-01", periodic: bool = False) -> TinyArchive:
    rng = np.random.default_rng(seed)
    shape = (10, 14)
    time = np.arange(np.datetime64(start), np.datetime64(start) + months).astype("datetime64[ns]")
    modes = ("reflect", "wrap" if periodic else "reflect")
    smooth = np.stack([gaussian_filter(rng.standard_normal(shape), 2.0, mode=modes) for _ in time])
    rough = np.stack([[gaussian_filter(rng.standard_normal(shape), 1.0, mode=modes) for _ in range(3)] for _ in time])
    season = np.cos(2 * np.pi * np.arange(months) / 12)[:, None, None]
    smooth, rough = smooth / smooth.std(), rough / rough.std()
    thetao = np.stack(
        [10 - 3 * k + season / (k + 1) + smooth / (1 + 0.3 * k) + 0.3 * rough[:, k] for k in range(3)], axis=1
    )
    sst = 10.5 + season + smooth + 0.2 * rough[:, 0]
    domain = np.ones((3, *shape), dtype=bool)
    domain[:, :3, :4] = False
    domain[2, :, -3:] = False
    coords = {"lat": 30 + 0.5 * np.arange(shape[0]), "lon": np.arange(shape[1]) * (360 / shape[1] if periodic else 0.5)}
    dataset = xr.Dataset(
        {
            "thetao": (("time", "depth", "lat", "lon"), np.where(domain, thetao, np.nan).astype(np.float32)),
            "sst": (("time", "lat", "lon"), np.where(domain[0], sst, np.nan).astype(np.float32)),
        },
        coords={"time": time, "depth": [5.0, 50.0, 200.0], **coords},
    )
    dataset["thetao"].attrs = {"units": "degC", "standard_name": "sea_water_potential_temperature"}
    domains = {
        "thetao": xr.DataArray(domain, dims=("depth", "lat", "lon"), coords={"depth": dataset["depth"], **coords}),
        "sst": xr.DataArray(domain[0], dims=("lat", "lon"), coords=coords),
    }
    return TinyArchive(dataset, domains, periodic)


def profiles(archive: TinyArchive, *, count: int = 12, seed: int = 0, times: int = 3, sst: bool = True) -> xr.Dataset:
    """Whole columns of `thetao`, the full `sst`."""
    rng = np.random.default_rng(seed)
    fields = archive.dataset.isel(time=slice(0, times))
    domain = archive.domain("thetao")
    columns = np.flatnonzero(domain.values.any(axis=0))
    seen = np.zeros((times, domain[0].size), dtype=bool)
    for row in seen:
        row[rng.choice(columns, count, replace=False)] = True
    seen = seen.reshape(times, 1, *domain.shape[1:]) & domain.values
    observations = xr.Dataset({"thetao": fields["thetao"].where(seen)}, coords=fields.coords)
    observations["domain"] = domain
    if sst:
        observations["sst"] = fields["sst"]
    return observations
