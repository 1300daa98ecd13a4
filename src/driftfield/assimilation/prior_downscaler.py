"""Downscaling with a prior that has never seen a coarse field: a diffusion model held to coarse means at every step of its walk.

    D(x_t, t)  --decode-->  physical  --conserve: H x = y-->  --encode-->  network units        and so for the member at the end

Additive, or by factors for what is not negative; every member has the coarse means, to rounding. Nothing is learnt from pairs.
Projection of the denoiser as in `diffusion.conserving`; Harder et al. (2023), JMLR 24(365), for hard constraints in networks.
"""

__all__ = ["PriorDownscaler"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.checkpoint import load_as, read_run
from driftfield.data.pairing import Pair
from driftfield.diffusion.conserving import ConservingDenoiser
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Cannot, Denoiser
from driftfield.linalg.regridding import Regridding
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.unconditional import check_unconditional, nothing_seen
from driftfield.peers.downscaling.base import SPREADS, Date, Downscaler, Fitted
from driftfield.peers.downscaling.conserving import check_how, conserved, how_of, refuse_other_means
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.output import Estimate
from driftfield.registry import lookup, register
from driftfield.sampling.starting import conditional_mean

_FOLDER = "prior"


@register("downscaler")
class PriorDownscaler(Downscaler):
    """A run of `DiffusionReconstructor` that has learnt to see nothing, conserving coarse means while it samples.

    Arguments:
        run: Its folder; it is copied into the run of the downscaler.
        how: {variable: additive | multiplicative | none}; multiplicative where `data.bounds` has a lower bound of 0, else
            additive.
    """

    method = "prior, conserving"
    abilities = SPREADS
    needs_pairs = False
    follows_shifts = Cannot("draws from a prior that knows how warm it is")

    def __init__(self, run: str, how: Mapping[str, str] | None = None) -> None:
        self.run, self.how = str(run), None if how is None else check_how(how)
        self.prior: DiffusionReconstructor | None = None

    def prepare(self, pair: Pair) -> None:
        """Loads the prior and looks whether it is one of these fields.

        Raises:
            ConfigurationError: a run that is no such prior, of other variables or another grid, or a pair of two models without
                `how`.
        """
        folder = Path(self.run)
        prior: Any = load_as(lookup("reconstructor", read_run(folder).class_name), folder)
        check_unconditional(prior)
        refuse_other_means(self.how, pair, self.grids, type(self).__name__)
        codec, grids = prior.codec, self.grids
        if set(codec.targets) != set(grids.targets) or codec.covariates:
            raise ConfigurationError(
                f"{folder} is a prior of {list(codec.targets)} given {list(codec.covariates)}: expected "
                f"{list(grids.targets)} and nothing given. Name its targets under data.targets, or train one."
            )
        rows, columns = codec.grid.cells(grids.fine)
        whole = (codec.grid.lat.size, codec.grid.lon.size)
        if (rows.size, columns.size) != whole or any(len(codec.grid.levels[n]) > 1 for n in codec.targets):
            raise ConfigurationError(
                f"{folder} is a prior on {whole[0]} x {whole[1]} cells, and the fine grid has {rows.size} x {columns.size}: "
                "expected the same surface grid. Train one on it, or set data.region."
            )
        self.prior = prior

    def estimates(self, coarse: xr.Dataset, members: int, seed: int) -> dict[str, Estimate]:
        """All targets of every date, date by date."""
        assert self.prior is not None
        grids, stamps = self.grids, coarse["time"].values
        by_target: dict[str, list[np.ndarray]] = {name: [] for name in grids.targets}
        for index in range(len(stamps)):
            asked = {n: np.where(grids.known[n], coarse[n].values[index], np.nan) for n in grids.targets}
            seen = nothing_seen(self.prior.codec, stamps[[index]])
            guide = _Conserving(self.prior, stamps[[index]], asked, grids, self.how)
            drawn = self.prior.complete(seen, Draws(members, seed, guide=guide))
            for name in grids.targets:
                label = f"{name}_member" if f"{name}_member" in drawn else name
                fields = drawn[label].isel(time=0).transpose(..., "lat", "lon").values.astype(np.float64)
                fields = np.nan_to_num(fields.reshape(members, *grids.regridding.fine.shape))
                kept = conserved(fields, asked[name], grids.map_of(name), how_of(self.how, name, grids))
                by_target[name].append(kept.astype(np.float32))
        return {name: Estimate(members=np.stack(fields, axis=1)) for name, fields in by_target.items()}

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """Never asked for: the targets of a date are drawn together."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Writes the run, and the prior inside it."""
        assert self.prior is not None
        super().save(folder)
        self.prior.save(Path(folder) / _FOLDER)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        method = super().load(folder)
        method.prior = load_as(DiffusionReconstructor, Path(folder) / _FOLDER)
        return method


class _Conserving:
    """The guide of one date: its denoiser's answers have the coarse means, in physical units.

    Arguments:
        prior: The run.
        date: (1,).
        asked: Coarse means by target, NaN where none is asked for.
        grids: Of the pair.
        how: As of `PriorDownscaler`.
    """

    def __init__(
        self,
        prior: DiffusionReconstructor,
        date: np.ndarray,
        asked: Mapping[str, np.ndarray],
        grids: PairGrids,
        how: Mapping[str, str] | None,
    ) -> None:
        self.codec, self.date, self.asked, self.grids, self.how = prior.codec, date, asked, grids, how
        self.noise = prior.noise
        self.rows, self.columns = np.arange(self.codec.grid.lat.size), np.arange(self.codec.grid.lon.size)

    def __call__(self, denoiser: Denoiser, batch: FieldBatch, eps: Tensor) -> tuple[Denoiser, Tensor]:
        held = ConservingDenoiser(denoiser, self.project)
        return held, conditional_mean(held, eps)

    def project(self, clean: Tensor) -> Tensor:
        """What is diffused (member, channel, row, column), with the coarse means in physical units."""
        z = self.noise.color(clean.detach()).cpu().numpy()
        place = self.date, self.rows, self.columns
        parts = []
        for channel, name in enumerate(self.codec.targets):
            x = self.codec.decode(name, z[:, channel, None], *place, bounded=False)[:, 0].astype(np.float64)
            kept = conserved(x, self.asked[name], self.grids.map_of(name), how_of(self.how, name, self.grids))
            parts.append(self.codec.encode(name, kept[:, None], *place)[:, 0])
        return self.noise.whiten(torch.from_numpy(np.stack(parts, axis=1)).to(clean))
