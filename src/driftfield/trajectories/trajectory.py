"""Trajectories: one prior of short windows, and observations at any time that constrain the whole course.

    archive --> windows of 2k+1 states --train--> D(window)          nothing is observed: a prior, and no model equations
    D(window) --WindowedDenoiser--> D(trajectory) --guidance, y = H x + e--> members of p(trajectory | all observations)

(Rozet and Louppe 2023, "Score-based data assimilation".) A member is one course in time, not a row of fields drawn date by date.
The last state has seen the past alone, as that of a filter; the others are smoothed.
"""

__all__ = ["TrajectoryReconstructor"]

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.data.codec import FieldCodec
from driftfield.data.gaps import warn_of_gaps
from driftfield.data.observed_batch import observation_batch
from driftfield.diffusion.building import diffusion_model, one_sd
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise import DiffusionNoise
from driftfield.diffusion.trajectory import WindowedDenoiser
from driftfield.errors import ConfigurationError, whole_number
from driftfield.fields import FieldBatch
from driftfield.interfaces import Abilities, Cannot, Denoiser, TrainingData
from driftfield.linalg.operators import Observed
from driftfield.models.diffusion import cover
from driftfield.models.learner import Learner, Trained
from driftfield.models.teaching import Teaching, remaining
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import DatedWindow, Draws
from driftfield.reconstruction.output import Estimate, assemble, domains_like
from driftfield.reconstruction.settings import uncalibrated
from driftfield.registry import build, register
from driftfield.sampling.base import Noise, Sampler
from driftfield.sampling.guidance.methods import guidance_method, walking_method
from driftfield.sampling.starting import conditional_mean, marginal
from driftfield.trajectories.courses import cells, course
from driftfield.trajectories.state_windows import StateWindows, runs
from driftfield.trajectories.whole_states import blank_batch, check_whole_grid, encoded_states

log = logging.getLogger(__name__)

WINDOWS = 512
"""That the network sees at a time, unless another number is asked for."""


