"""A file with both components of a vector: each is filled with what was seen of both."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from filled_sources import fill_source
from typer.testing import CliRunner

import driftfield as df
from driftfield.cli import app
from driftfield.errors import ConfigurationError, DataError
from driftfield.filling.calls import Wishes, fill_records
from driftfield.filling.reading import read_records
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.vector_covariance import VectorCovariance

SIDE = 17


def currents(dates: int = 2) -> tuple[xr.Dataset, xr.Dataset]:
    """Currents without divergence, as seen and whole: u with holes, v with the same and another one."""
    lat, lon = 36 + 0.1 * np.arange(SIDE), 0.1 * np.arange(SIDE)
    rows, columns = (a.ravel() for a in np.meshgrid(lat, lon, indexing="ij"))
    places = Places(rows, columns, np.zeros(rows.size), np.zeros(rows.size))
    covariance = VectorCovariance(30.0, 1.0, 0.0, 5.0, 0.0, 0.04)
    field = covariance.draw(places, np.arange(dates, dtype=np.float64), np.random.default_rng(0))
    values = field.reshape(2, dates, SIDE, SIDE)
    coordinates = {"time": pd.date_range("2020-01-01", periods=dates), "lat": lat, "lon": lon}
    truth = xr.Dataset(
        {name: (("time", "lat", "lon"), values[k], {"units": "m s-1"}) for k, name in enumerate(("ugos", "vgos"))},
        coords=coordinates,
    )
    seen = truth.copy(deep=True)
    for name in ("ugos", "vgos"):
        seen[name][0, 3:9, 4:11] = np.nan
        seen[name][1, 10:16, 8:14] = np.nan
    seen["vgos"][0, 11:16, 3:8] = np.nan
    return seen, truth


@pytest.fixture(scope="module")
def pair() -> tuple[xr.Dataset, xr.Dataset]:
    return currents()


@pytest.fixture(scope="module")
def filled(pair: tuple[xr.Dataset, xr.Dataset]) -> xr.Dataset:
    return df.fill(pair[0].isel(time=[0]))


def test_both_components_are_filled_and_tried_together(filled: xr.Dataset, pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    seen, truth = (part.isel(time=[0]) for part in pair)
    tried = json.loads(filled.attrs["tried"])
    assert set(tried) == {"ugos", "vgos"}
    for name in tried:
        assert {"vector kriging", "kriging", "climatology"} <= set(tried[name])
        gap = np.isnan(seen[name].values)
        np.testing.assert_array_equal(filled[name].values[~gap], seen[name].values[~gap])
        error = filled[name].values[gap] - truth[name].values[gap]
        assert np.sqrt(np.mean(error**2)) < 0.5 * float(truth[name].std())
        assert (filled[f"{name}_sd"].values[gap] > 0).all()


@pytest.mark.slow
def test_one_named_component_is_filled_with_the_help_of_the_other(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    """The hole that only v has is better known with u there than without."""
    seen, truth = pair
    only = np.zeros(seen["vgos"].shape, dtype=bool)
    only[0, 11:16, 3:8] = True
    with_u = df.fill(seen, "vgos", method="vector kriging")
    alone = df.fill(seen[["vgos"]], "vgos", method="kriging")
    assert "ugos" not in with_u

    def rmse(answer: xr.Dataset) -> float:
        return float(np.sqrt(np.mean((answer["vgos"] - truth["vgos"]).values[only] ** 2)))

    assert rmse(with_u) < 0.8 * rmse(alone)


def test_a_partner_with_the_same_gaps_is_hidden_too(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    seen, truth = pair
    (record,) = read_records(seen, "ugos")
    hidden = np.zeros(record.seen.shape, dtype=bool)
    hidden[0, 0, 0] = True
    assert record.partner is not None
    assert record.without(hidden).partner.seen.sum() == record.partner.seen.sum() - 1  # type: ignore[union-attr]
    (other,) = read_records(seen.assign(vgos=truth["vgos"]), "ugos")
    assert other.without(hidden).partner.seen.all()  # type: ignore[union-attr]


def test_named_pairs_need_no_known_name(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    seen = pair[0].rename(ugos="along", vgos="aside").assign(ssh=pair[0]["ugos"])
    assert [r.name for r in read_records(seen, "along,aside")] == ["along", "aside"]
    assert read_records(seen, "along")[0].partner is None
    with pytest.raises(DataError, match="holds 3 variables"):
        read_records(seen)


def test_what_makes_no_vector_is_refused(pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    seen = pair[0]
    with pytest.raises(ConfigurationError, match="expected one name, or eastward,northward"):
        read_records(seen, "ugos,ugos")
    with pytest.raises(DataError, match="No variable 'vo' to fill"):
        read_records(seen, "ugos,vo")
    with pytest.raises(ConfigurationError, match="needs both components"):
        fill_source(seen[["ugos"]], "ugos", method="vector_kriging")
    with pytest.raises(ConfigurationError, match="Found --learn 20s for 2 variables"):
        fill_records(read_records(seen), Wishes(learn="20s"))


@pytest.mark.slow
def test_the_command_writes_both_with_pictures_and_recipes(
    pair: tuple[xr.Dataset, xr.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pair[0].to_netcdf("currents.nc")
    arguments = ["fill", "currents.nc", "--out", "full.nc", "--method", "vector kriging", "--members", "2"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    with xr.open_dataset("full.nc") as written:
        assert {"ugos", "ugos_sd", "ugos_member", "vgos", "vgos_sd", "vgos_member"} <= set(written)
    for name in ("full.png", "full.vgos.png", "full.recipe.yaml", "full.vgos.recipe.yaml"):
        assert Path(name).exists()
    data = yaml.safe_load(Path("full.vgos.recipe.yaml").read_text(encoding="utf-8"))["data"]
    assert data["targets"] == ["ugos", "vgos"]
    assert data["vector_pairs"] == [["ugos", "vgos"]]
    trained = CliRunner().invoke(app, ["train", "full.vgos.recipe.yaml", "--out", "run"])
    assert trained.exit_code == 0, trained.output
    Path("full.nc").unlink()
    for name in ("full.png", "full.recipe.yaml"):
        Path(name).unlink()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0
    assert not Path("full.nc").exists()
