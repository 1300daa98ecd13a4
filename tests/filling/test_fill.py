"""A field with gaps in, a complete one out: nothing is left out, nothing is changed that was seen, and what was done is said."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from filled_sources import fill_source
from scipy.ndimage import gaussian_filter

import driftfield as df
from driftfield.cli import app
from driftfield.errors import ConfigurationError, DataError
from driftfield.filling.account import commands, recipe, table
from driftfield.filling.estimation import without_holes
from driftfield.filling.filling import _folds
from driftfield.filling.methods import Knowledge, methods_for
from driftfield.filling.picture import draw
from driftfield.filling.quantity import recognise
from driftfield.filling.reading import read_record, read_records
from driftfield.filling.spread import Distances
from driftfield.filling.validation import refitted, score
from driftfield.reconstruction.output import Estimate


def smooth(shape: tuple[int, ...], seed: int, width: float = 4.0) -> np.ndarray:
    """Unit noise, smooth in space."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    field = gaussian_filter(noise, (*[0.0] * (len(shape) - 2), width, width))
    return field / field.std()


def scene(dates: int = 3, *, seed: int = 0, land: bool = True) -> tuple[xr.Dataset, np.ndarray]:
    """A sea of 24 x 30 cells with clouds, and its truth."""
    shape = (dates, 24, 30)
    truth = (18 + smooth(shape, seed) + np.linspace(0, 1, 24)[:, None]).astype(np.float32)
    clouds = smooth(shape, seed + 50, 2.5) > 0.6
    sea = np.ones(shape[1:], dtype=bool)
    if land:
        sea[:6, :8] = False
    values = np.where(sea & ~clouds, truth, np.nan)
    coords = {
        "time": np.datetime64("2020-06-01", "ns") + np.arange(dates) * np.timedelta64(1, "D"),
        "lat": ("lat", np.linspace(34, 36.3, 24), {"units": "degrees_north"}),
        "lon": ("lon", np.linspace(0, 2.9, 30), {"units": "degrees_east"}),
    }
    dataset = xr.Dataset({"sst": (("time", "lat", "lon"), values, {"units": "degC"})}, coords=coords)
    return dataset.assign(mask=(("lat", "lon"), sea.astype(np.int8))), truth


@pytest.fixture(scope="module")
def three_days() -> tuple[xr.Dataset, np.ndarray, xr.Dataset]:
    seen, truth = scene()
    return seen, truth, df.fill(seen, "sst", members=3)


def test_every_cell_of_the_domain_has_a_value_and_a_spread(
    three_days: tuple[xr.Dataset, np.ndarray, xr.Dataset],
) -> None:
    seen, _, fields = three_days
    sea = seen["mask"].values.astype(bool)
    for name in ("sst", "sst_sd"):
        np.testing.assert_array_equal(np.isfinite(fields[name].values), np.broadcast_to(sea, fields[name].shape))
    assert fields["sst_member"].sizes["member"] == 3
    hidden = sea & np.isnan(seen["sst"].values)
    assert (fields["sst_sd"].values[hidden] > 0).all()


def test_what_was_seen_is_kept_and_the_gaps_are_nearer_than_the_mean(
    three_days: tuple[xr.Dataset, np.ndarray, xr.Dataset],
) -> None:
    seen, truth, fields = three_days
    shown = np.isfinite(seen["sst"].values)
    np.testing.assert_array_equal(fields["sst"].values[shown], seen["sst"].values[shown])
    hidden = seen["mask"].values.astype(bool) & ~shown
    error = (fields["sst"].values - truth)[hidden]
    box = np.nanmean(seen["sst"].values, axis=(1, 2))[:, None, None] - truth
    assert np.sqrt((error**2).mean()) < 0.7 * np.sqrt((box[hidden] ** 2).mean())


