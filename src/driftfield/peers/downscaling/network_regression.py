"""A network that gives what interpolation leaves: plain convolutions, or a U-Net, all targets together.

    r = ( T(x) - interpolate(T(y)) - m ) / s            m, s: of training dates, see `scaling`
    network( interpolated coarse anomalies, static fields ) -> r            minimise the squared error over training dates
    x = T^-1( interpolate(T(y)) + m + s r )             a coarse field that is 5 K warmer gives a fine field that starts 5
    K warmer

Anything registered as a network will do: `ResidualUNet` with one width is a stack of plain convolutions.
"""

__all__ = ["NetworkRegression"]

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.utils.data import Dataset

from driftfield.data.group_scaling import Scaling
from driftfield.data.pairing import require_pair
from driftfield.diffusion.model import RegressionModel
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch, Seen
from driftfield.gridded.encodings import as_dates
from driftfield.interfaces import Cannot, TrainingData
from driftfield.linalg.regridding import Kind, Regridding
from driftfield.networks.weights import restore_weights, weight_arrays
from driftfield.peers.background import part as prefixed
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.conserving import check_how, conserved
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.peers.downscaling.transform import Transform, check_transforms, transform_of
from driftfield.reconstruction.output import Estimate
from driftfield.registry import build, register


@register("downscaler")
class NetworkRegression(Downscaler):
    """A regression network on the fine grid; one field, no spread.

    Arguments:
        network: Class and arguments.
        kind: Of the interpolation: nearest, bilinear or bicubic.
        transform: {variable: none | square_root | log}.
        scaling: {per: cell | domain | land, by: none | hour | month | season}: the scales of what is learnt (`scaling.Scaling`).
        how: {variable: additive | multiplicative | none}: the projection onto the coarse means (`Conserving`); none by default.
    """

    method = "network regression"
    abilities = replace(Downscaler.abilities, needs_training=True)
    follows_shifts = Cannot("asks a network, which sees how warm it is")

    def __init__(
        self,
        network: Mapping[str, Any],
        kind: Kind = "bilinear",
        transform: Mapping[str, str] | None = None,
        scaling: Mapping[str, str] | None = None,
        how: Mapping[str, str] | None = None,
    ) -> None:
        self.network, self.kind = dict(network), kind
        self.scaling = None if scaling is None else dict(scaling)
        self._scaling = Scaling.of(scaling)
        self.transform, self.how = check_transforms(transform), check_how(how)
        self.extra: dict[str, Any] = {}
        self.model: RegressionModel | None = None

    def fit(
        self,
        data: TrainingData,
        *,
        seed: int = 0,
        trainer: Any = None,
        folder: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Trains on the training dates; the best weights are chosen on the validation dates.

        Raises:
            ConfigurationError: no trainer or no folder, or no pairs.
        """
        if trainer is None or folder is None:
            raise ConfigurationError(f"{type(self).__name__}.fit needs a trainer and a folder: pass both.")
        super().fit(data, seed=seed)
        pair = require_pair(data, type(self).__name__)
        parts = [
            self._batch(data.archive.dataset.isel(time=times), pair.coarse.isel(time=times))
            for times in (data.train, data.validation)
        ]
        torch.manual_seed(seed)
        self.model = self.built()
        total = trainer.steps * trainer.batch_size
        history = trainer.fit(
            self.model,
            lambda start: _Shuffled(parts[0], seed, start, total),
            [parts[1][start : start + 64] for start in range(0, len(parts[1]), 64)],
            folder=folder,
            seed=seed,
            resume=resume,
        )
        self.extra |= {"history": history}
        self.model.eval()

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Constants of one variable: of what interpolation leaves, and of the interpolated coarse field."""
        transform = transform_of(self.transform, samples.name, samples.fine)
        up = regridding.interpolate(transform(samples.coarse), self.kind)
        scales = {
            "residual": self._scaling.fit(transform(samples.fine) - up, samples.dates, self._land()),
            "coarse": self._scaling.fit(up, samples.coarse_dates, self._land()),
        }
        kept = {f"{part}.{key}": values for part, found in scales.items() for key, values in found.items()}
        return kept | {"scale": np.array([transform.scale])}

    def _land(self) -> np.ndarray | None:
        """Where a static field says that there is more than half land."""
        for name in ("sftlf", "lsm"):
            if name in self.grids.statics.fine:
                share = self.grids.statics.fine[name]
                return np.asarray(share > (50.0 if np.nanmax(share) > 1.5 else 0.5))
        return None

    def _scales(self, name: str, part: str, dates: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (time, row, column) on some dates."""
        constants = prefixed(self.fitted[name], f"{part}.")
        places = self._scaling.places(dates, constants, type(self).__name__)
        return constants["mean"][places], constants["sd"][places]

    def built(self) -> RegressionModel:
        """The model without weights that were learnt."""
        count = len(self.grids.targets)
        given = count + 2 * len(self.grids.statics.fine)
        return RegressionModel(build("network", self.network, channels=count, covariates=given, first_guess=False))

    # -- fields to batches and back ------------------------------------------------------------------------------------

    def _transform(self, name: str) -> Transform:
        return Transform(self.transform.get(name, "none"), float(self.fitted[name]["scale"][0]))

    def _upon(self, coarse: np.ndarray, name: str) -> np.ndarray:
        """Interpolated coarse fields (time, row, column), on the scale of the method."""
        regridding = self.grids.map_of(name)
        return regridding.interpolate(self._transform(name)(regridding.fill_coarse(coarse)), self.kind)

    def _batch(self, fine: xr.Dataset | None, coarse: xr.Dataset) -> FieldBatch:
        """All dates as one batch; without fine fields the target is 0 and counts nowhere."""
        grids, names = self.grids, self.grids.targets
        dates = as_dates(coarse["time"])
        ups = {n: self._upon(coarse[n].values, n) for n in names}
        scaled = {n: self._scales(n, "coarse", dates) for n in names}
        given = [(ups[n] - scaled[n][0]) / scaled[n][1] for n in names]
        anywhere = np.any(list(grids.domains.values()), axis=0)
        statics = grids.statics.channels(grids.regridding, anywhere)
        channels = np.concatenate(
            [np.stack(given, axis=1), np.broadcast_to(statics, (dates.size, *statics.shape))], axis=1
        )
        domain = np.broadcast_to(
            np.stack(list(grids.domains.values())), (dates.size, len(names), *grids.regridding.fine.shape)
        )
        target = np.full(domain.shape, np.nan)
        for index, name in enumerate(names if fine is not None else ()):
            assert fine is not None
            mean, sd = self._scales(name, "residual", dates)
            residual = (
                self._transform(name)(fine[name].transpose("time", "lat", "lon").values.astype(np.float64)) - ups[name]
            )
            target[:, index] = (residual - mean) / sd
        known = np.isfinite(target) & domain
        where = torch.ones(channels.shape, dtype=torch.bool)
        year = (dates.dt.dayofyear.values - 1 + dates.dt.hour.values / 24.0) / 366.0
        return FieldBatch(
            target=_tensor(np.where(known, target, 0.0)),
            seen=Seen.nothing(*target.shape),
            domain=torch.from_numpy(domain.copy()),
            held_out=torch.from_numpy(known),
            given=Seen(_tensor(channels), where, torch.zeros(channels.shape)),
            presence=torch.ones(channels.shape[:2]),
            position=torch.zeros(dates.size, 2),
            date=_tensor(np.stack([year, dates.dt.hour.values / 24.0], axis=1)),
        )

    def estimates(self, coarse: xr.Dataset, members: int, seed: int) -> dict[str, Estimate]:
        """All targets of every date, date by date."""
        assert self.model is not None
        fields_of: dict[str, list[np.ndarray]] = {name: [] for name in self.grids.targets}
        for index in range(coarse.sizes["time"]):
            one_date = coarse.isel(time=[index])
            batch = self._batch(None, one_date)
            with torch.no_grad():
                answer = self.model(batch)[0].numpy().astype(np.float64)
            for channel, name in enumerate(self.grids.targets):
                transform = self._transform(name)
                mean, sd = self._scales(name, "residual", as_dates(one_date["time"]))
                field = self._upon(one_date[name].values, name)[0] + mean[0] + sd[0] * answer[channel]
                asked = np.where(self.grids.known[name], one_date[name].values[0], np.nan)
                how = self.how.get(name, "none")
                fields_of[name].append(
                    conserved(transform.inverse(field), asked, self.grids.map_of(name), how).astype(np.float32)
                )
        return {name: Estimate(np.stack(fields)) for name, fields in fields_of.items()}

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """Never asked for: the targets of a date are answered together."""
        raise NotImplementedError

    # -- what is kept --------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Constants and weights."""
        arrays, extra = super().state()
        assert self.model is not None
        return arrays | weight_arrays(self.model), extra | self.extra

    def take(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any], grids: PairGrids) -> None:
        """Takes back what `state` gave."""
        super().take(arrays, extra, grids)
        self.extra = {key: extra[key] for key in ("history", "recipe_hash") if key in extra}
        self.model = self.built()
        restore_weights(self.model, arrays, Path("the run"))
        self.model.eval()


class _Shuffled(Dataset[FieldBatch]):
    """Dates in a random order, every one once before any comes again; sample i depends on the seed and i alone.

    Arguments:
        batch: All training dates.
        seed: Of the order.
        start: Index of the first sample.
        total: How many samples a whole training takes.
    """

    def __init__(self, batch: FieldBatch, seed: int, start: int, total: int) -> None:
        self.batch, self.seed, self.start, self.total = batch, seed, start, total
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=int))

    def __len__(self) -> int:
        return max(0, self.total - self.start)

    def __getitem__(self, index: int) -> FieldBatch:
        epoch, place = divmod(self.start + index, len(self.batch))
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.batch))
        chosen = int(self._order[1][place])
        return self.batch[chosen : chosen + 1]


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
