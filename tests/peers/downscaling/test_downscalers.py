"""Every registered downscaler keeps the laws of the family: layout, members, files, units, order of dates, land and sea."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from coarse_world import coarse_world, write_statics

from driftfield.data.coarsening import coarsened, regridding_by_factor
from driftfield.data.prepare import prepare
from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import Reconstructor, TrainingData
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.regridding import Regridding
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.registry import build, lookup, names
from driftfield.runs import load_downscaler, load_reconstructor

SPLIT = {"class": "TimeSplit", "validation": 0.1, "test": 0.2}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "PrincipalComponentRegression": {"components": 10, "folds": 3, "analogs": 8, "transform": {"pr": "square_root"}},
    "Analogs": {"number": 8},
    "Conserving": {"downscaler": {"class": "Analogs", "number": 8}},
    "LapseRate": {"kind": "bilinear"},
    "KernelRegression": {"folds": 3, "analogs": 8, "transform": {"pr": "square_root"}},
    "KernelRegression, centred": {"residual": "none", "centred": ["tas"], "folds": 3},
    "LocalRegression": {"reach": 1},
    "AnalogBlocks": {"number": 6, "reach": 1},
}
RAIN = {"RainFARM", "AnalogBlocks"}
"""Who takes nothing but rain."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("world")
    coarse_world().to_netcdf(place / "fine.nc")
    coarse_world(sea=True).to_netcdf(place / "land.nc")
    write_statics(place / "statics.nc")
    return place


def data_of(folder: Path, targets: list[str], file: str = "fine.nc", **changes: Any) -> TrainingData:
    options: dict[str, Any] = {
        "coarse": {"factor": 4},
        "split": SPLIT,
        "bounds": {"pr": {"lower": 0}} if "pr" in targets else None,
    }
    return prepare(str(folder / file), targets, **{**options, **changes})


NETWORK = {
    "class": "ResidualUNet",
    "widths": [4, 8],
    "depths": [1, 1],
    "condition_depths": [1, 1],
    "embedding": 8,
    "position": "none",
}
PLAIN = {**NETWORK, "widths": [6], "depths": [2], "condition_depths": [1]}
TRAINED: dict[str, dict[str, Any]] = {
    "NetworkRegression": {"network": NETWORK, "transform": {"pr": "square_root"}, "scaling": {"per": "cell"}},
    "NetworkRegression, plain convolutions": {"network": PLAIN, "how": {"tas": "additive"}},
    "DiffusionDownscaler": {
        "network": NETWORK,
        "transform": {"pr": "square_root"},
        "anchor": {"class": "PrincipalComponentRegression", "components": 10, "folds": 3, "residual": "none"},
        "sampler": {"class": "DPMSolverPP2M", "evaluations": 4},
        "maps": True,
    },
    "DiffusionDownscaler, direct": {
        "network": NETWORK,
        "anchor": "none",
        "sampler": {"class": "DPMSolverPP2M", "evaluations": 4},
        "how": {"tas": "additive", "pr": "multiplicative"},
    },
    "DiffusionDownscaler, centred": {"network": NETWORK, "centred": ["tas"]},
    "EnsembleRegression": {"network": NETWORK, "transform": {"pr": "square_root"}, "draws": 4},
}
"""Who is fitted by a trainer."""

_FITTED: dict[tuple[str, ...], tuple[Any, xr.Dataset, TrainingData]] = {}
"""Each is fitted once: the laws look at it and leave it alone."""


def trainer(steps: int = 3) -> Any:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    return LightningTrainer(steps=steps, batch_size=8, validate_every=steps, loggers=(), accelerator="cpu")


def prior_on(folder: Path, file: str, targets: list[str]) -> Path:
    """A diffusion model of the fine fields that has hardly learnt anything, on the training dates."""
    run = folder / f"prior_{file}_{'_'.join(targets)}"
    if not (run / "run.json").exists():
        normalizer = {"tas": {"class": "Standard"}, "pr": {"class": "SquareRoot"}}
        prior = DiffusionReconstructor(
            NETWORK,
            {"observe": dict.fromkeys(targets, "none")},
            normalizer={name: normalizer[name] for name in targets},
            sampler={"class": "DPMSolverPP2M", "evaluations": 4},
            validation_samples=2,
        )
        bounds = {"pr": {"lower": 0}} if "pr" in targets else None
        data = prepare(str(folder / file), targets, split=SPLIT, bounds=bounds)
        prior.fit(data, seed=1, trainer=trainer(), folder=run)
        prior.save(run)
    return run


