"""The laws of denoisers, samplers and reconstructors; who breaks one is told what was found and what was expected."""

__all__ = ["check_denoiser", "check_reconstructor", "check_sampler"]

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from driftfield.conventions import domain_of
from driftfield.interfaces import Denoiser, Reconstructor
from driftfield.sampling.base import Sampler
from driftfield.testing.exact import CountingDenoiser, exact_problems, numbered_noise


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
        flat = drawn.double().view(draws, -1)
        mean_error = float(((flat.mean(0) - problem.mean) / sd).abs().max())
        sd_error = float((flat.std(0) / sd - 1).abs().max())
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
        reconstructor: Already fitted. One whose abilities say `uses_other_times` may answer otherwise when other times are given.
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
    alone = not reconstructor.abilities.uses_other_times
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


def _check_layout(result: xr.Dataset, observations: xr.Dataset, name: str, members: int) -> None:
    """Variables, dimensions, type, and NaN exactly outside the domain."""
    assert name in result, f"no {name!r} in the output, found {list(result)}"
    expected = observations[name]
    assert result[name].dims == expected.dims, f"{name} has dims {result[name].dims}, expected {expected.dims}"
    assert result[name].dtype == np.float32, f"{name} is {result[name].dtype}, expected float32"
    domain = domain_of(observations, name)
    if domain is not None:
        inside = domain.broadcast_like(expected).transpose(*expected.dims).values
        for label in (label for label in (name, f"{name}_sd", f"{name}_member") if label in result):
            finite = np.isfinite(result[label].values)
            assert (finite == inside).all(), f"{label} must be finite inside the domain and NaN outside"
    ensemble = result.get(f"{name}_member")
    if ensemble is not None:
        assert ensemble.dims == ("member", *expected.dims), f"{name}_member has dims {ensemble.dims}"
        assert ensemble.sizes["member"] in (1, members), f"{ensemble.sizes['member']} members, expected 1 or {members}"
        if ensemble.sizes["member"] > 1:
            assert f"{name}_sd" in result, f"an ensemble without {name}_sd"
            # over the whole field: the spread of three members in a single cell says little
            drawn, stated = (
                float(np.sqrt((part**2).mean())) for part in (ensemble.std("member", ddof=1), result[f"{name}_sd"])
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
