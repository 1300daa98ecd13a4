"""What was not for learning is not learnt: nothing fitted moves with another part, whatever the method and the split.

test cells         the data that are fitted to are the same, so that nothing at all can move
validation cells   nothing moves but the constants that are chosen on them
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from driftfield.checkpoint import Run, read_run
from driftfield.data.prepare import divide, prepare
from driftfield.data.sources import GriddedArchive, open_archive, write_dataset
from driftfield.data.splits import Splits
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants
from driftfield.interfaces import TrainingData
from driftfield.peers.kriging import Kriging
from driftfield.peers.space_time import SpaceTimeOptimalInterpolation
from driftfield.registry import build, lookup, names, register
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean

pytestmark = pytest.mark.usefixtures("few_cases")

SHAPE = (8, 16)
SPLITS: dict[str, dict[str, Any]] = {
    "TimeSplit": {"validation": 0.2, "test": 0.2, "buffer": "20D"},
    "RandomBlocks": {"validation": 0.2, "test": 0.2, "length": "60D", "seed": 1},
    "SpaceSplit": {"validation": 0.25, "test": 0.25, "block": 4, "seed": 3},
}
WINDOWS = {"size": 4, "stride": 2}
NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
OBSERVING = {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05}
TRAINED = {"network": NETWORK, "observing": OBSERVING, "validation_samples": 4}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "DiffusionReconstructor": TRAINED,
    "RegressionReconstructor": TRAINED,
    "TrajectoryReconstructor": {"network": NETWORK, "states": 3, "validation_samples": 4},
    "ExpectationMaximisation": {
        "reconstructor": {"class": "DiffusionReconstructor", **TRAINED},
        "rounds": 1,
        "members": 1,
        "start": {"class": "Climatology"},
    },
    "EnsembleKalman": {"dynamics": {"class": "Steady"}, "members": 8},
    "SpaceTimeOptimalInterpolation": {"patterns": ["random:0.7"], "context": 1, "nearest": 12},
    # how many is a constant, and those are chosen on the validation part
    "EOFOptimalInterpolation": {"modes": 4},
}
NO_ARCHIVE = {"AnyFieldReconstructor"}
"""Who learns from no archive, and so from no part of one."""

WHOLE_GRID = {"TrajectoryReconstructor", "EnsembleKalman"}
"""Who takes no windows, and refuses a split in space."""

ALL_DATES = {"SpaceTimeOptimalInterpolation", "Kriging", "VectorKriging", "BoxMean"}
"""To whom all dates but those of the test are one record (to the first where it is short): what they choose constants on they
hide from it themselves, and they have a law of their own below."""

NEAR = {"thetao": SpaceTimeConstants(length=400.0, days=60.0, nugget=0.02)}
"""Where the walk of those that choose constants of a covariance begins: all of them are still chosen, in a fifth of the time."""

LEARNT = (
    "climatology.",
    "domain.",
    "normalizer.",
    "sd",
    "departures.",
    "archive",
    "memory.",
    "weights.",
    "gaussian.",
    "anomalies.",
    "modes.",
    "covariance.samples",
    "covariance.loadings",
    "residual.loadings",
)
"""What a run keeps that is never chosen on the validation split, by how its name begins."""


@register("dynamics")
class Steady:
    """Every cell stays as it is."""

    step_days = 12.0
    size = int(tiny_ocean(shape=SHAPE)["thetao"].notnull().any("time").sum())

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        return state.copy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, and by every split two more: with other values in its test cells, and in its validation cells too."""
    place = tmp_path_factory.mktemp("archives")
    ocean = tiny_ocean(times=40, shape=SHAPE)
    write_dataset(ocean, place / "true.nc")
    archive = open_archive(place / "true.nc", ["thetao", "sst"])
    for name in SPLITS:
        splits = divided(archive, name)
        test, validation = (splits.held_out(part, archive.dataset["sst"]) for part in ("test", "validation"))
        write_dataset(disturbed(ocean, test), place / f"{name}_test.nc")
        write_dataset(disturbed(ocean, test | validation), place / f"{name}_validation.nc")
    return place


def divided(archive: GriddedArchive, split: str) -> Splits:
    windows = WINDOWS if split == "SpaceSplit" else None
    return divide(archive, ["thetao"], split={"class": split, **SPLITS[split]}, windows=windows)


def disturbed(ocean: xr.Dataset, where: xr.DataArray) -> xr.Dataset:
    """Five degrees more in some cells, and no longer the same from cell to cell."""
    rng = np.random.default_rng(0)
    return ocean.map(lambda field: field.where(~where, field + 5 + rng.normal(size=field.shape)).astype(np.float32))


def data_of(path: Path, split: str, method: str = "") -> TrainingData:
    options: dict[str, Any] = {"windows": WINDOWS} if split == "SpaceSplit" and method not in WHOLE_GRID else {}
    covariates = () if method == "TrajectoryReconstructor" else ("sst",)
    return prepare(str(path), ["thetao"], covariates=covariates, split={"class": split, **SPLITS[split]}, **options)


