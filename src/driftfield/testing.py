"""Small worlds, exact problems, and the laws that every member of a family must keep: for us and for who extends us.

    check_denoiser(MyDenoiser(...), (3, 1, 8, 8))       shape, finiteness, samples that do not meet
    check_sampler(MySampler(evaluations=64))            the exact Gaussian, counted evaluations, repeatable draws
    check_reconstructor(my_method, observations)        output layout, member determinism, save and load

The Gaussian is the touchstone, since all of it is known: with x ~ N(mu, C) and x_t / alpha = z = x + s eps, every
eigendirection of C with variance v follows the probability flow dz / ds = (z - D) / s exactly as

    z(s) = mu + (z(s_0) - mu) sqrt((v + s^2) / (v + s_0^2)),        D(z, s) = mu + v / (v + s^2) (z - mu)

A broken law is an `AssertionError` that says found and expected.
"""

__all__ = [
    "CountingDenoiser",
    "GaussianProblem",
    "check_denoiser",
    "check_reconstructor",
    "check_sampler",
    "exact_problems",
    "numbered_noise",
    "tiny_batch",
    "tiny_ocean",
    "tiny_training_data",
]

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.conventions import LATITUDE, LONGITUDE, domain_of
from driftfield.data.sources import GriddedArchive
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule, Schedule
from driftfield.fields import FieldBatch
from driftfield.interfaces import Denoiser, Reconstructor, TrainingData
from driftfield.sampling.base import Noise, Sampler

# -- exact problems ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GaussianProblem:
    """A Gaussian field of which everything is known.

    Arguments:
        mean: (cells,)
        covariance: (cells, cells)
        schedule: The noise that the denoiser expects.
    """

    mean: Tensor
    covariance: Tensor
    schedule: Schedule

    @property
    def cells(self) -> int:
        """Size of the field."""
        return self.mean.numel()

    @property
    def denoiser(self) -> GaussianDenoiser:
        """The exact denoiser, for x_t of shape (batch, 1, 1, cells)."""
        return GaussianDenoiser(self.schedule, self.mean, self.covariance)

    def sample(self, z: Tensor, s_from: float, s_to: float) -> Tensor:
        """What the exact probability flow makes of z at noise level s_from: the clean estimate D at s_to.

        Arguments:
            z: (batch, ..., cells), float64 for an answer of that precision.
        """
        variances, basis = torch.linalg.eigh(self.covariance.double())
        factor = ((variances + s_to**2) / (variances + s_from**2)).sqrt() * variances / (variances + s_to**2)
        departure = ((z.double() - self.mean) @ basis) * factor
        return self.mean + departure @ basis.T


def exact_problems(schedule: Schedule | None = None) -> dict[str, GaussianProblem]:
    """Independent cells of very different variance, and a smooth field whose neighbours agree (float64)."""
    schedule = LogLinearSchedule() if schedule is None else schedule
    variances = torch.tensor([0.04, 0.25, 1.0, 2.0, 9.0], dtype=torch.float64)
    x = torch.arange(16, dtype=torch.float64)
    smooth = torch.exp(-(x[:, None] - x[None, :]).abs() / 4.0)
    return {
        "independent": GaussianProblem(torch.linspace(-1, 1, 5, dtype=torch.float64), torch.diag(variances), schedule),
        "correlated": GaussianProblem(torch.sin(x), smooth, schedule),
    }


