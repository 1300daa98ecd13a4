"""A synthetic Argo file, and casts of the World Ocean Database, written as the data centres write them."""

__all__ = ["write_argo", "write_casts"]

from pathlib import Path

import numpy as np
import xarray as xr


def characters(rows: list[str]) -> np.ndarray:
    """Flags of several levels: an array of single bytes."""
    return np.array([[c.encode() for c in row] for row in rows], dtype="S1")


def write_argo(
    path: Path,
    *,
    version: str = "3.1",
    modes: str = "DAR",
    platform: str = "6900001",
    salinity: bool = False,
    levels: tuple[float, float, float, float] = (5.0, 10.0, 100.0, 500.0),
    **changes: object,
) -> Path:
    """A profile of four levels for every mode; the raw temperature is 1 degC too warm; some flags of the first three are bad.

    Raw QC: profile 0 "1141", 1 "1111", 2 "1 31"; adjusted: 0 "1241" with a hole at level 2, 1 "1111".
    """
    n, k = len(modes), 4
    pres = np.tile(levels, (n, 1)).astype(np.float32)
    true = 20.0 - 0.02 * pres + (np.arange(n) % 3)[:, None]
    temp = (true + 1.0).astype(np.float32)
    adjusted = np.where(np.array(list(modes))[:, None] == "R", np.nan, true).astype(np.float32)
    adjusted[0, 2] = np.nan
    if n > 1:
        temp[1, 3] = adjusted[1, 3] = np.nan
    good = ["1111"] * n
    raw_qc, adjusted_qc = (["1141", "1111", "1 31", *good])[:n], (["1241", "1111", "    ", *good])[:n]
    profiles = {
        "JULD": 20000.0 + np.arange(n),
        "LATITUDE": 40.0 + np.arange(n),
        "LONGITUDE": -30.0 + np.arange(n),
        "CYCLE_NUMBER": np.arange(1, n + 1),
    }
    profiles |= {key: value for key, value in changes.items() if key in profiles}  # type: ignore[misc]
    text = {
        "JULD_QC": changes.get("JULD_QC", "1" * n),
        "POSITION_QC": changes.get("POSITION_QC", "1" * n),
        "DIRECTION": "A" * n,
        "DATA_MODE": modes,
    }
    dataset = xr.Dataset({key: ("N_PROF", np.asarray(value)) for key, value in profiles.items()})
    for key, value in text.items():
        dataset[key] = ("N_PROF", np.array([c.encode() for c in str(value)], dtype="S1"))
    dataset["PLATFORM_NUMBER"] = ("N_PROF", np.array([platform.ljust(8).encode()] * n, dtype="S8"))
    dataset["FORMAT_VERSION"] = ((), np.bytes_(version.ljust(4)))
    levels = ("N_PROF", "N_LEVELS")
    salt = np.full((n, k), 35.0, np.float32)
    for name, raw, better, units in (
        ("PRES", pres, np.where(np.isnan(adjusted) & (np.array(list(modes)) == "R")[:, None], np.nan, pres), "decibar"),
        ("TEMP", temp, adjusted, "degree_Celsius"),
        *([("PSAL", salt, salt, "psu")] if salinity else []),
    ):
        own, own_adjusted = (raw_qc, adjusted_qc) if name == "TEMP" else (good, good)
        dataset[name] = (levels, raw.astype(np.float32), {"units": units})
        dataset[f"{name}_QC"] = (levels, characters(own))
        dataset[f"{name}_ADJUSTED"] = (levels, better.astype(np.float32), {"units": units})
        dataset[f"{name}_ADJUSTED_QC"] = (levels, characters(own_adjusted))
        dataset[f"{name}_ADJUSTED_ERROR"] = (levels, np.full((n, k), 0.002, np.float32), {"units": units})
    dataset["TEMP"].attrs["standard_name"] = "sea_water_temperature"
    dataset["JULD"].attrs = {"units": "days since 1950-01-01 00:00:00 UTC"}
    if version == "3.1":
        dataset["VERTICAL_SAMPLING_SCHEME"] = ("N_PROF", np.array([b"Primary sampling: discrete".ljust(256)] * n))
    fill = {name: {"_FillValue": np.float32(99999.0)} for name in dataset if dataset[name].dtype == np.float32}
    fill |= {
        "JULD": {"_FillValue": 999999.0},
        "LATITUDE": {"_FillValue": 99999.0},
        "LONGITUDE": {"_FillValue": 99999.0},
    }
    dataset.to_netcdf(path, encoding=fill)
    return path


def write_casts(
    path: Path, sizes: tuple[int, ...] = (3, 2, 4), salt: tuple[int, ...] = (3, 0, 4), **attrs: str
) -> Path:
    """Casts with temperature at every depth, salinity in some casts."""
    n, casts = sum(sizes), len(sizes)
    flags = np.zeros(n, np.int8)
    flags[1] = 3
    temperature = np.arange(n, dtype=np.float32)
    temperature[2] = np.nan
    dataset = xr.Dataset(
        {
            "lat": ("casts", 10.0 + np.arange(casts)),
            "lon": ("casts", 20.0 + np.arange(casts)),
            "time": ("casts", 60000.0 + np.arange(casts), {"units": "days since 1770-01-01 00:00:00 UTC"}),
            "wod_unique_cast": ("casts", 100 + np.arange(casts)),
            "z": ("z_obs", np.concatenate([10.0 * np.arange(k) for k in sizes])),
            "z_row_size": ("casts", np.array(sizes), {"sample_dimension": "z_obs"}),
            "Temperature": ("Temperature_obs", temperature, {"units": "degree_C", **attrs}),
            "Temperature_row_size": ("casts", np.array(sizes), {"sample_dimension": "Temperature_obs"}),
            "Temperature_WODflag": ("Temperature_obs", flags),
            "Temperature_WODprofileflag": ("casts", np.array([0, 0, 1], np.int8)),
            "Temperature_uncertainty": ("Temperature_obs", np.full(n, 0.02)),
            "Salinity": ("Salinity_obs", 30.0 + np.arange(sum(salt))),
            "Salinity_row_size": ("casts", np.array(salt), {"sample_dimension": "Salinity_obs"}),
        }
    )
    dataset.to_netcdf(path, encoding={"Salinity_row_size": {"_FillValue": 0}})
    return path