def fitted(name: str, folder: Path, file: str = "fine.nc", **changes: Any) -> tuple[Any, xr.Dataset, TrainingData]:
    """The method, coarse fields of the test dates, and what it was fitted to."""
    key = (name, str(folder), file, str(changes))
    if key in _FITTED:
        return _FITTED[key]
    targets = ["pr"] if name in RAIN else ["tas", "pr"]
    if name == "LapseRate":
        targets = ["tas"]
        changes = {"statics": {"file": str(folder / "statics.nc"), "variables": ["orog"]}, **changes}
    data = data_of(folder, targets, file, **changes)
    arguments = TRAINED.get(name) or ARGUMENTS.get(name, {})
    if name == "PriorDownscaler":
        arguments = {"run": str(prior_on(folder, file, targets))}
    method = build("downscaler", {"class": name.split(",")[0], **arguments})
    if name in TRAINED:
        method.fit(data, seed=1, trainer=trainer(), folder=folder / f"trained_{len(_FITTED)}")
    else:
        method.fit(data, seed=1)
    _FITTED[key] = method, data.pair.coarse.isel(time=data.test), data
    return _FITTED[key]


every = pytest.mark.parametrize("name", [*sorted({*names("downscaler"), *ARGUMENTS, *TRAINED})])


@every
def test_layout_members_and_files(name: str, folder: Path, tmp_path: Path) -> None:
    method, coarse, data = fitted(name, folder)
    assert isinstance(method, Reconstructor)
    members = 4 if method.abilities.spreads else 1
    result = method.reconstruct(coarse, members=members, seed=3)
    for target in data.targets:
        assert result[target].dims == ("time", "lat", "lon")
        assert result[target].shape == (coarse.sizes["time"], 12, 16)
        assert np.isfinite(result[target].values).all()
        assert result[target].attrs["units"] == data.archive.dataset[target].attrs["units"]
        if members > 1:
            assert result[f"{target}_member"].sizes["member"] == members
            assert float(result[f"{target}_member"].std("member").max()) > 0
    method.save(tmp_path / "run")
    again = load_downscaler(tmp_path / "run").reconstruct(coarse, members=members, seed=3)
    xr.testing.assert_identical(again.drop_attrs(), result.drop_attrs())
    with pytest.raises(ConfigurationError, match="driftfield downscale"):
        load_reconstructor(tmp_path / "run")


@every
def test_a_member_depends_on_seed_member_and_date_alone(name: str, folder: Path) -> None:
    """To the bit: for any order and part of the dates."""
    method, coarse, data = fitted(name, folder)
    members = 3 if method.abilities.spreads else 1
    whole = method.reconstruct(coarse, members=members, seed=5)
    order = np.random.default_rng(0).permutation(coarse.sizes["time"])[:5]
    part = method.reconstruct(coarse.isel(time=order), members=members, seed=5)
    for variable in part.data_vars:
        np.testing.assert_array_equal(part[variable].values, whole[variable].isel(time=order).values)
    if members > 1:
        other = method.reconstruct(coarse.isel(time=order), members=members, seed=6)
        assert not np.array_equal(other[f"{data.targets[0]}_member"], part[f"{data.targets[0]}_member"])


@every
def test_test_dates_are_not_learnt_from(name: str, folder: Path, tmp_path: Path) -> None:
    world = coarse_world()
    data = data_of(folder, ["tas"])
    for part in (data.test, data.validation):  # constants never come from either, and of few steps the weights do not
        world["tas"][part] += 30.0
        world["pr"][part] *= 3.0
    world.to_netcdf(tmp_path / "other.nc")
    (folder / "other.nc").write_bytes((tmp_path / "other.nc").read_bytes())
    a, b = (fitted(name, folder, file)[0].state()[0] for file in ("fine.nc", "other.nc"))
    assert set(a) == set(b)
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_other_test_dates_permute_the_answers_and_change_none(folder: Path) -> None:
    """Law 7, through all of them: what is asked of one date knows nothing of the others in the file."""
    for name in ("PrincipalComponentRegression", "PriorDownscaler"):
        method, coarse, _ = fitted(name, folder)
        other = coarse.isel(time=[1, 0, 2])
        a, b = (
            method.reconstruct(c, members=2, seed=1)["pr_member"].values for c in (coarse.isel(time=[0, 1, 2]), other)
        )
        np.testing.assert_array_equal(a[:, [1, 0, 2]] if a.shape[0] == 2 else a[[1, 0, 2]], b)


