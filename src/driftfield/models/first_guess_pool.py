"""First guesses of many training samples, computed once: sample -> observation data set -> peer -> network units."""

__all__ = ["first_guess_pool"]

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from driftfield.checkpoint import read_run, write_run
from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import FirstGuessPool, TwinDataset
from driftfield.data.patches import Window
from driftfield.fields import FieldBatch, Guess
from driftfield.gridded.fingerprint import fingerprint
from driftfield.models.first_guess import FLOOR, FirstGuess

log = logging.getLogger(__name__)


def first_guess_pool(
    guess: FirstGuess, dataset: TwinDataset, size: int, folder: Path, *, keep: bool = True
) -> FirstGuessPool:
    """`size` whole-domain samples of `dataset` with their first guess, computed once and kept in `folder`, if `keep` says so.

    The error scale of a peer that states none is found here, from the residuals of a training data set.
    """
    key = _key(guess, dataset, size)
    if (folder / "run.json").exists() and (run := read_run(folder)).extra.get("key") == key:
        guess.scale = run.arrays.pop("channel_scale", None)
        return FirstGuessPool(run.arrays.pop("time"), FieldBatch.from_arrays(run.arrays))
    times, drawn, stated = [], [], True
    for number in range(size):
        time, sample, states = _guessed(guess, dataset, number)
        times.append(time)
        drawn.append(sample)
        stated = stated and states
        if (number + 1) % 100 == 0:
            log.info("first guesses: %d of %d", number + 1, size)
    samples, extra = FieldBatch.stack(drawn), {}
    if not stated:
        assert samples.guess is not None
        if guess.scale is None:
            guess.scale = _residual_scale(samples)
        scale = torch.from_numpy(guess.scale)[:, None, None].expand_as(samples.guess.scale).contiguous()
        samples = replace(samples, guess=Guess(samples.guess.mean, scale))
        extra = {"channel_scale": guess.scale}
    pool = FirstGuessPool(np.array(times), samples)
    if keep:
        arrays = samples.to_arrays() | {"time": pool.time} | extra
        write_run(folder, "FirstGuessPool", {}, arrays, {"size": size, "key": key})
    return pool


def _guessed(guess: FirstGuess, dataset: TwinDataset, number: int) -> tuple[int, FieldBatch, bool]:
    """Time index, whole-domain sample with its first guess, and whether the peer has stated its error."""
    codec = dataset.codec
    rng = np.random.default_rng((dataset.seed, 2**32 + number))
    time = int(rng.choice(dataset.times))
    sample = dataset.draw(time, Window(0, 0, codec.grid.lat.size, codec.grid.lon.size), rng)
    seen, now = _as_dataset(codec, sample, dataset.frame_stamps(time))
    if not guess.uses_other_times:
        seen, now = seen.isel(time=[now]), 0
    estimate = guess.estimate(seen, training=time, only=now)
    mean, scale = (torch.from_numpy(part) for part in guess.encode(estimate, codec, dataset.stamps[[time]]))
    return time, replace(sample, guess=Guess(mean, scale), bounds=None), guess.states_error(estimate)


def _residual_scale(samples: FieldBatch) -> np.ndarray:
    """(channel,) RMS of target minus guess over the hidden cells."""
    assert samples.guess is not None
    hidden, error = samples.held_out.numpy(), (samples.target - samples.guess.mean).numpy()
    squares = np.where(hidden, error**2, 0).sum(axis=(0, 2, 3))
    return np.maximum(np.sqrt(squares / np.maximum(hidden.sum(axis=(0, 2, 3)), 1)), FLOOR).astype(np.float32)


def _key(guess: FirstGuess, dataset: TwinDataset, size: int) -> str:
    """Of everything that a pool depends on, so that a changed recipe, peer or seed never meets a stale one."""
    described, arrays = dataset.codec.to_arrays()
    folds = [times.tolist() for times, _ in guess.folds]
    facts = [
        fingerprint(dataset.archive),
        "a stored batch",
        size,
        dataset.seed,
        dataset.training,
        dataset.mix,
        guess.leave_out_days,
        guess.made_of,
        guess.around,
        folds,
        described,
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    digest.update(repr((dataset.observing, sorted(dataset.enlargement.items()), dataset.times.tolist())).encode())
    peer = vars(guess.peer)
    digest.update(
        repr(
            (type(guess.peer).__name__, *(peer.get(key) for key in ("constants", "validation_crps", "memory")))
        ).encode()
    )
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _as_dataset(codec: FieldCodec, sample: FieldBatch, stamps: Mapping[int, np.ndarray]) -> tuple[xr.Dataset, int]:
    """A sample as an observation data set on the whole grid, with the frames of its time context.

    Arguments:
        codec: To physical units.
        sample: One whole-domain sample, network units.
        stamps: Date (1,) of every frame that exists, by time offset.

    Returns:
        The data set, and the index of offset 0 on its time axis.
    """
    offsets = sorted(stamps)
    times = np.concatenate([stamps[offset] for offset in offsets])
    dataset = xr.Dataset(coords={"time": times, **codec.grid.coordinates()})
    for name in (*codec.targets, *codec.covariates):
        levels = codec.grid.levels[name]
        surface = levels == (None,)
        values, errors = zip(*(_frame(codec, sample, name, offset, stamps[offset]) for offset in offsets), strict=True)
        dims = ("time", "lat", "lon") if surface else ("time", "depth", "lat", "lon")
        if not surface:
            dataset = dataset.assign_coords(depth=list(levels))
        for label, frames in ((name, values), (f"{name}_error", errors)):
            array = np.stack(frames)
            dataset[label] = (dims, array[:, 0] if surface else array)
        domain = codec.domains[name]
        dataset[f"{name}_domain"] = (dims[1:], domain[0] if surface else domain)
    return dataset, offsets.index(0)


def _frame(
    codec: FieldCodec, sample: FieldBatch, name: str, offset: int, stamp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Observations and errors (level, lat, lon) of one variable at one offset, physical units, NaN where not seen."""
    if offset == 0 and name in codec.targets:
        table, part_seen = codec.channels(), sample.seen
    else:
        table, part_seen = codec.given(), sample.given
    part = [i for i, channel in enumerate(table) if (channel.variable, channel.offset) == (name, offset)]
    y, seen, error = (tensor[0, part].numpy() for tensor in (part_seen.value, part_seen.where, part_seen.error))
    rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
    value = codec.decode(name, y[None], stamp, rows, columns, bounded=False)[0]
    slope = codec.slope(name, value[None], stamp, rows, columns)[0]
    return np.where(seen, value, np.nan), np.where(seen, error * slope, np.nan)
