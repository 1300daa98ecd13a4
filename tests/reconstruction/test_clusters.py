"""Workers may finish in any order, die and be replaced: what is written has the bits of one process."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from driftfield.cli.reconstruct_work import AskedReconstruction, prepare
from driftfield.clusters import Crew, Errand, open_crew
from driftfield.data.sources import write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.peers import Climatology
from driftfield.recipe import as_recipe
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.fitting import fit_recipe
from driftfield.reconstruction.journal import Journal, partial_of
from driftfield.reconstruction.units import Again, Unit, units_of
from driftfield.reconstruction.writer import Work, write_reconstruction
from driftfield.testing import tiny_ocean, tiny_recipe, tiny_training_data

distributed = pytest.importorskip("distributed")
pytest.importorskip("lightning")
if sys.platform == "win32":
    pytest.skip("processes are killed", allow_module_level=True)


MEMBERS, DATES = 3, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the diffusion model, and what it is shown."""
    folder = tmp_path_factory.mktemp("cluster")
    fields = tiny_ocean(times=20)
    fields.to_netcdf(folder / "truth.nc")
    recipe = tiny_recipe(archive=str(folder / "truth.nc"), steps=2)
    fit_recipe(as_recipe(recipe, Path("recipe.yaml")), folder / "run", source="recipe")
    seen = observe(
        fields.isel(time=slice(-DATES, None)), {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, error=0.05, seed=2
    )
    write_dataset(seen, folder / "seen.nc")
    return folder


def asked(folder: Path, **options: Any) -> AskedReconstruction:
    usual: dict[str, Any] = dict.fromkeys(AskedReconstruction.__dataclass_fields__)
    usual |= {"run": folder / "run", "obs": folder / "seen.nc", "members": MEMBERS, "seed": 3, "batch_size": 2}
    usual |= {"device": "cpu", "probabilities": (0.25, 0.5), "independent_tiles": False}
    usual |= {"replacement": False, "raw": False, "drop_outside": False}
    return AskedReconstruction(**(usual | options))


@pytest.fixture(scope="module")
def alone(folder: Path) -> xr.Dataset:
    """What one process writes."""
    write_reconstruction(prepare(asked(folder)).work, folder / "alone.zarr")
    return read(folder / "alone.zarr")


def read(path: Path) -> xr.Dataset:
    return xr.open_zarr(path, consolidated=False, decode_times=False).load()


def check_same_bytes(written: xr.Dataset, expected: xr.Dataset) -> None:
    assert set(written.variables) == set(expected.variables)
    for name in expected.variables:
        assert written[name].values.tobytes() == expected[name].values.tobytes(), name
        assert written[name].attrs == expected[name].attrs
    assert {k: v for k, v in written.attrs.items() if k not in ("created", "history")} == {
        k: v for k, v in expected.attrs.items() if k not in ("created", "history")
    }


class InThisProcess:
    """A crew that does what is asked in some order, and loses a part of it."""

    def __init__(self, seed: int, deaths: int = 0) -> None:
        self.rng, self.deaths = random.Random(seed), deaths

    def check(self, folder: Path) -> None:
        assert folder.is_dir()

    def done(self, tasks: list[Errand]) -> Any:
        left = list(tasks)
        finished: set[Errand] = set()
        while left:
            task = self.rng.choice([task for task in left if set(task.after) <= finished])
            result = task.do(*task.arguments)
            if self.deaths and self.rng.random() < 0.5:  # the worker dies before it can say so
                self.deaths -= 1
                continue
            left.remove(task)
            finished.add(task)
            yield task, result


@pytest.mark.parametrize("seed", range(2))
def test_in_any_order_and_done_twice_it_is_the_same(folder: Path, alone: xr.Dataset, tmp_path: Path, seed: int) -> None:
    """Also the attributes, which are those of the first date, whoever laid out the store."""
    crew: Any = InThisProcess(seed, deaths=3)
    counted: list[int] = []
    work = prepare(asked(folder)).work
    write_reconstruction(work, tmp_path / "out.zarr", crew=crew, progress=counted.append)
    check_same_bytes(read(tmp_path / "out.zarr"), alone)
    assert sum(counted) == MEMBERS * DATES
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_what_several_began_one_goes_on_with(folder: Path, alone: xr.Dataset, tmp_path: Path) -> None:
    class Gone(Exception):
        pass

    def leave(members: int) -> None:
        if json.loads(journal.read_text())["finished"]:
            raise Gone

    out = tmp_path / "out.zarr"
    journal = partial_of(out) / "journal.json"
    crew: Any = InThisProcess(4)
    with pytest.raises(Gone):
        write_reconstruction(prepare(asked(folder)).work, out, crew=crew, progress=leave)
    assert len(json.loads(journal.read_text())["finished"]) == 1
    write_reconstruction(prepare(asked(folder)).work, out, resume=True)
    check_same_bytes(read(out), alone)


def test_a_journal_of_before_is_read(tmp_path: Path) -> None:
    Journal.begin(tmp_path / "a.partial", {}, overwrite=False)
    path = tmp_path / "a.partial" / "journal.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finished": 3}))
    assert Journal.resume(tmp_path / "a.partial", {}).finished == {0, 1, 2}


