"""The main job: members of p(field | observations), drawn by a conditional diffusion model in at most 20 evaluations."""

__all__ = ["DiffusionReconstructor", "cover"]

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Unpack

import torch
import xarray as xr
from torch import Tensor, nn
from torch.utils.data import Dataset

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import TwinDataset
from driftfield.diffusion.building import diffusion_model, one_sd
from driftfield.diffusion.model import DiffusionModel, known_cells, to_residual
from driftfield.diffusion.noise import DiffusionNoise
from driftfield.diffusion.noise_range import amplitude_of_samples, checked_range, covering, first_samples
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Abilities, Denoiser, TrainingData
from driftfield.models.learner import Learner
from driftfield.models.networked import NetworkReconstructor, Shared
from driftfield.models.noise_check import check_noise, covering_colour, plain_covers, said_of_noise
from driftfield.models.teaching import Teaching
from driftfield.models.tiled import parts_of, tiling_of
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import DatedWindow, Draws, NetworkEstimate, members_at_once
from driftfield.reconstruction.settings import PRECISIONS, has_exact
from driftfield.registry import build, register
from driftfield.sampling.base import Noise, Sampler
from driftfield.sampling.guidance.replacement import ReplacementDenoiser
from driftfield.sampling.starting import Start, start_named
from driftfield.sampling.tiles import TiledDenoiser, Tiling

log = logging.getLogger(__name__)


