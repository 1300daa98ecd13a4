"""Archives with gaps: patterns that borrow them, samples that never look behind them, normalisers that count what was seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.gaps import gap_share, warn_of_gaps
from driftfield.data.masks import Lender, parse_pattern
from driftfield.data.masks.borrowed import Own
from driftfield.data.patches import Window
from driftfield.data.sources import GriddedArchive, open_archive
from driftfield.data.transplant import transplant_clouds
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.registry import build

WHOLE, PART = Window(0, 0, 12, 16), Window(2, 3, 8, 8)


def gappy(times: int = 10, *, seed: int = 0, every_days: int = 1) -> GriddedArchive:
    """A sea with an island; white noise of deviation 2 about 15 + row; some 40 % of it is missing, in stripes."""
    rng = np.random.default_rng(seed)
    fields = 15 + np.arange(12)[:, None] + 2 * rng.standard_normal((times, 12, 16))
    gaps = (np.arange(16)[None, None, :] + np.arange(12)[None, :, None] + 3 * np.arange(times)[:, None, None]) % 10 < 4
    fields[gaps] = np.nan
    fields[:, 4:6, 4:7] = np.nan
    dates = np.datetime64("2017-05-10", "s") + np.arange(times) * every_days * np.timedelta64(1, "D")
    dataset = xr.Dataset(
        {"sst": (("time", "lat", "lon"), fields.astype(np.float32))},
        {"time": dates, "lat": 36 + 0.1 * np.arange(12), "lon": -3 + 0.1 * np.arange(16)},
    )
    return GriddedArchive(dataset, {"sst": dataset["sst"].notnull().any("time")}, periodic=False)


def dataset_of(archive: GriddedArchive, observing: dict[str, Any], **options: Any) -> TwinDataset:
    times = np.arange(archive.dataset.sizes["time"])
    codec = FieldCodec.fit(archive, times, ["sst"], [], {"class": "ZScore"})
    given: dict[str, Any] = {"times": times, "windows": [WHOLE, PART], "samples": 30, "seed": 3} | options
    return TwinDataset(archive, codec, ObservingSystem(**observing), **given)


# -- own gaps ----------------------------------------------------------------------------------------------------------


def test_own_gaps_are_those_of_another_time_at_the_same_place() -> None:
    archive = gappy()
    known = np.isfinite(archive.dataset["sst"].values)
    domain = archive.domain("sst").values
    for lag in (1, 5, -3):
        pattern = parse_pattern(f"own:{lag}").among(Lender(lambda t: known[t], 2, 10))
        drawn = pattern.draw(domain, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn, domain & known[(2 + lag) % 10])
    pattern = parse_pattern("own").among(Lender(lambda t: known[t], 2, 10))
    drawn = [pattern.draw(domain, np.random.default_rng(seed)) for seed in range(60)]
    donors = {next(t for t in range(10) if (known[t] & domain == one).all()) for one in drawn}
    # the stripes of time 2 itself never hide nothing
    assert 2 not in donors
    assert len(donors) == 9


def test_own_gaps_in_a_twin_experiment_are_transplanted_clouds() -> None:
    fields = gappy().dataset
    twin = observe(fields, {"sst": "own:3"})
    expected = transplant_clouds(fields["sst"], lag=3, most=1.0)
    np.testing.assert_array_equal(twin["held_out"].values, expected.values)


@pytest.mark.parametrize(("text", "count"), [("own", 1), ("own:10", 10), ("own:0", 10)])
def test_there_must_be_another_time_to_borrow_from(text: str, count: int) -> None:
    with pytest.raises(ConfigurationError, match="another time"):
        parse_pattern(text).among(Lender(lambda t: np.ones(1, bool), 0, count))


def test_own_needs_a_record_and_a_whole_lag() -> None:
    with pytest.raises(ConfigurationError, match="from:FILE"):
        Own().draw(np.ones((1, 2, 2), bool), np.random.default_rng(0))
    with pytest.raises(ConfigurationError, match="own:5"):
        parse_pattern("own:five")


# -- samples -----------------------------------------------------------------------------------------------------------


def test_what_is_shown_is_a_part_of_what_is_known() -> None:
    archive = gappy()
    dataset = dataset_of(archive, {"observe": {"sst": "own"}, "visible": {"sst": ["all", "random:0.5", "own"]}})
    shares = []
    for index in range(30):
        sample = dataset[index]
        assert sample.visible is not None
        known = sample.seen.where | sample.held_out
        assert not (sample.visible & ~known).any()
        assert not (known & ~sample.domain).any()
        assert torch.isfinite(sample.target).all()
        assert (sample.target[~known] == 0).all()
        shares.append(float(sample.visible.sum() / known.sum()))
    assert max(shares) == 1.0
    assert min(shares) < 0.7


def test_without_visible_samples_are_what_they_were() -> None:
    archive = gappy()
    plain = dataset_of(archive, {"observe": {"sst": "clouds:0.5"}})
    shown = dataset_of(archive, {"observe": {"sst": "clouds:0.5"}, "visible": {"sst": "random:0.3"}})
    for index in range(4):
        assert plain[index].visible is None
        assert torch.equal(plain[index].seen.where, shown[index].seen.where)
        assert torch.equal(plain[index].seen.value, shown[index].seen.value)


def test_flips_take_the_mask_with_them() -> None:
    archive = gappy()
    dataset = dataset_of(archive, {"observe": {"sst": "own"}, "visible": {"sst": "all"}}, windows=[WHOLE])
    turned = dataset_of(
        archive,
        {"observe": {"sst": "own"}, "visible": {"sst": "all"}},
        windows=[WHOLE],
        symmetries={"flip_latitude": True},
    )
    flipped = 0
    for index in range(8):
        a, b = dataset[index], turned[index]
        assert a.visible is not None
        assert b.visible is not None
        assert torch.equal(b.visible, b.seen.where | b.held_out)
        flipped += not torch.equal(a.target, b.target)
    assert flipped > 0


@pytest.mark.parametrize(
    ("visible", "message"), [({"sss": "all"}, "Did you mean 'sst'"), ({"sst": "clouds:2"}, "0 to 1")]
)
def test_an_impossible_mask_is_refused(visible: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataset_of(gappy(), {"observe": {"sst": "own"}, "visible": visible})


def test_validation_scores_cells_that_were_seen_and_hidden_further() -> None:
    archive = gappy()
    dataset = dataset_of(
        archive, {"observe": {"sst": "clouds:0.5"}, "visible": {"sst": "all"}}, training=False, windows=[WHOLE]
    )
    for index in range(6):
        sample = dataset[index]
        assert sample.held_out.any()
        matching = [
            t
            for t in range(10)
            if torch.equal(sample.seen.where | sample.held_out, torch.from_numpy(dataset._known("sst", t, WHOLE))[None])
        ]
        assert len(matching) == 1


# -- normalisers -------------------------------------------------------------------------------------------------------


def test_a_normaliser_counts_what_was_seen() -> None:
    """Mean and deviation of a gappy archive are those of the values in it, not pulled to anything by the gaps."""
    archive = gappy(times=400)
    normalizer = build("normalizer", {"class": "ZScore"}).fit(
        archive.dataset["sst"], archive.domain("sst"), np.arange(400)
    )
    area = np.cos(np.radians(archive.dataset["lat"])) * archive.domain("sst")
    rows = (15 + xr.DataArray(np.arange(12.0), dims="lat")).broadcast_like(archive.domain("sst"))
    mean = float(rows.weighted(area).mean())
    variance = 4 + float(((rows - mean) ** 2).weighted(area).mean())
    assert float(normalizer.level_mean[0]) == pytest.approx(mean, abs=0.05)
    assert float(normalizer.std.item()) == pytest.approx(variance**0.5, rel=0.02)


@pytest.mark.parametrize("spec", [{"class": "ZScore"}, {"class": "ClimatologicalAnomaly", "per": "domain"}])
def test_a_few_days_are_enough_for_one_mean(spec: dict[str, Any]) -> None:
    """Ten days in one month: finite everywhere, and a deviation that a new day has as well."""
    archive, new = gappy(times=10), gappy(times=10, seed=9)
    normalizer = build("normalizer", spec).fit(archive.dataset["sst"], archive.domain("sst"), np.arange(10))
    mean = normalizer.mean_at(new.times)
    assert np.isfinite(mean).all()
    code = normalizer.encode(new.dataset["sst"].values[:, None], mean)
    assert np.nanstd(code) == pytest.approx(1.0, abs=0.05)


def test_the_mean_of_a_few_days_is_shrunk_so_that_new_days_have_unit_departures() -> None:
    """A plain mean per cell leaves n values 1 - 1 / n of their variance, and new days 1 + 1 / n: 1.2 and more here."""
    archive, new = gappy(times=5), gappy(times=10, seed=9)
    normalizer = build("normalizer", {"class": "ClimatologicalAnomaly", "per": "cell"})
    normalizer.fit(archive.dataset["sst"], archive.domain("sst"), np.arange(5))
    code = normalizer.encode(new.dataset["sst"].values[:, None], normalizer.mean_at(new.times))
    assert 0.9 < np.nanstd(code) < 1.15


# -- gaps --------------------------------------------------------------------------------------------------------------


def test_gaps_that_are_taken_for_data_are_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    archive = gappy()
    missing = archive.dataset["sst"].isnull() & archive.domain("sst")
    expected = float(missing.sum() / (archive.domain("sst").sum() * 10))
    assert gap_share(archive, "sst", np.arange(10)) == pytest.approx(expected)
    warn_of_gaps(archive, np.arange(10), ["sst"])
    assert "visible: {sst: all}" in caplog.text
    caplog.clear()
    full = GriddedArchive(archive.dataset.fillna(1.0), archive.domains, False)
    warn_of_gaps(full, np.arange(10), ["sst"])
    assert not caplog.text


def test_a_cell_that_was_seen_once_is_sea_and_one_that_never_was_is_land(data_folder: Path) -> None:
    archive = open_archive(data_folder / "sst" / "avhrr_alboran_L3_10days_clouds.nc", ["SST"])
    seen = np.isfinite(archive.dataset["SST"].values).sum(axis=0)
    domain = archive.domain("SST").values
    assert ((seen > 0) & ~domain).sum() == 0
    assert int(domain.sum()) == 22127
    assert int((seen == 1).sum()) == 293
    codec = FieldCodec.fit(archive, np.arange(10), ["SST"], [], {"class": "ClimatologicalAnomaly", "per": "domain"})
    assert 0.3 < float(codec.normalizers["SST"].std.item()) < 3
