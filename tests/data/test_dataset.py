"""A training sample is a function of (seed, index); its masks divide the domain; land has no say in it."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import FirstGuessPool, ObservingSystem, TwinDataset
from driftfield.data.patches import Window
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch, Guess, Seen
from driftfield.testing import tiny_ocean, tiny_training_data

OBSERVE = {"thetao": "profiles:0.6-0.9", "sst": "clouds:0.5"}
WHOLE, PART = Window(0, 0, 8, 12), Window(1, 3, 6, 8)


def make(
    fields_of: xr.Dataset | None = None, *, observing: dict[str, Any] | None = None, **options: Any
) -> TwinDataset:
    data = tiny_training_data(fields_of)
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, {"class": "ClimatologicalAnomaly"})
    given: dict[str, Any] = {"times": data.train, "windows": [WHOLE, PART], "samples": 40, "seed": 5} | options
    system = ObservingSystem(**({"observe": OBSERVE, "error": 0.1} | (observing or {})))
    return TwinDataset(data.archive, codec, system, **given)


def assert_same(a: FieldBatch, b: FieldBatch) -> None:
    one, other = a.to_arrays(), b.to_arrays()
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert np.array_equal(array, other[name]), name


def test_a_sample_depends_on_seed_and_index_alone() -> None:
    one, other = make(), make()
    for index in (7, 0, 7, 3):
        assert_same(one[index], other[index])
    assert not torch.equal(one[0].seen.value, one[1].seen.value) or one[0].target.shape != one[1].target.shape
    assert not torch.equal(make(seed=6, windows=[WHOLE])[0].seen.value, make(windows=[WHOLE])[0].seen.value)


def test_a_resumed_training_sees_what_was_left() -> None:
    all_of_it, rest = make(), make(start=25)
    assert (len(all_of_it), len(rest)) == (40, 15)
    for index in range(3):
        assert_same(rest[index], all_of_it[25 + index])


@pytest.mark.parametrize("mix", [False, True])
def test_the_masks_divide_the_known_domain(mix: bool) -> None:
    dataset = make(mix=mix)
    for index in range(12):
        sample = dataset[index]
        assert not (sample.seen.where & sample.held_out).any()
        assert torch.equal(sample.seen.where | sample.held_out, sample.domain)  # the tiny ocean has no gaps
        for tensor, mask in (
            (sample.target, sample.domain),
            (sample.seen.value, sample.seen.where),
            (sample.seen.error, sample.seen.where),
            (sample.given.value, sample.given.where),
            (sample.given.error, sample.given.where),
        ):
            assert torch.isfinite(tensor).all()
            assert (tensor[~mask] == 0).all()


def test_a_gap_in_the_archive_is_neither_seen_nor_scored() -> None:
    gappy = tiny_ocean()
    gappy["thetao"][:, 0, 5, 6:9] = np.nan
    gappy["thetao"][0, 0, 5, 6:9] = 15.0  # seen once: a gap, not land
    dataset = make(gappy, observing={"observe": {"thetao": "all", "sst": "all"}}, windows=[WHOLE])
    sample = dataset.draw(4, WHOLE, np.random.default_rng(0))
    assert sample.domain[0, 0, 5, 6:9].all()
    assert not (sample.seen.where | sample.held_out)[0, 0, 5, 6:9].any()
    assert int(sample.seen.where.sum()) == int(sample.domain.sum()) - 3


@pytest.mark.parametrize("value", [1e6, -273.0])
def test_land_values_never_matter(value: float) -> None:
    ocean = tiny_ocean()
    data = tiny_training_data(ocean)
    painted = ocean.fillna(value)
    archive = GriddedArchive(painted, data.archive.domains, periodic=False)
    codecs = [
        FieldCodec.fit(one, data.train, data.targets, data.covariates, {"class": "ClimatologicalAnomaly"})
        for one in (data.archive, archive)
    ]
    system = ObservingSystem(OBSERVE, error=0.1, degrade_offset=0.5, degrade_speckle=0.2)
    options: dict[str, Any] = {"times": data.train, "windows": [WHOLE, PART], "samples": 9, "seed": 1, "mix": True}
    a, b = (
        TwinDataset(one, codec, system, **options) for one, codec in zip((data.archive, archive), codecs, strict=True)
    )
    for index in range(9):
        assert_same(a[index], b[index])


def test_a_dropped_covariate_is_hidden_and_says_so() -> None:
    always, never = make(observing={"covariate_dropout": 1.0}), make(observing={"covariate_dropout": 0.0})
    for index in range(4):
        assert float(always[index].presence.max()) == 0
        assert not always[index].given.where.any()
        assert (always[index].given.value == 0).all()
        assert float(never[index].presence.min()) == 1
        assert never[index].given.where.any()
    half = make(observing={"covariate_dropout": 0.5}, samples=400)
    share = np.mean([float(half[index].presence) for index in range(400)])
    assert abs(share - 0.5) < 4 * 0.5 / 400**0.5


def test_dropout_and_degradation_are_for_training_only() -> None:
    hard = {"covariate_dropout": 1.0, "degrade_offset": 3.0, "degrade_speckle": 3.0, "error": 0.0}
    dataset = make(observing=hard | {"observe": {"thetao": "none", "sst": "all"}}, training=False, windows=[WHOLE])
    plain = make(observing={"observe": {"thetao": "none", "sst": "all"}, "error": 0.0}, training=False, windows=[WHOLE])
    assert float(dataset[0].presence) == 1
    a, b = (one.draw(3, WHOLE, np.random.default_rng(0)).given.value for one in (dataset, plain))
    assert torch.equal(a, b)


def test_observation_errors_have_the_stated_deviation() -> None:
    dataset = make(observing={"observe": {"thetao": "all", "sst": "all"}, "error": {"thetao": 0.3}}, windows=[WHOLE])
    scale = torch.from_numpy(dataset.codec.normalizers["thetao"].std)
    samples = [dataset[index] for index in range(40)]
    errors = torch.cat([((s.seen.value - s.target) * scale)[s.seen.where] for s in samples])
    n = errors.numel()
    assert abs(float(errors.mean())) < 4 * 0.3 / n**0.5
    assert abs(float(errors.std()) - 0.3) < 4 * 0.3 / (2 * n) ** 0.5
    for sample in samples[:3]:
        stated = (sample.seen.error * scale)[sample.seen.where]
        torch.testing.assert_close(stated, torch.full_like(stated, 0.3))
        assert (sample.given.error == 0).all()  # no error was stated for it


def test_an_error_range_is_drawn_anew_for_every_sample() -> None:
    dataset = make(observing={"observe": {"thetao": "all", "sst": "all"}, "error": [0.1, 0.4]}, windows=[WHOLE])
    scale = torch.from_numpy(dataset.codec.normalizers["thetao"].std)
    drawn = [float((dataset[i].seen.error * scale)[dataset[i].seen.where][0]) for i in range(20)]
    assert 0.1 <= min(drawn) < 0.2 < 0.3 < max(drawn) <= 0.4


def test_mixing_keeps_the_variance() -> None:
    plain, mixed = make(samples=400, windows=[WHOLE]), make(samples=400, windows=[WHOLE], mix=True)

    def variance(dataset: TwinDataset) -> float:
        values = torch.cat([dataset[i].target[dataset[i].domain] for i in range(400)])
        return float(values.var())

    assert variance(mixed) == pytest.approx(variance(plain), rel=0.15)


def test_out_of_fold_anomalies_are_those_from_a_climatology_without_the_field() -> None:
    # all fields in one month of different years: the anomaly from a mean over the n - 1 others is n / (n - 1) times larger
    years = [np.datetime64(f"{year}-06-16", "s") for year in range(2001, 2011)]
    ocean = tiny_ocean(times=10).assign_coords(time=years)
    data = tiny_training_data(ocean)
    train = np.arange(6)
    codec = FieldCodec.fit(data.archive, train, data.targets, data.covariates, {"class": "ClimatologicalAnomaly"})
    system = ObservingSystem({"thetao": "none", "sst": "none"})
    options: dict[str, Any] = {"times": train, "windows": [WHOLE], "samples": 4, "seed": 0, "out_of_fold": True}
    target = TwinDataset(data.archive, codec, system, **options).draw(2, WHOLE, np.random.default_rng(0)).target[0]
    truth = ocean["thetao"].values
    others = truth[[0, 1, 3, 4, 5]].mean(axis=0)
    expected = np.nan_to_num((truth[2] - others) / codec.normalizers["thetao"].std)
    np.testing.assert_allclose(target.numpy(), expected, atol=2e-4)


def test_a_leap_day_is_a_day() -> None:
    days = np.datetime64("2004-02-28", "s") + np.arange(3) * np.timedelta64(1, "D")
    dataset = make(
        tiny_ocean(times=30, every_days=1).assign_coords(time=days[0] + np.arange(30) * np.timedelta64(1, "D"))
    )
    drawn = [float(dataset.draw(t, WHOLE, np.random.default_rng(0)).date[0, 0]) * 366 for t in range(3)]
    assert drawn == pytest.approx([58, 59, 60], abs=1e-3)


def test_position_is_the_middle_of_the_window() -> None:
    sample = make().draw(0, PART, np.random.default_rng(0))
    assert sample.position[0].tolist() == pytest.approx([30 + 0.5 * 3.5, -40 + 0.5 * 6.5])


def test_a_pool_gives_its_guesses_cut_to_the_window() -> None:
    ocean = tiny_ocean()
    data = tiny_training_data(ocean)
    codec = FieldCodec.fit(data.archive, data.train, data.targets, [], {"class": "ClimatologicalAnomaly"})
    numbers = np.random.default_rng(0).standard_normal((3, 2, 8, 12)).astype(np.float32)
    seen, hidden = numbers > 0, numbers < -0.5
    value, where, out = (torch.from_numpy(part) for part in (numbers, seen, hidden))
    samples = FieldBatch(
        target=value,
        seen=Seen(value, where, value**2),
        domain=torch.ones_like(where),
        held_out=out,
        given=Seen.nothing(3, 0, 8, 12),
        presence=torch.zeros(3, 0),
        position=torch.zeros(3, 2),
        date=torch.zeros(3, 2),
        guess=Guess(2 * value, value**2 + 1),
    )
    pool = FirstGuessPool(np.array([1, 4, 9]), samples)
    system = ObservingSystem({"thetao": "none"})
    options: dict[str, Any] = {"times": data.train, "windows": [PART], "samples": 9, "seed": 0, "pool": pool}
    sample = TwinDataset(data.archive, codec, system, **options)[0]
    cut = numbers[:, :, 1:7, 3:11]
    chosen = next(i for i in range(3) if torch.equal(sample.target[0], torch.from_numpy(cut[i])))
    assert sample.guess is not None
    assert torch.equal(sample.guess.mean[0], torch.from_numpy(2 * cut[chosen]))
    assert torch.equal(sample.held_out[0], torch.from_numpy(cut[chosen] < -0.5))
    assert torch.equal(sample.guess.scale[0], torch.from_numpy(cut[chosen] ** 2 + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"error": -0.1}, "standard deviation 'error' is -0.1"),
        ({"error": {"thetao": [0.3, 0.1]}}, "'thetao'"),
        ({"error": {"thetao": [0.3]}}, "range"),
        ({"error": "much"}, "range"),
        ({"degrade_offset": -1.0}, "degrade_offset"),
        ({"degrade_speckle": [0.1, 0.2]}, "degrade_speckle"),
        ({"covariate_dropout": 1.5}, "probability"),
        ({"observe": {"thetao": "cloud:0.5", "sst": "all"}}, "Did you mean 'clouds'"),
        ({"observe": {"thetao": "clouds:1.5", "sst": "all"}}, "0 to 1"),
        ({"observe": {"thetao": "all"}}, "how 'sst' is observed"),
        ({"observe": {"thetao": "all", "sst": "all", "zos": "all"}}, "observes 'zos'"),
        ({"error": {"thetaos": 0.1}}, "Did you mean 'thetao'"),
    ],
)
def test_an_impossible_observing_system_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(observing=arguments)
