"""Runs of an older version load and draw what they drew then, whatever has moved or got another name since."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.numpy import load_file

from driftfield.checkpoint import read_run
from driftfield.models.expectation_maximisation import ExpectationMaximisation
from driftfield.registry import names
from driftfield.runs import load_reconstructor
from driftfield.trajectories.emulator import load_emulator
from driftfield.trajectories.forecasting import forecast

HERE = Path(__file__).parent / "old_runs"
RUNS = sorted(path.parent.name for path in HERE.glob("*/run.json"))


YOUNGER = {"AnyFieldReconstructor", "BoxMean", "Kriging", "SeasonAndPosition", "VectorKriging"}
"""Reconstructors and emulators that came after these runs."""


def drawn_again(name: str) -> xr.Dataset:
    """Three members with seed 7, as `old_runs/README.md` says."""
    folder = HERE / name
    if read_run(folder).class_name in names("emulator"):
        emulator = load_emulator(folder)
        return forecast(emulator, opened("states"), steps=3, members=3, seed=7, perturb=0.1)
    method = load_reconstructor(folder)
    lorenz = "x" in load_file(folder / "expected.safetensors")
    return method.reconstruct(opened("lorenz" if lorenz else "ocean"), members=3, seed=7)


def opened(name: str) -> xr.Dataset:
    with xr.open_dataset(HERE / f"{name}.nc") as dataset:
        return dataset.load()


def check_equal(result: xr.Dataset, name: str) -> None:
    """The same bytes on the kind of processor that wrote them; elsewhere libraries may round otherwise."""
    exact = torch.__version__ == "2.13.0+cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
    for variable, expected in load_file(HERE / name / "expected.safetensors").items():
        again = result[variable].values
        if exact:
            assert again.dtype == expected.dtype
            assert again.tobytes() == expected.tobytes(), f"{variable} of {name} is no longer what it was"
        # what iterates until little changes may stop a round earlier or later where rounding differs
        near = 1e-3 if name == "dineof" else 2e-4
        np.testing.assert_allclose(again, expected, rtol=near, atol=near)


@pytest.mark.parametrize("name", RUNS)
def test_draws_what_it_drew(name: str) -> None:
    check_equal(drawn_again(name), name)


def test_there_is_a_run_of_every_kind() -> None:
    kinds = {read_run(HERE / name).class_name for name in RUNS}
    # what it saves is the run of the reconstructor that it has fitted
    kinds |= {"ExpectationMaximisation"}
    # deleted since, or younger than these runs
    assert {name for name in (*names("reconstructor"), *names("emulator")) if name not in kinds} <= YOUNGER


def test_a_run_of_expectation_maximisation_is_known_as_one() -> None:
    name = "expectation_maximisation"
    method = ExpectationMaximisation.load(HERE / name)
    assert (method.rounds, method.members, method.start) == (1, 1, {"class": "Climatology"})
    check_equal(method.reconstruct(opened("ocean"), members=3, seed=7), name)


@pytest.mark.parametrize("name", RUNS)
def test_saved_again_it_is_the_same_run(name: str, tmp_path: Path) -> None:
    old = read_run(HERE / name)
    loaded = (load_emulator if old.class_name in names("emulator") else load_reconstructor)(HERE / name)
    loaded.save(tmp_path / "run")
    again = read_run(tmp_path / "run")
    assert (again.class_name, again.arguments, again.extra) == (old.class_name, old.arguments, old.extra)
    assert again.arrays.keys() == old.arrays.keys()
    for key, array in old.arrays.items():
        np.testing.assert_array_equal(again.arrays[key], array)
