"""What the pages state and no other test holds them to: the names in files.md are those that are written, and a few numbers."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from commands import succeed

from driftfield.checkpoint import read_run
from driftfield.conventions import domain_of
from driftfield.data.masks import parse_pattern
from driftfield.data.sources import write_dataset
from driftfield.testing import tiny_ocean, tiny_recipe

DOCS = Path(__file__).parents[1] / "docs"


def section(page: str, title: str) -> str:
    """The text under a heading."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.split(r"^##+ ", text.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a network with all that it may hold, observations and a reconstruction."""
    pytest.importorskip("lightning")
    place = tmp_path_factory.mktemp("claims")
    write_dataset(tiny_ocean(), place / "truth.nc")
    recipe = tiny_recipe(archive=str(place / "truth.nc"), steps=2, validate_every=1)
    recipe["trainer"] |= {
        "loggers": ["csv", "tensorboard"],
        "previews": 1,
        "ema": {"class": "PowerEMA", "widths": [0.1], "snapshots": 2},
    }
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    succeed("train", place / "recipe.yaml", "--out", place / "run")
    observe = ["--observe", "thetao=profiles:0.7", "--observe", "sst=clouds:0.5", "--error", "0.1"]
    succeed("mask", place / "truth.nc", place / "obs.nc", *observe, "--time", "2001-03:2001-04")
    succeed("reconstruct", place / "run", place / "obs.nc", "--out", place / "fields.nc", "--members", 2)
    return place


@pytest.mark.slow
def test_a_run_holds_what_files_md_lists(folder: Path) -> None:
    rows = [line.split("|")[1] for line in section("files.md", "Run").splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    elsewhere = ("first_guess/", "emulator/", "first_guess_train/", "first_guess_validation/", "logs/wandb.json")
    assert set(elsewhere) < set(named)
    for name in named:
        pattern = name.replace("step_000500", "step_000002").replace("STEP-WIDTH", "*").rstrip("/")
        assert (name in elsewhere) or list((folder / "run").glob(pattern)), f"no {name} in the run"
    stated = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    for name in re.findall(
        r"`(\w+)`", next(line for line in section("files.md", "Run").splitlines() if "`run.json`" in line)
    )[1:]:
        assert name in stated, f"no {name} in run.json"
    assert "arrays_sha256" in stated


@pytest.mark.slow
def test_a_reconstruction_says_what_files_md_says_it_says(folder: Path) -> None:
    text = section("files.md", "Reconstruction").split("Attributes say where it comes")[1]
    named = re.findall(r"`(\w+)`", text)
    assert {"method", "run_class", "network_evaluations"} <= set(named)
    with xr.open_dataset(folder / "fields.nc") as fields:
        for name in named:
            assert name in fields.attrs, f"no attribute {name}"
        assert fields["thetao"].dtype == np.float32
        assert fields["thetao_member"].dims == ("time", "member", "depth", "lat", "lon")
    run = read_run(folder / "run")
    assert run.class_name == "DiffusionReconstructor"


@pytest.mark.slow
def test_mask_takes_both_ends_of_a_period(folder: Path) -> None:
    with xr.open_dataset(folder / "truth.nc") as truth, xr.open_dataset(folder / "obs.nc") as seen:
        months = truth["time"].dt.strftime("%Y-%m").values
        expected = truth["time"].values[(months >= "2001-03") & (months <= "2001-04")]
        np.testing.assert_array_equal(seen["time"].values, expected)
        assert expected.size > 2


@pytest.mark.slow
def test_patterns_are_written_into_observations(folder: Path) -> None:
    with xr.open_dataset(folder / "obs.nc") as seen:
        assert seen.attrs["seed"] == 0
        assert seen.attrs["patterns"] == "thetao=profiles:0.7, sst=clouds:0.5"
        assert (seen["thetao"].attrs["pattern"], seen["sst"].attrs["pattern"]) == ("profiles:0.7", "clouds:0.5")


def test_one_profile_in_five_ends_at_a_random_depth() -> None:
    domain, rng = np.ones((12, 60, 60), bool), np.random.default_rng(0)
    lengths = [parse_pattern("profiles:0.9").draw(domain, rng).sum(axis=0) for _ in range(10)]
    seen = np.concatenate([length[length > 0] for length in lengths])
    # one in twelve of those that end at random ends at the floor
    assert abs((seen < 12).mean() - 0.2) < 0.04
    assert len(set(seen.tolist())) == 12


def test_a_swath_is_eight_cells_wide() -> None:
    domain = np.ones((1, 200, 200), bool)
    runs: dict[str, list[int]] = {}
    for text in ("tracks:0.97", "swaths:0.8"):
        row = parse_pattern(text).draw(domain, np.random.default_rng(1))[0].astype(int)
        edges = np.diff(np.pad(row, ((0, 0), (1, 1))), axis=1)
        runs[text] = (np.argwhere(edges < 0)[:, 1] - np.argwhere(edges > 0)[:, 1]).tolist()
    assert np.median(runs["tracks:0.97"]) == 1
    assert 7 <= np.median(runs["swaths:0.8"]) <= 10


def test_a_peer_states_no_spread_where_the_guide_says_so() -> None:
    from driftfield.registry import build
    from driftfield.testing import tiny_training_data

    row = next(line for line in section("user-guide.md", "Recipes, key by key").splitlines() if "no spread" in line)
    data: Any = tiny_training_data()
    for name in re.findall(r"`(\w+)`", row):
        peer = build("reconstructor", {"class": name})
        peer.fit(data)
        found = peer.reconstruct(tiny_ocean().isel(time=[3]), members=3)
        assert "thetao_sd" not in found or bool(found["thetao_sd"].isnull().all()), f"{name} states a spread"


def _claimed() -> list[tuple[str, str]]:
    return re.findall(r"`([\w/]+\.py)::(\w+)`", (DOCS / "claims.md").read_text(encoding="utf-8"))


def test_every_test_that_holds_a_claim_exists() -> None:
    written = {
        path: set(re.findall(r"^def test_(\w+)", (Path(__file__).parent / path).read_text(encoding="utf-8"), re.M))
        for path in dict(_claimed())
    }
    assert len(_claimed()) > 200
    assert not [f"{path}::{name}" for path, name in _claimed() if name not in written[path]]


def test_every_claim_names_a_test() -> None:
    rows = [line for line in (DOCS / "claims.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    claims = [row for row in rows if not row.startswith("| states")]
    assert len(claims) > 120
    assert not [row for row in claims if "::" not in row]


def test_a_surface_field_takes_the_shallowest_level_of_the_domain() -> None:
    levels = np.array([[[True, True], [True, False]], [[True, False], [False, False]]])
    dataset = xr.Dataset(
        {
            "sst": (("time", "lat", "lon"), np.zeros((1, 2, 2))),
            "domain": (("depth", "lat", "lon"), levels),
        },
        coords={"depth": [5.0, 50.0]},
    )
    found = domain_of(dataset, "sst")
    assert found is not None
    np.testing.assert_array_equal(found.values, levels[0])
