"""Training samples: a window of the archive at one time, seen through a random observing system, as a FieldBatch.

A sample is a function of (seed, index) alone, so that a resumed training sees what an uninterrupted one would have seen.
"""

__all__ = ["FirstGuessPool", "ObservingSystem", "TwinDataset", "bound_parts", "make_batch"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from driftfield.data import augmentation as _augmentation  # noqa: F401 - registers Augmentation
from driftfield.data.climatology import left_out_factor
from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.context import neighbours
from driftfield.data.masks import Lender
from driftfield.data.observing import ObservingSystem
from driftfield.data.patches import Window, cut
from driftfield.fields import Bounds, FieldBatch, Guess, Seen
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import Archive
from driftfield.registry import build


@dataclass(frozen=True)
class FirstGuessPool:
    """Whole-domain samples whose first guess was computed beforehand.

    Arguments:
        time: Time index of each.
        samples: All of them, without bounds.
    """

    time: np.ndarray
    samples: FieldBatch


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
        archive: Archive,
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
        observing.check_visible(codec.targets)
        observing.check_degradation(codec.covariates)
        self.archive, self.codec, self.observing = archive, codec, observing
        self.times, self.windows, self.samples, self.seed = np.asarray(times), list(windows), samples, seed
        self.start, self.training, self.mix, self.pool = start, training, mix and training, pool
        self.augmentation = build("augmentation", {"class": "Augmentation", **(symmetries or {})})
        self.stamps = archive.times.values
        self.dates, self.classes = codec.dates(archive.times), codec.conditions.classes_at(archive.times)
        enlargement = left_out_factor(archive.times, self.times, self.times) if out_of_fold and training else ()
        self.enlargement = dict(zip(self.times.tolist(), enlargement, strict=False))
        self._encoded: dict[tuple[str, int], np.ndarray] = {}
        self._numbers: dict[str, np.ndarray] = {}  # what lies in memory, without labels: (time, level, lat, lon)
        self._days = time_days(archive.times)
        self._around: dict[int, dict[int, int | None]] = {}

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
        tables = self.codec.channels(), self.codec.given()
        return self.augmentation(sample, *tables, rng)

    def draw(self, time: int, window: Window, rng: np.random.Generator) -> FieldBatch:
        """One sample at a given time and window."""
        rows, columns = window.rows, window.columns(self.codec.grid.lon.size)
        mixed = (int(rng.choice(self.times)), rng.uniform(0, 2 * np.pi)) if self.mix else None
        parts: dict[str, list[np.ndarray]] = {}
        for name, offset in self.codec.frames():
            now = self._neighbour(time, offset)
            other = None if mixed is None else self._neighbour(mixed[0], offset)
            pair = None if mixed is None or other is None else (other, mixed[1])
            covariate = bool(offset) or name in self.codec.covariates
            if now is None or (mixed is not None and pair is None):
                look = self._nothing(name, window)
            else:
                look = self._look(name, now, window, rng, pair, covariate)
            for part, place in (_COVARIATE_PARTS if covariate else _TARGET_PARTS).items():
                parts.setdefault(place, []).append(look[part])
        if not self.observing.shown:
            parts.pop("visible", None)
        if mixed is None:  # a mix of two fields has no bounds
            parts |= self._bounds(time, rows, columns)
        return make_batch(self.codec, parts, self.dates[time], rows, columns, classes=self.classes[time])

    def _bounds(self, time: int, rows: np.ndarray, columns: np.ndarray) -> dict[str, list[np.ndarray]]:
        """Bounds of the targets at one time, scaled as the anomalies are."""
        found = bound_parts(self.codec, self.stamps[[time]], rows, columns)
        return {part: [self.enlargement.get(time, 1.0) * one for one in arrays] for part, arrays in found.items()}

    def _look(
        self,
        name: str,
        time: int,
        window: Window,
        rng: np.random.Generator,
        mixed: tuple[int, float] | None,
        covariate: bool,
    ) -> dict[str, np.ndarray]:
        """One variable at one time through the observing system: the parts of a FieldBatch, (level, lat, lon).

        Arguments:
            name, time, window: Which field.
            rng: Of mask and noise.
            mixed: Another time and the angle to mix it in.
            covariate: Whether it is a covariate or context, not a target.
        """
        rows, columns = window.rows, window.columns(self.codec.grid.lon.size)
        wrap = self.codec.grid.periodic and window.width == self.codec.grid.lon.size
        domain = self.codec.domains[name][:, rows][:, :, columns]
        x = self._field(name, time, rows, columns)
        if mixed is not None:
            other, angle = mixed
            x = np.cos(angle) * x + np.sin(angle) * self._field(name, other, rows, columns)
        known = domain & np.isfinite(x)
        record = Lender(lambda other: self._known(name, other, window), time, len(self.stamps))
        seen = self.observing.draw(name, domain, rng, periodic=wrap, record=record) & known
        present = not (covariate and self.training and rng.random() < self.observing.covariate_dropout)
        seen = seen & present
        errors: list[tuple[float, np.ndarray | float]]
        errors = [(self.observing.error_of(name, rng), rng.standard_normal(x.shape))]
        if covariate and self.training:
            offset, speckle, factor = self.observing.degradation(name) if name in self.codec.covariates else (0.0,) * 3
            errors += [(offset, rng.standard_normal()), (speckle, rng.standard_normal(x.shape))]
            if factor:  # of the value itself, so that it is decoded
                physical = self.codec.decode(name, x[None], self.stamps[[time]], rows, columns)[0]
                errors.append((factor, rng.standard_normal() * physical))
        y, error = self.codec.disturbed(name, x, errors, self.stamps[[time]], rows, columns)
        shown = None if covariate else self.observing.draw_visible(name, domain, rng, periodic=wrap, record=record)
        return {
            "target": np.where(known, x, 0),
            "observations": np.where(seen, y, 0),
            "observed": seen,
            "error_std": np.where(seen, error, 0),
            "domain": domain,
            "held_out": known & ~seen,
            "visible": known if shown is None else known & shown,
            "presence": np.full(len(x), float(present)),
        }

    def _known(self, name: str, time: int, window: Window) -> np.ndarray:
        """Where a variable was measured at one time, (level, lat, lon)."""
        rows, columns = window.rows, window.columns(self.codec.grid.lon.size)
        seen = self.archive.seen.get(name)
        if seen is None:
            return np.isfinite(self._field(name, time, rows, columns))
        return with_levels(cut(seen.isel(time=[time]), rows, columns))[0]

    def _nothing(self, name: str, window: Window) -> dict[str, np.ndarray]:
        """A frame beyond the ends of the record."""
        empty = np.zeros((len(self.codec.grid.levels[name]), window.height, window.width), np.float32)
        seen = np.zeros(empty.shape, bool)
        return {
            "observations": empty,
            "observed": seen,
            "error_std": empty,
            "presence": np.zeros(len(empty), np.float32),
        }

    def frame_stamps(self, time: int) -> dict[int, np.ndarray]:
        """The dates (1,) of a sample's frames, by time offset; those beyond the ends of the record are left out."""
        found = {offset: self._neighbour(time, offset) for offset in (0, *self.codec.context)}
        return {offset: self.stamps[[index]] for offset, index in found.items() if index is not None}

    def _neighbour(self, time: int, offset: int) -> int | None:
        """The time index of a context frame; it never leaves the split, or training would see the fields that test it."""
        if not offset:
            return time
        if time not in self._around:
            days = self._days[self.times]
            (here,) = np.flatnonzero(self.times == time)
            found = neighbours(days, int(here), self.codec.context, self.codec.step_days)
            self._around[time] = {
                k: None if i is None else int(self.times[i]) for k, i in zip(self.codec.context, found, strict=True)
            }
        return self._around[time][offset]

    def _from_pool(self, number: int, window: Window) -> FieldBatch:
        """A window of a sample of the pool."""
        assert self.pool is not None
        rows, columns = window.rows, window.columns(self.codec.grid.lon.size)
        sample = self.pool.samples[number : number + 1].mapped(
            lambda field: field[:, :, rows][..., columns] if field.ndim == 4 else field
        )
        ends = {} if self.mix else self._bounds(int(self.pool.time[number]), rows, columns)
        place = torch.tensor([self.codec.grid.middle(rows, columns)], dtype=torch.float32)
        return replace(sample, position=place, bounds=_bounds(ends))

    def _field(self, name: str, time: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(level, lat, lon) of one time in a window, network units, NaN where unknown.

        The whole field is encoded once and kept where the archive lies in memory anyway; of a lazy one only the window is read.
        """
        if self.archive.dataset[name].chunks is not None:
            values = with_levels(cut(self.archive.dataset[name].isel(time=[time]), rows, columns))
            return self._encode(name, values, time, rows, columns)
        if (key := (name, time)) not in self._encoded:
            if name not in self._numbers:
                self._numbers[name] = with_levels(self.archive.dataset[name])
            grid, values = self.codec.grid, self._numbers[name][time : time + 1]
            self._encoded[key] = self._encode(name, values, time, np.arange(grid.lat.size), np.arange(grid.lon.size))
        return self._encoded[key][:, rows][:, :, columns]

    def _encode(self, name: str, values: np.ndarray, time: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        encoded = self.codec.encode(name, values, self.stamps[[time]], rows, columns)[0]
        return (encoded * self.enlargement.get(time, 1.0)).astype(np.float32)


_TARGET_PARTS = {
    name: name for name in ("target", "observations", "observed", "error_std", "domain", "held_out", "visible")
}
_COVARIATE_PARTS = {
    "observations": "covariates",
    "observed": "covariates_observed",
    "error_std": "covariates_error_std",
    "presence": "presence",
}


def bound_parts(
    codec: FieldCodec, stamp: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> dict[str, list[np.ndarray]]:
    """`lower` and `upper` for `make_batch` at one date (1,); nothing where no target has bounds."""
    if not codec.bounds:
        return {}
    ends = [codec.bounds_at(name, stamp, rows, columns) for name in codec.targets]
    return {"lower": [low[0] for low, _ in ends], "upper": [high[0] for _, high in ends]}


def make_batch(
    codec: FieldCodec,
    parts: Mapping[str, Sequence[np.ndarray]],
    date: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    *,
    guess: tuple[np.ndarray, np.ndarray] | None = None,
    classes: np.ndarray,
) -> FieldBatch:
    """One sample from its per-variable arrays (level, lat, lon), network units, finite.

    Arguments:
        codec: Knows position and static fields.
        parts: Lists of arrays: target, observations, observed, error_std, domain, held_out, covariates, covariates_observed,
            covariates_error_std, presence; and, where there are any, visible, lower, upper.
        date: Fractions of the year and of the day, (2,).
        rows, columns: Grid indices of the window.
        guess: First guess and its error scale, (channel, lat, lon).
        classes: Of the date, (label,).
    """
    space = (len(rows), len(columns))

    def tensor(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        arrays = parts.get(name) or [np.zeros((0, *space))]
        return torch.from_numpy(np.concatenate(arrays)).to(dtype)[None]

    presence = np.concatenate(parts["presence"]) if parts.get("presence") else np.zeros(0)
    position = codec.grid.middle(rows, columns)
    names = ("observations", "observed", "error_std"), ("covariates", "covariates_observed", "covariates_error_std")
    seen, given = (Seen(tensor(value), tensor(where, torch.bool), tensor(error)) for value, where, error in names)
    return FieldBatch(
        target=tensor("target"),
        seen=seen,
        domain=tensor("domain", torch.bool),
        held_out=tensor("held_out", torch.bool),
        given=given,
        presence=torch.from_numpy(presence).float()[None],
        position=torch.tensor([position], dtype=torch.float32),
        date=torch.from_numpy(date).float()[None],
        guess=None if guess is None else Guess(*(torch.from_numpy(part).float()[None] for part in guess)),
        visible=tensor("visible", torch.bool) if parts.get("visible") else None,
        bounds=_bounds(parts),
        statics=torch.from_numpy(codec.conditions.window(rows, columns)).float()[None]
        if codec.conditions.statics
        else None,
        labels=torch.from_numpy(classes)[None] if classes.size else None,
    )


def _bounds(parts: Mapping[str, Sequence[np.ndarray]]) -> Bounds | None:
    """Of the parts of one sample, if they have any."""
    if not parts.get("lower"):
        return None
    return Bounds(*(torch.from_numpy(np.concatenate(parts[end])).float()[None] for end in ("lower", "upper")))
