"""Guidance methods by name, with the constants that a user may set.

    mmps                 moment matching; the default                                iterations, solver, damping, prior_samples
    sda                  a multiple of the noise variance                            sda_scale
    dps                  the normalised gradient                                     zeta
    pseudo_inverse       one variance for every cell                                 sd
    tmpd                 row sums of the network's covariance
    prior_covariance     a covariance of the prior, learned from draws of it         samples, rank
    replacement          cells set to what they were, at the right noise level       sd
    repaint              the same, back and forth at every level                     resamplings, evaluations

The last two know single cells only. The particle method is none of these: its particles carry weights and are no members
(`sampling.guidance.particles`, for notebooks and small problems).
"""

__all__ = ["METHODS", "GuidanceMethod", "guidance_method"]

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from driftfield.errors import ConfigurationError, suggest
from driftfield.interfaces import Denoiser
from driftfield.linalg.covariance import Covariance, DiagonalCovariance
from driftfield.linalg.operators import Observed, SparseOperator
from driftfield.linalg.prior_covariance import eof_covariance, spectral_covariance
from driftfield.linalg.solvers import GMRES, ConjugateGradients
from driftfield.sampling.base import Sampler
from driftfield.sampling.guidance.dps import DPSDenoiser
from driftfield.sampling.guidance.mmps import DIRECT, MMPSDenoiser
from driftfield.sampling.guidance.prior_covariance import PriorCovarianceDenoiser
from driftfield.sampling.guidance.pseudo_inverse import PseudoInverseDenoiser
from driftfield.sampling.guidance.repaint import RePaintSampler
from driftfield.sampling.guidance.replacement import ReplacementDenoiser
from driftfield.sampling.guidance.sda import SDADenoiser
from driftfield.sampling.guidance.tmpd import TMPDDenoiser

log = logging.getLogger(__name__)

DrawPrior = Callable[[int], Tensor]
"""So many fields (sample, channel, lat, lon) of what the denoiser knows without the observations, always the same ones."""


class GuidanceMethod(ABC):
    """How the observations of one date guide a denoiser; its dataclass fields are the options."""

    starts_at_posterior: ClassVar[bool] = False
    """Whether its answer at the highest noise level is the posterior mean, where the walk may start."""

    @abstractmethod
    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        """The denoiser of the posterior.

        Arguments:
            denoiser: Of the prior, for a batch of members.
            observed: y, H and R of the date; H of the network's field.
            eps: Noise that starts the walk.
            prior: Draws of the prior, for a method that learns from them.
        """

    @property
    @abstractmethod
    def products(self) -> int:
        """Products with the Jacobian in one evaluation, at most; each costs two evaluations."""

    def sampler(self, given: Sampler) -> Sampler:
        """Which sampler it walks with."""
        return given

    def options(self) -> dict[str, Any]:
        """For provenance."""
        return asdict(self)  # type: ignore[call-overload]


