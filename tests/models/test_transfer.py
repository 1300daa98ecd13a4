"""A network that is moved: the same answer where only the place is another, the mean of the new place where it is warmer."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from driftfield.cli import app
from driftfield.data.sources import GriddedArchive
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.first_guess import FirstGuess
from driftfield.models.transfer import transferred
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_training_data

training = pytest.importorskip("driftfield.training")
SYSTEM = {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> DiffusionReconstructor:
    folder = tmp_path_factory.mktemp("run")
    spec = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1]}
    sampler = {"class": "DPMSolverPP2M", "evaluations": 2}
    model = DiffusionReconstructor(spec, SYSTEM, validation_samples=2, sampler=sampler)
    trainer = training.LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=[])
    model.fit(tiny_training_data(), trainer=trainer, folder=folder)
    model.save(folder)
    return model


def archive_of(fields: xr.Dataset) -> GriddedArchive:
    domains = {name: fields[name].notnull().any("time") for name in ("thetao", "sst")}
    return GriddedArchive(fields[["thetao", "sst"]], domains, periodic=False)


def training_part(fields: xr.Dataset) -> xr.Dataset:
    return fields.isel(time=tiny_training_data(fields).train)


def observed(fields: xr.Dataset) -> xr.Dataset:
    return observe(fields[["thetao", "sst"]].isel(time=[3, 4]), SYSTEM["observe"], error=0.05, seed=1)  # type: ignore[arg-type]


def elsewhere(fields: xr.Dataset) -> xr.Dataset:
    """The same fields, forty degrees farther east."""
    return fields.assign_coords(lon=("lon", fields["lon"].values + 40.0, fields["lon"].attrs))


def test_the_same_fields_at_another_place_have_the_same_answer(network: DiffusionReconstructor, tmp_path: Path) -> None:
    here = tiny_ocean()
    there = elsewhere(here)
    moved = transferred(network, archive_of(training_part(there)))
    moved.save(tmp_path)
    rows, columns = np.arange(8), np.arange(12)
    expected = network.reconstruct(observed(here), members=2, seed=0)["thetao_member"].values
    for run in (moved, load_reconstructor(tmp_path)):
        result = run.reconstruct(observed(there), members=2, seed=0)
        np.testing.assert_array_equal(result["lon"], there["lon"])
        # what the network is told of its place has not changed
        told = run.codec.grid.middle(rows, columns)  # type: ignore[attr-defined]
        assert told == pytest.approx(network.codec.grid.middle(rows, columns))
        np.testing.assert_allclose(result["thetao_member"].values, expected, atol=1e-3)
    with pytest.raises(DataError):
        network.reconstruct(observed(there), members=1)


def test_a_warmer_place_is_warmer(network: DiffusionReconstructor) -> None:
    here = tiny_ocean()
    warmer = elsewhere(here) + 5.0
    moved = transferred(network, archive_of(training_part(warmer)))
    difference = moved.reconstruct(observed(warmer), members=2)["thetao"].values
    difference = difference - network.reconstruct(observed(here), members=2)["thetao"].values
    assert np.nanmax(np.abs(difference - 5.0)) < 0.01


def test_levels_below_the_sea_floor_and_another_shape_are_no_obstacle(network: DiffusionReconstructor) -> None:
    there = elsewhere(tiny_ocean()).isel(lat=slice(1, 8), lon=slice(2, 9))
    shallow = there.isel(depth=[0])
    moved = transferred(network, archive_of(training_part(shallow)))
    seen = observed(there)
    seen = seen.drop_vars([name for name in seen.data_vars if "domain" in str(name)])  # the run's decides
    fields = moved.reconstruct(seen, members=2)["thetao"]
    sea = shallow["thetao"].isel(depth=0).notnull().any("time").values
    assert np.isfinite(fields.isel(depth=0).values[:, sea]).all()
    assert not np.isfinite(fields.isel(depth=1)).any()


def test_a_climatology_gives_the_mean_and_leaves_the_spread(network: DiffusionReconstructor) -> None:
    fields = elsewhere(tiny_ocean()) + 2.0
    year = fields.groupby("time.month").mean().rename(month="time")
    year = year.assign_coords(time=[np.datetime64(f"2001-{m:02d}-15", "ns") for m in year["time"].values])
    assert year.sizes["time"] == 12
    moved = transferred(network, archive_of(year))
    for name, normalizer in moved.codec.normalizers.items():
        np.testing.assert_array_equal(normalizer.std, network.codec.normalizers[name].std)
        mean = normalizer.mean_at(year["time"])
        sea = np.isfinite(year[name].values.reshape(mean.shape))
        assert np.abs(mean - year[name].values.reshape(mean.shape))[sea].max() < 0.7


def test_another_spacing_and_a_run_with_a_first_guess_are_refused(
    network: DiffusionReconstructor, tmp_path: Path
) -> None:
    fields = tiny_ocean()
    wide = fields.assign_coords(lon=("lon", fields["lon"].values * 2, fields["lon"].attrs))
    with pytest.raises(DataError, match=r"columns of the new grid are .* km apart"):
        transferred(network, archive_of(wide))
    guessing = load_reconstructor_copy(network, tmp_path)
    guessing.guess = FirstGuess(network)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="corrects a first guess"):
        transferred(guessing, archive_of(fields))


def load_reconstructor_copy(network: DiffusionReconstructor, folder: Path) -> DiffusionReconstructor:
    network.save(folder)
    copied = load_reconstructor(folder)
    assert isinstance(copied, DiffusionReconstructor)
    return copied


def test_the_command_writes_a_run(network: DiffusionReconstructor, tmp_path: Path) -> None:
    network.save(tmp_path / "run")
    elsewhere(tiny_ocean()).to_netcdf(tmp_path / "there.nc")
    arguments = ["transfer", str(tmp_path / "run"), str(tmp_path / "there.nc"), "--out", str(tmp_path / "moved")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert float(load_reconstructor(tmp_path / "moved").codec.grid.lon[0]) == pytest.approx(  # type: ignore[attr-defined]
        float(tiny_ocean()["lon"][0]) + 40.0
    )
    refused = CliRunner().invoke(app, ["transfer", "shipped:ocean_oi", *arguments[2:4], str(tmp_path / "other")])
    assert isinstance(refused.exception, ConfigurationError)
