"""Runs on a hub: what is pushed comes back byte by byte; what was changed, and what is no part of a run, is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray as xr
import yaml
from commands import Command, hearing_all
from model_hub import TOKEN, ModelHub, model_hub

from driftfield.checkpoint import find_run, is_borrowed, read_run
from driftfield.data.sources import write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError, FileFormatError
from driftfield.hub.manifest import MANIFEST, parts_of, write_manifest
from driftfield.hub.reference import HubReference
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_training_data

library = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
OLD_RUNS = Path(__file__).parents[1] / "old_runs"
REPO = "sea-lab/tiny"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted peer, with a recipe and files that are nobody else's business."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    peer = build("reconstructor", {"class": "OptimalInterpolation", "samples": 20})
    peer.fit(tiny_training_data(), seed=0)
    peer.save(folder)
    recipe = {"data": {"archive": "/home/somebody/archive.zarr", "targets": ["thetao"]}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "logs").mkdir()
    (folder / "windows.csv").write_text("a,b\n")
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModelHub]:
    """An empty service, an empty cache, and a token as the library's own configuration has it."""
    with model_hub() as service:
        monkeypatch.setattr(constants, "ENDPOINT", service.url)
        template = service.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield service


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return hearing_all(capsys)


def push(command: Command, run: Path, *more: str) -> str:
    code, said = command("hub", "push", run, REPO, "--license", "cc-by-4.0", *more)
    assert code == 0, said
    return said


def test_what_is_pushed_is_loaded_byte_by_byte(command: Command, hub: ModelHub, run: Path) -> None:
    said = push(command, run, "--data", "Simulated; free.")
    assert "left behind, as no reconstruction needs it: logs, windows.csv" in said
    assert "paths of this machine: /home/somebody/archive.zarr" in said
    pushed = hub.repositories[REPO].files
    assert set(pushed) == {".gitattributes", "README.md", MANIFEST, "arrays.safetensors", "recipe.yaml", "run.json"}
    folder = find_run(f"hub:{REPO}")
    for name in ("run.json", "arrays.safetensors", "recipe.yaml"):
        assert (folder / name).read_bytes() == (run / name).read_bytes() == pushed[name]
    write_dataset(observe(tiny_ocean(times=2), {"thetao": "random:0.5"}, seed=0), Path("seen.nc"))
    for name, out in ((str(run), "a.nc"), (f"hub:{REPO}", "b.nc")):
        assert command("reconstruct", name, "seen.nc", "--out", out, "--members", "2")[0] == 0
    commit = hub.repositories[REPO].refs["main"]
    mine, fetched = xr.open_dataset("a.nc"), xr.open_dataset("b.nc")
    assert fetched.attrs["run"] == f"hub:{REPO}@{commit}"
    xr.testing.assert_equal(mine, fetched)


def test_the_card_says_where_a_run_comes_from(command: Command, hub: ModelHub, run: Path, tmp_path: Path) -> None:
    scores = {"optimal_interpolation": {"thetao": {"rmse": 0.123456, "crps": None, "n": 42}}}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    push(command, run, "--data", "Simulated; free.", "--scores", "scores.json")
    text = hub.repositories[REPO].files["README.md"].decode()
    head = library.ModelCard(text).data.to_dict()
    assert head == {
        "license": "cc-by-4.0",
        "library_name": "driftfield",
        "tags": ["driftfield", "OptimalInterpolation", "thetao"],
    }
    for part in ("OptimalInterpolation of thetao", "Simulated; free.", "archive: /home/somebody", "| 0.1235 | 42 |"):
        assert part in text
    assert f"driftfield reconstruct hub:{REPO} OBSERVATIONS" in text
    assert "crps" not in text.split("## Scores")[1].split("##")[0]


def test_a_network_takes_its_first_guess_along(command: Command, hub: ModelHub) -> None:
    push(command, OLD_RUNS / "diffusion_around_a_guess")
    assert "first_guess/arrays.safetensors" in hub.repositories[REPO].files
    assert load_reconstructor(find_run(f"hub:{REPO}")).method == "diffusion"
    assert len(parts_of(OLD_RUNS / "diffusion_around_a_guess")[0]) == 4


def test_another_file_is_refused_by_its_name_before_anything_is_fetched(
    command: Command, hub: ModelHub, run: Path
) -> None:
    push(command, run)
    repository = hub.repositories[REPO]
    for name in ("model.pkl", "sub/code.py", "weights.bin", "../run.json", ".hidden.json", "other.yaml"):
        repository.commit(repository.commits[next(iter(repository.commits))] | {MANIFEST: b"{}"})
        repository.commit({**hub_files(run), name: b"\x80"})
        hub.asked.clear()
        with pytest.raises(FileFormatError, match=f"holds '{name}'"):
            find_run(f"hub:{REPO}")
        assert not [asked for asked in hub.asked if name in asked or "safetensors" in asked or "run.json" in asked]
    code, said = command("inspect", f"hub:{REPO}")
    assert (code, "other.yaml" in said) == (2, True)


def hub_files(run: Path) -> dict[str, bytes]:
    parts, _ = parts_of(run)
    return {name: path.read_bytes() for name, path in parts.items()} | {MANIFEST: write_manifest(parts).encode()}