def test_batches_of_members_come_before_their_date(folder: Path) -> None:
    units = list(units_of(prepare(asked(folder)).work, {0, 2}))
    assert units == [Unit(1, range(2), 2), Unit(1, range(2, 3), 1), Unit(1, None, 0)]
    whole = prepare(asked(folder, batch_size=MEMBERS)).work
    assert list(units_of(whole, {0, 1})) == [Unit(2, None, MEMBERS)]


@pytest.mark.slow
def test_workers_that_are_killed_are_replaced(folder: Path, alone: xr.Dataset, tmp_path: Path) -> None:
    """Two local workers, of which one dies three times in the middle."""
    kills, rng = 3, random.Random(1)

    with open_crew("local:2") as crew:

        def kill(members: int) -> None:
            nonlocal kills
            if members and kills:
                kills -= 1
                alive = [nanny.pid for nanny in crew.client.cluster.workers.values() if nanny.pid]
                os.kill(rng.choice(alive), signal.SIGKILL)

        write_reconstruction(prepare(asked(folder)).work, tmp_path / "out.zarr", crew=crew, progress=kill)
    assert not kills
    check_same_bytes(read(tmp_path / "out.zarr"), alone)


@pytest.mark.slow
def test_a_file_may_describe_the_cluster(folder: Path, alone: xr.Dataset, tmp_path: Path) -> None:
    """NetCDF is written by the client; and an error of a worker is the error of the job."""
    described = tmp_path / "cluster.yaml"
    described.write_text(yaml.safe_dump({"class": "LocalCluster", "workers": 1, "dashboard_address": None}))
    with open_crew(str(described)) as crew:
        assert crew.size == 1
        write_reconstruction(prepare(asked(folder)).work, tmp_path / "out.nc", crew=crew)
        written = xr.open_dataset(tmp_path / "out.nc", decode_times=False).load()
        for name in alone.data_vars:
            np.testing.assert_array_equal(written[name].values, alone[name].values)
        with pytest.raises(ConfigurationError, match="was asked for"):
            list(crew.done([Errand(refuse, ("this",), "a refusal")]))


@pytest.mark.slow
def test_the_workers_of_a_scheduler_that_runs_already(folder: Path, alone: xr.Dataset, tmp_path: Path) -> None:
    """Started by somebody else, who has them when the job is done; each in a process of its own."""
    noted = tmp_path / "scheduler.json"
    quiet = ("--no-dashboard", "--scheduler-file", str(noted))
    words = [
        ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *quiet],
        ["-m", "distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", *quiet],
    ]
    started = [subprocess.Popen([sys.executable, *each], stdout=-3, stderr=-3, cwd=tmp_path) for each in words]
    try:
        while not noted.exists():
            assert all(process.poll() is None for process in started)
            time.sleep(0.1)
        address = json.loads(noted.read_text())["address"]
        assert address.startswith("tcp://")
        with open_crew(address) as crew:
            write_reconstruction(prepare(asked(folder)).work, tmp_path / "out.zarr", crew=crew)
        check_same_bytes(read(tmp_path / "out.zarr"), alone)
        with open_crew(address) as crew:
            assert crew.size == 1
    finally:
        for process in started:
            process.terminate()
            process.wait(60)


def refuse(what: str) -> None:
    raise ConfigurationError(f"{what} was asked for")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("local:0", "expected local:NUMBER"),
        ("local:many", "expected local:NUMBER"),
        ("four", "expected local:4, an address"),
        ("nothing.yaml", "Cannot read the cluster nothing.yaml"),
        ("tcp://127.0.0.1:1", "No scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_what_names_no_cluster_is_refused(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftfield.clusters.ANSWER_WITHIN", 1)
    with pytest.raises(ConfigurationError, match=said), open_crew(text):
        pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"class": "LocalCluster"}, "is no cluster: expected"),
        ({"class": "os.system", "workers": 1}, "Unknown cluster 'os.system'"),
        ({"class": "SLURMCluster", "workers": 2}, "SLURMCluster needs dask-jobqueue"),
        ({"class": "LocalCluster", "workers": 1, "colour": "blue"}, "makes no cluster"),
    ],
)
def test_a_file_that_describes_none_is_refused(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises((ConfigurationError, ImportError), match=said), open_crew(str(path)):
        pass


def test_what_cannot_be_shared_is_refused(folder: Path, tmp_path: Path) -> None:
    class AllTogether(Climatology):
        """A peer that completes all dates in one go."""

        from dataclasses import replace

        abilities = replace(Climatology.abilities, uses_other_times=True)

    peer = AllTogether()
    peer.fit(tiny_training_data())
    observations = prepare(asked(folder)).shown
    work = Work(peer, observations, Draws(1), again=Again(refuse, "x"))  # type: ignore[arg-type]
    crew: Any = InThisProcess(0)
    with pytest.raises(ConfigurationError, match="completes all dates together: there is nothing to share"):
        write_reconstruction(work, tmp_path / "out.zarr", crew=crew)
    assert not list(tmp_path.iterdir())


def test_workers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    class Client:
        def __init__(self, version: str, sees: bool) -> None:
            self.state = (version, sees)

        def run(self, *_: Any) -> dict[str, tuple[str, bool]]:
            return {"tcp://worker:1": self.state}

    from driftfield import __version__

    with pytest.raises(ConfigurationError, match=r"has driftfield 0\.0, this is"):
        Crew(Client("0.0", True)).check(tmp_path)
    with pytest.raises(ConfigurationError, match="does not see"):
        Crew(Client(__version__, False)).check(tmp_path)
