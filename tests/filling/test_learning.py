"""What is learnt within `--learn`: from the visible part alone, over a guess that knows all dates, and used only if it wins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from filled_sources import fill_source
from scipy.ndimage import gaussian_filter

from driftfield.errors import ConfigurationError
from driftfield.filling import learning as module
from driftfield.filling.account import commands, recipe
from driftfield.filling.learning import Learning, learn, minutes_of
from driftfield.filling.methods import Knowledge, named
from driftfield.filling.reading import read_record
from driftfield.filling.record import Record
from driftfield.filling.validation import validate, withhold
from driftfield.runs import load_reconstructor

pytest.importorskip("driftfield.training")


def scene(dates: int = 8) -> xr.Dataset:
    """A sea of 12 x 16 cells under clouds."""
    rng = np.random.default_rng(0)
    truth = 15 + gaussian_filter(rng.standard_normal((dates, 12, 16)), (1, 2, 2)) * 8
    clouds = gaussian_filter(rng.standard_normal((dates, 12, 16)), (0, 1.5, 1.5)) > 0.1
    coords = {
        "time": np.datetime64("2020-06-01", "ns") + np.arange(dates) * np.timedelta64(1, "D"),
        "lat": np.linspace(34, 36.2, 12),
        "lon": np.linspace(0, 3.0, 16),
    }
    values = np.where(clouds, np.nan, truth).astype(np.float32)
    fields = xr.Dataset({"sst": (("time", "lat", "lon"), values, {"units": "degC"})}, coords=coords)
    return fields.assign(sst_error=xr.where(fields["sst"].notnull(), 0.05, np.nan).astype(np.float32))


@pytest.fixture(autouse=True)
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    made = module.trainer_of

    def short(seconds: float) -> dict[str, Any]:
        return made(seconds) | {"steps": 2, "batch_size": 2, "validate_every": 2, "callbacks": []}

    monkeypatch.setattr(module, "trainer_of", short)
    monkeypatch.setattr(module, "MEMBERS", 3)
    monkeypatch.setattr(module, "_seconds_of_a_guess", lambda *_: 1.0)


@pytest.mark.parametrize(("text", "minutes"), [("90s", 1.5), ("10min", 10.0), (" 0.5 h", 30.0)])
def test_a_time_is_read(text: str, minutes: float) -> None:
    assert minutes_of(text) == pytest.approx(minutes)


@pytest.mark.parametrize("text", ["10", "0min", "-3min", "ten minutes", "1d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected how long, such as 90s, 10min or 1h"):
        minutes_of(text)


def test_too_few_dates_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="learns nothing from so few"):
        fill_source(scene(4), method="climatology", learn="20s")


def test_a_record_without_a_gap_is_refused() -> None:
    whole = scene().drop_vars("sst_error")
    whole["sst"] = whole["sst"].fillna(15.0)
    with pytest.raises(ConfigurationError, match="nothing is missing"):
        fill_source(whole, learn="20s")


def learnt_from(record: Record, folder: Path) -> Any:
    fold = withhold(record, seed=0)
    method = named("linear", record, Knowledge())
    weights = np.ones(fold.truth.size)
    best = validate(method, [fold], weights, seed=0)
    return learn(record, fold, weights, best, (best, method), Learning(0.4, folder), seed=0), fold


def test_what_is_hidden_is_not_learnt_from(tmp_path: Path) -> None:
    record = read_record(scene())
    first, fold = learnt_from(record, tmp_path / "a")
    changed = record.field.copy(data=np.where(fold.hidden, record.field.values + 5.0, record.field.values))
    second, other = learnt_from(replace(record, field=changed), tmp_path / "b")
    np.testing.assert_array_equal(other.hidden, fold.hidden)
    np.testing.assert_allclose(second.scores.error + other.truth, first.scores.error + fold.truth, atol=1e-4)


def test_the_better_one_fills_and_the_run_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wins in (False, True):
        monkeypatch.setattr(module.Learnt, "wins", wins)
        filled = fill_source(
            scene(), method="climatology", learn="20s", members=2, run_folder=tmp_path / f"{wins}.network"
        )
        assert filled.learnt is not None
        assert (filled.chosen == "diffusion of what climatology leaves") == wins
        assert filled.lines[0].startswith("a diffusion model learnt")
        assert ("it fills the file" in filled.lines[0]) == wins
        assert filled.dataset["sst_member"].sizes["member"] == 2
        assert bool(np.isfinite(filled.dataset["sst"]).all())
        assert filled.learnt.scores not in filled.scores
        again = load_reconstructor(tmp_path / f"{wins}.network")
        assert again.method == "diffusion"
    assert "LightningTrainer" in recipe(filled)
    assert commands(filled, tmp_path / "out.recipe.yaml")[0].startswith("driftfield reconstruct ")