def test_the_file_says_what_was_tried(three_days: tuple[xr.Dataset, np.ndarray, xr.Dataset]) -> None:
    tried = json.loads(three_days[2].attrs["tried"])
    assert {"climatology", "box mean", "linear", "kriging"} <= set(tried)
    assert all(set(scores) == {"rmse", "crps", "coverage"} for scores in tried.values())


def test_a_date_without_an_observation_is_filled_and_said() -> None:
    seen, _ = scene()
    seen["sst"][1] = np.nan
    filled = fill_source(seen, "sst", method="kriging")
    assert np.isfinite(filled.dataset["sst"].values[1][seen["mask"].values.astype(bool)]).all()
    assert any("without any observation" in line for line in filled.lines)


def test_the_accessor_and_a_file_give_the_same(tmp_path: Path) -> None:
    seen, _ = scene(1)
    seen.to_netcdf(tmp_path / "seen.nc")
    of_file = df.fill(tmp_path / "seen.nc", "sst", method="linear")
    of_memory = seen.driftfield.fill("sst", method="linear")
    np.testing.assert_allclose(of_memory["sst"].values, of_file["sst"].values, rtol=1e-6)


def test_an_image_without_a_date_stays_without_one(caplog: pytest.LogCaptureFixture) -> None:
    seen, _ = scene(1, land=False)
    image = seen[["sst"]].isel(time=0, drop=True)
    with caplog.at_level(logging.INFO):
        fields = df.fill(image, method="nearest")
    assert fields["sst"].dims == ("lat", "lon")
    assert np.isfinite(fields["sst"].values).all()
    assert "one image" in caplog.text
    assert "every cell of the image is filled" in caplog.text


def test_a_region_and_dates_are_cut_out() -> None:
    seen, _ = scene(4)
    fields = df.fill(
        seen,
        "sst",
        method="box mean",
        region={"lat": [35.0, 36.0], "lon": [1.0, 2.0]},
        time=["2020-06-02", "2020-06-03"],
    )
    assert fields.sizes["time"] == 2
    assert float(fields["lat"].min()) >= 35.0
    assert float(fields["lon"].max()) <= 2.0


@pytest.mark.parametrize(
    ("name", "attrs", "values", "logarithm", "bounds"),
    [
        ("chl", {"units": "mg m-3"}, 10 ** smooth((1, 20, 20), 1), True, (-np.inf, np.inf)),
        ("pr", {"units": "mm/day"}, np.maximum(smooth((1, 20, 20), 2), 0), False, (0.0, np.inf)),
        ("siconc", {"units": "1"}, np.clip(smooth((1, 20, 20), 3), 0, 1), False, (0.0, 1.0)),
        ("siconc", {"units": "%"}, np.clip(100 * smooth((1, 20, 20), 3), 0, 100), False, (0.0, 100.0)),
        ("x", {}, 10 ** (1.2 * smooth((1, 20, 20), 4)), True, (-np.inf, np.inf)),
        ("sst", {"units": "degC"}, 10 + smooth((1, 20, 20), 5), False, (-np.inf, np.inf)),
        ("train", {"units": "degC"}, 40 + smooth((1, 20, 20), 5), False, (-np.inf, np.inf)),
        ("chl_log10", {}, np.abs(smooth((1, 20, 20), 6)), False, (-np.inf, np.inf)),
    ],
)
def test_recognises_what_is_far_from_gaussian(
    name: str, attrs: dict[str, str], values: np.ndarray, logarithm: bool, bounds: tuple[float, float]
) -> None:
    quantity = recognise(xr.DataArray(values, dims=("time", "lat", "lon"), name=name, attrs=attrs))
    assert quantity.logarithm is logarithm
    assert (quantity.lower, quantity.upper) == bounds
    assert bool(quantity.said) == (logarithm or bounds != (-np.inf, np.inf))


