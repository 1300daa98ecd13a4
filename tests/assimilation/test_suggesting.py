"""Suggested places: they follow the covariance of the members, and what is asked of them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from driftfield.assimilation.suggesting import NextObservations, suggest_places
from driftfield.cli import app
from driftfield.errors import ConfigurationError, DataError

LAT, LON = np.linspace(30, 36, 7), np.linspace(-60, -51, 10)


def ensemble(members: int = 64, *, depth: bool = False, length: float = 250.0, seed: int = 0) -> xr.Dataset:
    """Members of a Gaussian field of a length in km, twice as uncertain in the east; land in the north-western corner."""
    rng = np.random.default_rng(seed)
    lat, lon = np.meshgrid(np.radians(LAT), np.radians(LON), indexing="ij")
    points = 6371 * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1).reshape(-1, 3)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    sd = np.where(np.degrees(lon).ravel() > -55, 2.0, 1.0)
    root = np.linalg.cholesky(np.exp(-((apart / length) ** 2) / 2) + 1e-6 * np.eye(len(points))) * sd[:, None]
    values = (root @ rng.standard_normal((len(points), members))).T.reshape(members, len(LAT), len(LON))
    values[:, 5:, :2] = np.nan
    dims, coords = ("member", "lat", "lon"), {"member": np.arange(members), "lat": LAT, "lon": LON}
    array = xr.DataArray(values, dims=dims, coords=coords, attrs={"units": "degC"})
    if depth:
        noise = 0.1 * rng.standard_normal((3, *values.shape))
        array = xr.concat(
            [array / (1 + level) + noise[level] for level in range(3)], xr.Variable("depth", [5.0, 50.0, 100.0])
        )
        array = array.transpose("member", "depth", "lat", "lon").assign_attrs(units="degC")
        array[:, 2, :3] = np.nan
    return xr.Dataset({"t_member": array})


def test_the_first_place_is_where_the_uncertainty_is() -> None:
    found = suggest_places(ensemble(), NextObservations(error=0.1, number=5))
    assert float(found["lon"][0]) > -55
    assert found["variance_left"].values[0] < found["variance_before"].item()
    assert (np.diff(found["variance_left"].values) < 0).all()
    assert len({*zip(found["lat"].values.tolist(), found["lon"].values.tolist(), strict=True)}) == 5
    np.testing.assert_array_equal(np.isnan(found["reduction"].values), np.isnan(ensemble()["t_member"].values[0]))


def test_what_is_asked_for_decides() -> None:
    """Places for the quiet west lie in the west or on its border; possible places alone are used."""
    west = suggest_places(ensemble(), NextObservations(error=0.1, number=3, region={"lon": [-60, -57]}))
    assert (west["lon"].values < -55.5).all()
    only = suggest_places(ensemble(), NextObservations(error=0.1, number=3, places={"lat": [29, 31.5]}))
    assert (only["lat"].values < 31.5).all()
    assert (
        only["variance_left"][-1]
        > suggest_places(ensemble(), NextObservations(error=0.1, number=3))["variance_left"][-1]
    )


def test_a_worse_instrument_takes_less_away() -> None:
    left = [
        float(suggest_places(ensemble(), NextObservations(error=e, number=4))["variance_left"][-1])
        for e in (0.05, 0.5, 5.0)
    ]
    assert left == sorted(left)
    assert left[2] > 0.5 * suggest_places(ensemble(), NextObservations(error=5.0, number=1))["variance_before"].item()


def test_columns_are_seen_down_to_the_floor_and_levels_where_stated() -> None:
    fields = ensemble(depth=True)
    whole = suggest_places(fields, NextObservations(error=0.1, number=2))
    top = suggest_places(fields, NextObservations(error=0.1, number=2, depths=[5.0]))
    assert whole["variance_left"][0] < top["variance_left"][0]
    with pytest.raises(ConfigurationError, match="expected 5 to 100"):
        suggest_places(fields, NextObservations(error=0.1, depths=[4000.0]))
    with pytest.raises(ConfigurationError, match="no levels"):
        suggest_places(ensemble(), NextObservations(error=0.1, depths=[5.0]))


def test_the_length_of_the_localisation_follows_that_of_the_field() -> None:
    short, long = (
        suggest_places(ensemble(16, length=length), NextObservations(error=0.1, number=1)).attrs["localisation_km"]
        for length in (150.0, 600.0)
    )
    assert 0 < short < (long or np.inf)
    assert (
        suggest_places(ensemble(), NextObservations(error=0.1, number=1, localisation_km=0.0)).attrs["localisation_km"]
        == 0
    )


def test_the_mean_of_a_region_may_be_what_counts() -> None:
    fields = ensemble()
    found = suggest_places(fields, NextObservations(error=0.1, number=3, of_mean=True, localisation_km=0.0))
    weights = np.cos(np.radians(fields["lat"]))
    mean = fields["t_member"].weighted(weights).mean(("lat", "lon"))
    assert found["variance_before"].item() == pytest.approx(float(mean.var(ddof=1)), rel=1e-9)


def test_one_date_of_several_is_said() -> None:
    fields = xr.concat(
        [ensemble(seed=1), ensemble(seed=2)], xr.Variable("time", np.array(["2001-01-01", "2001-01-02"], "M8[ns]"))
    )
    with pytest.raises(ConfigurationError, match="2 of the 2 dates"):
        suggest_places(fields, NextObservations(error=0.1))
    second = suggest_places(fields, NextObservations(error=0.1, number=3, time="2001-01-02"))
    xr.testing.assert_identical(second, suggest_places(fields.isel(time=1), NextObservations(error=0.1, number=3)))


@pytest.mark.parametrize(
    ("change", "asked", "message"),
    [
        (lambda d: d.rename(t_member="t"), NextObservations(error=0.1), "no members"),
        (lambda d: d.isel(member=slice(3)), NextObservations(error=0.1), "Found 3 members"),
        (lambda d: d, NextObservations(error=0.0), "an error above 0"),
        (lambda d: d, NextObservations(error=0.1, variable="x"), "no members of 'x'"),
        (lambda d: d, NextObservations(error=0.1, region={"lat": [80, 85]}), "the region"),
        (lambda d: d, NextObservations(error=0.1, places={"lat": [35, 36], "lon": [-60, -59]}), "outside its domain"),
    ],
)
def test_what_cannot_be_answered_is_refused(change: object, asked: NextObservations, message: str) -> None:
    with pytest.raises((ConfigurationError, DataError), match=message):
        suggest_places(change(ensemble()), asked)  # type: ignore[operator]


@pytest.mark.parametrize("suffix", [".csv", ".nc"])
def test_the_command_writes_a_table_and_a_map(tmp_path: Path, suffix: str) -> None:
    ensemble(depth=True).to_netcdf(tmp_path / "fields.nc")
    out = tmp_path / f"places{suffix}"
    arguments = ["suggest", str(tmp_path / "fields.nc"), "--out", str(out), "--error", "0.1", "--number", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert out.with_suffix(".png").stat().st_size > 10_000
    if suffix == ".csv":
        lines = out.read_text().splitlines()
        assert lines[0] == "place,lat,lon,variance_left,spread_left"
        assert len(lines) == 5
    assert CliRunner().invoke(app, arguments).exit_code != 0
