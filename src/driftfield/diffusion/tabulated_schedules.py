"""Schedules that are known at points: given as a table, or learned from where the error is.

    predefined   ln s is linear in t between the entries of a table
    adaptive     p(gamma) proportional to an average of w(gamma) |eps error|^2 in bins of gamma        (Kingma & Gao 2023, 5.1)

An adaptive schedule spends the training where the loss is: t uniform gives its density, so that every bin adds the same to it.
"""

__all__ = ["AdaptiveSchedule", "PredefinedSchedule"]

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from driftfield.diffusion.beta_schedules import LinearBetaSchedule
from driftfield.diffusion.schedule import Convention, Schedule, TransformedSchedule
from driftfield.errors import ConfigurationError
from driftfield.registry import register


@register("schedule")
class PredefinedSchedule(TransformedSchedule):
    """Noise levels from a table, at equal steps of t.

    Arguments:
        s_min, s_max: Where to cut it; the ends of the table by default. Beyond them the table goes on as it ends.
        levels: Rising noise levels s; by default those of the thousand steps of DDPM.
        convention: See `Schedule`.
    """

    def __init__(
        self,
        s_min: float | None = None,
        s_max: float | None = None,
        levels: Sequence[float] | None = None,
        convention: Convention = "variance_preserving",
    ) -> None:
        table = levels_of_betas(LinearBetaSchedule().betas()) if levels is None else torch.as_tensor(levels).double()
        if table.ndim != 1 or len(table) < 2 or not (table > 0).all() or not (table.diff() > 0).all():
            raise ConfigurationError("The levels of a PredefinedSchedule must be 2 or more positive numbers that rise.")
        self.log_levels = torch.log(table)
        super().__init__(
            float(table[0]) if s_min is None else s_min, float(table[-1]) if s_max is None else s_max, convention
        )

    @classmethod
    def from_betas(cls, betas: Float[Tensor, " steps"], convention: Convention = "variance_preserving") -> Schedule:
        """The schedule of a discrete table: entry i is the level after its first i + 1 steps."""
        return cls(levels=levels_of_betas(betas).tolist(), convention=convention)

    def _s(self, u: Tensor) -> Tensor:
        knots = torch.linspace(0, 1, len(self.log_levels), dtype=torch.float64, device=u.device)
        return torch.exp(_interpolate(u.double(), knots, self.log_levels.to(u.device))[0]).to(u.dtype)

    def _u(self, s: Tensor) -> Tensor:
        return self._place(s)[0].to(s.dtype)

    def _du_dlog_s(self, s: Tensor) -> Tensor:
        return self._place(s)[1].to(s.dtype)

    def _place(self, s: Tensor) -> tuple[Tensor, Tensor]:
        knots = torch.linspace(0, 1, len(self.log_levels), dtype=torch.float64, device=s.device)
        return _interpolate(torch.log(s.double()), self.log_levels.to(s.device), knots)