def test_chlorophyll_stays_positive_and_a_share_a_share() -> None:
    seen, _ = scene(1)
    chlorophyll = (10 ** (seen["sst"] - 18)).rename("chl").assign_attrs(units="mg m-3")
    fields = df.fill(seen.drop_vars("sst").assign(chl=chlorophyll), "chl", method="kriging", members=2)
    sea = seen["mask"].values.astype(bool)
    assert (fields["chl"].values[0][sea] > 0).all()
    assert (fields["chl_member"].values[:, 0][:, sea] > 0).all()
    kept = np.isfinite(chlorophyll.values)
    np.testing.assert_array_equal(fields["chl"].values[kept], chlorophyll.values[kept])
    share = (seen["sst"] - 17.5).clip(0, 1).rename("siconc").assign_attrs(units="1")
    fields = df.fill(seen.drop_vars("sst").assign(siconc=share), "siconc", method="kriging")
    assert float(fields["siconc"].min()) >= 0
    assert float(fields["siconc"].max()) <= 1


def test_moments_of_a_logarithm_are_those_of_its_distribution() -> None:
    quantity = recognise(xr.DataArray(10 ** smooth((1, 20, 20), 1), dims=("time", "lat", "lon"), name="chl"))
    stated = quantity.back(Estimate(np.array([-0.3]), np.array([0.25])))
    mean, sd = stated.mean, stated.sd
    drawn = 10 ** (-0.3 + 0.25 * np.random.default_rng(0).standard_normal(400_000))
    assert mean is not None
    assert sd is not None
    assert mean[0] == pytest.approx(drawn.mean(), rel=0.01)
    assert sd[0] == pytest.approx(drawn.std(), rel=0.03)


def test_the_factor_makes_nine_in_ten_errors_lie_within() -> None:
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.5, 2.0, 4000)
    scores = score("x", 3 * sd * rng.standard_normal(4000), sd, np.ones(4000))
    # 92 in a hundred of those at hand: 1.75 standard deviations, which is nine in ten of others by little
    np.testing.assert_allclose(scores.spread.factors.factor, 3.0 * 1.7507 / 1.645, rtol=0.08)
    assert scores.coverage == pytest.approx(0.92, abs=0.005)


def test_a_spread_by_distance_rises_and_is_that_of_the_errors() -> None:
    rng = np.random.default_rng(0)
    distance = rng.uniform(1, 20, 8000)
    found = Distances.fit(0.1 * distance * rng.standard_normal(8000), distance)
    assert (np.diff(found(np.linspace(0, 40, 30))) >= 0).all()
    assert found(np.array([10.0]))[0] == pytest.approx(1.0, rel=0.15)


def test_says_so_when_the_mean_is_as_good() -> None:
    seen, _ = scene(1)
    noise = np.random.default_rng(0).standard_normal(seen["sst"].shape)
    white = seen.assign(sst=seen["sst"].where(seen["sst"].isnull(), 0.0) + noise)
    filled = fill_source(white, "sst", method="nearest")
    assert any("no lower error than the" in line for line in filled.lines)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"variable": "sss"}, DataError, "sss"),
        ({"method": "krigging"}, ConfigurationError, "kriging"),
        ({"members": -1}, ConfigurationError, "members"),
        ({"region": {"lat": [80, 81], "lon": [0, 1]}}, DataError, "no cell"),
        ({"time": ["1990", "1991"]}, DataError, "No time"),
    ],
)
def test_says_what_is_wrong(options: dict[str, object], error: type[Exception], message: str) -> None:
    seen, _ = scene(1)
    with pytest.raises(error, match=message):
        df.fill(seen, **{"variable": "sst", **options})  # type: ignore[arg-type]


def test_nothing_seen_and_several_variables_are_said() -> None:
    seen, _ = scene(1)
    with pytest.raises(DataError, match="no value"):
        df.fill(seen.assign(sst=seen["sst"] * np.nan), "sst")
    with pytest.raises(DataError, match="--variable"):
        df.fill(seen.assign(other=seen["sst"]))


