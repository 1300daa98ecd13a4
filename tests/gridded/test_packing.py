"""Packed fields: the error that is stated is the largest there is, what is missing stays missing, and others read them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.gridded.gridded_files import open_fields, write_dataset
from driftfield.gridded.packing import Packing, rounded_bits
from driftfield.peers import Climatology
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.journal import UnfinishedError
from driftfield.reconstruction.writer import Work, write_reconstruction
from driftfield.testing import tiny_ocean, tiny_training_data

HOW = ("int16", "bitround:7", "bitround:12")


@pytest.fixture(scope="module")
def work() -> Work:
    data = tiny_training_data(tiny_ocean(times=40))
    peer = Climatology()
    peer.fit(data)
    seen = data.archive.dataset.isel(time=data.test[:3])
    return Work(peer, seen, Draws(4, 1))


def packed(work: Work, how: str) -> Work:
    return Work(work.reconstructor, work.observations, work.draws, packing=Packing.parse(how))


def stated(field: xr.DataArray, original: xr.DataArray) -> np.ndarray:
    """The largest error that the file speaks of."""
    if "packing_error" in field.attrs:
        return np.full(field.shape, field.attrs["packing_error"])
    return np.abs(original.values) * field.attrs["packing_relative_error"]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("how", HOW)
def test_no_error_is_larger_than_what_is_stated(work: Work, how: str, suffix: str, tmp_path: Path) -> None:
    write_reconstruction(work, tmp_path / f"plain{suffix}")
    write_reconstruction(packed(work, how), tmp_path / f"packed{suffix}")
    plain, small = (open_fields(tmp_path / f"{name}{suffix}").load() for name in ("plain", "packed"))
    assert set(small.variables) == set(plain.variables)
    for name in ("thetao", "thetao_sd", "thetao_member"):
        original, field = plain[name], small[name]
        assert field.dims == original.dims
        assert field.attrs["packing"] == how
        np.testing.assert_array_equal(np.isnan(field), np.isnan(original))
        away, most = np.abs(field.values.astype(float) - original.values.astype(float)), stated(field, original)
        exists = ~np.isnan(original.values)
        assert (away[exists] <= most[exists]).all()
        # and not much less: the bound is the one of these bits
        assert (away[exists] / np.maximum(most[exists], 1e-300)).max() > 0.5
    xr.testing.assert_equal(small["time"], plain["time"])


def test_whoever_unpacks_into_short_floats_is_within_it_too(tmp_path: Path) -> None:
    values = np.random.default_rng(2).uniform(-1.4, 1.5, (3, 40, 60)).astype(np.float32) + np.float32(100)
    fields = xr.Dataset({"a": (("time", "lat", "lon"), values)}, coords={"time": [0, 1, 2]})
    write_dataset(fields, tmp_path / "a.nc", packing=Packing())
    with xr.open_dataset(tmp_path / "a.nc", mask_and_scale=False) as raw:
        step, middle, error = (np.float32(raw["a"].attrs[k]) for k in ("scale_factor", "add_offset", "packing_error"))
        unpacked = raw["a"].values.astype(np.float32) * step + middle
    assert abs(unpacked.astype(float) - values).max() <= error
    assert abs(unpacked.astype(float) - values).max() > step / 2  # so half a step would not be true


def test_files_are_smaller(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = tiny_ocean(times=40)["thetao"]
    field = small.isel(lat=np.arange(96) % 8, lon=np.arange(128) % 12).assign_coords(
        lat=np.arange(96.0), lon=np.arange(128.0)
    )
    field = (field + 0.3 * rng.standard_normal(field.shape)).astype(np.float32)
    for suffix in (".nc", ".zarr"):
        sizes = {}
        for how in (None, "int16", "bitround:7"):
            path = tmp_path / f"{how}{suffix}"
            write_dataset(field.to_dataset(name="thetao"), path, packing=Packing.parse(how) if how else None)
            files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and "/thetao/" in str(p)]
            sizes[how] = sum(p.stat().st_size for p in files)
        assert sizes["int16"] < 0.75 * sizes[None]
        assert sizes["bitround:7"] < 0.75 * sizes[None]


def test_bits_are_rounded_to_the_nearest_and_ties_to_even() -> None:
    values = (
        np.random.default_rng(1).standard_normal(10_000).astype(np.float32)
        * 10.0 ** np.arange(-30, 30).repeat(167)[:10_000]
    )
    values = values.astype(np.float32)
    for bits in (1, 7, 22):
        rounded = rounded_bits(values, bits)
        steps = np.ldexp(1.0, np.frexp(values.astype(float))[1] - 1 - bits)
        np.testing.assert_array_equal(rounded, np.rint(values.astype(float) / steps) * steps)
        np.testing.assert_array_equal(rounded_bits(rounded, bits), rounded)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(np.float32).max], dtype=np.float32)
    np.testing.assert_array_equal(rounded_bits(odd, 3), odd)


def test_a_field_of_one_value_and_one_of_none_are_packed(tmp_path: Path) -> None:
    field = tiny_ocean(times=3)["sst"]
    fields = xr.Dataset({"sst": xr.full_like(field, 7.25), "none": xr.full_like(field, np.nan)})
    write_dataset(fields, tmp_path / "a.nc", packing=Packing())
    with xr.open_dataset(tmp_path / "a.nc") as found:
        assert float(abs(found["sst"] - 7.25).max()) == 0
        assert found["none"].isnull().all()


def test_another_packing_is_another_output(work: Work, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(members: int) -> None:
        if members:
            stop.__dict__["calls"] = stop.__dict__.get("calls", 0) + 1
            if stop.__dict__["calls"] == 2:
                raise Stopped

    with pytest.raises(Stopped):
        write_reconstruction(packed(work, "int16"), tmp_path / "a.nc", progress=stop)
    with pytest.raises(UnfinishedError, match="begun with another pack: found bitround:7, expected int16"):
        write_reconstruction(packed(work, "bitround:7"), tmp_path / "a.nc", resume=True)
    write_reconstruction(packed(work, "int16"), tmp_path / "a.nc", resume=True)


@pytest.mark.parametrize("text", ["int8", "bitround", "bitround:0", "bitround:23", "bitround:x", "int16:3"])
def test_what_is_no_packing_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Found --pack {text}: expected int16, or bitround:N"):
        Packing.parse(text)


@pytest.mark.parametrize("how", HOW[:2])
def test_the_compliance_checker_finds_no_error_in_a_packed_file(
    work: Work, how: str, tmp_path: Path, cf_complaints: Callable[[Path], dict[str, list[str]]]
) -> None:
    write_reconstruction(packed(work, how), tmp_path / "packed.nc")
    assert not cf_complaints(tmp_path / "packed.nc")["errors"]