def test_other_bytes_are_refused_in_the_repository_and_in_the_cache(hub: ModelHub, command: Command, run: Path) -> None:
    push(command, run)
    repository, good = hub.repositories[REPO], hub.repositories[REPO].refs["main"]
    weights = bytearray(repository.files["arrays.safetensors"])
    weights[-1] ^= 1
    repository.commit(repository.files | {"arrays.safetensors": bytes(weights)})
    with pytest.raises(FileFormatError, match=r"arrays.safetensors .* other bytes than were pushed"):
        find_run(f"hub:{REPO}")
    folder = find_run(f"hub:{REPO}@{good}")  # the commit that was pushed is as it was
    path = (folder / "run.json").resolve()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(FileFormatError, match=r"run.json .* Remove .*models--sea-lab--tiny"):
        find_run(f"hub:{REPO}@{good}")
    shutil.rmtree(folder.parents[1])
    assert find_run(f"hub:{REPO}@{good}") == folder
    repository.commit(repository.commits[good] | {"more.json": b"{}"})
    assert (find_run(f"hub:{REPO}") / "more.json").exists() is False  # what no manifest names is not fetched


def test_a_branch_a_tag_and_a_commit(hub: ModelHub, command: Command, run: Path) -> None:
    push(command, run)
    repository = hub.repositories[REPO]
    first = repository.refs["v1"] = repository.refs["main"]
    code, said = command("hub", "push", OLD_RUNS / "climatology", REPO, "--license", "mit")
    assert (code, "holds 5 files already" in said) == (2, True)
    push(command, OLD_RUNS / "climatology", "--overwrite")
    assert "recipe.yaml" not in repository.files
    assert read_run(find_run(f"hub:{REPO}")).class_name == "Climatology"
    for revision in ("v1", first):
        assert read_run(find_run(f"hub:{REPO}@{revision}")).class_name == "OptimalInterpolation"
    with pytest.raises(DataError, match="no such revision"):
        find_run(f"hub:{REPO}@v2")


def test_what_is_cached_needs_no_service(
    hub: ModelHub, command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(command, run)
    commit = hub.repositories[REPO].refs["main"]
    folder = find_run(f"hub:{REPO}")
    hub.asked.clear()
    assert find_run(f"hub:{REPO}@{commit}") == folder
    assert hub.asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_run(f"hub:{REPO}") == folder
    with pytest.raises(DataError, match="hub:sea-lab/other is not cached, and the service cannot be reached"):
        find_run("hub:sea-lab/other")
    assert hub.asked == []


def test_models_lists_what_was_fetched(hub: ModelHub, command: Command, run: Path) -> None:
    assert "hub:" not in command("models")[1]
    push(command, run)
    find_run(f"hub:{REPO}")
    hub.asked.clear()
    code, said = command("models")
    assert code == 0
    assert f"hub:{REPO}@{hub.repositories[REPO].refs['main']}\n    OptimalInterpolation of thetao" in said
    assert "licence cc-by-4.0" in said
    assert hub.asked == []


def test_credentials_are_those_of_the_library(
    hub: ModelHub, command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(command, run, "--private")
    assert hub.repositories[REPO].private
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(DataError, match="log in with `hf auth login` if it is private"):
        find_run(f"hub:{REPO}")
    code, said = command("hub", "push", run, "sea-lab/second", "--license", "mit")
    assert code == 2
    assert "no permission. Log in" in said or "not to be seen" in said
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert find_run(f"hub:{REPO}").is_dir()


def test_a_run_of_a_hub_is_not_written_to(hub: ModelHub, command: Command, run: Path) -> None:
    push(command, run)
    code, said = command("calibrate", f"hub:{REPO}")
    assert (code, "belongs to the cache of a hub" in said) == (2, True)
    assert is_borrowed("shipped:x")
    assert not is_borrowed("runs/hub")


def test_a_card_that_the_service_does_not_take_is_said(hub: ModelHub, command: Command, run: Path) -> None:
    code, said = command("hub", "push", run, REPO, "--license", "nonsense")
    assert (code, "license must be one of the list" in said) == (2, True), said
    assert set(hub.repositories[REPO].files) == {".gitattributes"}


def test_a_dry_run_asks_nothing(hub: ModelHub, command: Command, run: Path) -> None:
    for name in ("tiny", f"{REPO}@v1"):
        code, said = command("hub", "push", run, name, "--license", "mit", "--dry-run")
        assert (code, "a push goes to OWNER/NAME" in said) == (2, True), said
    said = push(command, run, "--dry-run")
    assert "library_name: driftfield" in said
    assert hub.asked == []


@pytest.mark.parametrize(
    "name", ["hub:", "hub:a/b/c", "hub:../x", "hub:a b", "hub:a/b@", "hub:a/b@../../x", "hub:-a/b"]
)
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="hub:OWNER/NAME"):
        HubReference.parse(name)


def test_a_repository_without_a_manifest_is_no_run(hub: ModelHub, command: Command, run: Path) -> None:
    push(command, run)
    hub.repositories[REPO].commit({"run.json": b"{}"})
    with pytest.raises(FileFormatError, match=r"holds no driftfield\.json"):
        find_run(f"hub:{REPO}")
    hub.repositories[REPO].commit({MANIFEST: b'{"driftfield_format": 1, "sha256": {"../../x.json": "0"}}'})
    with pytest.raises(FileFormatError, match=r"holds '../../x.json'"):
        find_run(f"hub:{REPO}")


@pytest.mark.slow
def test_the_address_is_what_the_environment_says(hub: ModelHub, command: Command, run: Path, tmp_path: Path) -> None:
    push(command, run)
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}
    code = "import sys; from driftfield.cli import main; sys.argv[0] = 'driftfield'; main()"
    asked = [sys.executable, "-c", code, "inspect", f"hub:{REPO}"]
    done = subprocess.run(asked, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is a run: OptimalInterpolation" in done.stdout