def test_a_mask_that_is_one_on_land_is_turned() -> None:
    seen, _ = scene(1)
    record = read_record(seen.assign(mask=1 - seen["mask"]), "sst")
    np.testing.assert_array_equal(record.domain.values, seen["mask"].values.astype(bool))


def test_the_command_writes_the_field_a_picture_and_a_recipe_that_can_be_fitted(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    seen, _ = scene(2)
    seen.to_netcdf(tmp_path / "seen.nc")
    out = tmp_path / "out.nc"
    arguments = ["fill", str(tmp_path / "seen.nc"), "--variable", "sst", "--method", "kriging", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "climatology" in result.output
    assert "driftfield train" in result.output
    assert out.with_suffix(".png").stat().st_size > 5000
    run = CliRunner().invoke(app, ["train", str(tmp_path / "out.recipe.yaml"), "--out", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0


def test_the_table_and_the_recipe_name_what_was_chosen() -> None:
    seen, _ = scene(1)
    filled = fill_source(seen, "sst", method="kriging", knowledge=Knowledge(length_km=50.0))
    assert "kriging" in table(filled)
    assert "length_km: 50.0" in recipe(filled)
    assert len(draw(filled).axes) == 5


def test_the_shipped_scene_is_found_and_another_name_is_refused() -> None:
    record = read_record("shipped:sst_scene")
    assert record.name == "sst"
    assert record.error is not None
    assert 0.3 < record.seen.sum() / (record.domain.values.sum() * len(record.field)) < 0.5
    with pytest.raises(ConfigurationError, match="sst_scene"):
        read_record("shipped:sst_scenes")


def test_a_line_is_said_once_and_a_file_without_gaps_is_said(caplog: pytest.LogCaptureFixture) -> None:
    seen, truth = scene(1, land=False)
    with caplog.at_level(logging.INFO):
        fill_source(seen, "sst", method="nearest")
    lines = [r.getMessage() for r in caplog.records if "climatology" in r.name]
    assert lines
    assert len(lines) == len(set(lines))
    seen["sst"].values[:] = truth
    caplog.clear()
    filled = fill_source(seen, "sst", members=2)
    assert "no method was tried" in caplog.text
    assert filled.scores == ()
    assert "Nothing was tried" in table(filled)
    assert any("nothing is missing" in line for line in filled.lines)
    np.testing.assert_array_equal(filled.dataset["sst"].values, seen["sst"].values)
    np.testing.assert_array_equal(filled.dataset["sst_member"].values, np.stack([seen["sst"].values] * 2))
    # whoever says that the observations have errors wants them analysed
    assert fill_source(seen, "sst", method="kriging", knowledge=Knowledge(noise=0.2)).scores


def test_too_few_values_to_hide_any_are_filled_by_what_comes_with_the_package(caplog: pytest.LogCaptureFixture) -> None:
    lonely = scene(1)[0]
    keep = np.zeros((24, 30), dtype=bool)
    keep[12, 15] = True
    lonely["sst"] = lonely["sst"].where(xr.DataArray(keep, dims=("lat", "lon")))
    lonely["sst"].values[0, 12, 15] = 18.0
    filled = fill_source(lonely, "sst", members=2)
    assert filled.method.shipped == "anyfield"
    assert "too few to hide some" in " ".join(filled.lines)
    sea = lonely["mask"].values.astype(bool)
    assert np.isfinite(filled.dataset["sst"].values[0][sea]).all()
    assert filled.dataset["sst"].values[0, 12, 15] == 18.0
    assert filled.dataset.sizes["member"] == 2
    assert "too few values" in table(filled)


def test_one_image_is_also_tried_by_the_network_that_comes_with_the_package() -> None:
    record = read_record(scene(1)[0], "sst")
    assert "any field" in [m.label for m in methods_for(record, Knowledge())]
    assert "any field" not in [m.label for m in methods_for(record, Knowledge(length_km=50.0))]
    filled = fill_source(scene(1)[0], "sst", method="any_field")
    assert filled.chosen == "any field"
    assert commands(filled, Path("x.recipe.yaml")) == [
        "driftfield reconstruct shipped:anyfield 'the data set' --out x_members.nc --members 16"
    ]


def test_what_a_method_leaves_empty_has_a_value_a_spread_and_a_line() -> None:
    record = read_record(scene(2)[0], "sst")
    mean = np.where(record.seen, record.field.values, 17.0).astype(np.float64)
    mean[1, 10:12, 5:8] = np.nan
    sd = np.where(record.seen, 0.0, 0.2)
    holes = record.domain.values & ~np.isfinite(mean)
    estimate, count = without_holes(record, Estimate(mean, sd, np.stack([mean, mean]).astype(np.float32)), 0)
    assert count == holes.sum() > 0
    assert estimate.mean is not None
    assert estimate.sd is not None
    assert estimate.members is not None
    np.testing.assert_allclose(estimate.mean[holes], record.field.values[record.seen].mean(), rtol=1e-5)
    assert (estimate.sd[holes] > 0.5).all()
    assert np.isfinite(estimate.members[:, record.domain.values[None].repeat(2, 0)]).all()
    np.testing.assert_array_equal(estimate.mean[~holes & record.domain.values], mean[~holes & record.domain.values])


def test_a_scale_in_time_is_refused_of_one_date() -> None:
    with pytest.raises(ConfigurationError, match="--days 3 for the data set, which holds one date"):
        fill_source(scene(1)[0], "sst", knowledge=Knowledge(days=3.0))


def test_a_section_is_drawn_as_depth_against_distance() -> None:
    depth, lon = np.array([0.0, 20.0, 60.0, 150.0]), np.linspace(-55.0, -53.0, 12)
    values = 12 - 0.05 * depth[None, :, None, None] + smooth((2, 4, 1, 12), 5, 1.0)
    values[:, 1:3, :, 3:6] = np.nan
    time = np.datetime64("2020-06-01", "ns") + np.arange(2) * np.timedelta64(1, "D")
    coords = {"time": time, "depth": depth, "lat": [48.7], "lon": lon}
    section = xr.DataArray(
        values.astype(np.float32), dims=("time", "depth", "lat", "lon"), coords=coords, name="thetao"
    )
    figure = draw(fill_source(section, method="linear"))
    first = figure.axes[0]
    assert first.get_ylabel() == "depth [m]"
    assert first.get_ylim()[0] > first.get_ylim()[1]
    assert any(ax.get_xlabel() == "distance [km]" for ax in figure.axes)
    assert first.get_xlim()[1] == pytest.approx(111.2 * 2 * np.cos(np.radians(48.7)), rel=0.1)


def test_a_constant_field_stays_constant_by_every_method(recwarn: pytest.WarningsRecorder) -> None:
    seen, _ = scene(2)
    constant = seen.assign(sst=seen["sst"].where(seen["sst"].isnull(), 7.0))
    filled = fill_source(constant, "sst")
    assert filled.failed == {}
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
    np.testing.assert_allclose(filled.dataset["sst"].values[:, seen["mask"].values > 0], 7.0, atol=1e-4)
    assert any("of the domain is estimated" in line for line in filled.lines)
    assert not any("nothing is missing" in line for line in filled.lines)


def test_says_how_much_lies_deeper_in_a_gap_than_what_was_hidden() -> None:
    rng = np.random.default_rng(0)
    image = smooth((40, 50), 3)
    image[rng.random(image.shape) < 0.3] = np.nan
    coords = {"lat": np.linspace(40.0, 44.0, 40), "lon": np.linspace(0.0, 5.0, 50)}
    small = xr.DataArray(image.copy(), dims=("lat", "lon"), coords=coords, name="sst")
    image[5:] = np.nan  # half of what is left cannot hide a disc as deep
    wide = small.copy(data=image)
    said = {
        key: " ".join(fill_source(a, "sst", method="nearest").lines) for key, a in (("small", small), ("wide", wide))
    }
    assert "neither their values nor their spread is tested" in said["wide"]
    assert "is tested" not in said["small"]
    assert "only" in " ".join(fill_source(small.where(small.lat + small.lon < 40.2), "sst", method="nearest").lines)


def test_an_array_without_places_and_whole_numbers_are_refused() -> None:
    seen, _ = scene(1)
    with pytest.raises(DataError, match=r"Found ndarray: expected an xarray.Dataset"):
        df.fill(seen["sst"].values)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="whole numbers"):
        df.fill(seen["sst"].isel(time=0).fillna(0).astype(int))


def test_a_trend_is_found_by_regression_and_climatology() -> None:
    """Twenty dates in three years and a half, each a degree warmer than the one before."""
    seen, _ = scene(20)
    dates = np.datetime64("2015-01-01", "ns") + 65 * np.arange(20) * np.timedelta64(1, "D")
    values = 0.05 * seen["sst"].values + np.arange(20.0, dtype=np.float32)[:, None, None]
    warming = seen.assign(sst=(("time", "lat", "lon"), values, {"units": "degC"})).assign_coords(time=dates)
    record = read_record(warming, "sst")
    assert "regression" in [m.label for m in methods_for(record, Knowledge())]
    assert "regression" not in [m.label for m in methods_for(read_record(scene(3)[0], "sst"), Knowledge())]
    filled = fill_source(warming, "sst", method="regression")
    by_label = {s.label: s for s in filled.scores}
    assert by_label["regression"].rmse < 0.1
    assert by_label["climatology"].rmse < 0.1


def test_what_is_chosen_is_fitted_to_everything_its_constants_too() -> None:
    """As if the method had been fitted to the file by hand, from the constants of the choice on: nothing that was hidden for
    that stays hidden."""
    record = read_record(scene(2)[0], "sst")
    method = next(m for m in methods_for(record, Knowledge()) if m.label == "kriging")
    first = method.fitted_to(_folds(record, 0)[0][0].visible, seed=0)
    fitted = method.fitted_to(record, seed=0, before=first)
    assert fitted.constants != first.constants  # type: ignore[attr-defined]
    by_hand = fitted.reconstruct(record.observations(), members=1)["sst"]
    filled = fill_source(scene(2)[0], "sst", method="kriging").dataset["sst"]
    np.testing.assert_allclose(filled.values, by_hand.values, rtol=1e-5, equal_nan=True)


@pytest.mark.slow
def test_space_time_interpolation_fills_with_the_constants_that_its_spread_was_validated_with() -> None:
    """Others that are as good state another spread, and what makes 90 % of the hidden errors hold belongs to these."""
    seen = scene(5)[0]
    record = read_record(seen, "sst")
    method = next(m for m in methods_for(record, Knowledge()) if m.label == "space-time interpolation")
    first = method.fitted_to(_folds(record, 0)[0][0].visible, seed=0)
    by_hand = refitted(first, method, record, seed=0)
    # the mean is that of everything
    assert not np.array_equal(by_hand.sd["sst"], first.sd["sst"])  # type: ignore[attr-defined]
    filled = fill_source(seen, "sst", method="space-time interpolation").dataset["sst"]
    wanted = record.domain.values & ~record.seen
    expected, _ = by_hand.estimate_cells(record.observations(), "sst", wanted)  # type: ignore[attr-defined]
    np.testing.assert_allclose(filled.values[wanted], expected[wanted], rtol=1e-5)


def test_a_selection_by_another_name_is_an_error_and_not_the_whole_file() -> None:
    seen, _ = scene(2)
    for read in (read_record, read_records):
        with pytest.raises(TypeError, match="regions"):
            read(seen, "sst", regions={"lat": [34.0, 35.0]})
    part = read_record(seen, "sst", region={"lat": [34.0, 35.0]})
    assert part.field.sizes["lat"] < seen.sizes["lat"]