def fitted_run(method: str, data: TrainingData, folder: Path, **options: Any) -> Run:
    """The method fitted to the data and read back from its run."""
    made = build("reconstructor", {"class": method, **ARGUMENTS.get(method, {}), **options})
    if isinstance(made, Kriging | SpaceTimeOptimalInterpolation):
        made.start = NEAR
    given: dict[str, Any] = {}
    if made.abilities.needs_training:
        pytest.importorskip("lightning")
        from driftfield.training import LightningTrainer

        settings: dict[str, Any] = {"steps": 2, "batch_size": 2, "validate_every": 2, "accelerator": "cpu"}
        given = {"trainer": LightningTrainer(loggers=(), **settings), "folder": folder}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.fit(data, seed=1, **given)
    made.save(folder / "run")
    return read_run(folder / "run")


def moved(a: Run, b: Run, counts: Callable[[str], bool]) -> list[str]:
    """Names of the arrays that differ."""
    assert set(a.arrays) == set(b.arrays)
    same = {name: np.array_equal(a.arrays[name], b.arrays[name], equal_nan=True) for name in a.arrays}
    return sorted(name for name, equal in same.items() if not equal and counts(name))


def test_a_run_fitted_to_cells_knows_the_places_beside_them(folder: Path, tmp_path: Path) -> None:
    """A peer of a split in space completes the whole grid: where nobody learnt, from the level and the observations."""
    fitted_run("OptimalInterpolation", data_of(folder / "true.nc", "SpaceSplit"), tmp_path)
    observations = observe(
        tiny_ocean(times=40, shape=SHAPE).isel(time=[3]), {"thetao": "profiles:0.5", "sst": "clouds:0.5"}
    )
    found = load_reconstructor(tmp_path / "run").reconstruct(observations, members=2, seed=0)
    inside = observations["domain"].broadcast_like(found["thetao"])
    assert bool(found["thetao"].where(inside, 0.0).notnull().all())


def test_every_split_is_held_to_this_law() -> None:
    splits = {name: lookup("split", name) for name in names("split")}
    # one without a validation part has no other part at all
    ours = {name for name, one in splits.items() if one.__module__.startswith("driftfield.") and one.validates}
    assert ours == set(SPLITS)


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_not_for_learning_is_not_in_the_archive(folder: Path, split: str) -> None:
    """Whoever fits what to it: other values in the test cells, or in the validation cells, are not there to be seen."""
    true, test, both = (
        data_of(folder / f"{name}.nc", split) for name in ("true", f"{split}_test", f"{split}_validation")
    )
    xr.testing.assert_equal(true.archive.dataset, test.archive.dataset)
    xr.testing.assert_equal(true.to_validate.dataset, test.to_validate.dataset)
    for data in (true, both):
        parts = [
            data.archive.dataset["sst"].isel(time=data.train),
            data.to_validate.dataset["sst"].isel(time=data.validation),
        ]
        assert all(bool(part.notnull().any()) for part in parts)
    trained = [data.archive.dataset.isel(time=data.train) for data in (true, both)]
    xr.testing.assert_equal(*trained)
    assert bool(true.archive.dataset["sst"].isel(time=true.test if split != "SpaceSplit" else []).isnull().all())


def _cases() -> list[Any]:
    return [
        pytest.param(method, split, id=f"{method}-{split}")
        for method in names("reconstructor")
        for split in ("TimeSplit", "SpaceSplit")
        if method not in NO_ARCHIVE and not (split == "TimeSplit" and method in ALL_DATES)
    ]


@pytest.mark.parametrize(("method", "split"), _cases())
def test_nothing_fitted_moves_with_another_part(folder: Path, method: str, split: str, tmp_path: Path) -> None:
    if split == "SpaceSplit" and method in WHOLE_GRID:
        with pytest.raises(ConfigurationError):
            fitted_run(
                method,
                prepare(str(folder / "true.nc"), ["thetao"], split={"class": split, **SPLITS[split]}, windows=WINDOWS),
                tmp_path,
            )
        return
    takes = inspect.signature(lookup("reconstructor", method)).parameters
    refit = {"refit": False} if "refit" in takes and split == "TimeSplit" else {}
    paths = [folder / "true.nc", folder / f"{split}_validation.nc"]
    true, other = (fitted_run(method, data_of(path, split, method), tmp_path / path.stem, **refit) for path in paths)
    assert not moved(true, other, lambda name: name.startswith(LEARNT))


@pytest.mark.parametrize("method", sorted(ALL_DATES))
def test_a_record_is_one_to_whom_takes_all_of_it(folder: Path, method: str, tmp_path: Path) -> None:
    """Other values in the test cells move nothing at all, constants included; and which of the other dates are called validation
    moves nothing that is learnt from them."""
    true = data_of(folder / "true.nc", "TimeSplit", method)
    test = data_of(folder / "TimeSplit_test.nc", "TimeSplit", method)
    turned = replace(true, train=true.validation, validation=true.train)
    parts = {"true": true, "test": test, "turned": turned}
    runs = {name: fitted_run(method, data, tmp_path / name) for name, data in parts.items()}
    assert not moved(runs["true"], runs["test"], lambda name: True)
    assert runs["true"].arguments == runs["test"].arguments
    assert {**runs["true"].extra, "made": 0} == {**runs["test"].extra, "made": 0}
    assert not moved(runs["true"], runs["turned"], lambda name: name.startswith(LEARNT))
    assert any(name.startswith(LEARNT) for name in runs["true"].arrays)
