"""A twin experiment hides, keeps and scores the right cells, and can be repeated in parts."""

import sys
from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from driftfield.cli import main
from driftfield.conventions import FORMAT, domain_of, error_of, held_out_of, state_variables
from driftfield.data.sources import open_fields, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError


def world(*, calendar: bool = False) -> xr.Dataset:
    rng = np.random.default_rng(0)
    times: object = np.arange("2001-01-01", "2001-01-07", dtype="datetime64[D]").astype("datetime64[ns]")
    if calendar:
        times = [cftime.Datetime360Day(2001, 2, 25 + i) for i in range(6)]
    thetao = rng.standard_normal((6, 3, 16, 20)).astype(np.float32)
    thetao[:, :, :4, :5] = np.nan
    thetao[:, 2, 10:] = np.nan
    thetao[2, 0, 12, 12] = np.nan  # a gap of the truth
    coords = {"time": times, "depth": [0.0, 10.0, 50.0], "lat": np.arange(16.0), "lon": np.arange(20.0)}
    fields = xr.Dataset({"thetao": (("time", "depth", "lat", "lon"), thetao)}, coords)
    fields["zos"] = fields["thetao"].isel(depth=0, drop=True).fillna(0.5).where(fields["lat"] > 1)
    return fields


@pytest.mark.parametrize("calendar", [False, True])
def test_seen_and_held_out_make_up_what_is_known(calendar: bool) -> None:
    truth = world(calendar=calendar)
    twin = observe(truth, {"thetao": "profiles:0.9", "zos": "clouds:0.6"}, seed=3)
    assert state_variables(twin) == ["thetao", "zos"]
    assert twin.attrs["driftfield_format"] == FORMAT
    assert twin.attrs["seed"] == 3
    for name, share in (("thetao", 0.9), ("zos", 0.6)):
        seen, held, domain = twin[name].notnull(), held_out_of(twin, name), domain_of(twin, name)
        assert held is not None
        assert domain is not None
        assert not (seen & held).any()
        xr.testing.assert_equal(seen | held, truth[name].notnull())
        assert not (held & ~domain).any()
        xr.testing.assert_equal(twin[name].fillna(0), truth[name].where(seen).fillna(0))
        assert float(held.sum() / (seen | held).sum()) == pytest.approx(share, abs=0.01)
        assert error_of(twin, name).where(seen).max() == 0.0
        assert error_of(twin, name).where(~seen).notnull().sum() == 0
    assert "zos_domain" in twin, "the surface field exists where the first level does not"


def test_a_part_of_the_times_gets_the_same_draw() -> None:
    truth = world()
    whole = observe(truth, {"thetao": "random:0.8", "zos": "tracks:0.8"}, error=0.1, seed=1)
    part = observe(truth.isel(time=[4, 1]).chunk({"time": 1}), {"zos": "tracks:0.8"}, error=0.1, seed=1)
    np.testing.assert_array_equal(part["zos"], whole["zos"].isel(time=[4, 1]))
    other = observe(truth, {"zos": "tracks:0.8"}, error=0.1, seed=2)
    assert not other["zos"].equals(whole["zos"])
    coarse = truth.assign_coords(time=truth["time"].values.astype("datetime64[s]"))
    np.testing.assert_array_equal(observe(coarse, {"zos": "tracks:0.8"}, error=0.1, seed=1)["zos"], whole["zos"])


def test_every_time_has_its_own_mask() -> None:
    seen = observe(world(), {"zos": "random:0.5"})["zos"].notnull()
    assert (seen.isel(time=0) != seen.isel(time=1)).any()


