"""A first guess in training comes from a peer that has not seen the answer; in use from the peer that has seen all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import driftfield.runs  # noqa: F401 - registers the peers
from driftfield.checkpoint import amend_run, find_run
from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.patches import Window
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.gridded.fingerprint import ARCHIVE, fingerprint
from driftfield.models.dates_around import among_others
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.first_guess import FirstGuess
from driftfield.models.first_guess_pool import first_guess_pool
from driftfield.models.training_samples import TrainingSamples
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_training_data

pytestmark = pytest.mark.usefixtures("few_cases")

WHOLE = Window(0, 0, 8, 12)
SYSTEM = {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05}


def fitted(name: str, folder: Path, fields: xr.Dataset | None = None) -> Path:
    peer = build("reconstructor", {"class": name})
    peer.fit(tiny_training_data(fields), seed=0)
    peer.save(folder)
    return folder


def dataset(fields: xr.Dataset | None = None, context: tuple[int, ...] = ()) -> TwinDataset:
    data = tiny_training_data(fields)
    spec = {"class": "ClimatologicalAnomaly"}
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, spec, context=context)
    options: dict[str, Any] = {"times": data.train, "windows": [WHOLE], "samples": 9, "seed": 5}
    return TwinDataset(data.archive, codec, ObservingSystem(**SYSTEM), **options)


def test_a_fold_has_not_seen_its_own_times(tmp_path: Path) -> None:
    fields = tiny_ocean()
    data = tiny_training_data(fields)
    guess = FirstGuess.open({"run": str(fitted("Climatology", tmp_path)), "folds": 3}, data)
    assert sorted(np.concatenate([times for times, _ in guess.folds]).tolist()) == sorted(data.train.tolist())
    time = int(guess.folds[0][0][0])
    seen = observe(fields.isel(time=[time]), SYSTEM["observe"], error=0.05, seed=0)  # type: ignore[arg-type]
    changed = fields.copy(deep=True)
    changed["thetao"][time] += 3.0
    other = FirstGuess.open(
        {"run": str(fitted("Climatology", tmp_path / "b", changed)), "folds": 3}, tiny_training_data(changed)
    )
    for training, same in ((time, True), (int(guess.folds[1][0][0]), False), (None, False)):
        one, two = (g.estimate(seen, training=training)["thetao"].mean for g in (guess, other))
        assert one is not None
        assert two is not None
        assert np.array_equal(one, two, equal_nan=True) == same


def test_a_peer_without_an_error_gets_that_of_its_residuals(tmp_path: Path) -> None:
    data = dataset()
    guess = FirstGuess.open(
        {"run": str(fitted("LinearInterpolation", tmp_path / "peer")), "folds": 2}, tiny_training_data()
    )
    pool = first_guess_pool(guess, data, 6, tmp_path / "pool")
    hidden = pool.samples.held_out.numpy()
    error = np.where(hidden, pool.samples.target - pool.samples.guess.mean, 0)  # type: ignore[union-attr]
    rms = np.sqrt((error**2).sum(axis=(0, 2, 3)) / hidden.sum(axis=(0, 2, 3)))
    assert guess.scale == pytest.approx(rms, rel=1e-4)
    assert np.allclose(pool.samples.guess.scale, guess.scale[:, None, None])
    again = FirstGuess.load(tmp_path / "peer", {})
    assert first_guess_pool(again, data, 6, tmp_path / "other").samples.guess.mean.shape == pool.samples.target.shape


def test_a_pool_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guess = FirstGuess.open({"run": str(fitted("Climatology", tmp_path / "peer")), "folds": 2}, tiny_training_data())
    first = first_guess_pool(guess, dataset(context=(-1, 1)), 3, tmp_path / "pool")
    monkeypatch.setattr(guess, "estimate", None)
    second = first_guess_pool(guess, dataset(context=(-1, 1)), 3, tmp_path / "pool")
    assert np.array_equal(first.time, second.time)
    before, after = first.samples.to_arrays(), second.samples.to_arrays()
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    assert first.samples.given.value.shape[1] == len(dataset(context=(-1, 1)).codec.given())


def test_the_peer_is_asked_with_every_frame(tmp_path: Path) -> None:
    """What the peer sees in training is what was drawn: values, errors, dates."""
    data = dataset(context=(-1, 1))
    asked: list[xr.Dataset] = []

    class Recorder(FirstGuess):
        def estimate(self, observations: xr.Dataset, **options: Any) -> Any:
            asked.append(observations)
            return super().estimate(observations, **options)

    peer = load_reconstructor(fitted("Climatology", tmp_path / "peer"))
    pool = first_guess_pool(Recorder(peer, folds=[(data.times, peer)]), data, 2, tmp_path / "pool")  # type: ignore[arg-type]
    for number, seen in enumerate(asked):
        time = int(pool.time[number])
        now = list(seen["time"].values).index(data.stamps[time])
        rows, columns = np.arange(8), np.arange(12)
        found = data.codec.encode("thetao", seen["thetao"].values[[now]], data.stamps[[time]], rows, columns)[0]
        assert np.allclose(np.nan_to_num(found), pool.samples.seen.value[number], atol=1e-4)
        assert np.array_equal(np.isfinite(found), pool.samples.seen.where[number])
        for stamp in seen["time"].values:
            assert stamp in data.stamps[data.times]


def test_a_peer_that_cannot_leave_out_needs_folds(tmp_path: Path) -> None:
    run = str(fitted("Climatology", tmp_path))
    with pytest.raises(ConfigurationError, match="folds: 5"):
        FirstGuess.open({"run": run}, tiny_training_data())
    with pytest.raises(ConfigurationError, match="folds=1"):
        FirstGuess.open({"run": run, "folds": 1}, tiny_training_data())


def small(**settings: Any) -> DiffusionReconstructor:
    network = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1]}
    sampler = {"class": "DPMSolverPP2M", "evaluations": 2}
    return DiffusionReconstructor(network, SYSTEM, validation_samples=2, sampler=sampler, **settings)


def test_a_network_that_has_seen_the_answer_is_trained_again_without_it(tmp_path: Path) -> None:
    training = pytest.importorskip("driftfield.training")
    trainer = training.LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=[])
    data, first = tiny_training_data(), small()
    first.fit(data, trainer=trainer, folder=tmp_path / "first")
    first.save(tmp_path / "first")
    with pytest.raises(ConfigurationError, match=r"folds: 5.*five times more"):
        FirstGuess.open({"run": str(tmp_path / "first")}, data)
    second = small(first_guess={"run": str(tmp_path / "first"), "pool": 2, "folds": 2})
    second.fit(data, trainer=trainer, folder=tmp_path / "second")
    assert second.guess is not None
    for number, (times, twin) in enumerate(second.guess.folds):
        again = load_reconstructor(tmp_path / "second" / f"first_guess_fold_{number + 1}")
        assert np.isin(times, data.train).all()
        # the mean of a fold is that of the other times
        seen = np.setdiff1d(data.train, times)
        codec = FieldCodec.fit(data.archive, seen, data.targets, data.covariates, {"class": "ClimatologicalAnomaly"})
        for network in (twin, again):
            fitted_mean, expected = (c.normalizers["thetao"].to_arrays() for c in (network.codec, codec))  # type: ignore[attr-defined]
            for key, array in expected.items():
                np.testing.assert_allclose(fitted_mean[key], array, rtol=1e-5)
    second.save(tmp_path / "second")
    seen = observe(tiny_ocean(), SYSTEM["observe"], error=0.05, seed=3).isel(time=slice(0, 2))  # type: ignore[arg-type]
    one, two = (r.reconstruct(seen, members=2) for r in (second, load_reconstructor(tmp_path / "second")))
    np.testing.assert_allclose(one["thetao_member"], two["thetao_member"], atol=1e-4)


def test_a_network_that_learnt_elsewhere_needs_no_folds(tmp_path: Path) -> None:
    training = pytest.importorskip("driftfield.training")
    data, run = tiny_training_data(), tmp_path / "first"
    model = small()
    model.fit(data, trainer=training.LightningTrainer(steps=1, batch_size=2, validate_every=1, loggers=[]), folder=run)
    model.save(run)
    amend_run(run, {"made_of": {ARCHIVE: fingerprint(data.archive)}})
    with pytest.raises(ConfigurationError, match="folds: 5"):
        FirstGuess.open({"run": str(run)}, data)
    other = tiny_ocean()
    other["thetao"] = other["thetao"] + 1.0
    assert FirstGuess.open({"run": str(run)}, tiny_training_data(other)).folds == []
    with pytest.raises(ConfigurationError, match="nothing to leave out"):
        FirstGuess.open({"run": str(run), "folds": 2}, tiny_training_data(other))


def test_the_filler_of_any_field_is_a_first_guess(tmp_path: Path) -> None:
    training = pytest.importorskip("driftfield.training")
    with pytest.raises(ConfigurationError, match="nothing to leave out"):
        FirstGuess.open({"run": "shipped:anyfield", "folds": 2}, tiny_training_data())
    model = small(first_guess={"run": "shipped:anyfield", "pool": 2})
    trainer = training.LightningTrainer(steps=1, batch_size=2, validate_every=1, loggers=[])
    model.fit(tiny_training_data(), trainer=trainer, folder=tmp_path / "run")
    model.save(tmp_path / "run")
    seen = observe(tiny_ocean(), SYSTEM["observe"], error=0.05, seed=3).isel(time=slice(0, 2))  # type: ignore[arg-type]
    assert model.guess is not None
    guess = model.guess.estimate(seen)["thetao"]
    alone = load_reconstructor(find_run("shipped:anyfield")).reconstruct(seen, members=8)
    np.testing.assert_allclose(guess.mean, alone["thetao"], atol=1e-4)
    np.testing.assert_allclose(guess.sd, alone["thetao_sd"], atol=1e-4)
    again = load_reconstructor(tmp_path / "run").reconstruct(seen, members=1)
    assert bool(np.isfinite(again["thetao"]).any())


def test_a_peer_whose_memory_is_its_own_has_folds_too(tmp_path: Path) -> None:
    """Persistence remembers what its archive saw last, which is no number of times that could be exchanged."""
    guess = FirstGuess.open({"run": str(fitted("Persistence", tmp_path)), "folds": 2}, tiny_training_data())
    seen = observe(tiny_ocean(), SYSTEM["observe"], error=0.05, seed=3).isel(time=slice(0, 3))  # type: ignore[arg-type]
    assert np.isfinite(guess.estimate(seen, training=1, only=1)["thetao"].sd).all()


@pytest.mark.parametrize("peer", ["LinearInterpolation", "OptimalInterpolation"])
def test_residuals_covariates_and_context_together(tmp_path: Path, peer: str) -> None:
    training = pytest.importorskip("driftfield.training")
    spec: dict[str, Any] = {"run": str(fitted(peer, tmp_path / "peer")), "pool": 4}
    if peer == "LinearInterpolation":
        spec["folds"] = 2
    model = DiffusionReconstructor(
        network={"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1]},
        observing=SYSTEM,
        first_guess=spec,
        context=[-1, 1],
        validation_samples=2,
        sampler={"class": "DPMSolverPP2M", "evaluations": 2},
    )
    trainer = training.LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=[])
    model.fit(tiny_training_data(), trainer=trainer, folder=tmp_path / "run")
    model.save(tmp_path / "run")
    seen = observe(tiny_ocean(), SYSTEM["observe"], error=0.05, seed=3).isel(time=slice(0, 3))  # type: ignore[arg-type]
    found = model.reconstruct(seen, members=2)
    again = load_reconstructor(tmp_path / "run").reconstruct(seen, members=2)
    assert np.allclose(found["thetao_member"], again["thetao_member"], equal_nan=True, atol=1e-4)
    assert bool(np.isfinite(found["thetao"]).any())


def test_bounds_of_a_pool_are_those_of_its_fields(tmp_path: Path) -> None:
    data = replace(tiny_training_data(), bounds={"thetao": (-2.0, 40.0)})
    spec = {"class": "ClimatologicalAnomaly"}
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, spec, bounds=data.bounds)
    guess = FirstGuess.open({"run": str(fitted("Climatology", tmp_path / "peer")), "folds": 2}, data)
    drawn = {}
    for name, augment in {"plain": {}, "mix": {"mix": True}, "out_of_fold": {"out_of_fold": True}}.items():
        samples = TrainingSamples(
            data, codec, ObservingSystem(**SYSTEM), augment=augment, guess=guess, pool=3, folder=tmp_path / name, seed=0
        )  # type: ignore[arg-type]
        drawn[name] = samples.training(4)(0)[0]
        assert samples.validation(2, 2)[0].bounds is not None
    assert drawn["mix"].bounds is None  # a mix of two fields has no bounds
    plain, scaled = (drawn[name].bounds.upper for name in ("plain", "out_of_fold"))
    assert plain is not None
    assert scaled is not None
    sea = drawn["plain"].domain & (drawn["plain"].target.abs() > 0.1)
    factor = (drawn["out_of_fold"].target / drawn["plain"].target)[sea]
    assert float(factor.min()) > 1.01
    np.testing.assert_allclose((scaled / plain)[sea], factor, rtol=1e-3)


def test_symmetries_are_refused_that_a_pool_does_not_have(tmp_path: Path) -> None:
    class Never:
        steps, batch_size = 1, 1

        def fit(self, *_: Any, **__: Any) -> list[dict[str, float]]:
            raise AssertionError("it must not come this far")

    network = {"class": "ResidualUNet", "widths": [4], "depths": [1], "condition_depths": [1]}
    spec = {"network": network, "observing": SYSTEM, "first_guess": {"run": str(tmp_path / "none")}}
    model = DiffusionReconstructor(**spec, augment={"symmetries": {"flip_longitude": True}})
    with pytest.raises(ConfigurationError, match=r"first_guess together with augment\.symmetries"):
        model.fit(tiny_training_data(), trainer=Never(), folder=tmp_path)


def test_a_pool_says_where_the_noisy_field_exists(tmp_path: Path) -> None:
    data = dataset()
    data.observing = ObservingSystem(**SYSTEM, visible={"thetao": ["clouds:0.5"]})
    guess = FirstGuess.open({"run": str(fitted("Climatology", tmp_path / "peer")), "folds": 2}, tiny_training_data())
    pool = first_guess_pool(guess, data, 3, tmp_path / "pool")
    again = first_guess_pool(guess, data, 3, tmp_path / "pool")
    assert pool.samples.visible is not None
    assert again.samples.visible is not None
    visible, known = pool.samples.visible.numpy(), (pool.samples.seen.where | pool.samples.held_out).numpy()
    np.testing.assert_array_equal(again.samples.visible, visible)
    assert not (visible & ~known).any()
    assert 0 < visible.mean() < known.mean()
    options: dict[str, Any] = {"times": data.times, "windows": [Window(2, 3, 4, 6)], "samples": 5, "seed": 1}
    sample = TwinDataset(data.archive, data.codec, data.observing, **options, pool=pool)[0]
    assert sample.visible is not None
    assert any(np.array_equal(sample.visible[0], one[:, 2:6, 3:9]) for one in visible)


def test_a_memory_ends_before_the_observations(tmp_path: Path) -> None:
    fields = tiny_ocean()
    peer = {"class": "SpaceTimeOptimalInterpolation", "memory": 3, "patterns": ["profiles:0.6"], "nearest": 20}
    fitted_once = build("reconstructor", peer)
    fitted_once.fit(tiny_training_data(fields), seed=0)
    fitted_once.save(tmp_path)
    seen = observe(fields[["thetao"]].isel(time=[6]), {"thetao": "profiles:0.8"}, error=0.05, seed=0)

    def mean(changed: slice) -> np.ndarray:
        other = fields.copy(deep=True)
        other["thetao"][changed] += 0.3 * np.random.default_rng(1).standard_normal(other["thetao"][changed].shape)
        guess, data = FirstGuess.load(tmp_path, {}), tiny_training_data(other)
        guess.data, guess.folds = data, [(data.train, guess.peer)]
        found = guess.estimate(seen, training=6, only=0)["thetao"].mean
        assert found is not None
        return found

    before = mean(slice(0, 0))
    np.testing.assert_array_equal(mean(slice(6, None)), before)
    assert np.nanmax(np.abs(mean(slice(3, 6)) - before)) > 0.01
    np.testing.assert_array_equal(mean(slice(0, 3)), before)


def test_one_time_of_an_estimate_is_that_of_all(tmp_path: Path) -> None:
    fields = tiny_ocean()
    peer: Any = build(
        "reconstructor", {"class": "SpaceTimeOptimalInterpolation", "patterns": ["profiles:0.6"], "nearest": 20}
    )
    peer.fit(tiny_training_data(fields), seed=0)
    seen = observe(fields[["thetao"]].isel(time=slice(4, 8)), {"thetao": "profiles:0.8"}, error=0.05, seed=0)
    every, one = peer.estimate(seen, members=1, seed=0)["thetao"], peer.estimate_at(seen, 2)["thetao"]
    for part, of_all in ((one.mean, every.mean), (one.sd, every.sd)):
        assert part is not None
        assert of_all is not None
        np.testing.assert_allclose(part[0], of_all[2], rtol=1e-5, atol=1e-6)


def test_a_refitted_peer_keeps_its_constants_and_forgets_a_time(tmp_path: Path) -> None:
    fields = tiny_ocean()
    data = tiny_training_data(fields)
    peer: Any = build(
        "reconstructor", {"class": "SpaceTimeOptimalInterpolation", "patterns": ["profiles:0.6"], "nearest": 20}
    )
    peer.fit(data, seed=0)
    peer.save(tmp_path)
    assert peer.is_short(data)
    seen = observe(fields[["thetao"]].isel(time=[3]), {"thetao": "profiles:0.8"}, error=0.05, seed=0)
    every = np.union1d(data.train, data.validation)
    changed = fields.copy(deep=True)
    changed["thetao"][3] += 3.0

    def mean(peer: Any) -> np.ndarray:
        found: np.ndarray = peer.estimate_at(seen, 0)["thetao"].mean
        return found

    np.testing.assert_allclose(mean(peer.refitted(data, every)), mean(peer), rtol=1e-5)
    guesses = [
        FirstGuess.open({"run": str(tmp_path), "folds": every.size}, tiny_training_data(f)) for f in (fields, changed)
    ]
    assert [times.tolist() for times, _ in guesses[0].folds] == [[time] for time in every]
    one, two, other = (
        g.estimate(seen, training=t)["thetao"].mean for g, t in ((guesses[0], 3), (guesses[1], 3), (guesses[1], 4))
    )
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one, two)
    assert np.nanmax(np.abs(other - one)) > 0.05


def test_a_peer_in_space_and_time_is_shown_the_dates_around(tmp_path: Path) -> None:
    fields = tiny_ocean()
    data = tiny_training_data(fields)
    known = np.union1d(data.train, data.validation)
    time = int(known[3])
    sample = observe(fields[["thetao"]].isel(time=[time]), {"thetao": "profiles:0.8"}, error=0.05, seed=0)
    shown, only = among_others(sample, 0, data, time, 2)
    assert shown["time"].values.tolist() == fields["time"].values[known[1:6]].tolist()
    assert only == 2
    np.testing.assert_array_equal(shown["thetao"].isel(time=only), sample["thetao"].isel(time=0))
    for index, other in enumerate(known[1:6]):
        if index != only:
            domain = data.archive.domain("thetao").values
            truth = data.archive.dataset["thetao"].isel(time=int(other)).values
            np.testing.assert_allclose(shown["thetao"].values[index][domain], truth[domain], rtol=1e-6)
    with pytest.raises(ConfigurationError, match="looks at one date alone"):
        FirstGuess.load(fitted("Climatology", tmp_path), {"around": 3})