@register("reconstructor")
class TrajectoryReconstructor(Trained):
    """A smoother whose prior never saw the model equations; fields with depth or without, on the whole grid or a part.

    Arguments:
        network: Class and arguments of the backbone; channels are filled in.
        states: Length 2k+1 of a window, odd.
        normalizer: Class and arguments of the normaliser of every variable.
        diffusion: As of `DiffusionReconstructor`.
        sampler: Class and arguments. New noise at every step mends what a window cannot know of states further off.
        guidance: {method: NAME, options}: how observations enter (`sampling.guidance.methods`).
        validation_samples: Fixed windows for validation.
    """

    method: ClassVar[str] = "trajectory"
    abilities: ClassVar[Abilities] = Abilities(
        needs_training=True,
        uses_other_times=True,
        takes_draws=True,
        keeps_draws=True,
        sampler=True,
        precision=Cannot("follows derivatives of its network, in float32"),
        replacement=Cannot("is guided by its observations and imposes none"),
        batch_size=True,
    )

    def __init__(
        self,
        network: Mapping[str, Any],
        states: int = 5,
        normalizer: Mapping[str, Any] | None = None,
        diffusion: Mapping[str, Any] | None = None,
        sampler: Mapping[str, Any] | None = None,
        guidance: Mapping[str, Any] | None = None,
        validation_samples: int = 256,
    ) -> None:
        super().__init__(network, normalizer, validation_samples)
        whole_number("states", states)
        if states % 2 == 0:
            raise ConfigurationError(f"Found states={states}: expected an odd number, so that a window has a middle.")
        self.states = states
        self.diffusion = dict(diffusion or {})
        self.sampler_spec = dict(sampler or {"class": "DPMSolverPP2MSDE", "evaluations": 128})
        self.sampler: Sampler = build("sampler", self.sampler_spec)
        self.guidance_spec = dict(guidance or {"method": "sda", "sda_scale": 0.05})
        if not isinstance(self.guidance_spec.get("method"), str):
            raise ConfigurationError(
                f"Found guidance={guidance!r}: expected a mapping with a method, such as {{method: sda}}."
            )
        options = {key: value for key, value in self.guidance_spec.items() if key != "method"}
        method = guidance_method(self.guidance_spec["method"], options)
        self.guidance = walking_method(method, "a prior of trajectories")

    def arguments(self) -> JSONObject:
        walk: JSONObject = {"diffusion": self.diffusion, "sampler": self.sampler_spec}
        return super().arguments() | walk | {"states": self.states, "guidance": self.guidance_spec}

    # -- learning ------------------------------------------------------------------------------------------------------

    def learn(self, data: TrainingData, teaching: Teaching) -> None:
        """Trains on windows of the training split; the best weights are chosen on windows of the validation split.

        Arguments:
            data: Archive and splits; covariates are not looked at.
            teaching: Who fits the weights, where, and from which seed.

        Raises:
            ConfigurationError: windows in space, which belong to another method.
            DataError: a split without `states` consecutive dates.
        """
        self.diffusion = one_sd(self.diffusion)
        archive = data.archive
        if data.covariates:
            log.warning("a prior of trajectories knows no covariates: %s are left out", ", ".join(data.covariates))
        check_whole_grid(data, "a prior of trajectories")
        warn_of_gaps(archive, np.concatenate([data.train, data.validation]), data.targets)
        parts = (data.targets, (), self.normalizer, data.vector_pairs)
        codec = FieldCodec.fit(archive, data.train, *parts, bounds=data.bounds)
        fields, dates = encoded_states(archive, codec), codec.dates(archive.times)

        def windows(times: np.ndarray, samples: int, first_seed: int) -> StateWindows:
            found = runs(archive, times, self.states)
            return StateWindows(fields, found, codec, dates=dates, samples=samples, seed=first_seed)

        train = windows(data.train, teaching.samples, teaching.seed)
        checked = windows(data.validation, self.validation_samples, teaching.seed + 1_000_003)
        torch.manual_seed(teaching.seed)
        self.learner = Learner(codec, self.build_model(codec))

        self.diffusion = cover(self.learner, self.diffusion, train)
        fixed = checked.__getitems__(range(self.validation_samples))
        self.learner.train(teaching, remaining(train), fixed, wrap=codec.grid.periodic)

    def build_model(self, codec: FieldCodec) -> DiffusionModel:
        channels = self.states * len(codec.channels())
        network = build("network", self.network_spec, channels=channels, covariates=0)
        return diffusion_model(network.to(memory_format=torch.channels_last), self.diffusion)

    # -- reconstructing ------------------------------------------------------------------------------------------------

    def reconstruct(
        self, observations: xr.Dataset, *, members: int, seed: int = 0, batch_size: int | None = None
    ) -> xr.Dataset:
        """Draws courses through all dates of an observation file; see `interfaces.Reconstructor`.

        Arguments:
            observations: Dates on the time steps of the run; steps that are left out are drawn too, and not returned.
            members: Size of the ensemble.
            seed: Of the members.
            batch_size: Windows that the network sees at a time; does not change the members.

        Raises:
            DataError: dates between the steps of the run.
        """
        return self.complete(observations, Draws(members, seed, batch_size=batch_size))

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """As `reconstruct`, see `reconstruction.draws.TakesDraws`."""
        draws.refuse(self, "times", "watcher", "guide", "drawer", "tiles")
        codec = self.codec
        placed = self.learner.placed(observations)
        observations = placed.dataset
        rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
        whole = course(observations["time"], codec.step_days, states=self.states, monthly=codec.grid.monthly)
        seen = [observation_batch(codec, observations, time) for time in range(observations.sizes["time"])]
        drawn = self.draw(
            cells(seen, whole.numbers, len(whole)),
            torch.cat([batch.domain for batch in seen]).any(0),
            codec.dates(whole.dates),
            DatedWindow("trajectory", rows, columns),
            draws,
        )
        result = self.assembled(drawn[:, torch.from_numpy(whole.numbers)], observations, seed=draws.seed)
        return placed.cut(self.learner.finished(result))

    def expected_observations(
        self, data: TrainingData
    ) -> tuple[dict[str, list[str]], dict[str, float | Sequence[float]]]:
        """None: a prior has never seen observations, whoever calibrates it has to say what they are."""
        return {}, {}

    def unseen(self, data: TrainingData) -> Self:
        """The run without its calibration."""
        return uncalibrated(self)

    def assembled(self, drawn: Tensor, template: xr.Dataset, *, seed: int) -> xr.Dataset:
        """A reconstruction data set.

        Arguments:
            drawn: (member, time, channel, lat, lon) in network units.
            template: Gives dates, cells, attributes and, where it says so, the domain.
            seed: Of the members.
        """
        codec, estimates, first = self.codec, {}, 0
        rows, columns = codec.grid.cells(template)
        fields, stamps = drawn.numpy(), template["time"].values
        for name in codec.targets:
            levels = len(codec.grid.levels[name])
            part = fields[:, :, first : first + levels]
            decoded = [codec.decode(name, part[:, t], stamps[[t]], rows, columns) for t in range(len(stamps))]
            stacked = np.stack(decoded, axis=1)
            estimates[name] = Estimate(members=stacked if "depth" in template[name].dims else stacked[:, :, 0])
            first += levels
        return assemble(
            template,
            estimates,
            method=self.method,
            seed=seed,
            members=len(drawn),
            attrs=self.provenance(),
            domains=domains_like(codec, template, rows, columns),
        )

    def draw(self, observed: Observed, domain: Tensor, dates: np.ndarray, window: DatedWindow, draws: Draws) -> Tensor:
        """(member, state, channel, lat, lon) in network units, 0 outside the domain; member m depends on (draws.seed, m).

        Arguments:
            observed: Of fields (state channel, lat, lon), network units.
            domain: (channel, lat, lon).
            dates: (state, 2) fractions of the year and of the day; as many states as the trajectory has.
            window: Its cells; the stream of random numbers is of the course, and not of a date.
            draws: Which members; `batch_size` counts windows.
        """
        length, channels = len(dates), len(self.codec.channels())
        names = [f"{name} {state}" for state in range(length) for name in self.codec.channel_names()]
        some = max(1, (draws.batch_size or WINDOWS) // (length - self.states + 1))
        known: dict[int, Tensor] = {}
        colour = self.noise
        colour.check(domain, (self.codec.grid.lat.size, self.codec.grid.lon.size))

        def parts(members: int, stream: str) -> Iterator[tuple[range, Denoiser, Noise]]:
            """The numbers of a few trajectories, their prior, and the noise of their walks."""
            for numbers in Draws(members, batch_size=some).batches(some):
                noise = replace(window, stamp=stream).noise(names, draws.seed, numbers, of=colour)
                yield numbers, self.denoiser(domain, dates, len(numbers), window), noise

        def prior(count: int) -> Tensor:
            if count not in known:
                # streams of their own: no member is what a covariance was learned from
                known[count] = torch.cat(
                    [
                        self.sampler.sample(denoiser, noise, initial=marginal(denoiser, noise(0)))
                        for _, denoiser, noise in parts(count, "prior")
                    ]
                )
            return known[count]

        drawn = []
        with torch.no_grad():
            for numbers, denoiser, noise in parts(draws.members, window.stamp):
                if draws.keeper is not None and (recalled := draws.keeper.recall(numbers)) is not None:
                    drawn.append(recalled)
                    continue
                guided = self.guidance.guide(denoiser, colour.observed(observed), noise(0), prior)
                mean = conditional_mean(guided, noise(0)) if self.guidance.starts_at_posterior else None
                z = colour.color(self.guidance.sampler(self.sampler).sample(guided, noise, initial=mean))
                drawn.append(torch.where(domain, z.view(len(z), length, channels, *z.shape[2:]), 0))
                if draws.keeper is not None:
                    draws.keeper.keep(numbers, drawn[-1])
        return torch.cat(drawn)

    @property
    def noise(self) -> DiffusionNoise:
        """Of the model."""
        assert isinstance(self.model, DiffusionModel)
        return self.model.noise

    def denoiser(self, domain: Tensor, dates: np.ndarray, members: int, window: DatedWindow) -> Denoiser:
        """The prior of whole trajectories, for a number of members drawn side by side; see `draw`."""
        half, count = self.states // 2, len(dates) - self.states + 1
        windows = np.tile(domain.numpy(), (members * count, self.states, 1, 1))
        middles = np.tile(dates[half : half + count], (members, 1))
        batch: FieldBatch = blank_batch(self.codec, windows, middles, window.rows, window.columns)
        wrap = window.wraps(self.codec)
        assert isinstance(self.model, DiffusionModel)
        return WindowedDenoiser(self.model.denoiser(batch, wrap=wrap), self.states, len(self.codec.channels()))

    def provenance(self) -> JSONObject:
        looks = self.guidance.sampler(self.sampler).evaluations + self.guidance.starts_at_posterior
        return super().provenance() | {
            "sampler": type(self.sampler).__name__,
            "guidance": self.guidance_spec["method"],
            "network_evaluations": looks * (1 + 2 * self.guidance.products),
            "window_states": self.states,
        }