@every
def test_other_units_change_nothing(name: str, folder: Path) -> None:
    method, coarse, data = fitted(name, folder)
    other = coarse.copy()
    if "tas" in data.targets:
        other["tas"] = (coarse["tas"] - 273.15).assign_attrs(units="degC")
    if "pr" in data.targets:
        other["pr"] = (coarse["pr"] / 86400.0).assign_attrs(units="kg m-2 s-1")
    members = 2 if method.abilities.spreads else 1
    expected, found = (method.reconstruct(c, members=members) for c in (coarse, other))
    for target in data.targets:
        np.testing.assert_allclose(found[target], expected[target], rtol=2e-4, atol=2e-3)


@every
def test_what_lies_in_the_sea_never_reaches_the_land(name: str, folder: Path) -> None:
    method, coarse, data = fitted(name, folder, "land.nc")
    members = 2 if method.abilities.spreads else 1
    result = method.reconstruct(coarse, members=members)
    land = data.archive.domain(data.targets[0]).values
    known = np.isfinite(coarse[data.targets[0]].isel(time=0).values)
    assert not known.all()
    wild = coarse.copy(deep=True)
    for target in data.targets:
        assert np.isfinite(result[target].values[:, land]).all()
        assert np.isnan(result[target].values[:, ~land]).all()
        # values that a coarse file has beyond the domain of the run
        wild[target] = coarse[target].where(xr.DataArray(known, dims=("lat", "lon")), 250.0 if target == "tas" else 0.0)
    for target in data.targets:
        wild[target].attrs = coarse[target].attrs
    if name not in ("Conserving", "RainFARM", "PriorDownscaler"):  # whose members have the coarse means
        return
    again = method.reconstruct(wild, members=members)
    for target in data.targets:
        np.testing.assert_allclose(method.grids.map_of(target).apply(np.nan_to_num(again[target].values[0]))[known],
                                   coarse[target].values[0][known], rtol=1e-4, atol=1e-3)  # fmt: skip


@every
def test_a_warmer_coarse_field_gives_fine_fields_as_much_warmer(name: str, folder: Path) -> None:
    """Or the class says why it cannot; what is claimed is kept exactly."""
    method, coarse, data = fitted(name, folder)
    if not method.follows_shifts:
        assert len(method.follows_shifts.why) > 10
        return
    assert "tas" in data.targets
    warmer = coarse.assign(tas=(coarse["tas"] + 5.0).assign_attrs(coarse["tas"].attrs))
    a, b = (method.reconstruct(c, members=1)["tas"].values for c in (coarse, warmer))
    np.testing.assert_allclose(b, a + 5.0, rtol=0, atol=1e-3)


def test_the_guide_says_who_follows_shifts() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "user-guide.md").read_text("utf-8")
    (line,) = [text for text in guide.split("\n\n") if "5 K warmer" in text]
    for name in names("downscaler"):
        if lookup("downscaler", name).follows_shifts is True:
            assert f"`{name}`" in line, name


PC = {"class": "PrincipalComponentRegression", **ARGUMENTS["PrincipalComponentRegression"]}


@pytest.mark.parametrize("inner", [{"class": "Bicubic"}, {"class": "Analogs", "number": 8}, PC])
def test_conserving_members_have_the_coarse_means(inner: dict[str, Any], folder: Path) -> None:
    data = data_of(folder, ["tas", "pr"])
    method = build("downscaler", {"class": "Conserving", "downscaler": inner})
    method.fit(data)
    coarse = data.pair.coarse.isel(time=data.test)
    result = method.reconstruct(coarse, members=4 if method.abilities.spreads else 1)
    for target in ("tas", "pr"):
        fields = result[f"{target}_member" if f"{target}_member" in result else target].values.astype(np.float64)
        means = data.pair.regridding.apply(fields)
        np.testing.assert_allclose(means, np.broadcast_to(coarse[target].values, means.shape), rtol=1e-5, atol=1e-4)
    assert float(result["pr"].min()) >= 0
    dry = coarse["pr"].values == 0
    assert dry.any()
    block = np.kron(dry, np.ones((1, 4, 4), dtype=bool))
    np.testing.assert_array_equal(result["pr"].values[block], 0.0)


