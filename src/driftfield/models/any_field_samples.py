"""What the filler of any field learns from: a random world, a random domain, random gaps, random errors, normalised.

    truth (worlds) -> domain (worlds) -> observed (every pattern of data.masks) -> errors -> scale -> kriging -> tensors

`normalise` is the one place where a sample gets its units: by its own observed values, robustly, and nothing else.
"""

__all__ = ["AnyFieldSamples", "Normalised", "SampleBatch", "krige", "normalise"]

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from driftfield.data.masks import parse_pattern
from driftfield.gaussian.field_kriging import FieldKriging
from driftfield.gaussian.variogram import Clusters, fit_matern
from driftfield.worlds.random_coasts import draw_domain
from driftfield.worlds.random_worlds import RandomWorlds

PATTERNS: dict[str, float] = {
    "random": 0.32,
    "clouds": 0.24,
    "blocks": 0.08,
    "tracks": 0.08,
    "swaths": 0.05,
    "columns": 0.05,
    "profiles": 0.04,
    "clouds+random:0.97-0.995": 0.08,
    "tracks+random:0.97-0.995": 0.03,
    "profiles+random:0.97-0.995": 0.03,
}
"""Pattern of gaps -> how often it is drawn."""


@dataclass(frozen=True)
class Normalised:
    """Units of one sample: value = centre + scale * network value; the scale may be negative.

    Arguments:
        centre: Robust mean of the observed values.
        scale: Robust spread, with the sign that makes the observed values skewed to the right.
    """

    centre: float
    scale: float


