"""Every peer, and a network, on grids with positions: a rotated grid gives what its own degrees give; no grid is refused."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.data.prepare import prepare
from driftfield.data.twin import observe
from driftfield.errors import DataError
from driftfield.evaluate.evaluation import evaluate
from driftfield.gridded.gridded_files import open_fields, write_dataset
from driftfield.interfaces import TrainingData
from driftfield.peers import LinearInterpolation, Nearest, OptimalInterpolation
from driftfield.peers.inverse_distance import InverseDistance
from driftfield.runs import load_reconstructor
from driftfield.testing.grids import MEMBERS, member

PEERS = {
    "oi": lambda: OptimalInterpolation(),
    "linear": lambda: LinearInterpolation(),
    "inverse distance": lambda: InverseDistance(power=2.0, neighbours=8),
    "nearest": lambda: Nearest(),
}


def prepared(path: Path) -> TrainingData:
    return prepare(str(path), ["tos"], split={"class": "TimeSplit", "validation": 0.2})


def seen_of(data: TrainingData, seed: int = 0) -> xr.Dataset:
    part = data.archive.dataset.isel(time=slice(-3, None))
    return observe(part, {"tos": "random:0.7"}, error=0.02, seed=seed, domain=data.archive.domains)


@pytest.mark.parametrize("name", ["oi", "linear"])
@pytest.mark.parametrize("kind", MEMBERS)
def test_files_go_through_train_reconstruct_and_evaluate(tmp_path: Path, kind: str, name: str) -> None:
    """Written and read at every step; better than the climatology, and the positions are those of the file."""
    made = member(kind, 1)
    made.dataset.to_netcdf(tmp_path / "truth.nc")
    data = prepared(tmp_path / "truth.nc")
    peer = PEERS[name]()
    peer.fit(data)
    peer.save(tmp_path / "run")
    write_dataset(seen_of(data), tmp_path / "seen.nc")
    result = load_reconstructor(tmp_path / "run").reconstruct(open_fields(tmp_path / "seen.nc"), members=2, seed=0)
    write_dataset(result, tmp_path / "out.nc")
    output, truth, seen = (open_fields(tmp_path / f"{n}.nc") for n in ("out", "truth", "seen"))
    (scores,) = evaluate(truth, {name: output}, seen, area_weighted=True).scores.values()
    departure = float((truth["tos"] - truth["tos"].mean("time")).std())
    assert scores["tos"]["rmse"] < 0.8 * departure
    np.testing.assert_allclose(output["latitude"], truth["latitude"], atol=1e-9)


@pytest.mark.parametrize("name", PEERS)
def test_a_rotated_grid_gives_what_its_own_degrees_give(tmp_path: Path, name: str) -> None:
    """The sphere does not know its poles: positions and rotated degrees say the same distances and areas."""
    made = member("rotated_pole", 2)
    plain = made.dataset.drop_vars(["rotated_pole", "lat", "lon"], errors="ignore")
    plain = plain.rename(rlat="lat", rlon="lon")
    plain["lat"].attrs, plain["lon"].attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    found = []
    for label, dataset in (("rotated", made.dataset), ("plain", plain)):
        dataset.to_netcdf(tmp_path / f"{label}.nc")
        data = prepared(tmp_path / f"{label}.nc")
        peer = PEERS[name]()
        peer.fit(data)
        found.append(peer.reconstruct(seen_of(data), members=2, seed=0)["tos"].values)
    truth = data.archive.dataset["tos"]
    spread = float((truth - truth.mean("time")).std())
    # triangles lie in different planes, and the tuning of a length may end elsewhere by rounding
    assert float(np.sqrt(np.nanmean((found[0] - found[1]) ** 2))) < 0.05 * spread


def test_positions_decide_and_not_the_numbers_of_rows(tmp_path: Path) -> None:
    """The same cells under other numbers are taken; other cells under the same numbers are not."""
    made = member("nemo", 3)
    made.dataset.to_netcdf(tmp_path / "truth.nc")
    data = prepared(tmp_path / "truth.nc")
    peer = Nearest()
    peer.fit(data)
    seen = seen_of(data)
    numbered = seen.assign_coords(lat=seen["lat"] + 7, lon=seen["lon"] + 400)
    expected = peer.reconstruct(seen, members=1)
    result = peer.reconstruct(numbered, members=1)
    np.testing.assert_array_equal(result["tos"].values, expected["tos"].values)
    np.testing.assert_array_equal(result["lat"].values, numbered["lat"].values)
    elsewhere = seen.assign_coords(latitude=seen["latitude"] + 1.0)
    with pytest.raises(DataError, match="no block of the grid of the run"):
        peer.reconstruct(elsewhere, members=1)
