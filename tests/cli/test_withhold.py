"""`reconstruct --withhold`: a share of what was seen is hidden, and scored on the way."""

from pathlib import Path

import pytest
import xarray as xr
import yaml
from commands import hearing_all

from driftfield.data.masks.withheld import withhold_share
from driftfield.data.observation_files import open_observations
from driftfield.data.sources import write_dataset
from driftfield.errors import DataError
from driftfield.testing import tiny_ocean, tiny_recipe


def test_reconstruct_scores_what_it_withholds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = hearing_all(capsys)
    write_dataset(tiny_ocean(times=20), tmp_path / "truth.nc")
    (tmp_path / "peer.yaml").write_text(yaml.safe_dump(tiny_recipe(method="Climatology")), encoding="utf-8")
    hide = ["--observe", "thetao=profiles:0.3", "--observe", "sst=clouds:0.3", "--error", "0.05"]
    assert command("mask", "truth.nc", "obs.nc", *hide)[0] == 0
    assert command("train", "peer.yaml", "--out", "peer")[0] == 0
    code, said = command("reconstruct", "peer", "obs.nc", "--out", "part.nc", "--withhold", "0.25", "--seed", "3")
    assert code == 0, said
    shown = withhold_share(open_observations(Path("obs.nc")), 0.25, seed=3)
    seen = xr.load_dataset("obs.nc")["thetao"].notnull()
    hidden = shown["thetao_held_out"]
    assert not (hidden & ~seen.transpose(*hidden.dims).values).any()
    assert not (shown["thetao"].transpose(*hidden.dims).notnull() & hidden).any()
    assert float(hidden.sum() / seen.sum()) == pytest.approx(0.25, abs=0.06)
    assert f"thetao on {int(hidden.sum()):,} withheld values" in said
    assert "RMSE" in said
    assert "was made without these 25%" in said
    code, said = command("reconstruct", "peer", "obs.nc", "--out", "none.nc", "--withhold", "1")
    assert code == 2
    assert "--withhold 1" in said


def test_a_single_value_cannot_be_withheld() -> None:
    ocean = tiny_ocean(times=1)[["sst"]]
    alone = ocean.where((ocean["lat"] == ocean["lat"][3]) & (ocean["lon"] == ocean["lon"][4]))
    with pytest.raises(DataError, match="leave --withhold out"):
        withhold_share(alone, 0.1)