def test_conserving_is_refused_on_a_pair_of_two_models(folder: Path, tmp_path: Path) -> None:
    fine = coarse_world()
    coarse = coarsened(fine, regridding_by_factor(fine, 4))
    coarse.to_netcdf(tmp_path / "coarse.nc")
    data = data_of(folder, ["tas"], coarse={"archive": str(tmp_path / "coarse.nc")})
    method = build("downscaler", {"class": "Conserving", "downscaler": {"class": "Bilinear"}})
    with pytest.raises(ConfigurationError, match="say 'how'"):
        method.fit(data)
    method = build(
        "downscaler", {"class": "Conserving", "downscaler": {"class": "Bilinear"}, "how": {"tas": "additive"}}
    )
    method.fit(data)
    # two files of which the coarse one holds means: the same as coarsening on the fly
    other = build("downscaler", {"class": "Conserving", "downscaler": {"class": "Bilinear"}})
    other.fit(data_of(folder, ["tas"]))
    a, b = (m.reconstruct(data.pair.coarse.isel(time=[0]), members=1)["tas"].values for m in (method, other))
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_fitted_lapse_rate_is_that_of_the_world(folder: Path) -> None:
    method, _, data = fitted("LapseRate", folder)
    assert method.fitted["tas"]["rates"][0, 0] == pytest.approx(-0.006, rel=0.08)
    stated = build("downscaler", {"class": "LapseRate", "rate": -0.006, "kind": "bilinear"})
    stated.fit(data)
    truth = data.archive.dataset["tas"].isel(time=data.train).values
    bare = build("downscaler", {"class": "Bilinear"})
    bare.fit(data)
    train = data.pair.coarse.isel(time=data.train)
    error = [
        float(np.sqrt(np.nanmean((m.reconstruct(train, members=1)["tas"].values - truth) ** 2)))
        for m in (method, stated, bare)
    ]
    assert error[0] <= error[1] + 1e-6 < 0.5 * error[2]


def test_out_of_fold_residuals_are_larger_than_those_in_sample(folder: Path) -> None:
    method, _, _ = fitted("PrincipalComponentRegression", folder)
    found = method.fitted["tas"]
    assert float(found["residual_sd"][0]) > 1.05 * float(found["in_sample_sd"][0])


def test_quantile_mapping_gives_the_distribution_of_training(folder: Path) -> None:
    data = data_of(folder, ["tas"])
    method = build("downscaler", {"class": "QuantileMapping", "quantiles": 60})
    method.fit(data)
    made = method.reconstruct(data.pair.coarse.isel(time=data.train), members=1)["tas"].values
    truth = data.archive.dataset["tas"].isel(time=data.train).values
    np.testing.assert_allclose(
        np.quantile(made, [0.1, 0.5, 0.9], axis=0), np.quantile(truth, [0.1, 0.5, 0.9], axis=0), atol=0.6
    )
    np.testing.assert_allclose(made.mean(axis=0), truth.mean(axis=0), atol=0.05)


def test_months_without_training_are_an_error_that_says_which(folder: Path) -> None:
    data = data_of(folder, ["tas"], split={"class": "TimeSplit", "train": ["2001-01", "2001-02"], "validation":
    ["2001-03-01", "2001-03-10"],
                                           "test": ["2001-03-11", "2001-03-31"]})  # fmt: skip
    for name in ("MeanResidual", "QuantileMapping"):
        method = build("downscaler", {"class": name, "by": "month"})
        method.fit(data)
        with pytest.raises(DataError, match="no training data of month 3: found 1, 2"):
            method.reconstruct(data.pair.coarse.isel(time=data.test), members=1)


