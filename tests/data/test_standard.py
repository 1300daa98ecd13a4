"""Normalisers by cell, land and month: they invert, learn from training alone, and keep land and sea apart."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec
from driftfield.data.normalise import Normalizer, normalizer_from_arrays
from driftfield.errors import ConfigurationError, DataError
from driftfield.registry import build

LAND = np.zeros((6, 8), dtype=bool)
LAND[:, 5:] = True


def world(days: int = 500) -> tuple[xr.DataArray, xr.DataArray]:
    """Not negative; every cell, month, land and sea with a scale of its own; the first column does not exist."""
    rng = np.random.default_rng(0)
    times = np.datetime64("2001-01-01") + np.arange(days).astype("timedelta64[D]")
    month = (times.astype("datetime64[M]").astype(int) % 12) + 1
    scale = np.where(LAND, 4.0, 1.0) * (1 + 0.05 * np.arange(48).reshape(6, 8)) * (1 + 0.2 * month)[:, None, None]
    array = xr.DataArray(
        (scale * rng.gamma(2.0, 1.0, scale.shape)).astype(np.float32),
        dims=("time", "lat", "lon"),
        coords={
            "time": times.astype("datetime64[ns]"),
            "lat": ("lat", 40.0 + np.arange(6.0), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(8.0), {"units": "degrees_east"}),
        },
        name="rain",
    )
    domain = xr.ones_like(array.isel(time=0, drop=True), dtype=bool)
    domain[:, 0] = False
    return array, domain


@pytest.fixture(scope="module")
def land_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("land") / "land.nc"
    array, _ = world(1)
    share = array.isel(time=0, drop=True).copy(data=100.0 * LAND).rename("sftlf").assign_attrs(units="%")
    share.to_dataset().to_netcdf(path)
    return str(path)


def specs(land_file: str) -> list[dict[str, Any]]:
    standard = [
        {"class": "Standard", "per": per, "by": by, **({"land": land_file} if per == "land" else {})}
        for per in ("cell", "domain", "land")
        for by in ("none", "month", "season")
    ]
    inner = {"class": "Standard", "by": "month"}
    return [*standard, {"class": "SquareRoot", "of": inner}, {"class": "SquareRoot"},
            {"class": "LogTransform", "floor": 0.1, "of": inner}]  # fmt: skip


CASES = range(12)
TRAIN = np.arange(400)


def fitted(spec: dict[str, Any], array: xr.DataArray, domain: xr.DataArray) -> Normalizer:
    normalizer: Normalizer = build("normalizer", spec)
    return normalizer.fit(array, domain, TRAIN)


@pytest.mark.parametrize("case", CASES)
def test_a_round_trip_is_the_identity(case: int, land_file: str) -> None:
    """For numpy and torch, of plain numbers that were written and read, and of parts of the grid."""
    array, domain = world()
    made = fitted(specs(land_file)[case], array, domain)
    normalizer = normalizer_from_arrays(made.describe(), made.to_arrays())
    assert normalizer.describe() == made.describe()
    values, times = array.values[:, None], array["time"]
    mean, scale = normalizer.mean_at(times), normalizer.scale_at(times)
    code = normalizer.encode(values, mean, scale)
    np.testing.assert_allclose(normalizer.decode(code, mean, scale), values, rtol=2e-5, atol=2e-5)
    same = normalizer.encode(torch.from_numpy(values), torch.from_numpy(mean.copy()), torch.from_numpy(scale.copy()))
    np.testing.assert_allclose(same.numpy(), code, rtol=1e-5, atol=2e-6)
    rows, columns = np.array([1, 2]), np.array([6, 7, 0])
    np.testing.assert_array_equal(normalizer.mean_at(times, rows, columns), mean[:, :, 1:3][..., columns])
    np.testing.assert_array_equal(normalizer.scale_at(times, rows, columns), scale[:, :, 1:3][..., columns])


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_other_times_or_of_what_does_not_exist_is_learnt(case: int, land_file: str) -> None:
    array, domain = world()
    spoiled = array.where(domain, 1e6)
    spoiled[TRAIN.size :] = 1e7
    before, after = (fitted(specs(land_file)[case], a, domain).to_arrays() for a in (array, spoiled))
    assert set(before) == set(after)
    for key, value in before.items():
        np.testing.assert_array_equal(value, after[key], err_msg=key)


def test_land_and_sea_do_not_mix(land_file: str) -> None:
    array, domain = world()
    spec = {"class": "Standard", "per": "land", "by": "month", "land": land_file}
    wet_land = array.where(~xr.DataArray(LAND, dims=("lat", "lon")), 50.0 * array + 7.0)
    before, after = (fitted(spec, a, domain) for a in (array, wet_land))
    times = array["time"][:400]
    for what in ("mean_at", "scale_at"):
        a, b = (getattr(normalizer, what)(times)[:, 0] for normalizer in (before, after))
        np.testing.assert_array_equal(a[:, ~LAND], b[:, ~LAND])
        assert (b[:, LAND] > 10 * a[:, LAND]).all()
        assert np.ptp(a[0][LAND]) == np.ptp(a[0][~LAND]) == 0


def test_training_values_have_mean_0_and_sd_1_in_every_group(land_file: str) -> None:
    array, domain = world()
    weight = np.cos(np.deg2rad(array["lat"].values))[:, None] * domain.values
    month = array["time"].dt.month.values[TRAIN]
    for per, classes in (
        ("domain", [domain.values]),
        ("land", [LAND & domain.values, ~LAND & domain.values]),
        ("cell", None),
    ):
        spec = {"class": "Standard", "per": per, "by": "month", **({"land": land_file} if per == "land" else {})}
        normalizer = fitted(spec, array, domain)
        times = array["time"][TRAIN]
        code = normalizer.encode(array.values[TRAIN][:, None], normalizer.mean_at(times), normalizer.scale_at(times))[
            :, 0
        ]
        for number in np.unique(month):
            part = code[month == number]
            if classes is None:
                np.testing.assert_allclose(part.mean(axis=0)[:, 1:], 0.0, atol=1e-4)
                np.testing.assert_allclose(part.std(axis=0)[:, 1:], 1.0, atol=1e-4)
            for cells in classes or []:
                w = np.broadcast_to(weight * cells, part.shape)
                assert (w * part).sum() / w.sum() == pytest.approx(0.0, abs=1e-4)
                assert (w * part**2).sum() / w.sum() == pytest.approx(1.0, abs=1e-3)


def test_months_without_training_are_named() -> None:
    array, domain = world()
    normalizer = build("normalizer", {"class": "Standard", "by": "month"}).fit(array, domain, np.arange(59))
    with pytest.raises(DataError, match="no training data of month 3: found 1, 2"):
        normalizer.mean_at(array["time"][59:61])
    with pytest.raises(DataError, match="no training data of month 3"):
        normalizer.scale_at(array["time"][59:61])


def test_an_error_keeps_its_size_in_physical_units(land_file: str) -> None:
    """The slope is the derivative of decoding, in every cell and month, as the codec asks for it."""
    from driftfield.testing import tiny_training_data

    data = tiny_training_data()
    for spec in (
        {"class": "Standard", "per": "cell", "by": "season"},
        {"class": "SquareRoot", "of": {"class": "Standard"}},
    ):
        codec = FieldCodec.fit(data.archive, data.train, ["thetao"], [], spec)
        rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
        times = data.archive.times.values[[0, 5]]
        x = np.full((2, len(codec.grid.levels["thetao"]), rows.size, columns.size), 9.0)
        up, down = (codec.decode("thetao", codec.encode("thetao", x, times, rows, columns) + step, times, rows, columns)
                    for step in (1e-2, -1e-2))  # fmt: skip
        np.testing.assert_allclose(
            (up - down) / 2e-2, codec.slope("thetao", x, times, rows, columns), rtol=2e-3, atol=1e-4
        )


def test_cells_that_training_never_saw_have_the_numbers_of_their_level() -> None:
    array, domain = world(100)
    holes = array.copy(data=array.values.copy())
    holes[:80, 2, 3] = np.nan
    holes[:79, 2, 4] = np.nan
    normalizer = build("normalizer", {"class": "Standard"}).fit(holes, domain, np.arange(80))
    sd = normalizer.scale_at(array["time"][:1])[0, 0]
    typical = float(normalizer.std[0, 0, 0])
    assert sd[2, 3] == pytest.approx(typical)
    assert sd[2, 4] == pytest.approx(0.05 * typical)
    assert normalizer.mean_at(array["time"][:1])[0, 0, 2, 3] == pytest.approx(
        float(holes[:80].where(domain).mean()), rel=0.1
    )


def test_settings_that_make_no_sense(land_file: str) -> None:
    for spec, said in (
        ({"per": "cel"}, "Did you mean 'cell'"),
        ({"by": "week"}, "expected one of"),
        ({"per": "land"}, "expected a file under 'land'"),
        ({"per": "cell", "land": land_file}, "with nothing else"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            build("normalizer", {"class": "Standard", **spec})
    array, domain = world(60)
    with pytest.raises(DataError, match="a square root needs 0 and above"):
        build("normalizer", {"class": "SquareRoot"}).fit(array - 30.0, domain, np.arange(40))
    with pytest.raises(ConfigurationError, match="two signs, and no square root"):
        build("normalizer", {"class": "SquareRoot"}).fit(array, domain, np.arange(40), vector=True)
    with pytest.raises(ConfigurationError, match="expected one square root"):
        build("normalizer", {"class": "SquareRoot", "of": {"class": "SquareRoot"}})
    with pytest.raises(DataError, match="no finite value"):
        build("normalizer", {"class": "Standard"}).fit(array * np.nan, domain, np.arange(40))


def test_the_two_components_of_a_vector_share_their_scale() -> None:
    array, domain = world(100)
    u, v = (build("normalizer", {"class": "Standard", "per": "domain"}).fit(a, domain, np.arange(80), vector=True)
            for a in (array, 3.0 * array))  # fmt: skip
    u.share_scale(v)
    np.testing.assert_array_equal(u.sds, v.sds)
    np.testing.assert_array_equal(u.std, v.std)
    assert (u.means == 0).all()
