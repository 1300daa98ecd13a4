"""Training samples: a window of the archive at one time, seen through a random observing system, as a FieldBatch.

A sample is a function of (seed, index) alone, so that a resumed training sees what an uninterrupted one would have seen.
"""

__all__ = ["FirstGuessPool", "ObservingSystem", "TwinDataset", "make_batch"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from driftfield.data import augmentation as _augmentation  # noqa: F401 - registers Augmentation
from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.masks import Pattern, parse_pattern
from driftfield.data.patches import Window, centre
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, suggest
from driftfield.fields import FieldBatch
from driftfield.registry import build, register


@register("observing")
@dataclass
class ObservingSystem:
    """What is seen in training, drawn anew for every sample.

    Arguments:
        observe: Pattern (or a list of patterns to choose from) per variable, such as {"thetao": "profiles:0.9-0.99"}.
        error: Standard deviation of the observation error in physical units, per variable or for all; [low, high] is drawn.
        covariate_dropout: Probability that a covariate is missing as a whole.
        degrade_offset: Standard deviation, physical units, of one offset per sample added to a covariate (training only).
        degrade_speckle: Standard deviation, physical units, of independent noise added to a covariate (training only).
    """

    observe: Mapping[str, str | Sequence[str]]
    error: float | Sequence[float] | Mapping[str, float | Sequence[float]] = 0.0
    covariate_dropout: float = 0.1
    degrade_offset: float = 0.0
    degrade_speckle: float = 0.0
    patterns: dict[str, list[Pattern]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.patterns = {
            name: [parse_pattern(text) for text in ([spec] if isinstance(spec, str) else spec)]
            for name, spec in self.observe.items()
        }
        if not 0.0 <= self.covariate_dropout <= 1.0:
            raise ConfigurationError(f"covariate_dropout is {self.covariate_dropout}: expected a probability, 0 to 1.")
        stated = self.error if isinstance(self.error, Mapping) else {"error": self.error}
        extra = {"degrade_offset": self.degrade_offset, "degrade_speckle": self.degrade_speckle}
        for name, value in {**stated, **extra}.items():
            _check_deviation(name, value, ranges=name not in extra)

    def check(self, variables: Sequence[str]) -> None:
        """Raises `ConfigurationError` unless every variable has a pattern and every pattern a variable."""
        for name in self.patterns:
            if name not in variables:
                raise ConfigurationError(f"The recipe observes {name!r}: {suggest(name, variables)}")
        for name in variables:
            if name not in self.patterns:
                raise ConfigurationError(f"No pattern says how {name!r} is observed. Add it under 'observe'.")
        for name in self.error if isinstance(self.error, Mapping) else ():
            if name not in variables:
                raise ConfigurationError(f"The recipe states an error of {name!r}: {suggest(name, variables)}")

    def draw(self, name: str, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool) -> np.ndarray:
        """Observed cells (level, lat, lon) of one variable."""
        choices = self.patterns[name]
        return choices[int(rng.integers(len(choices)))].draw(domain, rng, periodic=periodic)

    def error_of(self, name: str, rng: np.random.Generator) -> float:
        """Error standard deviation, physical units, of one sample."""
        error = self.error.get(name, 0.0) if isinstance(self.error, Mapping) else self.error
        return float(error) if isinstance(error, int | float) else float(rng.uniform(error[0], error[1]))


def _check_deviation(name: str, value: Any, *, ranges: bool) -> None:
    """Raises `ConfigurationError` unless it is a standard deviation, or a range [low, high] of one."""
    pair = value if ranges and isinstance(value, Sequence) and not isinstance(value, str) else [value, value]
    numbers = len(pair) == 2 and all(isinstance(one, int | float) for one in pair)
    if not numbers or not 0.0 <= pair[0] <= pair[1] < float("inf"):
        form = "a number, 0 or more, or a range [low, high]" if ranges else "a number, 0 or more"
        raise ConfigurationError(f"The standard deviation {name!r} is {value!r}: expected {form}.")


@dataclass(frozen=True)
class FirstGuessPool:
    """Whole-domain samples whose first guess was computed beforehand; all arrays (sample, channel, lat, lon), network units."""

    time: np.ndarray
    target: np.ndarray
    observations: np.ndarray
    observed: np.ndarray
    error_std: np.ndarray
    held_out: np.ndarray
    guess: np.ndarray
    scale: np.ndarray


class TwinDataset(torch.utils.data.Dataset[FieldBatch]):
    """Samples of the archive.

    Arguments:
        archive: The truth.
        codec: To network units.
        observing: What is seen.
        times: Time indices to draw from.
        windows: Windows to draw from.
        samples: Length of the data set.
        seed: Of every draw.
        start: Index of the first sample (a resumed training).
        training: Dropout, degradation and mixing happen only in training.
        mix: Draw a cos(a) + b sin(a) of two training times as the truth: the same covariance, endlessly many fields.
        out_of_fold: Scale anomalies of training years by n / (n - 1), which is what they are from a climatology without them.
        symmetries: Arguments of `Augmentation`: flips and turns of training samples.
        pool: First guesses computed beforehand.
    """

    def __init__(
        self,
        archive: GriddedArchive,
        codec: FieldCodec,
        observing: ObservingSystem,
        *,
        times: np.ndarray,
        windows: Sequence[Window],
        samples: int,
        seed: int,
        start: int = 0,
        training: bool = True,
        mix: bool = False,
        out_of_fold: bool = False,
        symmetries: Mapping[str, bool] | None = None,
        pool: FirstGuessPool | None = None,
    ) -> None:
        observing.check([*codec.targets, *codec.covariates])
        if pool is not None and codec.covariates:
            raise ConfigurationError(
                f"A first guess cannot be combined with the covariates {list(codec.covariates)} yet. Leave out one of them."
            )
        self.archive, self.codec, self.observing = archive, codec, observing
        self.times, self.windows, self.samples, self.seed = np.asarray(times), list(windows), samples, seed
        self.start, self.training, self.mix, self.pool = start, training, mix and training, pool
        self.augmentation = build("augmentation", {"class": "Augmentation", **(symmetries or {})})
        self.stamps = archive.times.values
        self.dates = codec.dates(archive.times)
        self.inflation = self._inflation() if out_of_fold and training else {}
        self._encoded: dict[tuple[str, int], np.ndarray] = {}

    def __len__(self) -> int:
        return self.samples - self.start

    def __getitem__(self, index: int) -> FieldBatch:
        rng = np.random.default_rng((self.seed, self.start + index))
        window = self.windows[int(rng.integers(len(self.windows)))]
        if self.pool is not None:
            return self._from_pool(int(rng.integers(len(self.pool.time))), window)
        sample = self.draw(int(rng.choice(self.times)), window, rng)
        if not self.training:
            return sample
        tables = self.codec.channels(), self.codec.channels(self.codec.covariates)
        return self.augmentation(sample, *tables, rng)

    def draw(self, time: int, window: Window, rng: np.random.Generator) -> FieldBatch:
        """One sample at a given time and window."""
        rows, columns = window.rows, window.columns(self.codec.grid.lon.size)
        other, angle = (int(rng.choice(self.times)), rng.uniform(0, 2 * np.pi)) if self.mix else (time, 0.0)
        wrap = self.codec.grid.periodic and window.width == self.codec.grid.lon.size
        parts: dict[str, list[np.ndarray]] = {}
        for name in (*self.codec.targets, *self.codec.covariates):
            domain = self.codec.domains[name][:, rows][:, :, columns]
            x = self._field(name, time)[:, rows][:, :, columns]
            if self.mix:
                x = np.cos(angle) * x + np.sin(angle) * self._field(name, other)[:, rows][:, :, columns]
            known = domain & np.isfinite(x)
            seen = self.observing.draw(name, domain, rng, periodic=wrap) & known
            covariate = name in self.codec.covariates
            present = not (covariate and self.training and rng.random() < self.observing.covariate_dropout)
            seen = seen & present
            std = self.codec.normalizers[name].std
            error = self.observing.error_of(name, rng) / std
            y = x + error * rng.standard_normal(x.shape)
            if covariate and self.training:
                y = y + self.observing.degrade_offset / std * rng.standard_normal()
                y = y + self.observing.degrade_speckle / std * rng.standard_normal(x.shape)
            values = {
                "target": np.where(known, x, 0),
                "observations": np.where(seen, y, 0),
                "observed": seen,
                "error_std": np.where(seen, error, 0),
                "domain": domain,
                "held_out": known & ~seen,
                "presence": np.full(len(x), float(present)),
            }
            for part, place in (_COVARIATE_PARTS if covariate else _TARGET_PARTS).items():
                parts.setdefault(place, []).append(values[part])
        return make_batch(self.codec, parts, self.dates[time], rows, columns)

    def _from_pool(self, sample: int, window: Window) -> FieldBatch:
        pool = self.pool
        assert pool is not None
        rows, columns = window.rows, window.columns(self.codec.grid.lon.size)

        def cut(array: np.ndarray) -> np.ndarray:
            return array[sample][:, rows][:, :, columns]

        domain = np.concatenate([self.codec.domains[name] for name in self.codec.targets])[:, rows][:, :, columns]
        parts = {
            "target": [cut(pool.target)],
            "observations": [cut(pool.observations)],
            "observed": [cut(pool.observed)],
            "error_std": [cut(pool.error_std)],
            "domain": [domain],
            "held_out": [cut(pool.held_out)],
        }
        guess = (cut(pool.guess), cut(pool.scale))
        return make_batch(self.codec, parts, self.dates[int(pool.time[sample])], rows, columns, guess=guess)

    def _field(self, name: str, time: int) -> np.ndarray:
        """(level, lat, lon) of one time, network units, NaN where unknown; kept, where the archive lies in memory anyway."""
        key = (name, time)
        if key in self._encoded:
            return self._encoded[key]
        grid = self.codec.grid
        values = with_levels(self.archive.dataset[name].isel(time=[time]))
        rows, columns = np.arange(grid.lat.size), np.arange(grid.lon.size)
        encoded = self.codec.encode(name, values, self.stamps[[time]], rows, columns)[0] * self.inflation.get(time, 1.0)
        encoded = encoded.astype(np.float32)
        if self.archive.dataset[name].chunks is None:
            self._encoded[key] = encoded
        return encoded

    def _inflation(self) -> dict[int, float]:
        """n / (n - 1) per training time, n the number of training times of its calendar month."""
        months = self.archive.times.dt.month.values
        counts = {month: int((months[self.times] == month).sum()) for month in range(1, 13)}
        return {int(t): counts[months[t]] / max(counts[months[t]] - 1, 1) for t in self.times}


_TARGET_PARTS = {name: name for name in ("target", "observations", "observed", "error_std", "domain", "held_out")}
_COVARIATE_PARTS = {
    "observations": "covariates",
    "observed": "covariates_observed",
    "error_std": "covariates_error_std",
    "presence": "presence",
}


def make_batch(
    codec: FieldCodec,
    parts: Mapping[str, Sequence[np.ndarray]],
    date: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    *,
    guess: tuple[np.ndarray, np.ndarray] | None = None,
) -> FieldBatch:
    """One sample from its per-variable arrays (level, lat, lon), network units, finite.

    Arguments:
        codec: Knows position and date.
        parts: Lists of arrays under the names of `FieldBatch`.
        date: Fractions of the year and of the day, (2,).
        rows, columns: Grid indices of the window.
        guess: First guess and its error scale, (channel, lat, lon).
    """
    space = (len(rows), len(columns))

    def tensor(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        arrays = parts.get(name) or [np.zeros((0, *space))]
        return torch.from_numpy(np.concatenate(arrays)).to(dtype)[None]

    presence = np.concatenate(parts["presence"]) if parts.get("presence") else np.zeros(0)
    position = centre(codec.grid.lat[rows], codec.grid.lon[columns])
    return FieldBatch(
        target=tensor("target"),
        observations=tensor("observations"),
        observed=tensor("observed", torch.bool),
        error_std=tensor("error_std"),
        domain=tensor("domain", torch.bool),
        held_out=tensor("held_out", torch.bool),
        covariates=tensor("covariates"),
        covariates_observed=tensor("covariates_observed", torch.bool),
        covariates_error_std=tensor("covariates_error_std"),
        presence=torch.from_numpy(presence).float()[None],
        position=torch.tensor([position], dtype=torch.float32),
        date=torch.from_numpy(date).float()[None],
        first_guess=None if guess is None else torch.from_numpy(guess[0]).float()[None],
        first_guess_scale=None if guess is None else torch.from_numpy(guess[1]).float()[None],
    )
