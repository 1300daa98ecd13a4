"""A recipe means what it says: which samples train, which validate, what is land, and how covariates are degraded.

In these archives every value names its date and its cell, so that a sample tells where it comes from.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.patches import Window, window_index
from driftfield.data.prepare import prepare
from driftfield.data.sources import open_archive, open_fields, write_dataset
from driftfield.data.splits import Part, Split, Splits
from driftfield.data.twin import observe
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData
from driftfield.models.regression import RegressionReconstructor
from driftfield.registry import build, register
from driftfield.testing import tiny_ocean

TIMES, SHAPE = 40, (8, 12)
CELLS = SHAPE[0] * SHAPE[1]
SPLITS: dict[str, dict[str, Any]] = {
    "TimeSplit": {"validation": 0.2, "test": 0.1},
    "RandomBlocks": {"validation": 0.2, "test": 0.2, "length": "60D", "seed": 1},
    "SpaceSplit": {"validation": 0.25, "test": 0.25, "block": 4, "seed": 3},
    "EveryThird": {},
}
WINDOWS = {"size": 4, "stride": 2}
NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}


@register("split")
class EveryThird(Split):
    """No split of ours: every third date validates, and the west of the grid alone trains."""

    def divide(self, times: Any, windows: Sequence[Window] = (), grid: tuple[int, int] | None = None) -> Splits:
        steps = np.arange(len(times))
        west = tuple(window for window in windows if window.col + window.width <= 6)
        third = steps % 3 == 0
        return Splits(Part(steps[~third], west), Part(steps[third], tuple(windows)), Part(np.arange(0)))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`x` (time, lat, lon) = 1000 date + cell."""
    ocean = tiny_ocean(times=TIMES, shape=SHAPE)
    numbers = 1000 * np.arange(TIMES)[:, None, None] + np.arange(CELLS).reshape(SHAPE)
    path = tmp_path_factory.mktemp("archive") / "numbers.nc"
    write_dataset(ocean[["sst"]].rename(sst="x").copy(data={"x": numbers.astype(np.float32)}).map(plain), path)
    return path


def plain(field: xr.DataArray) -> xr.DataArray:
    return field.assign_attrs(units="1", long_name="number")


class Recorder:
    """A trainer that keeps what it is given to learn from."""

    steps, batch_size, preview_depth, helps = 60, 2, None, False

    def fit(
        self, model: nn.Module, samples: Callable[[int], Any], validation: Sequence[FieldBatch], **_: Any
    ) -> list[dict[str, float]]:
        self.training, self.validation = samples(0), list(validation)
        return []


def recorded(path: Path, split: str) -> tuple[list[np.ndarray], list[np.ndarray], Splits]:
    """Numbers of the cells of every training sample and of every validation sample, and the split that was asked for."""
    asked = {"class": split, **SPLITS[split]}
    data = prepare(str(path), ["x"], split=asked, windows=WINDOWS)
    method = RegressionReconstructor(
        NETWORK, {"observe": {"x": "random:0.5"}}, normalizer={"class": "ZScore"}, validation_samples=16
    )
    trainer = Recorder()
    method.fit(data, seed=1, trainer=trainer, folder=path.parent)  # type: ignore[arg-type]
    codec = method.codec
    assert codec is not None

    def numbers(batch: FieldBatch) -> list[np.ndarray]:
        date, (rows, columns) = data.archive.dataset["time"][:1], map(np.arange, batch.target.shape[-2:])
        return [
            np.rint(codec.decode("x", one.numpy(), date, rows, columns)).astype(int).ravel() for one in batch.target
        ]

    training = [number for i in range(len(trainer.training)) for number in numbers(trainer.training[i])]
    checked = [number for batch in trainer.validation for number in numbers(batch)]
    return training, checked, asked_for(path, split)


def asked_for(path: Path, split: str) -> Splits:
    """The split of all windows, made by hand."""
    windows, _ = window_index(np.ones(SHAPE, bool), WINDOWS["size"], WINDOWS["stride"])
    times = open_archive(path, ["x"]).times
    return build("split", {"class": split, **SPLITS[split]}).divide(times, windows, SHAPE)


def cells_of(part: Part) -> set[frozenset[int]]:
    """The numbers of the cells of every window."""
    grid = np.arange(CELLS).reshape(SHAPE)
    return {frozenset(grid[np.ix_(window.rows, window.columns(SHAPE[1]))].ravel().tolist()) for window in part.windows}


