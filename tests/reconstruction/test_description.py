"""`inspect RUN` says what a run is, from what it was made, and what to do with it."""

from pathlib import Path

import pytest
from commands import hearing_all

from driftfield.checkpoint import read_run, write_run
from driftfield.reconstruction.description import about, describe
from driftfield.runs import shipped_runs


@pytest.mark.parametrize("name", sorted(shipped_runs()))
def test_every_shipped_run_is_described(name: str) -> None:
    said = describe(read_run(shipped_runs()[name]), f"shipped:{name}")
    assert said.startswith(f"shipped:{name} is a run: ")
    assert said.endswith(f"next: driftfield reconstruct shipped:{name} OBSERVATIONS --out OUT.nc")
    assert "None" not in said


def test_a_trained_network_says_how() -> None:
    said = describe(read_run(shipped_runs()["ocean_diffusion"]), "runs/mine")
    assert "DiffusionReconstructor of thetao with sst; depth 5 to 1000 m (10); lat 33.12 to 40.88 °N (32)" in said
    assert "made for: sst clouds:0.5-0.95; thetao profiles:0.9-0.98, profiles:0.95; observation error 0.05" in said
    assert "network: ResidualUNet, 3.00 million weights" in said
    assert "trained: 13500 steps; last validation: crps 0.136" in said
    assert "calibrated: no (driftfield calibrate runs/mine)" in said


def test_a_calibration_is_said_with_what_it_changed(tmp_path: Path) -> None:
    scores = {"raw": {"spread_skill": 0.5, "coverage_90": 0.7}, "calibrated": {"spread_skill": 1.0, "coverage_90": 0.9}}
    calibration = {"about": {"cases": 12, "scores": {"sst": scores}}}
    write_run(tmp_path, "Climatology", {}, {}, {"targets": ["sst"], "calibration": calibration})
    said = describe(read_run(tmp_path), "mine")
    assert "calibrated on 12 validation dates: sst spread-skill 0.50 -> 1.00, 90 % coverage 0.70 -> 0.90" in said


@pytest.mark.parametrize(("kind", "job"), [("Bilinear", "downscale mine COARSE"), ("NoSuchClass", "")])
def test_what_comes_next_depends_on_the_family(tmp_path: Path, kind: str, job: str) -> None:
    write_run(tmp_path, kind, {}, {}, {"targets": ["sst"]})
    said = describe(read_run(tmp_path), "mine")
    assert (f"next: driftfield {job}" in said) if job else ("next:" not in said)


def test_the_command_takes_a_run_or_a_shipped_name(capsys: pytest.CaptureFixture[str]) -> None:
    command = hearing_all(capsys)
    folder = shipped_runs()["ocean_oi"]
    for name in ("shipped:ocean_oi", str(folder)):
        code, said = command("inspect", name)
        assert code == 0
        assert said.startswith(f"{name} is a run: {about(read_run(folder))}")
