"""The demo, small: it writes what it says, from shipped runs that load, and the model beats every peer's CRPS."""

import json
from pathlib import Path

import pytest
import xarray as xr

from driftfield.data.twin import observe
from driftfield.demo import METHODS, OBSERVE, run_demo
from driftfield.errors import ConfigurationError, ExistsError
from driftfield.runs import load_reconstructor, shipped_run
from driftfield.worlds.ocean import simulate_ocean


@pytest.mark.parametrize("name", METHODS)
def test_every_shipped_run_is_small_and_loads(name: str) -> None:
    folder = shipped_run(name)
    assert (folder / "arrays.safetensors").stat().st_size < 10_000_000
    assert load_reconstructor(folder).method


def test_an_unknown_shipped_run_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ocean_diffusion"):
        shipped_run("ocean_difusion")


@pytest.mark.slow
def test_the_demo_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_demo(tmp_path / "demo", cases=2, members=8, seed=3)
    said = capsys.readouterr().out
    with xr.open_dataset(tmp_path / "demo" / "ocean_diffusion.nc") as written:
        assert written["thetao_member"].sizes["member"] == 8
        assert written.attrs["network_evaluations"] <= 20
        inside = xr.open_dataset(tmp_path / "demo" / "observations.nc")["domain"].astype(bool)
        assert bool((written["thetao"].notnull() == inside).all())
    scores = json.loads((tmp_path / "demo" / "report" / "scores.json").read_text(encoding="utf-8"))
    assert set(scores) == {"diffusion", "optimal_interpolation", "unet", "linear", "climatology"}
    crps = {method: found["thetao"]["crps"] for method, found in scores.items()}
    assert crps["diffusion"] == min(crps.values())
    for name in ("ocean_diffusion.nc", "report.html", "scores.json", "figures"):
        assert name in said
    with pytest.raises(ExistsError, match="--overwrite"):
        run_demo(tmp_path / "demo", cases=2, members=8, seed=3)


@pytest.mark.slow
def test_a_member_of_the_shipped_model_does_not_depend_on_batch_size_or_company() -> None:
    truth = simulate_ocean(years=0.1, every_days=15, start="2041-02-01", seed=5)[["thetao", "sst"]]
    seen = observe(truth, OBSERVE, error=0.05, seed=5)
    model = load_reconstructor(shipped_run("ocean_diffusion"))
    whole = model.reconstruct(seen, members=4, seed=2)["thetao_member"]
    alone = model.reconstruct(seen.isel(time=[1]), members=2, seed=2, batch_size=1)["thetao_member"]
    expected = whole.isel(time=[1], member=[0, 1])
    scale = float(abs(expected).max())
    assert float(abs(alone - expected).max()) <= 1e-5 * scale