def normalise(values: np.ndarray, error: float = 0.0) -> Normalised:
    """Centre and scale of observed values, so that a y + b gives a * scale and a * centre + b, for a of either sign.

    Values further from the quartiles than four times their distance are drawn in first: one outlier must not set the unit.
    Where all values are equal (one observation, a constant field) there is no spread to see: it is the stated error, else a
    tenth of the value over the number of observations, else one over that number. That is a convention, and the only place
    where a unit enters.

    Arguments:
        values: Observed values (n,), at least one.
        error: Their typical stated error.
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(values, (0.25, 0.75))
    reach = 4 * (high - low)
    inner = np.clip(values, low - reach, high + reach) if reach > 0 else values
    centre, spread = float(inner.mean()), float(inner.std())
    if spread <= 1e-7 * abs(centre) or spread == 0.0:
        guess = error or 0.1 * abs(centre) or 1.0
        return Normalised(centre, max(guess / values.size, 1e-30))
    skewness = float((((inner - centre) / spread) ** 3).mean())
    return Normalised(centre, -spread if skewness < 0 else spread)


def krige(values: np.ndarray, observed: np.ndarray, error: np.ndarray, *, quick: bool = False) -> FieldKriging:
    """The first guess of a normalised field: kriging with the covariance that its observations show, land left out.

    Arguments:
        values: 0 where not observed (lat, lon).
        observed: Where they count.
        error: Standard deviation of their errors.
        quick: From fewer observations, in half of the time: for learning.
    """
    model = fit_matern(values, observed, error, clusters=Clusters(6, 20, 40) if quick else None)
    return FieldKriging(model, observed, error, most=32 if quick else 48)


@dataclass(frozen=True)
class SampleBatch:
    """Samples in the units of the network, all (batch, lat, lon).

    Arguments:
        truth: The complete field.
        values: Observed values with their errors, 0 elsewhere.
        observed: Where they are, boolean.
        domain: Where the field exists, boolean.
        error: Standard deviation of the errors, 0 elsewhere.
        guess: The field as kriging by itself completes it.
        spread: Its standard deviation.
    """

    truth: Tensor
    values: Tensor
    observed: Tensor
    domain: Tensor
    error: Tensor
    guess: Tensor
    spread: Tensor


@dataclass(frozen=True)
class AnyFieldSamples:
    """An endless, seeded stream of batches of equal size in cells and of changing shape.

    Arguments:
        worlds: What fields there are.
        cells: Cells per batch, about.
        sides: Shortest and longest side.
        periodic: Share of batches whose columns wrap.
        errors: Share of samples with observation errors.
        quick: Whether the first guess is made in haste, see `krige`.
    """

    worlds: RandomWorlds = field(default_factory=RandomWorlds)
    cells: int = 65536
    sides: tuple[int, int] = (16, 160)
    periodic: float = 0.1
    errors: float = 0.4
    quick: bool = False

    def stream(self, seed: int) -> Iterator[SampleBatch]:
        """Batches, one after the other, for ever."""
        rng = np.random.default_rng(seed)
        while True:
            yield self.draw(rng)

    def draw(self, rng: np.random.Generator) -> SampleBatch:
        """One batch."""
        rows = self._side(rng)
        columns = rows if rng.random() < 0.4 else self._side(rng)
        shape = (rows, columns)
        periodic = bool(rng.random() < self.periodic)
        padded = math.prod(max(32, side) for side in shape)
        truth = self.worlds.draw(rng, max(1, min(64, self.cells // padded)), shape, periodic=periodic)
        samples = [self.sample(field, rng, periodic=periodic) for field in truth]
        return SampleBatch(*(torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True)))

    def _side(self, rng: np.random.Generator) -> int:
        """Most often a little below a multiple of 32, to which the network pads."""
        low, high = np.log(self.sides)
        side = int(np.ceil(np.exp(rng.triangular(low, np.log(56), high)) / 32)) * 32
        return side - int(rng.random() < 0.5) * int(rng.integers(0, 17))

    def sample(self, truth: np.ndarray, rng: np.random.Generator, *, periodic: bool) -> tuple[np.ndarray, ...]:
        """The fields of `SampleBatch` for one sample, in the units of its own observations."""
        domain = draw_domain(rng, truth.shape, periodic=periodic)
        observed = draw_observed(domain, rng, periodic=periodic)
        error = np.zeros(truth.shape, dtype=np.float32)
        if rng.random() < self.errors:
            error += np.exp(rng.uniform(np.log(0.01), np.log(1.5)))
            if rng.random() < 0.3:
                error *= np.exp(rng.uniform(-1.5, 1.5) * (rng.random(truth.shape) < 0.5))
        values = truth + error * rng.standard_normal(truth.shape, dtype=np.float32)
        unit = normalise(values[observed], float(np.sqrt((error[observed] ** 2).mean())))
        if observed.sum() == 1:  # its scale can only be guessed, and here the guess is a fair one
            unit = Normalised(unit.centre, float(np.exp(0.5 * rng.standard_normal())))
        truth, values = ((part - unit.centre) / unit.scale for part in (truth, values))
        error = np.where(observed, error / abs(unit.scale), 0)
        values = np.where(observed, values, 0)
        kriging = krige(values, observed, error, quick=self.quick)
        parts = (truth, values, observed, domain, error, kriging.mean(values), kriging.sd)
        return tuple(part if part.dtype == bool else part.astype(np.float32) for part in parts)


def draw_observed(domain: np.ndarray, rng: np.random.Generator, *, periodic: bool) -> np.ndarray:
    """Random gaps that hide 20 to 99 % of the domain, or all but a few cells; at least one cell is seen."""
    if rng.random() < 0.03:
        few = rng.choice(np.flatnonzero(domain), min(int(rng.integers(1, 9)), int(domain.sum())), replace=False)
        observed = np.zeros_like(domain)
        observed.flat[few] = True
        return observed
    words = list(PATTERNS)
    word = str(rng.choice(words, p=np.array(list(PATTERNS.values())) / sum(PATTERNS.values())))
    share = 1 - float(np.exp(rng.uniform(np.log(0.01), np.log(0.8)))) if rng.random() < 0.6 else rng.uniform(0.2, 0.98)
    name, plus, rest = word.partition("+")
    observed = parse_pattern(f"{name}:{share:.4f}{plus}{rest}").draw(domain, rng, periodic=periodic)
    if not observed.any():
        observed = np.zeros_like(domain)
        observed.flat[rng.choice(np.flatnonzero(domain))] = True
    return observed