def numbered_noise(shape: Sequence[int], seed: int = 0) -> Noise:
    """Standard normals by draw number, float64: the same number gives the same draw."""

    def draw(number: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw


class CountingDenoiser:
    """Has a denoiser and is a denoiser; counts its evaluations."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.schedule, self.denoiser, self.calls = denoiser.schedule, denoiser, 0

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return self.denoiser(x_t, t)


# -- tiny worlds -------------------------------------------------------------------------------------------------------


def tiny_ocean(
    *, times: int = 30, depths: int = 2, shape: tuple[int, int] = (8, 12), every_days: float = 12.0, seed: int = 0
) -> xr.Dataset:
    """A warm box with an island, a shelf, a season and slow eddies; made in milliseconds.

    Returns:
        `thetao` (time, depth, lat, lon) and `sst` (time, lat, lon), degC, float32, NaN on land and below the sea floor.
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    days = np.arange(times) * every_days
    eddies = np.zeros((times, height, width))
    for _ in range(6):
        k, speed, phase, size = *rng.uniform(0.5, 2.5, 2), *rng.uniform(0, 2 * np.pi, 2)
        wave = 2 * np.pi * (k * x + (3 - k) * y)[None] + (0.02 * speed * days)[:, None, None]
        eddies += 0.5 * np.sin(wave + phase) * np.cos(size + 0.013 * days)[:, None, None]
    season = 3 * np.cos(2 * np.pi * (days / 365.25 - 0.6))[:, None, None]
    surface = 18 - 6 * y + season + eddies
    depth = 10.0 * 4.0 ** np.arange(depths)
    fade = np.exp(-depth / 200)[None, :, None, None]
    thetao = 8 + (surface[:, None] - 8) * fade
    land = (y < 0.3) & (x < 0.3)
    shelf = x > 0.85
    thetao[:, :, land] = np.nan
    thetao[:, -1, shelf] = np.nan
    sst = np.where(land, np.nan, surface)
    dates = np.datetime64("2001-01-01", "s") + (days * 86400).astype("timedelta64[s]")
    coords = {
        "time": dates,
        "depth": ("depth", depth, {"units": "m", "positive": "down", "axis": "Z"}),
        "lat": ("lat", 30 + np.arange(height) * 0.5, LATITUDE),
        "lon": ("lon", -40 + np.arange(width) * 0.5, LONGITUDE),
    }
    attrs = {"units": "degC", "long_name": "temperature"}
    return xr.Dataset(
        {
            "thetao": (("time", "depth", "lat", "lon"), thetao.astype(np.float32), attrs),
            "sst": (("time", "lat", "lon"), sst.astype(np.float32), attrs),
        },
        coords,
    )


def tiny_training_data(fields: xr.Dataset | None = None) -> TrainingData:
    """A tiny ocean divided in time: what `Reconstructor.fit` takes."""
    fields = tiny_ocean() if fields is None else fields
    names = ("thetao", "sst")
    domains = {name: fields[name].notnull().any("time") for name in names}
    archive = GriddedArchive(fields, domains, periodic=False)
    steps = np.arange(fields.sizes["time"])
    cut = int(0.6 * steps.size), int(0.8 * steps.size)
    return TrainingData(
        archive=archive,
        train=steps[: cut[0]],
        validation=steps[cut[0] : cut[1]],
        test=steps[cut[1] :],
        targets=("thetao",),
        covariates=("sst",),
    )


def tiny_batch(
    size: int = 2,
    *,
    channels: int = 2,
    covariates: int = 1,
    shape: tuple[int, int] = (16, 24),
    first_guess: bool = False,
    seed: int = 0,
) -> FieldBatch:
    """A random batch with land, observations and everything else a network may look at, in network units."""
    generator = torch.Generator().manual_seed(seed)

    def normal(count: int) -> Tensor:
        return torch.randn(size, count, *shape, generator=generator)

    def chance(count: int, probability: float) -> Tensor:
        return torch.rand(size, count, *shape, generator=generator) < probability

    domain, target = chance(channels, 0.8), normal(channels)
    observed = domain & chance(channels, 0.3)
    error = 0.1 * torch.rand(size, channels, *shape, generator=generator)
    given = chance(covariates, 0.7)
    return FieldBatch(
        target=torch.where(domain, target, 0),
        observations=torch.where(observed, target + error * normal(channels), 0),
        observed=observed,
        error_std=torch.where(observed, error, 0),
        domain=domain,
        held_out=domain & ~observed,
        covariates=torch.where(given, normal(covariates), 0),
        covariates_observed=given,
        covariates_error_std=torch.zeros(size, covariates, *shape),
        presence=torch.ones(size, covariates),
        position=torch.rand(size, 2, generator=generator) * 60,
        date=torch.rand(size, 2, generator=generator),
        first_guess=torch.where(domain, normal(channels), 0) if first_guess else None,
        first_guess_scale=0.5 + torch.rand(size, channels, *shape, generator=generator) if first_guess else None,
    )


# -- laws --------------------------------------------------------------------------------------------------------------


def check_denoiser(denoiser: Denoiser, shape: Sequence[int], *, tolerance: float = 1e-4, seed: int = 0) -> None:
    """Asserts that a denoiser answers like one, at the clean end, in the middle and at the noise end.

    Arguments:
        denoiser: Bound to its conditions.
        shape: (batch, channel, *space) of x_t, with the batch that the conditions were bound to.
        tolerance: Greatest difference between two equal calls.

    Raises:
        AssertionError: the shape changes, an answer is not finite, the argument is written to, a sample's answer depends
            on the other samples, or two equal calls differ.
    """
    eps = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    for time in (0.0, 0.5, 1.0):
        t = torch.full((shape[0],), time)
        alpha, sigma = (float(part[0]) for part in denoiser.schedule.alpha_sigma(t))
        x_t = eps * math.hypot(alpha, sigma)
        given = x_t.clone()
        clean = denoiser(x_t, t)
        assert clean.shape == x_t.shape, f"at t={time} the shape is {tuple(clean.shape)}, expected {tuple(shape)}"
        assert torch.isfinite(clean).all(), f"at t={time} the answer is not finite"
        assert torch.equal(x_t, given), f"at t={time} the denoiser wrote into x_t"
        again = float((denoiser(x_t, t) - clean).abs().max())
        assert again <= tolerance, f"two equal calls at t={time} differ by {again:.3g}, expected at most {tolerance:g}"
        if shape[0] > 1:
            other = torch.cat([x_t[:1], 2 * x_t[1:]])
            change = float((denoiser(other, t)[:1] - clean[:1]).abs().max())
            assert change <= tolerance, f"at t={time} a sample saw another one: its answer changed by {change:.3g}"


def check_sampler(sampler: Sampler, *, draws: int = 4096, spread: float = 0.02, seed: int = 0) -> None:
    """Asserts that a sampler finds the mean and the standard deviation of exact Gaussians, at the cost that it states.

    Arguments:
        sampler: As it is used: with its default or its own number of evaluations.
        draws: Size of the sample; its Monte-Carlo error (four standard errors) is allowed on top.
        spread: Relative error allowed in the standard deviation, and in the mean in units of the standard deviation.

    Raises:
        AssertionError: a moment is off, more evaluations are used than stated, or two equal calls differ.
    """
    for name, problem in exact_problems().items():
        counting = CountingDenoiser(problem.denoiser)
        noise = numbered_noise((draws, 1, 1, problem.cells), seed)
        drawn = sampler.sample(counting, noise)
        assert 0 < counting.calls <= sampler.evaluations, (
            f"{counting.calls} evaluations on the {name} Gaussian, expected 1 to {sampler.evaluations}"
        )
        few = numbered_noise((8, 1, 1, problem.cells), seed)
        assert torch.equal(sampler.sample(counting, few), sampler.sample(counting, few)), "two equal calls differ"
        sd = problem.covariance.diagonal().sqrt()
        found = drawn.double().view(draws, -1)
        mean_error = float(((found.mean(0) - problem.mean) / sd).abs().max())
        sd_error = float((found.std(0) / sd - 1).abs().max())
        assert mean_error <= spread + 4 / math.sqrt(draws), f"mean off by {mean_error:.3g} sd on the {name} Gaussian"
        assert sd_error <= spread + 4 / math.sqrt(2 * draws), f"sd off by {sd_error:.2%} on the {name} Gaussian"


def check_reconstructor(
    reconstructor: Reconstructor,
    observations: xr.Dataset,
    truth: xr.Dataset | None = None,
    *,
    targets: Sequence[str] = ("thetao",),
    members: int = 3,
    seed: int = 7,
    tolerance: float = 1e-5,
) -> None:
    """Asserts that a fitted reconstructor keeps the laws of the family.

    Arguments:
        reconstructor: Already fitted. One that says `uses_other_times` may change its answer when other times are given.
        observations: An observation data set with `domain` and at least two times.
        truth: The same fields complete; where given, the error of the mean may be twice their spread at most.
        targets: Variables that are reconstructed.
        members: Ensemble size to ask for; a deterministic method may give one.
        tolerance: Relative to the largest value of a field.

    Raises:
        AssertionError: a law is broken.
    """
    before = observations.copy(deep=True)
    whole = reconstructor.reconstruct(observations, members=members, seed=seed)
    xr.testing.assert_identical(observations, before)
    for name in targets:
        _check_layout(whole, observations, name, members)
        if truth is not None:
            error = float(np.sqrt(((whole[name] - truth[name]) ** 2).mean()))
            assert error <= 2 * float(truth[name].std()), (
                f"{name}: error {error:.3g}, more than twice the field's spread"
            )
    names = [f"{name}_member" for name in targets if f"{name}_member" in whole]
    again = reconstructor.reconstruct(observations, members=members, seed=seed)
    part = reconstructor.reconstruct(observations.isel(time=slice(1, 2)), members=members, seed=seed)
    fewer = reconstructor.reconstruct(observations, members=1, seed=seed)
    alone = not getattr(reconstructor, "uses_other_times", False)
    for name in (*targets, *names):
        _check_near(again[name], whole[name], f"{name} of two equal calls", tolerance)
        if alone:
            _check_near(part[name], whole[name].isel(time=slice(1, 2)), f"{name} of a part of the times", tolerance)
    for name in names:
        _check_near(
            fewer[name].isel(member=0), whole[name].isel(member=0), f"{name} 0 of a smaller ensemble", tolerance
        )
    if any(whole[name].sizes["member"] > 1 for name in names):
        other = reconstructor.reconstruct(observations, members=members, seed=seed + 1)
        assert not all(np.allclose(other[name], whole[name], equal_nan=True) for name in names), (
            "the seed has no effect"
        )
    with tempfile.TemporaryDirectory() as folder:
        reconstructor.save(Path(folder) / "run")
        loaded = type(reconstructor).load(Path(folder) / "run")
        saved = loaded.reconstruct(observations, members=members, seed=seed)
    for name in (*targets, *names):
        _check_near(saved[name], whole[name], f"{name} after save and load", tolerance)


def _check_layout(found: xr.Dataset, observations: xr.Dataset, name: str, members: int) -> None:
    """Variables, dimensions, type, and NaN exactly outside the domain."""
    assert name in found, f"no {name!r} in the output, found {list(found)}"
    expected = observations[name]
    assert found[name].dims == expected.dims, f"{name} has dims {found[name].dims}, expected {expected.dims}"
    assert found[name].dtype == np.float32, f"{name} is {found[name].dtype}, expected float32"
    domain = domain_of(observations, name)
    if domain is not None:
        inside = domain.broadcast_like(expected).transpose(*expected.dims).values
        for label in (label for label in (name, f"{name}_sd", f"{name}_member") if label in found):
            finite = np.isfinite(found[label].values)
            assert (finite == inside).all(), f"{label} must be finite inside the domain and NaN outside"
    ensemble = found.get(f"{name}_member")
    if ensemble is not None:
        assert ensemble.dims == ("member", *expected.dims), f"{name}_member has dims {ensemble.dims}"
        assert ensemble.sizes["member"] in (1, members), f"{ensemble.sizes['member']} members, expected 1 or {members}"
        if ensemble.sizes["member"] > 1:
            assert f"{name}_sd" in found, f"an ensemble without {name}_sd"
            # over the whole field: the spread of three members in a single cell says little
            drawn, stated = (
                float(np.sqrt((part**2).mean())) for part in (ensemble.std("member", ddof=1), found[f"{name}_sd"])
            )
            assert 0.5 * stated <= drawn <= 1.5 * stated + 1e-6, (
                f"{name}_sd is {stated:.3g}, but the members differ by {drawn:.3g}"
            )


def _check_near(found: xr.DataArray, expected: xr.DataArray, what: str, tolerance: float) -> None:
    a, b = found.values, expected.values
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    assert (np.isnan(a) == np.isnan(b)).all(), f"{what}: NaN in other places"
    scale = max(float(np.nanmax(np.abs(b))), 1.0)
    difference = float(np.nanmax(np.abs(a - b))) / scale
    assert difference <= tolerance, f"{what}: differs by {difference:.3g} of the largest value, at most {tolerance:g}"