class _InBfloat16:
    """A denoiser whose network computes in bfloat16; the walk around it, and operators of observations, do not."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.schedule, self.denoiser = denoiser.schedule, denoiser

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        with torch.autocast(x_t.device.type, torch.bfloat16):
            return self.denoiser(x_t, t)


def cover(learner: Learner, spec: Mapping[str, Any], samples: "Dataset[FieldBatch]") -> JSONObject:
    """The section `diffusion` with a range of noise that covers the samples; the untrained model of the learner takes it on.

    Warns where the range that a recipe states does not, and refuses a noise with a colour that cannot cover them.

    Raises:
        ConfigurationError: see `noise_check.check_noise`.
    """
    assert isinstance(learner.model, DiffusionModel)
    if learner.model.noise.coloured:
        return _cover_with_colour(learner, spec, samples)
    amplitude = amplitude_of_samples(samples)
    filled = covering(spec, amplitude)
    if filled != dict(spec):
        learner.model = diffusion_model(learner.model.network, filled)
    for sentence in checked_range(learner.model, amplitude):
        log.warning(sentence)
    learner.extra["largest_amplitude"] = amplitude
    return filled


def _cover_with_colour(learner: Learner, spec: Mapping[str, Any], samples: "Dataset[FieldBatch]") -> JSONObject:
    """`cover` wave by wave."""
    model = learner.model
    assert isinstance(model, DiffusionModel)
    batch, grid = first_samples(samples), learner.codec.grid
    known = known_cells(batch) if batch.visible is None else known_cells(batch) & batch.visible
    channels = check_noise(model.noise, to_residual(batch, batch.target), known, (grid.lat.size, grid.lon.size))
    filled = one_sd(covering_colour(spec, channels, model.whitened(batch, batch.target)))
    learner.model = model = diffusion_model(model.network, filled)
    for channel in channels:
        channel.check(model.schedule.s_min, model.schedule.s_max)
    log.info("the noise covers the fields: %s", said_of_noise(channels))
    learner.extra["noise_cover"] = plain_covers(channels, [str(number) for number in range(len(channels))])
    return filled


@register("reconstructor")
class DiffusionReconstructor(NetworkReconstructor):
    """A conditional diffusion model as a `Reconstructor`.

    Arguments:
        network, observing, shared: See `NetworkReconstructor`.
        diffusion: `schedule`, `parameterization`, `noise_levels`, `weighting`, `noise` (class and arguments each), `sd`,
            `loss_over`.
        sampler: Class and arguments; by default 20 evaluations together with those of the start.
        replacement: Impose the observed cells during sampling, at the right noise level.
        start: Where a walk begins (`sampling.starting`): "marginal" for whatever is trained from now on; runs of before keep
            "mean", and draw what they drew.
        precision: Of the network while sampling: "float32", or "bfloat16" (autocast), half as fast again on processors that
            compute it natively; a member then moves by about a hundredth of the spread, also between batch sizes.
    """

    method: ClassVar[str] = "diffusion"

    def __init__(
        self,
        network: Mapping[str, Any],
        observing: Mapping[str, Any],
        *,
        diffusion: Mapping[str, Any] | None = None,
        sampler: Mapping[str, Any] | None = None,
        replacement: bool = False,
        precision: str = "float32",
        start: str | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(network, observing, **shared)
        if precision not in PRECISIONS:
            raise ConfigurationError(f"Found precision={precision!r}: expected one of {PRECISIONS}.")
        self.diffusion = dict(diffusion or {})
        self._stated_sampler = sampler
        self.begin(start)
        self.replacement, self.precision = replacement, precision
        self._said_nothing_exact = False

    @property
    def abilities(self) -> Abilities:
        """Draws samples, and takes every setting that says how."""
        return replace(
            super().abilities,
            keeps_draws=True,
            sampler=True,
            precision=True,
            replacement=True,
            batch_size=True,
            tiles=True,
        )

    def begin(self, start: str | None) -> None:
        """Sets where walks begin; a sampler that nobody stated has 20 evaluations with those of the start.

        Raises:
            ConfigurationError: there is no start of this name.
        """
        self.start = start
        self._start: Start = start_named(start or "mean")
        default = {"class": "DPMSolverPP2M", "evaluations": 20 - self._start.evaluations}
        self.sampler_spec = dict(self._stated_sampler or default)
        self.sampler: Sampler = build("sampler", self.sampler_spec)

    def arguments(self) -> JSONObject:
        stated = {} if self.start is None else {"start": self.start}
        return super().arguments() | {
            "diffusion": self.diffusion,
            "sampler": self.sampler_spec,
            "replacement": self.replacement,
            "precision": self.precision,
            **stated,
        }

    def learn(self, data: TrainingData, teaching: Teaching) -> None:
        """See `NetworkReconstructor.learn`."""
        # here and not in __init__: runs that were trained with two of them are still loaded as they are
        self.diffusion = one_sd(self.diffusion)
        if self.start is None:
            self.begin("marginal")
        super().learn(data, teaching)

    def look_at(self, samples: TwinDataset) -> None:
        """Derives the range of the noise from the fields, or warns of the one that is stated."""
        self.diffusion = cover(self.learner, self.diffusion, samples)

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """See `NetworkReconstructor.complete`; the result says whether observations were imposed."""
        result = super().complete(observations, draws)
        if self.replacement and not has_exact(observations, self.codec.targets):
            result.attrs["replacement"] = "false"
            if not self._said_nothing_exact:
                log.warning("no observation is exact here, every one states an error: 'replacement' imposes nothing")
            self._said_nothing_exact = True
        return result

    def objective(self, network: nn.Module, codec: FieldCodec) -> DiffusionModel:
        return diffusion_model(network, self.diffusion)

    def reconstruct(
        self,
        observations: xr.Dataset,
        *,
        members: int,
        seed: int = 0,
        times: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> xr.Dataset:
        """Completes an observation data set; `batch_size` members at a time, which does not change them."""
        return self.complete(observations, Draws(members, seed, times, batch_size))

    def estimate(self, batch: FieldBatch, window: DatedWindow, draws: Draws) -> NetworkEstimate:
        """Members, whose mean and spread are those of the field, unless a drawer knows better."""
        if draws.drawer is None:
            return NetworkEstimate(self.draw(batch, window, draws))
        if draws.tiles is not None:
            tiling_of(batch, window, draws, self.codec)  # refuses
        assert isinstance(self.model, DiffusionModel)
        prior = partial(self.model.denoiser, batch, wrap=window.wraps(self.codec))
        with torch.inference_mode(False), torch.no_grad():
            return draws.drawer(lambda members: prior(members=members), batch, window)

    def draw(self, batch: FieldBatch, window: DatedWindow, draws: Draws) -> Tensor:
        """(member, channel, lat, lon) in network units; member m depends on (draws.seed, m, window) and on nothing else."""
        parts, tiling = [], None if draws.tiles is None else tiling_of(batch, window, draws, self.codec)
        if tiling is not None:
            self.noise.refuse("tiles, which see a part of the noise,")
        for members in draws.batches(members_at_once(window.rows.size * window.columns.size, draws.tiles)):
            if draws.keeper is not None and (known := draws.keeper.recall(members)) is not None:
                parts.append(known.to(batch.target.device))
                continue
            if tiling is not None and draws.tiles is not None and draws.tiles.independent:
                pieces = parts_of(batch, window, tiling, self.codec)
                parts.append(tiling.blend(self._walk(*piece, members, draws) for piece in pieces))
            else:
                parts.append(self._walk(batch, window, members, draws, tiling))
            if draws.keeper is not None:
                draws.keeper.keep(members, parts[-1])
        return torch.cat(parts)

    def _denoiser(self, batch: FieldBatch, window: DatedWindow, members: int, tiling: Tiling | None) -> Denoiser:
        """Of some members, by one look at the window or at tile after tile."""
        assert isinstance(self.model, DiffusionModel)
        if tiling is None:
            return self.model.denoiser(batch, members=members, wrap=window.wraps(self.codec))
        pieces = parts_of(batch, window, tiling, self.codec)
        return TiledDenoiser(tiling, [self.model.denoiser(part, members=members) for part, _ in pieces])

    def _walk(
        self, batch: FieldBatch, window: DatedWindow, numbers: range, draws: Draws, tiling: Tiling | None = None
    ) -> Tensor:
        """From noise to the fields of some members, by their numbers."""
        assert isinstance(self.model, DiffusionModel)
        members = len(numbers)
        noise: Noise = window.noise(self.codec.channel_names(), draws.seed, numbers, batch.target.device, of=self.noise)
        # guidance asks for derivatives, which tensors of inference mode have not
        with nullcontext() if draws.guide is None else torch.inference_mode(False), torch.no_grad():
            denoiser = self._denoiser(batch, window, members, tiling)
            if self.precision == "bfloat16":
                denoiser = _InBfloat16(denoiser)
            if self.replacement:
                denoiser = self._replaced(denoiser, batch, noise(0))
            if draws.guide is None:
                mean = self._start.beyond_noise(denoiser, noise(0))
            else:
                denoiser, mean = draws.guide(denoiser, batch, noise(0))
            r = self.sampler.sample(denoiser, noise, initial=mean, watcher=draws.watcher)
        return self.model.drawn(batch.repeat(members), r)

    @property
    def noise(self) -> DiffusionNoise:
        """Of the model."""
        assert isinstance(self.model, DiffusionModel)
        return self.model.noise

    def _replaced(self, denoiser: Denoiser, batch: FieldBatch, eps: Tensor) -> ReplacementDenoiser:
        """Observations as what the model draws; those with an error it has weighed already, being conditional on them."""
        self.noise.refuse("replacement, which sets single cells,")
        exact = batch.seen.where & (batch.seen.error == 0)
        return ReplacementDenoiser(denoiser, to_residual(batch, batch.seen.value), exact, batch.seen.error, eps)

    def provenance(self) -> JSONObject:
        return super().provenance() | {
            "sampler": type(self.sampler).__name__,
            "network_evaluations": self.sampler.evaluations + self._start.evaluations,
            "replacement": str(self.replacement).lower(),
            "precision": self.precision,
        }