def test_what_training_lacks_is_counted(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Dates without values, dates with a gap, and cells that are mostly unknown."""
    world = coarse_world()
    world["tas"][3:6] = np.nan
    world["tas"][10, 2, 2] = np.nan
    world["tas"][::2, 7, 7] = np.nan
    world.to_netcdf(tmp_path / "gaps.nc")
    method = build("downscaler", PC)
    method.fit(data_of(tmp_path, ["tas"], "gaps.nc"))
    assert "'tas': 3 of 63 training times have no fine or no coarse values: left out" in caplog.text
    assert "'tas': 1 of 60 training times have gaps: left out" in caplog.text
    assert "'tas': 1 of 192 cells have gaps in training: they get the interpolated coarse field" in caplog.text
    assert method.fitted["tas"]["cells"].sum() == 191
    caplog.clear()
    build("downscaler", PC).fit(data_of(folder, ["tas"]))
    assert "left out" not in caplog.text


def test_more_members_than_analogs_are_refused(folder: Path) -> None:
    method, coarse, _ = fitted("Analogs", folder)
    with pytest.raises(ConfigurationError, match="there are 8 analogs"):
        method.reconstruct(coarse, members=9)


def test_a_grid_beyond_the_memory_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method, coarse, _ = fitted("Bilinear", folder)
    monkeypatch.setattr("os.sysconf", lambda key: 100)
    with pytest.raises(DataError, match="Bilinear would need about"):
        method.reconstruct(coarse, members=1)


def test_rain_of_rainfarm_has_the_slope_that_was_asked_for() -> None:
    from driftfield.peers.downscaling.rainfarm import small_scales

    rng = np.random.default_rng(0)
    fields = np.stack([small_scales((96, 96), 16.0, 3.0, rng) for _ in range(40)])
    assert fields.var() == pytest.approx(1.0, rel=0.1)
    power = (np.abs(np.fft.fft2(fields)) ** 2).mean(axis=0)
    k = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.fftfreq(96)[None])
    used = (k > 0.05) & (k < 0.3)
    assert -np.polyfit(np.log(k[used]), np.log(power[used]), 1)[0] == pytest.approx(3.0, abs=0.35)


@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic"])
def test_blocks_of_a_rotated_grid_are_interpolated_along_rows_and_columns(kind: str) -> None:
    lat, lon = np.meshgrid(40 + 0.3 * np.arange(12), 5 + 0.3 * np.arange(16), indexing="ij")
    turned = CellGrid.around(lat + 0.1 * lon, lon - 0.1 * lat)
    flat = Regridding.blocks(CellGrid.around(np.arange(12.0), np.arange(16.0)), 4)
    y = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_allclose(Regridding.blocks(turned, 4).interpolate(y, kind), flat.interpolate(y, kind), atol=1e-9)  # type: ignore[arg-type]
    again = Regridding.from_arrays(Regridding.blocks(turned, 4).to_arrays())
    np.testing.assert_array_equal(again.interpolate(y, kind), Regridding.blocks(turned, 4).interpolate(y, kind))  # type: ignore[arg-type]


@pytest.mark.slow
def test_residuals_out_of_fold_are_as_large_as_those_of_other_years(request: pytest.FixtureRequest) -> None:
    """A regional climate model: residual sd .402 out of fold, .403 on validation and test years; .372 in sample."""
    import os

    root = os.environ.get("DRIFTFIELD_DATA")
    if not root:
        pytest.skip("DRIFTFIELD_DATA is not set")
    path = f"{root}/downscaling/racmo22e_ecearth_iberia_djf_historical_1983-2002.nc"
    split = {
        "class": "TimeSplit",
        "train": ["1982-12", "1998-02"],
        "validation": ["1998-12", "1999-02"],
        "test": ["1999-12", "2002-02"],
    }
    data = prepare(path, ["tas"], coarse={"factor": 4}, split=split)
    method = build("downscaler", {"class": "PrincipalComponentRegression"})
    method.fit(data)
    out_of_fold, in_sample = (float(method.fitted["tas"][key][0]) for key in ("residual_sd", "in_sample_sd"))
    assert out_of_fold == pytest.approx(0.402, abs=0.004)
    assert in_sample < 0.95 * out_of_fold
    truth = data.archive.dataset["tas"].isel(time=data.validation).values
    mean = build("downscaler", {"class": "PrincipalComponentRegression", "residual": "none"})
    mean.fit(data)
    left = truth - mean.reconstruct(data.pair.coarse.isel(time=data.validation), members=1)["tas"].values
    assert out_of_fold == pytest.approx(float(left.std()), rel=0.1)
