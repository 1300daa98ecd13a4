"""What is written date by date is what is reconstructed at once, wherever the writing was stopped in between."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import open_fields, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError, ExistsError, FileFormatError
from driftfield.interfaces import Reconstructor, TrainingData
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.peers import Climatology
from driftfield.reconstruction.draws import Draws, members_at_once
from driftfield.reconstruction.journal import hash_dataset, partial_of
from driftfield.reconstruction.output import with_quantiles
from driftfield.reconstruction.writer import Work, write_reconstruction
from driftfield.sampling.tiles import TilesAsked
from driftfield.testing import tiny_ocean, tiny_training_data

MEMBERS = 5


class Stopped(Exception):
    """The process was killed."""


class Together(Climatology):
    """A peer that completes all dates in one go."""

    abilities = replace(Climatology.abilities, uses_other_times=True)
    calls = 0

    def reconstruct(self, observations: xr.Dataset, **options: Any) -> xr.Dataset:
        self.calls += 1
        assert observations.sizes["time"] == 3
        return super().reconstruct(observations, **options)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return tiny_training_data(tiny_ocean(times=40))


@pytest.fixture(scope="module")
def observations(data: TrainingData) -> xr.Dataset:
    truth = data.archive.dataset.isel(time=data.test[:3])
    return observe(truth, {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, error=0.05, seed=2)


def diffusion(data: TrainingData, folder: Path, **options: Any) -> Reconstructor:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    network = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
    model = DiffusionReconstructor(
        network=network,
        observing={"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05},
        sampler={"class": "DPMSolverPP2M", "evaluations": 3},
        validation_samples=2,
        **options,
    )
    trainer = LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=(), accelerator="cpu")
    model.fit(data, seed=1, trainer=trainer, folder=folder)
    return model


@pytest.fixture(scope="module", params=["climatology", "together", "diffusion", "context"])
def method(request: pytest.FixtureRequest, data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param in ("climatology", "together"):
        peer = Climatology() if request.param == "climatology" else Together()
        peer.fit(data)
        return peer
    options = {"context": [-1, 1]} if request.param == "context" else {}
    return diffusion(data, tmp_path_factory.mktemp("run"), **options)


def work(method: Any, observations: xr.Dataset, **options: Any) -> Work:
    draws = Draws(options.pop("members", MEMBERS), 3, batch_size=2 if method.abilities.batch_size else None)
    return Work(method, observations, draws, **options)


def read(path: Path) -> xr.Dataset:
    file = (xr.open_zarr(path, consolidated=True) if path.suffix == ".zarr" else xr.open_dataset(path)).load()
    assert all(array.dims[0] == "time" for array in file.data_vars.values() if "time" in array.dims)
    return file.transpose("member", "quantile", ..., missing_dims="ignore")


def stopping(after: int) -> Any:
    """Raises when `after` members in all are done."""
    done = 0

    def progress(members: int) -> None:
        nonlocal done
        done += members
        if done >= after:
            raise Stopped

    return progress


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
def test_the_file_is_the_reconstruction(method: Any, observations: xr.Dataset, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    write_reconstruction(work(method, observations), out)
    options = {"batch_size": 2} if hasattr(method, "sampler") else {}
    expected = method.reconstruct(observations, members=MEMBERS, seed=3, **options)
    found = read(out)
    assert found.attrs["method"] == method.method
    xr.testing.assert_identical(found.drop_attrs(), expected.drop_attrs())
    for name in expected.variables:
        assert found[name].attrs.items() >= expected[name].attrs.items()
        assert found[name].dtype == expected[name].dtype or name == "time"
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_stopped_anywhere_it_goes_on_to_the_same_file(method: Any, observations: xr.Dataset, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.zarr", tmp_path / "out.zarr"
    write_reconstruction(work(method, observations), whole)
    with pytest.raises(Stopped):
        write_reconstruction(work(method, observations), out, progress=stopping(MEMBERS + 2))
    for after in (5, 8, 9, 13):
        with pytest.raises(Stopped):
            write_reconstruction(work(method, observations), out, resume=True, progress=stopping(after))
        assert not out.exists()
    write_reconstruction(work(method, observations), out, resume=True)
    xr.testing.assert_identical(read(out).drop_attrs(), read(whole).drop_attrs())
    assert not partial_of(out).exists()


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
def test_quantiles_are_written_date_by_date(
    data: TrainingData, observations: xr.Dataset, tmp_path: Path, suffix: str
) -> None:
    peer, levels, out = Climatology(), (0.25, 0.5, 0.75), tmp_path / f"out{suffix}"
    peer.fit(data)

    def made() -> Work:
        return work(peer, observations, finish=lambda part: with_quantiles(part, levels))

    with pytest.raises(Stopped):
        write_reconstruction(made(), out, progress=stopping(MEMBERS + 2))
    write_reconstruction(made(), out, resume=True)
    expected = with_quantiles(peer.reconstruct(observations, members=MEMBERS, seed=3), levels)
    xr.testing.assert_identical(read(out).drop_attrs(), expected.drop_attrs())
    assert read(out)["thetao_quantile"].dims[0] == "quantile"


def test_what_is_done_is_not_done_again(data: TrainingData, observations: xr.Dataset, tmp_path: Path) -> None:
    peer, out = Together(), tmp_path / "out.zarr"
    peer.fit(data)
    with pytest.raises(Stopped):
        write_reconstruction(work(peer, observations), out, progress=stopping(3 * MEMBERS))
    told: list[int] = []
    write_reconstruction(work(peer, observations), out, resume=True, progress=told.append)
    assert told == [2 * MEMBERS, MEMBERS]
    assert peer.calls == 2


def test_members_of_an_unfinished_date_are_not_drawn_again(
    data: TrainingData, observations: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = diffusion(data, tmp_path / "run"), tmp_path / "out.zarr"
    with pytest.raises(Stopped):
        write_reconstruction(work(model, observations.isel(time=[0])), out, progress=stopping(4))
    assert len(list(partial_of(out).glob("draws/0/*.safetensors"))) == 2
    drawn: list[int] = []
    sample = type(model.sampler).sample
    monkeypatch.setattr(type(model.sampler), "sample", lambda self, *a, **k: drawn.append(1) or sample(self, *a, **k))
    write_reconstruction(work(model, observations.isel(time=[0])), out, resume=True)
    assert len(drawn) == 1


def test_a_failure_before_the_first_date_leaves_nothing(
    data: TrainingData, observations: xr.Dataset, tmp_path: Path
) -> None:
    peer = Climatology()
    peer.fit(data)
    with pytest.raises(DataError, match="'thetao'"):
        write_reconstruction(work(peer, observations[["sst"]]), tmp_path / "out.zarr")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def begun(data: TrainingData, observations: xr.Dataset, tmp_path: Path) -> tuple[Climatology, Path]:
    """A peer, and an output of it that was stopped after the first date."""
    peer = Climatology()
    peer.fit(data)
    out = tmp_path / "out.zarr"
    with pytest.raises(Stopped):
        write_reconstruction(work(peer, observations), out, progress=stopping(2 * MEMBERS))
    return peer, out


def test_an_unfinished_output_is_not_thrown_away(begun: tuple[Climatology, Path], observations: xr.Dataset) -> None:
    peer, out = begun
    with pytest.raises(ExistsError, match=r"--resume to go on, or --overwrite"):
        write_reconstruction(work(peer, observations), out)
    write_reconstruction(work(peer, observations), out, overwrite=True)
    assert not partial_of(out).exists()


@pytest.mark.parametrize("change", ["members", "observations", "run"])
def test_nothing_is_mixed(begun: tuple[Climatology, Path], observations: xr.Dataset, change: str) -> None:
    peer, out = begun
    other = observations.assign(thetao=observations["thetao"] + 1) if change == "observations" else observations
    options: dict[str, Any] = {"members": 4} if change == "members" else {}
    options |= {"depends_on": {"run": "another"}} if change == "run" else {}
    with pytest.raises(ConfigurationError, match=f"begun with another {change}"):
        write_reconstruction(work(peer, other, **options), out, resume=True)


def test_the_old_output_stays_until_the_new_one_is_whole(
    begun: tuple[Climatology, Path], observations: xr.Dataset
) -> None:
    peer, out = begun
    out.mkdir()
    (out / "mine").write_text("mine")
    with pytest.raises(Stopped):
        write_reconstruction(work(peer, observations), out, overwrite=True, progress=stopping(2 * MEMBERS))
    assert (out / "mine").read_text() == "mine"
    with pytest.raises(ExistsError):
        write_reconstruction(work(peer, observations), out, resume=True)
    write_reconstruction(work(peer, observations), out, resume=True, overwrite=True)
    assert not (out / "mine").exists()
    assert "thetao_member" in read(out)


def test_nothing_to_resume_and_damaged_journals(begun: tuple[Climatology, Path], observations: xr.Dataset) -> None:
    peer, out = begun
    with pytest.raises(ConfigurationError, match="Nothing to resume"):
        write_reconstruction(work(peer, observations), out.with_name("other.zarr"), resume=True)
    (partial_of(out) / "journal.json").write_text("{}")
    with pytest.raises(FileFormatError, match=r"journal.json is damaged"):
        write_reconstruction(work(peer, observations), out, resume=True)


def test_memory_does_not_grow_with_the_number_of_dates(tmp_path: Path) -> None:
    ocean = tiny_ocean(times=40, shape=(80, 120))
    data = tiny_training_data(ocean)
    peer = Climatology()
    peer.fit(data)
    peaks = []
    for dates in (4, 24):
        seen = observe(ocean.isel(time=slice(0, dates)), {"thetao": "random:0.7"}, seed=1)
        write_dataset(seen, tmp_path / f"{dates}.nc")
        with dask.config.set({"array.chunk-size": "128KiB"}):  # what is read at once, 128 MiB as a rule
            opened = open_fields(tmp_path / f"{dates}.nc")
        tracemalloc.start()
        with dask.config.set(scheduler="synchronous"):
            write_reconstruction(Work(peer, opened, Draws(6)), tmp_path / f"{dates}.zarr")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    members = 6 * 20 * seen["thetao"].isel(time=0).nbytes
    assert peaks[1] - peaks[0] < 0.1 * members, (peaks, members)


def test_the_hash_is_of_the_content(observations: xr.Dataset) -> None:
    assert (
        hash_dataset(observations) == hash_dataset(observations.copy(deep=True)) == hash_dataset(observations.chunk())
    )
    one = observations.copy(deep=True)
    index = tuple(np.argwhere(np.isfinite(one["thetao"].values))[0])
    one["thetao"].values[index] += 0.01
    assert hash_dataset(one) != hash_dataset(observations)
    assert hash_dataset(observations.assign_coords(lat=observations["lat"] + 1)) != hash_dataset(observations)
    shifted = observations.assign_coords(time=observations["time"] + np.timedelta64(1, "D"))
    assert hash_dataset(shifted) != hash_dataset(observations)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_dates_whose_file_states_two_numbers_for_missing_are_written(
    begun: tuple[Climatology, Path], observations: xr.Dataset, tmp_path: Path, suffix: str
) -> None:
    odd = observations.assign_coords(time=observations["time"].copy())
    odd["time"].encoding = {"_FillValue": np.nan, "missing_value": 99999.0, "units": "days since 1950-01-01"}
    out = tmp_path / f"fields{suffix}"
    write_reconstruction(work(begun[0], odd), out)
    np.testing.assert_array_equal(read(out)["time"].values, observations["time"].values)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("form", [2, 3])
def test_how_a_store_packed_its_dates_is_its_own_business(
    begun: tuple[Climatology, Path], observations: xr.Dataset, tmp_path: Path, suffix: str, form: int
) -> None:
    """Compressors of Zarr version 2 are none of version 3; whole hours do not hold other dates."""
    observations.drop_encoding().to_zarr(tmp_path / "seen.zarr", zarr_format=form, consolidated=False)
    out = tmp_path / f"fields{suffix}"
    write_reconstruction(work(begun[0], open_fields(tmp_path / "seen.zarr").load()), out)
    np.testing.assert_array_equal(read(out)["time"].values, observations["time"].values)


def test_a_large_grid_is_drawn_fewer_members_at_a_time() -> None:
    assert members_at_once(48 * 32) == members_at_once(256 * 256) == 16
    assert members_at_once(720 * 360) == 4
    assert members_at_once(4320 * 2041) == 1
    # a tile is what the network sees; the noisy fields are there as a whole
    assert members_at_once(1440 * 720, TilesAsked(128, 32)) == 4
    assert members_at_once(256 * 256, TilesAsked(512, 32)) == 4
