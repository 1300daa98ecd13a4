"""`driftfield demo --downscale`, small: it writes what it says, without a network or a file."""

import json
from pathlib import Path

import pytest
import xarray as xr

from driftfield import demo
from driftfield.errors import ExistsError
from driftfield.runs import load_downscaler


@pytest.mark.slow
def test_the_downscaling_demo_writes_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "YEARS", 0.75)
    out = tmp_path / "demo"
    demo.run_downscaling_demo(out, cases=6, members=8, seed=3)
    said = capsys.readouterr().out
    for name in ("run", "coarse.nc", "report.html"):
        assert name in said
    scores = json.loads((out / "report" / "scores.json").read_text(encoding="utf-8"))
    assert set(scores) == set(demo.DOWNSCALERS)
    crps = {method: part["sst"]["crps"] for method, part in scores.items()}
    assert min(crps, key=lambda method: crps[method]) == "kernel regression, conserving"
    with xr.open_dataset(out / "downscaled.nc") as written, xr.open_dataset(out / "coarse.nc") as coarse:
        assert written["sst_member"].sizes["member"] == 8
        assert written.sizes["time"] == coarse.sizes["time"] == 6
    assert load_downscaler(out / "run").method == "kernel regression, conserving"
    with pytest.raises(ExistsError, match="--overwrite"):
        demo.run_downscaling_demo(out, cases=6, members=8, seed=3)
