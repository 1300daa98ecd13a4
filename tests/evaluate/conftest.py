"""A small ocean with a known truth: temperature at four levels and sea level, an island and a sloping floor."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter


@dataclass
class World:
    """Truth, observations and the answers of three methods."""

    truth: xr.Dataset
    observations: xr.Dataset
    outputs: dict[str, xr.Dataset]


@pytest.fixture(scope="session")
def world() -> World:
    rng = np.random.default_rng(3)
    time = np.array(["2015-01-16", "2015-02-15", "2015-03-16"], dtype="datetime64[ns]")
    depth, lat, lon = np.array([5.0, 50.0, 120.5, 400.0]), np.linspace(30, 41.5, 24), np.linspace(340, 355.5, 32)
    coords = {"time": time, "depth": depth, "lat": lat, "lon": lon}
    domain = np.ones((4, 24, 32), dtype=bool)
    domain[:, 8:12, 20:25] = False  # an island
    domain[2:, :, :6] = domain[3, :, :9] = False  # a shelf

    def smooth(shape: tuple[int, ...], scale: float) -> np.ndarray:
        field = gaussian_filter(rng.standard_normal(shape), (0,) * (len(shape) - 2) + (scale, scale), mode="wrap")
        return field / field.std()

    profile = np.array([20.0, 17.0, 13.0, 8.0])[:, None, None] - 0.3 * (lat - 35)[:, None]
    true = {
        "temperature": profile + np.array([1.5, 1.2, 0.8, 0.4])[:, None, None] * smooth((3, 4, 24, 32), 3.0),
        "ssh": 0.2 * smooth((3, 24, 32), 2.0),
    }
    attrs = {
        "temperature": {"units": "degC", "long_name": "sea water potential temperature"},
        "ssh": {"units": "m", "long_name": "sea surface height"},
    }
    dims = {"temperature": ("time", "depth", "lat", "lon"), "ssh": ("time", "lat", "lon")}
    where = {"temperature": domain, "ssh": domain[0]}
    hidden = {
        "temperature": np.broadcast_to(rng.random((3, 1, 24, 32)) < 0.7, (3, 4, 24, 32)) & domain,
        "ssh": (rng.random((3, 24, 32)) < 0.6) & domain[0],
    }

    def dataset(fields: dict[str, tuple[tuple[str, ...], np.ndarray]], **more: str) -> xr.Dataset:
        made = xr.Dataset(fields, coords=coords, attrs=more)
        for name in made.data_vars:
            made[name].attrs.update(attrs.get(str(name), {}))
        return made

    truth = dataset({n: (dims[n], np.where(where[n], true[n], np.nan).astype("f4")) for n in true})
    observations = dataset(
        {n: (dims[n], np.where(where[n] & ~hidden[n], true[n], np.nan).astype("f4")) for n in true}
        | {
            "domain": (("depth", "lat", "lon"), domain),
            "held_out": (dims["temperature"], hidden["temperature"]),
            "ssh_held_out": (dims["ssh"], hidden["ssh"]),
        },
        driftfield_format="1",
    )
    size, spread = 8, {"temperature": 0.4, "ssh": 0.06}
    answers: dict[str, dict[str, tuple[tuple[str, ...], np.ndarray]]] = {"diffusion": {}, "oi": {}, "climatology": {}}
    for n in true:
        centre = true[n] + spread[n] * smooth(true[n].shape, 1.5) * hidden[n]
        members = centre + spread[n] * smooth((size, *true[n].shape), 1.5) * hidden[n]
        blind = np.broadcast_to(true[n].mean((0, -1), keepdims=True), true[n].shape)
        close = true[n] + 2 * spread[n] * smooth(true[n].shape, 1.5) * hidden[n]
        sd = np.full(true[n].shape, 2 * spread[n])
        land = ~where[n]
        for method, values in {"diffusion": members, "climatology": blind[None]}.items():
            values = np.where(land, np.nan, values).astype("f4")
            answers[method] |= {
                n: (dims[n], values.mean(0)),
                f"{n}_sd": (dims[n], values.std(0)),
                f"{n}_member": (("member", *dims[n]), values),
            }
        answers["oi"] |= {
            n: (dims[n], np.where(land, np.nan, close).astype("f4")),
            f"{n}_sd": (dims[n], np.where(land, np.nan, sd).astype("f4")),
        }
    names = {"oi": "optimal_interpolation"}
    outputs = {k: dataset(v, method=names.get(k, k)) for k, v in answers.items()}
    return World(truth, observations, outputs)