def test_the_noise_has_the_standard_deviation_that_is_written() -> None:
    truth = world()
    twin = observe(truth, {"thetao": "random:0.1", "zos": "all"}, error={"thetao": 0.3})
    noise = (twin["thetao"] - truth["thetao"]).values
    assert np.nanstd(noise) == pytest.approx(0.3, rel=0.05)
    assert abs(np.nanmean(noise)) < 0.02
    assert float(twin["thetao_error"].max()) == pytest.approx(0.3)
    np.testing.assert_array_equal(twin["zos"], truth["zos"].astype(np.float32))
    assert not held_out_of(twin, "zos").any()


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    twin = observe(world(), {"thetao": "profiles:n=5", "zos": "blocks:0.5"}, error=0.1)
    write_dataset(twin, tmp_path / "twin.nc")
    again = open_fields(tmp_path / "twin.nc").load()
    xr.testing.assert_equal(again, twin)
    assert again.attrs["patterns"] == "thetao=profiles:n=5, zos=blocks:0.5"


def test_messages() -> None:
    with pytest.raises(DataError, match="Did you mean 'thetao'"):
        observe(world(), {"theta": "all"})
    with pytest.raises(DataError, match="no time axis"):
        observe(world().isel(time=0), {"zos": "all"})
    with pytest.raises(ConfigurationError, match="expected 0 or more"):
        observe(world(), {"zos": "all"}, error=-1.0)
    with pytest.raises(ConfigurationError, match="not observed"):
        observe(world(), {"zos": "all"}, error={"zso": 1.0})
    with pytest.raises(ConfigurationError, match="Nothing to observe"):
        observe(world(), {})


def test_every_instrument_has_its_error_and_the_most_exact_is_taken_where_several_see() -> None:
    truth = world()
    text = "profiles:0.6+clouds:0.5"
    twin = observe(truth, {"thetao": text}, error={"thetao": [0.01, 0.6]}, seed=3)
    plain = observe(truth, {"thetao": text}, error=0.6, seed=3)
    np.testing.assert_array_equal(twin["held_out"], plain["held_out"])  # the masks are those of one error for all
    exact = observe(truth, {"thetao": "profiles:0.6"}, seed=3)["thetao"].notnull()  # drawn first, from the same stream
    seen = twin["thetao"].notnull()
    assert (exact & ~seen).sum() == 0
    assert (seen & ~exact).any()
    expected = xr.where(exact, np.float32(0.01), np.float32(0.6)).where(seen)
    np.testing.assert_array_equal(twin["thetao_error"], expected.transpose(*twin["thetao_error"].dims))
    noise = twin["thetao"] - truth["thetao"]
    assert float(noise.where(exact).std()) == pytest.approx(0.01, rel=0.1)
    assert float(noise.where(seen & ~exact).std()) == pytest.approx(0.6, rel=0.1)
    assert twin["thetao_error"].attrs["comment"].startswith("0.01 of profiles:0.6, 0.6 of clouds:0.5")
    swapped = observe(truth, {"thetao": text}, error={"thetao": [0.6, 0.01]}, seed=3)
    both = swapped["thetao_error"].where(exact) == np.float32(0.01)
    assert both.any()  # a cell of both takes the second, which is the more exact here
    with pytest.raises(ConfigurationError, match=r"3 errors of 'thetao' for the 2 part"):
        observe(truth, {"thetao": text}, error={"thetao": [0.1, 0.2, 0.3]})


def test_the_command_takes_an_error_for_each_instrument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    write_dataset(world(), Path("truth.nc"))
    command = ["driftfield", "mask", "truth.nc", "seen.nc", "--observe", "thetao=profiles:0.6+clouds:0.5", "--error"]

    def run(error: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", [*command, error])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code

    assert not run("thetao=0.01+0.6")
    errors = open_fields("seen.nc").load()["thetao_error"]
    assert set(np.unique(errors.values[np.isfinite(errors.values)])) == {np.float32(0.01), np.float32(0.6)}
    Path("seen.nc").unlink()
    for wrong, said in (("thetao=0.01+0.6+1", "expected one for each"), ("thetao=0.01+x", "expected a number"),
                        ("0.01+0.6", "expected a number"), ("thetao=0.01+-1", "0 or more")):  # fmt: skip
        assert run(wrong) == 2
        assert said in capfd.readouterr().err
