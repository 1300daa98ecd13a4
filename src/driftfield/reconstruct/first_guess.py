"""A peer's estimate as the first guess of a network: the network learns what the peer leaves, in units of the peer's error.

    r = (x - g) / d,    g the peer's mean, d its standard deviation (floored)

Training needs the guess of many masks, so these are computed once, kept beside the run, and drawn from.
"""

__all__ = ["FirstGuess"]

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import xarray as xr

from driftfield.checkpoint import read_run, write_run
from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import FirstGuessPool, TwinDataset
from driftfield.data.patches import Window
from driftfield.errors import ConfigurationError
from driftfield.registry import lookup

log = logging.getLogger(__name__)

FLOOR = 0.02
"""Smallest error scale in network units: an observed cell has an error too."""


class Peer(Protocol):
    """A fitted method with an error of its own."""

    def mean_and_sd(
        self, observations: xr.Dataset, *, leave_out_days: float | None = None
    ) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """Mean and standard deviation (time, [depth,] lat, lon) of every target, physical units.

        Past fields within `leave_out_days` of the analysed date are not used.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes the run."""
        ...


class FirstGuess:
    """A fitted peer, with what turns its answers into network units.

    Arguments:
        peer: The fitted method.
        leave_out_days: In training the peer may not use fields this near to the analysed date, so that its residuals are out
            of sample and the spread does not collapse.
    """

    def __init__(self, peer: Peer, leave_out_days: float = 400.0) -> None:
        self.peer, self.leave_out_days = peer, leave_out_days

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Self:
        """From a recipe's {run: FOLDER}.

        Raises:
            ConfigurationError: no `run`, or the run's method has no mean and standard deviation.
        """
        if "run" not in spec:
            raise ConfigurationError(f"first_guess needs the key 'run' (a fitted peer), found {dict(spec)}.")
        return cls.load(Path(spec["run"]), spec)

    @classmethod
    def load(cls, folder: Path, spec: Mapping[str, Any]) -> Self:
        """Reads the peer's run."""
        peer_class = lookup("reconstructor", read_run(folder).class_name)
        if not hasattr(peer_class, "mean_and_sd"):
            raise ConfigurationError(f"{peer_class.__name__} gives no standard deviation and cannot be a first guess.")
        return cls(peer_class.load(folder), float(spec.get("leave_out_days", 400.0)))

    def save(self, folder: Path) -> None:
        """The peer's run, so that a network's run is complete in itself."""
        self.peer.save(folder)

    def estimate(
        self, observations: xr.Dataset, *, training: bool = False
    ) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """Mean and standard deviation in physical units."""
        return self.peer.mean_and_sd(observations, leave_out_days=self.leave_out_days if training else None)

    def encode(
        self, estimate: Mapping[str, tuple[np.ndarray, np.ndarray]], codec: FieldCodec, times: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Guess and scale (time, channel, lat, lon) in network units, finite everywhere, on the whole grid."""
        rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
        guesses, scales = [], []
        for name in codec.targets:
            mean, sd = (part if part.ndim == 4 else part[:, None] for part in estimate[name])
            inside = codec.domains[name] & np.isfinite(mean) & np.isfinite(sd)
            code = codec.encode(name, mean, times, rows, columns)
            guesses.append(np.where(inside, code, 0))
            scales.append(np.where(inside, np.maximum(sd / codec.normalizers[name].std, FLOOR), 1))
        return np.concatenate(guesses, axis=1).astype(np.float32), np.concatenate(scales, axis=1).astype(np.float32)

    def pool(self, dataset: TwinDataset, size: int, folder: Path) -> FirstGuessPool:
        """`size` whole-domain samples of `dataset` with their first guess, computed once and kept in `folder`."""
        key = self._key(dataset, size)
        if (folder / "run.json").exists() and (run := read_run(folder)).extra.get("key") == key:
            return FirstGuessPool(**run.arrays)
        codec = dataset.codec
        whole = Window(0, 0, codec.grid.lat.size, codec.grid.lon.size)
        kept: dict[str, list[np.ndarray]] = {name: [] for name in FirstGuessPool.__annotations__}
        for number in range(size):
            rng = np.random.default_rng((dataset.seed, 2**32 + number))
            time = int(rng.choice(dataset.times))
            sample = dataset.draw(time, whole, rng)
            seen = {name: getattr(sample, name)[0].numpy() for name in ("observations", "observed", "error_std")}
            kept["held_out"].append(sample.held_out[0].numpy())
            stamps = dataset.stamps[[time]]
            guess, scale = self.encode(self.estimate(_as_dataset(codec, seen, stamps), training=True), codec, stamps)
            record = seen | {"target": sample.target[0].numpy(), "guess": guess[0], "scale": scale[0]}
            for name, array in (record | {"time": np.array(time)}).items():
                kept[name].append(array)
            if (number + 1) % 100 == 0:
                log.info("first guesses: %d of %d", number + 1, size)
        arrays = {name: np.stack(parts) for name, parts in kept.items()}
        write_run(folder, "FirstGuessPool", {}, arrays, {"size": size, "key": key})
        return FirstGuessPool(**arrays)

    def _key(self, dataset: TwinDataset, size: int) -> str:
        """Of everything that a pool depends on, so that a changed recipe, peer or seed never meets a stale one."""
        described, arrays = dataset.codec.to_arrays()
        digest = hashlib.sha256(
            json.dumps(
                [size, dataset.seed, dataset.training, dataset.mix, self.leave_out_days, described],
                sort_keys=True,
                default=str,
            ).encode()
        )
        digest.update(repr((dataset.observing, sorted(dataset.inflation.items()), dataset.times.tolist())).encode())
        digest.update(repr(vars(self.peer).get("constants")).encode())
        for name in sorted(arrays):
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
        return digest.hexdigest()


def _as_dataset(codec: FieldCodec, seen: Mapping[str, np.ndarray], stamps: np.ndarray) -> xr.Dataset:
    """Network units back to an observation data set on the whole grid."""
    rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
    dataset = xr.Dataset(coords={"time": stamps, "lat": codec.grid.lat, "lon": codec.grid.lon})
    first = 0
    for name in codec.targets:
        levels = codec.grid.levels[name]
        part = slice(first, first + len(levels))
        first += len(levels)
        observed = seen["observed"][part]
        values = codec.decode(name, seen["observations"][part][None], stamps, rows, columns)
        errors = seen["error_std"][part][None] * codec.normalizers[name].std
        surface = levels == (None,)
        dims = ("time", "lat", "lon") if surface else ("time", "depth", "lat", "lon")
        if not surface:
            dataset = dataset.assign_coords(depth=list(levels))
        for label, array in ((name, values), (f"{name}_error", errors)):
            array = np.where(observed, array, np.nan)
            dataset[label] = (dims, array[:, 0] if surface else array)
        domain = codec.domains[name]
        dataset[f"{name}_domain"] = (dims[1:], domain[0] if surface else domain)
    return dataset