@pytest.mark.parametrize("split", SPLITS)
def test_training_and_validation_are_those_of_the_split_that_was_asked_for(archive: Path, split: str) -> None:
    """Fails where the class of the split, its windows or its dates are not those that a network learns from."""
    training, checked, splits = recorded(archive, split)
    for samples, part, name in ((training, splits.train, "training"), (checked, splits.validation, "validation")):
        assert {n for sample in samples for n in sample // 1000} <= set(part.times.tolist()), (
            f"dates of the {name} split"
        )
        assert {frozenset((sample % 1000).tolist()) for sample in samples} <= cells_of(part), (
            f"windows of the {name} split"
        )
    dates = {int(n) for sample in training for n in sample // 1000}
    assert len(dates) > 0.6 * splits.train.times.size, "training draws from all of its dates"
    assert len({tuple(sample % 1000) for sample in training}) == len(cells_of(splits.train)), (
        "and from all of its windows"
    )


@pytest.mark.parametrize("split", SPLITS)
def test_the_data_are_divided_by_the_class_of_the_recipe(archive: Path, split: str) -> None:
    data = prepare(str(archive), ["x"], split={"class": split, **SPLITS[split]}, windows=WINDOWS)
    expected = asked_for(archive, split)
    for found, part in (
        (data.train, expected.train),
        (data.validation, expected.validation),
        (data.test, expected.test),
    ):
        np.testing.assert_array_equal(found, part.times, err_msg="the class of the split was ignored")
    assert (data.train_windows, data.validation_windows) == (expected.train.windows, expected.validation.windows)


# -- what is land ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ocean with a column of exactly 0.0 at all times, beside land (a hundredth of the cells would be a mask: `sentinels`)."""
    ocean = tiny_ocean(times=20)
    ocean["thetao"][:, :, 6, 5] = 0.0
    ocean["sst"][:, 6, 5] = 0.0
    path = tmp_path_factory.mktemp("frozen") / "truth.nc"
    write_dataset(ocean, path)
    return path


@pytest.mark.parametrize("method", ["Climatology", "OptimalInterpolation", "LinearInterpolation", "Persistence"])
def test_a_true_zero_is_ocean(frozen: Path, method: str) -> None:
    """From the file to the answer: 0.0 degC is a value, observed as one, and completed where it was not seen."""
    archive = open_archive(frozen, ["thetao", "sst"])
    zeros, land = (slice(None), 6, 5), (slice(None), 0, 0)
    assert archive.domain("thetao").values[zeros].all(), "a true 0.0 was taken for land"
    assert not archive.domain("thetao").values[land].any()
    seen = observe(open_fields(frozen).isel(time=[3]), {"thetao": "all", "sst": "all"})
    assert seen["domain"].values[zeros].all(), "a true 0.0 was taken for land by the observing system"
    np.testing.assert_array_equal(seen["thetao"].values[0][zeros], 0.0, err_msg="a true 0.0 was not observed")
    data = prepare(str(frozen), ["thetao"], covariates=["sst"], split={"class": "TimeSplit", "validation": 0.2})
    peer = build("reconstructor", {"class": method})
    peer.fit(data)
    for hidden in (False, True):
        shown = seen.where(not hidden) if hidden else seen
        found = peer.reconstruct(seen.assign({n: shown[n] for n in ("thetao", "sst")}), members=1)["thetao"].values[0]
        np.testing.assert_allclose(found[zeros], 0.0, atol=0.05, err_msg="a true 0.0 is completed as 0.0")
        assert np.isnan(found[land]).all()


def test_a_true_zero_is_ocean_for_a_network(frozen: Path) -> None:
    """In network units too: known, in the domain, and observed where the pattern shows it."""
    data = prepare(str(frozen), ["thetao"], covariates=["sst"], split={"class": "TimeSplit", "validation": 0.2})
    codec = FieldCodec.fit(data.archive, data.train, ["thetao"], ["sst"], {"class": "ZScore"})  # type: ignore[arg-type]
    dataset = twin(data, codec, ObservingSystem({"thetao": "all", "sst": "all"}, covariate_dropout=0))
    sample = dataset[0]
    for mask in (sample.domain, sample.seen.where, sample.given.where):
        assert mask[:, :, 6, 5].all(), "a true 0.0 was taken for land"
        assert not mask[:, :, 0, 0].any()


# -- degradation -------------------------------------------------------------------------------------------------------


def twin(data: TrainingData, codec: FieldCodec, observing: ObservingSystem, *, training: bool = True) -> TwinDataset:
    whole = (Window(0, 0, *SHAPE),)
    archive: Any = data.archive
    options: dict[str, Any] = {"times": data.train, "windows": whole, "samples": 40, "seed": 3}
    return TwinDataset(archive, codec, observing, training=training, **options)


def departures(
    training_data: TrainingData, *, training: bool = True, **degrade: float
) -> tuple[np.ndarray, torch.Tensor]:
    """(sample, cell) degC: what a covariate is shown as less what it is, over the domain; and the targets' observations."""
    archive: Any = training_data.archive
    codec = FieldCodec.fit(archive, training_data.train, ["thetao"], ["sst"], {"class": "ZScore"})
    shown, true = (
        twin(
            training_data,
            codec,
            ObservingSystem({"thetao": "all", "sst": "all"}, covariate_dropout=0, **options),
            training=training,
        )
        for options in (degrade, {})
    )
    inside = torch.from_numpy(codec.domains["sst"])
    off = [(shown[i].given.value - true[i].given.value)[0][inside].numpy() for i in range(40)]
    targets = torch.stack([shown[i].seen.value - true[i].seen.value for i in range(40)])
    return np.stack(off) * float(codec.normalizers["sst"].std.item()), targets


def test_an_offset_is_one_number_per_sample(training_data: TrainingData) -> None:
    off, targets = departures(training_data, degrade_offset=0.5)
    assert np.ptp(off, axis=1).max() < 1e-4, "the offset was drawn per cell"
    assert 0.3 < off[:, 0].std() < 0.75, "the offset was removed, or has another size"
    assert float(targets.abs().max()) == 0, "what is to be reconstructed is not degraded"


def test_speckle_is_drawn_per_cell(training_data: TrainingData) -> None:
    off, targets = departures(training_data, degrade_speckle=0.5)
    assert off.std(axis=1).min() > 0.3, "the speckle was removed, or is one number per sample"
    assert abs(off.std() - 0.5) < 0.03
    assert float(targets.abs().max()) == 0


def test_nothing_is_degraded_while_validating(training_data: TrainingData) -> None:
    off, _ = departures(training_data, training=False, degrade_offset=0.5, degrade_speckle=0.5)
    assert np.abs(off).max() == 0, "covariates are degraded while validating"