@register("schedule")
class AdaptiveSchedule(Schedule, nn.Module):
    """A density of noise levels that is learned while training, from a `DiffusionModel`'s own loss.

    It wants `ScheduleLevels`, which draw from it, and a weighting that has a w(gamma) (`IntegralWeighting`).

    Arguments:
        s_min, s_max, convention: See `Schedule`.
        bins: Number of bins of equal width in gamma.
        decay: Of the average of the error in each bin, per draw; until 1 / (1 - decay) draws it is their plain mean.
        floor: Smallest share of a bin, in units of an equal one: a level that is never drawn cannot be learned about.
    """

    def __init__(
        self,
        s_min: float = 0.01,
        s_max: float = 80.0,
        bins: int = 100,
        decay: float = 0.999,
        floor: float = 0.01,
        convention: Convention = "edm",
    ) -> None:
        nn.Module.__init__(self)
        if bins < 1 or not 0 <= decay < 1 or not 0 < floor <= 1:
            raise ConfigurationError(
                f"Found bins={bins}, decay={decay}, floor={floor}: expected bins of 1 or more, a decay in [0, 1) and a floor "
                "in (0, 1]."
            )
        Schedule.__init__(self, s_min, s_max, convention)
        self.decay, self.floor = decay, floor
        # parameters without a gradient: kept, resumed and shipped with the weights
        self.errors = nn.Parameter(torch.ones(bins), requires_grad=False)
        # 1 / (1 + draws): the share of the mean over all bins in what a bin is taken for; unlike the draws it fits half precision
        self.doubt = nn.Parameter(torch.ones(bins), requires_grad=False)

    @torch.no_grad()
    def update(self, gamma: Float[Tensor, " batch"], error: Float[Tensor, " batch"]) -> None:
        """Takes the weighted squared errors of a batch, sample by sample, into the averages of their bins.

        Arguments:
            gamma: Log SNR of the samples.
            error: w(gamma) times the eps-equivalent squared error, not divided by the density; NaN teaches nothing.
        """
        bins = len(self.errors)
        place = ((gamma - self.gamma_min) / (self.gamma_max - self.gamma_min) * bins).long().clamp(0, bins - 1)
        usable = torch.isfinite(error)
        count = torch.zeros_like(self.errors).index_add_(0, place, usable.to(self.errors))
        total = torch.zeros_like(self.errors).index_add_(0, place, torch.where(usable, error, 0).to(self.errors))
        before = 1 / self.doubt - 1
        # a bin that is drawn n times as often learns n times as fast: decay per draw, not per batch
        kept = torch.minimum(self.decay**count, before / (before + count).clamp(min=1))
        self.errors.copy_(torch.where(count > 0, kept * self.errors + (1 - kept) * total / count, self.errors))
        self.doubt.div_(1 + self.doubt * count)

    def _shares(self) -> Tensor:
        """Probability of each bin, rising gamma, float64."""
        errors, doubt = self.errors.detach().double().clamp(min=0), self.doubt.detach().double().clamp(0, 1)
        known = 1 - doubt
        tiny = torch.finfo(torch.float64).tiny
        usual = torch.where(known.sum() > 0, (known * errors).sum() / known.sum().clamp(min=tiny), 1.0)
        errors = known * errors + doubt * usual
        shares = errors / errors.sum().clamp(min=tiny)
        shares = shares.clamp(min=self.floor / len(shares))
        return shares / shares.sum()

    def _knots(self) -> tuple[Tensor, Tensor]:
        shares = self._shares()
        passed = torch.cat([shares.new_zeros(1), shares.cumsum(0)])
        edges = torch.linspace(self.gamma_min, self.gamma_max, len(shares) + 1, dtype=torch.float64)
        return passed / passed[-1], edges.to(shares.device)

    def gamma(self, t: Tensor) -> Tensor:
        passed, edges = self._knots()
        found = _interpolate(1 - t.double(), passed, edges)[0]
        return found.clamp(self.gamma_min, self.gamma_max).to(t.dtype)

    def t(self, gamma: Tensor) -> Tensor:
        passed, edges = self._knots()
        return 1 - _interpolate(gamma.double(), edges, passed)[0].to(gamma.dtype)

    def density(self, gamma: Tensor) -> Tensor:
        passed, edges = self._knots()
        inside = (gamma >= self.gamma_min) & (gamma <= self.gamma_max)
        return inside.to(gamma) * _interpolate(gamma.double(), edges, passed)[1].to(gamma.dtype)


def levels_of_betas(betas: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """Noise levels s = sqrt((1 - abar) / abar) of a discrete table, abar the running product of 1 - beta; float64."""
    log_kept = torch.log1p(-betas.double()).cumsum(0)
    return torch.sqrt(torch.expm1(-log_kept))


def _interpolate(x: Tensor, knots: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Piecewise linear interpolation, continued beyond its ends, and its slope."""
    # the table moves with the network, and a sampler asks on the processor
    knots, values = knots.to(x.device), values.to(x.device)
    left = (torch.searchsorted(knots, x.detach().contiguous(), right=True) - 1).clamp(0, len(knots) - 2)
    slope = (values[left + 1] - values[left]) / (knots[left + 1] - knots[left])
    return values[left] + slope * (x - knots[left]), slope
