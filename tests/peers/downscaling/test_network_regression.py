"""The downscalers with a network: trained by the trainer, kept in a run, better than what they start from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from coarse_world import coarse_world, write_statics

from driftfield.data.prepare import prepare
from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.registry import build
from driftfield.runs import load_downscaler

pytest.importorskip("lightning")
NETWORK = {
    "class": "ResidualUNet",
    "widths": [16],
    "depths": [2],
    "condition_depths": [1],
    "embedding": 8,
    "position": "none",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = tmp_path_factory.mktemp("world")
    coarse_world(120).to_netcdf(folder / "fine.nc")
    statics = {"file": str(write_statics(folder / "statics.nc")), "variables": ["orog"]}
    split = {"class": "TimeSplit", "validation": 0.1, "test": 0.2}
    return prepare(
        str(folder / "fine.nc"),
        ["tas", "pr"],
        split=split,
        coarse={"factor": 4},
        statics=statics,
        bounds={"pr": {"lower": 0}},
    )


def trained(data: TrainingData, folder: Path, steps: int, **arguments: Any) -> Any:
    from driftfield.training import LightningTrainer

    spec = {"class": "NetworkRegression", "network": NETWORK, "transform": {"pr": "square_root"}, **arguments}
    method = build("downscaler", spec)
    rate = {"peak": 3e-3, "warm_up": 5}
    trainer = LightningTrainer(
        steps=steps, batch_size=8, validate_every=steps, accelerator="cpu", loggers=(), ema=0.9, learning_rate=rate
    )
    method.fit(data, seed=1, trainer=trainer, folder=folder)
    return method


def error(method: Any, data: TrainingData, name: str) -> float:
    made = method.reconstruct(data.pair.coarse.isel(time=data.validation), members=1)[name].values
    return float(np.sqrt(np.mean((made - data.archive.dataset[name].isel(time=data.validation).values) ** 2)))


def test_it_learns_beyond_its_constants_and_comes_back(data: TrainingData, tmp_path: Path) -> None:
    method = trained(data, tmp_path / "run", 60, how={"tas": "additive", "pr": "multiplicative"})
    mean = build("downscaler", {"class": "Conserving", "downscaler": {"class": "MeanResidual"}})
    mean.fit(data)
    bilinear = build("downscaler", {"class": "Bilinear"})
    bilinear.fit(data)
    assert error(method, data, "tas") < 0.7 * error(bilinear, data, "tas")
    assert error(method, data, "tas") < 1.05 * error(mean, data, "tas")
    assert error(method, data, "pr") < error(mean, data, "pr")
    method.save(tmp_path / "run")
    coarse = data.pair.coarse.isel(time=data.test)
    result = method.reconstruct(coarse, members=1)
    again = load_downscaler(tmp_path / "run").reconstruct(coarse, members=1)
    xr.testing.assert_identical(again.drop_attrs(), result.drop_attrs())
    for name in ("tas", "pr"):
        means = data.pair.regridding.apply(result[name].values.astype(np.float64))
        np.testing.assert_allclose(means, coarse[name].values, rtol=1e-5, atol=1e-4)
    order = [4, 0, 2]
    part = method.reconstruct(coarse.isel(time=order), members=1)
    np.testing.assert_array_equal(part["tas"], result["tas"].isel(time=order))


def test_a_warmer_coarse_field_starts_as_much_warmer(data: TrainingData, tmp_path: Path) -> None:
    """A network that has learnt nothing adds constants to the interpolated field."""
    method = trained(data, tmp_path, 1)
    coarse = data.pair.coarse.isel(time=data.test)
    for parameter in method.model.network.head.parameters():
        parameter.data.zero_()
    warmer = coarse.assign(tas=(coarse["tas"] + 5.0).assign_attrs(coarse["tas"].attrs))
    a, b = (method.reconstruct(c, members=1)["tas"].values for c in (coarse, warmer))
    np.testing.assert_allclose(b, a + 5.0, atol=1e-3)


def test_what_has_no_meaning_is_refused(data: TrainingData) -> None:
    spec = {"class": "NetworkRegression", "network": NETWORK}
    with pytest.raises(ConfigurationError, match="needs a trainer and a folder"):
        build("downscaler", spec).fit(data)
    with pytest.raises(ConfigurationError, match="its own argument 'how'"):
        build("downscaler", {"class": "Conserving", "downscaler": spec})
    with pytest.raises(ConfigurationError, match="Did you mean 'additive'"):
        build("downscaler", {**spec, "how": {"tas": "aditive"}})
