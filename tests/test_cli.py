"""The commands as a user types them: a tiny ocean is hidden, learnt, completed and scored."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from commands import Command, hearing_errors

import driftfield
from driftfield.cli import main
from driftfield.data.sources import write_dataset
from driftfield.testing import tiny_ocean, tiny_recipe

PEER, MODEL = tiny_recipe(method="Climatology"), tiny_recipe()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `driftfield ARGUMENTS` in this process: exit code and what it says on stderr."""
    return hearing_errors(capsys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the truth and recipes; the commands run in it."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tiny_ocean(times=20), tmp_path / "truth.nc")
    for name, content in (("peer", PEER), ("model", MODEL)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


def mask(command: Command, *more: str) -> None:
    observe = ["--observe", "thetao=profiles:0.7", "--observe", "sst=clouds:0.5"]
    assert command("mask", "truth.nc", "obs.nc", *observe, "--error", "0.05", *more) == (0, "")


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys, driftfield.cli as cli\n"
        "sys.argv = ['driftfield', 'reconstruct', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'lightning', 'xarray', 'numpy', 'matplotlib', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--members" in done.stdout


def test_the_version_is_printed(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["driftfield", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert capsys.readouterr().out.strip() == driftfield.__version__


def test_a_peer_from_mask_to_report(command: Command, folder: Path) -> None:
    mask(command, "--time", "2001-06:")
    seen = xr.load_dataset("obs.nc")
    assert seen["time"].values[0] >= np.datetime64("2001-06-01")
    assert {"thetao", "thetao_error", "sst", "sst_error", "domain", "held_out", "sst_held_out"} <= set(seen)
    assert command("train", "peer.yaml", "--out", "runs/peer")[0] == 0
    assert yaml.safe_load((folder / "runs/peer/recipe.yaml").read_text(encoding="utf-8")) == PEER
    assert command("reconstruct", "runs/peer", "obs.nc", "--out", "peer.zarr", "--members", "3", "--seed", "2")[0] == 0
    found = xr.open_zarr("peer.zarr", consolidated=False)
    assert found["thetao_member"].sizes["member"] == 3
    assert (found.attrs["method"], found.attrs["seed"], found.attrs["observations"]) == ("climatology", 2, "obs.nc")
    assert command("evaluate", "truth.nc", "peer.zarr", "--observations", "obs.nc", "--out", "report")[0] == 0
    scores = json.loads((folder / "report/scores.json").read_text(encoding="utf-8"))
    assert scores["climatology"]["thetao"]["n"] == int(seen["held_out"].sum())
    assert (folder / "report/report.html").stat().st_size > 10_000


def test_two_outputs_of_one_method_are_both_scored(command: Command, folder: Path, without_figures: None) -> None:
    mask(command)
    assert command("train", "peer.yaml", "--out", "runs/peer")[0] == 0
    for name, seed in (("a", "0"), ("b", "1")):
        out = f"{name}/out.nc"
        assert command("reconstruct", "runs/peer", "obs.nc", "--out", out, "--members", "2", "--seed", seed)[0] == 0
    assert (
        command("evaluate", "truth.nc", "a/out.nc", "b/out.nc", "--observations", "obs.nc", "--out", "report")[0] == 0
    )
    assert len(json.loads((folder / "report/scores.json").read_text(encoding="utf-8"))) == 2


@pytest.mark.slow
def test_the_model_from_recipe_to_report(command: Command, folder: Path, without_figures: None) -> None:
    mask(command)
    assert command("train", "model.yaml", "--out", "runs/model", "--set", "trainer.steps=2")[0] == 0
    assert json.loads((folder / "runs/model/run.json").read_text())["extra"]["recipe_hash"]
    code, message = command("train", "model.yaml", "--out", "runs/model")
    assert (code, "run.json exists already" in message) == (2, True)
    assert command("train", "model.yaml", "--out", "runs/model", "--resume")[0] == 0
    history = json.loads((folder / "runs/model/run.json").read_text())["extra"]["history"]
    assert [record["step"] for record in history] == [2, 3]
    draw = ["reconstruct", "runs/model", "obs.nc", "--members", "3"]
    assert command(*draw, "--out", "a.nc")[0] == 0
    assert command(*draw, "--out", "b.nc", "--batch-size", "2")[0] == 0
    a, b = xr.load_dataset("a.nc"), xr.load_dataset("b.nc")
    xr.testing.assert_allclose(a["thetao_member"], b["thetao_member"], rtol=1e-5, atol=1e-4)
    assert (a.attrs["sampler"], a.attrs["network_evaluations"]) == ("DPMSolverPP2M", 5)  # two of them find the start
    assert command(*draw, "--out", "c.nc", "--sampler", "HeunSampler:5")[0] == 0
    c = xr.load_dataset("c.nc")
    assert (c.attrs["sampler"], c.attrs["network_evaluations"]) == ("HeunSampler", 7)
    assert command(*draw, "--out", "d.nc", "--precision", "bfloat16")[0] == 0
    d = xr.load_dataset("d.nc")
    assert d.attrs["precision"] == "bfloat16"
    moved, spread = float(abs(d.thetao_member - a.thetao_member).mean()), float(a.thetao_sd.mean())
    assert 0 < moved < 0.05 * spread
    assert command("evaluate", "truth.nc", "a.nc", "--observations", "obs.nc", "--out", "report")[0] == 0


# -- what is there is kept ---------------------------------------------------------------------------------------------


def test_an_existing_output_is_refused_and_untouched(command: Command, folder: Path) -> None:
    mask(command)
    assert command("train", "peer.yaml", "--out", "runs/peer")[0] == 0
    (folder / "keep.nc").write_bytes(b"mine")
    (folder / "report").mkdir()
    (folder / "report/mine.txt").write_text("mine")
    before = (folder / "runs/peer/run.json").read_bytes()
    for arguments in (
        ["simulate", "ocean", "keep.nc"],
        ["mask", "truth.nc", "keep.nc", "--observe", "thetao=all"],
        ["train", "peer.yaml", "--out", "runs/peer"],
        ["reconstruct", "runs/peer", "obs.nc", "--out", "keep.nc"],
        ["evaluate", "truth.nc", "obs.nc", "--observations", "obs.nc", "--out", "report"],
    ):
        code, message = command(*arguments)
        assert code == 2, arguments
        assert "exists already" in message
        assert "--overwrite" in message
    assert (folder / "keep.nc").read_bytes() == b"mine"
    assert [path.name for path in (folder / "report").iterdir()] == ["mine.txt"]
    assert (folder / "runs/peer/run.json").read_bytes() == before
    assert command("mask", "truth.nc", "keep.nc", "--observe", "thetao=all", "--overwrite")[0] == 0
    assert "thetao" in xr.load_dataset("keep.nc")


def test_an_unfinished_training_is_not_thrown_away(command: Command, folder: Path) -> None:
    last = folder / "runs/model/checkpoints/last"
    last.mkdir(parents=True)
    (last / "run.json").write_text("{}")
    code, message = command("train", "model.yaml", "--out", "runs/model")
    assert code == 2
    assert "--resume" in message
    assert "--overwrite" in message


# -- the domain --------------------------------------------------------------------------------------------------------


def test_the_domain_comes_from_the_observations_then_the_option_then_the_run(command: Command, folder: Path) -> None:
    mask(command)
    assert command("train", "peer.yaml", "--out", "runs/peer")[0] == 0
    seen = xr.load_dataset("obs.nc")
    whole = seen["domain"].astype(bool)
    north, west = whole & (seen["lat"] > 32), whole & (seen["lon"] < -37)
    write_dataset(seen.assign(domain=north), "north.nc")
    write_dataset(seen.drop_vars("domain"), "bare.nc")
    write_dataset(west.assign_coords(lon=west["lon"] % 360).to_dataset(name="domain"), "west.nc")

    def existing(obs: str, *more: str) -> xr.DataArray:
        options = ["--out", "x.nc", "--members", "1", "--overwrite", *more]
        assert command("reconstruct", "runs/peer", obs, *options)[0] == 0
        return xr.load_dataset("x.nc")["thetao"].notnull().all("time").drop_vars(["lon", "lat", "depth"])

    def bare(mask: xr.DataArray) -> xr.DataArray:
        return mask.drop_vars(["lon", "lat", "depth"])

    assert (existing("north.nc", "--domain", "west.nc", "--drop-outside") == bare(north)).all()
    assert (existing("bare.nc", "--domain", "west.nc", "--drop-outside") == bare(west)).all()
    assert (existing("bare.nc") == bare(whole)).all()


# -- what the pages say ------------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[1]
MADE = ("generated", "_build")
"""What building the site leaves."""
WRITTEN = [page for page in (ROOT / "docs").rglob("*.md") if page.relative_to(ROOT / "docs").parts[0] not in MADE]
PAGES = [ROOT / "ARCHITECTURE.md", *sorted(WRITTEN)]


def shown_commands() -> list[tuple[str, list[str]]]:
    """Command lines in the code blocks of the pages."""
    blocks = [
        (page.name, block) for page in PAGES for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.S)
    ]
    lines = [(name, line) for name, block in blocks for line in block.splitlines() if line.startswith("driftfield ")]
    return [(name, shlex.split(line)[1:]) for name, line in lines]


def test_every_command_of_the_pages_can_be_parsed() -> None:
    from typer.main import get_command

    from driftfield.cli import app

    shown = shown_commands()
    assert len(shown) >= 8
    for page, (name, *arguments) in shown:
        group = get_command(app)
        while hasattr(group, "commands"):
            group = group.commands[name]
            if hasattr(group, "commands"):
                name, *arguments = arguments
        group.make_context(f"{page}: {name}", arguments)  # refuses what it does not know


def test_every_file_that_the_pages_link_exists() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
            if "generated/tutorials/" in target:
                # made when the site is built
                target = target.replace("generated/", "").replace(".md", ".py")
            if not target.startswith("http") and "generated/" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.slow
def test_the_python_of_the_user_guide_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/user-guide.md").read_text("utf-8"), re.S)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "climatology" in done.stdout


def test_every_key_of_the_recipes_in_the_user_guide_exists(tmp_path: Path) -> None:
    from driftfield.data.codec import FieldCodec
    from driftfield.models.networked import NetworkReconstructor
    from driftfield.recipe import read_recipe
    from driftfield.registry import build
    from driftfield.testing import tiny_training_data

    content: dict[str, object] = {}
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/user-guide.md").read_text("utf-8"), re.S)
    for block in blocks:
        if "downscaler" in (part := yaml.safe_load(block)):
            (tmp_path / "recipe.yaml").write_text(block)
            build(*read_recipe(tmp_path / "recipe.yaml").learner)
            continue
        content |= part
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"data": {"archive": "a", "targets": ["a"]}} | content))
        if "reconstructor" in content:
            recipe = read_recipe(tmp_path / "recipe.yaml")
            built = build("reconstructor", recipe.reconstructor)
            if isinstance(built, NetworkReconstructor):
                data = tiny_training_data()
                codec = FieldCodec.fit(data.archive, data.train, ["thetao"], [], {"class": "ZScore"})  # type: ignore[arg-type]
                built.build_model(codec)
    assert build("trainer", recipe.trainer).steps == 6000