@dataclass(frozen=True)
class MMPS(GuidanceMethod):
    """`sampling.guidance.mmps`.

    Arguments:
        iterations: Of the solver; 2 do with `prior_samples`.
        solver: "cg", or "gmres" for a network whose Jacobian is far from symmetric.
        damping: Makes up for a Jacobian with negative eigenvalues, as briefly trained networks have; 0 to about .3.
        prior_samples: Unguided draws of the same dates whose covariance preconditions the system, 96 for example; 0 for none.
            A third as many EOFs are kept, 32 at most.
    """

    iterations: int = 5
    solver: Literal["cg", "gmres"] = "cg"
    damping: float = 0.0
    prior_samples: int = 0
    starts_at_posterior = True

    def __post_init__(self) -> None:
        _whole("iterations", self.iterations, 1)
        if not 0 <= _number("damping", self.damping) < float("inf"):
            raise ConfigurationError(f"Found method.damping={self.damping!r}: expected 0 or more, .1 to begin with.")
        _whole("prior_samples", self.prior_samples, 0)
        if 0 < self.prior_samples < 6:
            raise ConfigurationError(f"Found method.prior_samples={self.prior_samples}: expected 0, or 6 or more.")
        if self.solver not in ("cg", "gmres"):
            raise ConfigurationError(f"Found method.solver={self.solver!r}: expected 'cg' or 'gmres'.")

    @property
    def products(self) -> int:
        return self.iterations

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        solver = {"cg": ConjugateGradients, "gmres": GMRES}[self.solver](self.iterations)
        return MMPSDenoiser(denoiser, observed, solver=solver, prior=self._prior(observed, prior), damping=self.damping)

    def _prior(self, observed: Observed, prior: DrawPrior) -> Covariance | None:
        """What preconditions; nothing is drawn where it could not be used."""
        if not self.prior_samples:
            return None
        if not observed.linear or observed.y.numel() > DIRECT:
            log.warning(
                "prior_samples=%d is of use for up to %d observations: %d are solved for without",
                self.prior_samples,
                DIRECT,
                observed.y.numel(),
            )
            return None
        return eof_covariance(prior(self.prior_samples), min(32, self.prior_samples // 3))


@dataclass(frozen=True)
class SDA(GuidanceMethod):
    """`sampling.guidance.sda`."""

    sda_scale: float = 0.3
    products = 1

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return SDADenoiser(denoiser, observed, sda_scale=_number("sda_scale", self.sda_scale))


@dataclass(frozen=True)
class DPS(GuidanceMethod):
    """`sampling.guidance.dps`."""

    zeta: float = 3.0
    products = 1

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return DPSDenoiser(denoiser, observed, zeta=_number("zeta", self.zeta))


@dataclass(frozen=True)
class PseudoInverse(GuidanceMethod):
    """`sampling.guidance.pseudo_inverse`."""

    sd: float = 1.0
    products = 1

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return PseudoInverseDenoiser(denoiser, observed, sd=_number("sd", self.sd))


@dataclass(frozen=True)
class TMPD(GuidanceMethod):
    """`sampling.guidance.tmpd`."""

    starts_at_posterior = True
    products = 2

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return TMPDDenoiser(denoiser, observed)


@dataclass(frozen=True)
class PriorCovariance(GuidanceMethod):
    """`sampling.guidance.prior_covariance`, the covariance being that of unguided draws on the same date.

    Arguments:
        samples: How many draws it is learned from.
        rank: EOFs to keep; 0 takes a spectrum, in which channels are independent.
    """

    samples: int = 96
    rank: int = 32
    starts_at_posterior = True
    products = 0

    def __post_init__(self) -> None:
        _whole("samples", self.samples, 2)
        _whole("rank", self.rank, 0)
        if self.rank >= self.samples:
            raise ConfigurationError(
                f"Found method.rank={self.rank} with method.samples={self.samples}: expected fewer EOFs than samples."
            )

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return PriorCovarianceDenoiser(denoiser, observed, self._covariance(prior(self.samples)))

    def _covariance(self, fields: Tensor) -> Covariance:
        return eof_covariance(fields, self.rank) if self.rank else spectral_covariance(fields)


@dataclass(frozen=True)
class Replacement(GuidanceMethod):
    """`sampling.guidance.replacement`."""

    sd: float = 1.0
    products = 0

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        y, seen, error = _cells(observed, eps)
        return ReplacementDenoiser(denoiser, y, seen, error, eps, _number("sd", self.sd))


@dataclass(frozen=True)
class RePaint(GuidanceMethod):
    """`sampling.guidance.repaint`; `evaluations` of the network in all."""

    resamplings: int = 10
    evaluations: int = 641
    products = 0

    def __post_init__(self) -> None:
        _whole("resamplings", self.resamplings, 1)
        _whole("evaluations", self.evaluations, 2)

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        y, seen, error = _cells(observed, eps)
        return ReplacementDenoiser(denoiser, y, seen, error, None)

    def sampler(self, given: Sampler) -> Sampler:
        return RePaintSampler(self.evaluations, resamplings=self.resamplings)


METHODS: dict[str, type[GuidanceMethod]] = {
    "mmps": MMPS,
    "sda": SDA,
    "dps": DPS,
    "pseudo_inverse": PseudoInverse,
    "tmpd": TMPD,
    "prior_covariance": PriorCovariance,
    "replacement": Replacement,
    "repaint": RePaint,
}
"""By the name that `--method` takes."""


def guidance_method(name: str, options: Mapping[str, Any] | None = None) -> GuidanceMethod:
    """A method with its options.

    Raises:
        ConfigurationError: an unknown method or option, or a value that makes no sense.
    """
    if name not in METHODS:
        raise ConfigurationError(f"Unknown guidance method {name!r}: {suggest(name, METHODS)}")
    allowed = [field.name for field in fields(METHODS[name])]  # type: ignore[arg-type]
    for key in options or {}:
        if key not in allowed:
            offered = suggest(key, allowed) if allowed else "it has no options. Leave it out."
            raise ConfigurationError(f"The method {name} has no option {key!r}: {offered}")
    return METHODS[name](**(options or {}))


def _cells(observed: Observed, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values, where, and errors of observations of single cells, each of the shape of `eps`; copies are averaged by precision."""
    operator, batch = observed.operator, len(eps)
    if not isinstance(operator, SparseOperator) or operator.weights.numel() != operator.size:
        raise ConfigurationError(
            "Replacement knows observations of single cells, and some of these lie between cells. Use another method, such as "
            "mmps, or put them on the grid with `driftfield gather`."
        )
    # as many weights as observations, sorted by observation: one each
    weights, cells = operator.weights, operator.columns
    if not isinstance(observed.covariance, DiagonalCovariance):
        raise ConfigurationError(
            "Replacement takes errors as independent, and these hang together. Use another method, such as mmps."
        )
    precision = weights**2 / observed.covariance.variances.double()
    size = eps[0].numel()
    total = torch.zeros(size, dtype=torch.float64).index_add_(0, cells, precision)
    y = torch.zeros(size, dtype=torch.float64).index_add_(0, cells, precision * observed.y.double() / weights)
    seen = total > 0
    total = torch.where(seen, total, 1)
    parts = (y / total, seen, torch.where(seen, total**-0.5, 0))
    value, where, error = (part.view(1, *eps.shape[1:]).expand(batch, *eps.shape[1:]) for part in parts)
    return value.to(eps), where.to(eps.device), error.to(eps)


def _whole(name: str, value: Any, least: int) -> None:
    if type(value) is not int or value < least:
        raise ConfigurationError(f"Found method.{name}={value!r}: expected a whole number, {least} or more.")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"Found method.{name}={value!r}: expected a number.")
    return float(value)
