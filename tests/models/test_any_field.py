"""The filler of any field: laws that hold whatever its weights have learnt."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from driftfield.cli import app
from driftfield.data.masks import Clouds, RandomCells
from driftfield.errors import ConfigurationError, DataError
from driftfield.models.any_field import AnyFieldReconstructor
from driftfield.models.any_field_samples import AnyFieldSamples, normalise
from driftfield.runs import load_reconstructor, shipped_run
from driftfield.testing import check_reconstructor, tiny_ocean, tiny_training_data
from driftfield.worlds.random_fields import MaternFields, draw_fields

SMALL = {"class": "AnyFieldNetwork", "widths": [8, 12, 16], "depths": [1, 1, 1], "fine": 6, "summary": 16}


@pytest.fixture(scope="module")
def filler() -> AnyFieldReconstructor:
    """Random weights, the last layer too: a law that only a trained network keeps is none."""
    torch.manual_seed(0)
    filler = AnyFieldReconstructor(SMALL)
    with torch.no_grad():
        filler.network.fine_out.weight.normal_(std=0.2)
        for parameter in filler.network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return filler


def observations(
    values: np.ndarray, observed: np.ndarray, *, domain: np.ndarray | None = None, error: float = 0.0
) -> xr.Dataset:
    """One date of a field on any grid."""
    rows, columns = values.shape
    coords = {
        "time": np.array(["2020-03-01"], "M8[ns]"),
        "lat": 10.0 + np.arange(rows),
        "lon": 5.0 + np.arange(columns),
    }
    seen = np.where(observed, values, np.nan).astype(np.float32)
    dataset = xr.Dataset({"chl": (("time", "lat", "lon"), seen[None])}, coords)
    if error:
        dataset["chl_error"] = xr.full_like(dataset["chl"], error)
    domain = np.ones(values.shape, bool) if domain is None else domain
    return dataset.assign(domain=(("lat", "lon"), domain))


def world(seed: int, shape: tuple[int, int] = (24, 37), hidden: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    field = draw_fields(rng, MaternFields.single(4.0, 1.5), shape)[0]
    return field, RandomCells(hidden).draw(np.ones(shape, bool), rng)


@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 0.0), (250.0, -40.0), (-2.0, 1.0), (-1e4, 3e4)])
@pytest.mark.parametrize("error", [0.0, 0.3])
def test_the_unit_does_not_matter(filler: AnyFieldReconstructor, scale: float, shift: float, error: float) -> None:
    field, observed = world(1)
    plain = filler.reconstruct(observations(field, observed, error=error), members=2, seed=3)
    other = filler.reconstruct(
        observations(scale * field + shift, observed, error=abs(scale) * error), members=2, seed=3
    )
    for name, (a, b) in {"chl": (scale, shift), "chl_sd": (abs(scale), 0.0), "chl_member": (scale, shift)}.items():
        size = abs(a) * float(plain[name].max() - plain[name].min()) + abs(b)
        np.testing.assert_allclose(other[name], a * plain[name] + b, atol=1e-5 * size)


def test_a_constant_field_comes_back_constant_with_little_spread(filler: AnyFieldReconstructor) -> None:
    _, observed = world(2)
    result = filler.reconstruct(observations(np.full(observed.shape, 287.15), observed), members=2)
    np.testing.assert_allclose(result["chl"], 287.15, rtol=1e-6)
    assert float(result["chl_sd"].max()) < 0.01 * 287.15


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_observations_give_a_finite_field(filler: AnyFieldReconstructor, count: int) -> None:
    field, observed = world(3)
    few = np.zeros_like(observed)
    few.flat[np.random.default_rng(4).choice(few.size, count, replace=False)] = True
    result = filler.reconstruct(observations(field + 20, few), members=2)
    assert np.isfinite(result["chl"]).all()
    assert float(result["chl_sd"].where(~xr.DataArray(few, dims=("lat", "lon"))).min()) > 0
    np.testing.assert_allclose(result["chl"].values[0][few], (field + 20)[few], rtol=1e-5)


def test_land_values_change_nothing(filler: AnyFieldReconstructor) -> None:
    field, observed = world(5)
    domain = Clouds(0.3).draw(np.ones_like(observed), np.random.default_rng(0))
    seen = filler.reconstruct(observations(field, observed, domain=domain), members=2)
    odd = filler.reconstruct(observations(np.where(domain, field, 1e9), observed, domain=domain), members=2)
    xr.testing.assert_identical(seen.drop_attrs(), odd.drop_attrs())
    assert np.isnan(seen["chl"].values[0][~domain]).all()


def test_an_exact_observation_is_kept_and_an_inexact_one_is_not(filler: AnyFieldReconstructor) -> None:
    field, observed = world(6)
    exact = filler.reconstruct(observations(field, observed), members=3)
    np.testing.assert_allclose(exact["chl"].values[0][observed], field[observed], atol=1e-5)
    assert float(np.abs(exact["chl_sd"].values[0][observed]).max()) < 1e-6
    np.testing.assert_allclose(
        exact["chl_member"].values[:, 0][:, observed], np.tile(field[observed], (3, 1)), atol=1e-5
    )
    inexact = filler.reconstruct(observations(field, observed, error=0.5), members=3)
    assert np.abs(inexact["chl"].values[0] - field)[observed].max() > 0.01
    assert float(inexact["chl_sd"].values[0][observed].max()) <= 0.5 * (1 + 1e-5)


def test_the_field_turns_with_its_observations(filler: AnyFieldReconstructor) -> None:
    averaged = AnyFieldReconstructor(SMALL, symmetries=8)
    averaged.network = filler.network
    field, observed = world(7, shape=(18, 26))
    plain = averaged.reconstruct(observations(field, observed), members=1)
    for turn in (lambda a: a[::-1], lambda a: a[:, ::-1], np.transpose, np.rot90):
        turned = averaged.reconstruct(observations(turn(field), turn(observed)), members=1)
        for name in ("chl", "chl_sd"):
            np.testing.assert_allclose(turned[name].values[0], turn(plain[name].values[0]), atol=2e-5)


def test_where_longitude_wraps_the_seam_is_no_border(filler: AnyFieldReconstructor) -> None:
    rng = np.random.default_rng(8)
    field = draw_fields(rng, MaternFields.single(5.0, 1.5), (24, 36), periodic=True)[0]
    observed = RandomCells(0.7).draw(np.ones(field.shape, bool), rng)

    def filled(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
        given = observations(values, seen).assign_coords(lon=np.arange(36) * 10.0)
        return np.asarray(filler.reconstruct(given, members=1)["chl"].values[0])

    # by a multiple of what the network takes together
    rolled = filled(np.roll(field, 12, 1), np.roll(observed, 12, 1))
    differences = np.abs(rolled - np.roll(filled(field, observed), 12, 1))
    assert np.median(differences) < 0.05
    edge = np.abs(filled(field, observed)[:, 0] - filled(field, observed)[:, -1]).mean()
    assert edge < 1.5 * np.abs(np.diff(filled(field, observed), axis=1)).mean()


def test_members_are_coherent_and_as_wide_as_the_spread(filler: AnyFieldReconstructor) -> None:
    field, observed = world(9, shape=(40, 40), hidden=0.9)
    result = filler.reconstruct(observations(field, observed), members=40)
    departures = (result["chl_member"] - result["chl"]) / result["chl_sd"].where(result["chl_sd"] > 0)
    assert float((departures**2).mean()) == pytest.approx(1, abs=0.25)
    along = departures.values[..., 1:] * departures.values[..., :-1]
    neighbours = float(np.nanmean(along))
    assert neighbours > 0.5


def test_a_date_without_observations_is_filled_with_what_the_others_say(
    filler: AnyFieldReconstructor, caplog: pytest.LogCaptureFixture
) -> None:
    field, observed = world(10)
    first = observations(field + 50, observed)
    second = observations(field + 50, np.zeros_like(observed)).assign_coords(time=np.array(["2020-03-02"], "M8[ns]"))
    both = xr.concat([first, second], "time", data_vars="minimal")
    result = filler.reconstruct(both, members=2)
    assert "nothing was seen in 1 of 2" in caplog.text
    assert float(result["chl"][1].mean()) == pytest.approx(50, abs=1)
    assert float(result["chl_sd"][1].mean()) > 0.3
    xr.testing.assert_equal(result.isel(time=[0]).drop_attrs(), filler.reconstruct(first, members=2).drop_attrs())
    with pytest.raises(DataError, match="Nothing was seen"):
        filler.reconstruct(second, members=2)


def test_it_keeps_the_laws_of_the_family(filler: AnyFieldReconstructor) -> None:
    given = tiny_ocean(times=3)
    rng = np.random.default_rng(11)
    domain = given["thetao"].notnull().any("time")
    hidden = given[["thetao"]].where(rng.random(given["thetao"].shape) < 0.6).assign(domain=domain)
    filler.extra["samples"] = 5
    check_reconstructor(filler, hidden, given)


def test_a_section_is_a_field_of_depth_and_distance(filler: AnyFieldReconstructor) -> None:
    field, observed = world(13, shape=(20, 30))
    plane = filler.reconstruct(observations(field, observed), members=2)
    flat = observations(field, observed)
    section = xr.Dataset(
        {
            "chl": (("time", "depth", "lat", "lon"), flat["chl"].values[:, :, None]),
            "domain": (("depth", "lat", "lon"), np.ones((20, 1, 30), bool)),
        },
        {"time": flat["time"], "depth": np.arange(20.0), "lat": [10.0], "lon": flat["lon"].values},
    )
    result = filler.reconstruct(section, members=2)
    assert result["chl_member"].dims == ("member", "time", "depth", "lat", "lon")
    for name in ("chl", "chl_sd", "chl_member"):
        np.testing.assert_allclose(result[name].values.squeeze(), plane[name].values.squeeze(), atol=1e-6)


def test_a_domain_that_is_not_stated_is_the_whole_grid(
    filler: AnyFieldReconstructor, caplog: pytest.LogCaptureFixture
) -> None:
    result = filler.reconstruct(observations(*world(12)).drop_vars("domain"), members=1)
    assert "states no domain" in caplog.text
    assert np.isfinite(result["chl"]).all()


def test_it_is_not_fitted_and_says_so(filler: AnyFieldReconstructor) -> None:
    with pytest.raises(ConfigurationError, match="shipped:anyfield"):
        filler.fit(tiny_training_data())
    with pytest.raises(ConfigurationError, match="1, 2, 4 or 8"):
        AnyFieldReconstructor(SMALL, symmetries=3)


def test_one_outlier_does_not_set_the_unit() -> None:
    values = np.random.default_rng(0).standard_normal(200)
    unit = normalise(values)
    far = normalise(np.append(values, 1e6))
    assert abs(far.scale) < 2 * abs(unit.scale)
    assert abs(far.centre - unit.centre) < 0.2


def test_the_stream_is_a_function_of_its_seed_and_hides_every_share() -> None:
    samples = AnyFieldSamples(cells=8192)
    batches = [next(samples.stream(seed)) for seed in (5, 5, 6)]
    assert all(torch.equal(a, b) for a, b in zip(vars(batches[0]).values(), vars(batches[1]).values(), strict=True))
    assert batches[0].truth.shape != batches[2].truth.shape or not torch.equal(batches[0].truth, batches[2].truth)
    stream = samples.stream(1)
    shares, errors = [], []
    for _ in range(6):
        batch = next(stream)
        assert all(bool(part.isfinite().all()) for part in vars(batch).values())
        assert not bool((batch.observed & ~batch.domain).any())
        assert bool(batch.observed.any((1, 2)).all())
        exact = batch.observed & (batch.error == 0)
        assert torch.allclose(batch.values[exact], batch.truth[exact], atol=1e-4)
        shares += (1 - batch.observed.sum((1, 2)) / batch.domain.sum((1, 2))).tolist()
        errors += batch.error.amax((1, 2)).tolist()
    assert min(shares) < 0.5
    assert max(shares) > 0.98
    assert 0.2 < np.mean(np.array(errors) > 0) < 0.6


def test_the_shipped_run_beats_its_own_first_guess() -> None:
    run: Path = shipped_run("anyfield")
    assert (run / "arrays.safetensors").stat().st_size < 20e6
    trained = load_reconstructor(run)
    assert isinstance(trained, AnyFieldReconstructor)
    untrained = AnyFieldReconstructor(trained.network_spec)
    errors = []
    for seed in range(20, 26):
        field, observed = world(seed, shape=(48, 48), hidden=0.9)
        given = observations(np.exp(field), observed)
        errors.append(
            [
                float(((r.reconstruct(given, members=1)["chl"] - np.exp(field)) ** 2).mean())
                for r in (trained, untrained)
            ]
        )
    assert np.mean(errors, axis=0)[0] < np.mean(errors, axis=0)[1]
    spread = trained.reconstruct(observations(field, observed & (np.arange(48) == 20)[:, None]), members=1)["chl_sd"]
    assert float(spread[0, 47].mean()) > float(spread[0, 21].mean())


def test_the_command_needs_nothing_but_the_observations(tmp_path: Path) -> None:
    field, observed = world(30, shape=(20, 30))
    given = observations(field, observed).rename(chl="chl_a")
    two = xr.concat(
        [given, given.assign_coords(time=given["time"] + np.timedelta64(1, "D"))], "time", data_vars="minimal"
    )
    two.to_netcdf(tmp_path / "obs.nc")
    arguments = [
        "reconstruct",
        "shipped:anyfield",
        str(tmp_path / "obs.nc"),
        "--out",
        str(tmp_path / "out.nc"),
        "--members",
        "3",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    with xr.open_dataset(tmp_path / "out.nc") as written:
        assert {"chl_a", "chl_a_sd", "chl_a_member"} <= set(written)
        assert written["chl_a_member"].sizes["member"] == 3
        assert np.isfinite(written["chl_a"]).all()
        # a member is a function of the date, too
        assert not np.allclose(written["chl_a_member"][:, 0], written["chl_a_member"][:, 1])
    assert CliRunner().invoke(app, [*arguments, "--overwrite", "--sampler", "HeunSampler:4"]).exit_code != 0
