"""Scores of whole fields: each is what it says, has its ideal at the truth, and is found by the registry."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from coarse_world import coarse_world

from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.alignment import everything_held_out
from driftfield.evaluate.evaluation import evaluate
from driftfield.evaluate.report import write_report
from driftfield.evaluate.scores.correlation_bias import correlation_bias
from driftfield.evaluate.scores.fss import fss
from driftfield.evaluate.scores.ralsd import ralsd
from driftfield.evaluate.scores.score import field_scores
from driftfield.evaluate.scores.small_scales import spectrum_beyond
from driftfield.evaluate.scores.spells import longest_spell
from driftfield.evaluate.scores.wet_coverage import wet_coverage
from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.evaluate.structure import radial_power
from driftfield.evaluate.whole import StructureAsked


def test_fractions_forgive_a_shift_within_the_window() -> None:
    rain = np.zeros((1, 40, 40))
    rain[0, 20, 20] = 5.0
    assert fss(rain, rain, 1.0) == 1.0
    near, far = np.roll(rain, 1, axis=2), np.roll(rain, 12, axis=2)
    # a shift of one cell leaves 4 of 5 columns of windows alike
    assert fss(near, rain, 1.0) == pytest.approx(0.8)
    assert fss(far, rain, 1.0) == 0.0
    assert np.isnan(fss(rain * 0, rain * 0, 1.0))


def test_spells_stop_at_breaks() -> None:
    event = np.array([1, 1, 1, 0, 1, 1, 1, 1], dtype=bool)[:, None, None]
    assert longest_spell(event)[0, 0] == 4
    breaks = np.zeros(8, dtype=bool)
    breaks[6] = True
    assert longest_spell(event, breaks)[0, 0] == 3


def test_the_truth_has_the_ideal_of_every_score() -> None:
    """Each registered score of whole fields, asked through the registry: its ideal, its kind, and that other fields are worse."""
    truth = coarse_world(60)
    pr, tas = (truth[name].values.astype(float) for name in ("pr", "tas"))
    perfect = WholeFields(pr[None], pr, wet=1.0, width=4.0, beside=((tas, tas),))
    rng = np.random.default_rng(0)
    wrong = 0.4 * np.maximum(pr + rng.standard_normal(pr.shape), 0.0)[:, ::-1]
    other = WholeFields(wrong[None], pr, wet=1.0, width=4.0, beside=((tas, tas),))
    for name, score in field_scores().items():
        assert score.kinds == ("fields",)
        assert score.fields is not None
        if name == "coverage_90_wet":
            continue
        assert score.fields(perfect) == pytest.approx(score.ideal, abs=1e-9), name
        assert score.distance(score.fields(other)) > score.distance(score.fields(perfect)), name


def test_figures_by_hand() -> None:
    truth = np.array([0.0, 2.0, 2.0, 4.0, 0.0, 0.0])[:, None, None] * np.ones((1, 2, 2))
    made = np.array([1.0, 2.0, 0.0, 3.0, 0.0, 1.0])[:, None, None] * np.ones((1, 2, 2))
    fields = WholeFields(np.stack([made, truth]), truth, wet=1.0)
    found = {name: score.fields(fields) for name, score in field_scores().items() if score.fields is not None}
    assert found["wet_share"] == pytest.approx((4 / 6 + 3 / 6) / 2 / (3 / 6))
    assert found["rx1day"] == pytest.approx(3.5 / 4)
    assert found["cdd"] == pytest.approx((1 + 2) / 2 / 2)
    assert found["cwd"] == pytest.approx((2 + 3) / 2 / 3)
    assert found["p99_9"] == pytest.approx(
        (np.quantile(made, 0.999) + np.quantile(truth, 0.999)) / 2 / np.quantile(truth, 0.999)
    )
    assert found["mean_in_cells"] == pytest.approx(abs((made.mean() + truth.mean()) / 2 - truth.mean()))
    # nobody says what is wet, or coarse
    unknown = WholeFields(fields.members, truth)
    for name in ("wet_share", "fss_wet", "cdd", "cwd", "coverage_90_wet", "log10_spectrum_beyond", "correlation_bias"):
        score = field_scores()[name]
        assert score.fields is not None
        assert np.isnan(score.fields(unknown)), name


def test_coverage_counts_where_the_coarse_field_is_wet() -> None:
    rng = np.random.default_rng(0)
    scale = rng.gamma(2.0, 1.0, (60, 12, 16))
    members = scale + 0.5 * rng.standard_normal((100, *scale.shape))
    other = scale + 0.5 * rng.standard_normal(scale.shape)
    # where it is dry the members have no width and miss
    members[:, scale <= 1] = 0.0
    assert wet_coverage(WholeFields(members, other, coarse_wet=scale > 1)) == pytest.approx(0.9, abs=0.02)
    assert wet_coverage(WholeFields(members, other, coarse_wet=scale > 0)) < 0.8


def test_cells_that_are_not_known_have_no_say() -> None:
    truth = coarse_world(30)["pr"].values.astype(float)
    hole = truth.copy()
    hole[5, 3, 4] = np.nan
    wild = truth.copy()
    wild[:, 3, 4] = 1e6
    fields = WholeFields(wild[None], hole, wet=1.0, width=4.0)
    assert fields.cells.sum() == truth[0].size - 1
    for name in ("wet_share", "p99", "fss_wet", "rx1day", "cdd", "cwd", "mean_in_cells"):
        score = field_scores()[name]
        assert score.fields is not None
        assert score.fields(fields) == pytest.approx(score.ideal), name
    for name in ("ralsd_db", "log10_spectrum_beyond"):
        score = field_scores()[name]
        assert score.fields is not None
        assert np.isnan(score.fields(fields))


def test_an_evaluation_has_them_beside_the_others(tmp_path: Path) -> None:
    truth = coarse_world(40)
    outputs = {"wet": truth + xr.Dataset({"pr": xr.zeros_like(truth["pr"]) + 1.0, "tas": xr.zeros_like(truth["tas"])})}
    for name in ("pr", "tas"):
        outputs["wet"][name].attrs = dict(truth[name].attrs)
    seen = everything_held_out(truth, outputs)
    found = evaluate(truth, outputs, seen, structure=StructureAsked({"pr": 1.0}, 4.0)).scores["wet"]
    assert found["pr"]["wet_share"] == pytest.approx(found["pr"]["wet_share_made"] / found["pr"]["wet_share_truth"])
    assert found["pr"]["wet_share_made"] == 1.0
    assert found["tas"]["ralsd_db"] == pytest.approx(0.0, abs=1e-4)
    assert "ralsd_db" not in evaluate(truth, outputs, seen).scores["wet"]["pr"]
    with pytest.raises(ConfigurationError, match="Did you mean 'pr'"):
        evaluate(truth, outputs, seen, structure=StructureAsked({"prr": 1.0}))
    evaluation = evaluate(truth, outputs, seen, structure=StructureAsked({"pr": 1.0}, 4.0, only=["p99"]))
    assert "cdd" not in evaluation.scores["wet"]["pr"]
    write_report(evaluation, [], provenance={}, path=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Structure of the whole fields" in page
    assert "P99 / truth" in page


def test_small_scales_are_one_number() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((200, 32, 32))
    assert spectrum_beyond(truth, truth, 4) == 0.0
    assert spectrum_beyond(0.1 * truth, truth, 4) == pytest.approx(-2.0)
    assert ralsd(0.1 * truth, truth) == pytest.approx(20.0)
    assert ralsd(rng.standard_normal((200, 32, 32)), truth) < 0.5
    means = np.kron(truth.reshape(200, 8, 4, 8, 4).mean((2, 4)), np.ones((1, 4, 4)))
    assert spectrum_beyond(means, truth, 4) < -1
    # white noise is flat
    power = radial_power(truth)[1]
    assert power.std() / power.mean() < 0.1
    with pytest.raises(DataError, match="8 x 8"):
        radial_power(truth[:, :4])
    with pytest.raises(DataError, match="without holes"):
        radial_power(np.where(truth > 3, np.nan, truth))


def test_the_bias_of_a_correlation() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4000, 3, 4))
    b = 0.6 * a + 0.8 * rng.standard_normal(a.shape)
    assert correlation_bias((a, b), (a, b)) == 0.0
    assert correlation_bias((a, rng.standard_normal(a.shape)), (a, b)) == pytest.approx(0.6, abs=0.03)
