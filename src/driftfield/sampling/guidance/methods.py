"""Guidance methods by the name that recipes and `--method` take, each in the file of its denoiser.

GuidanceMethod    a denoiser of the posterior: every member walks by itself
CloudMethod       weighted particles that walk together: members are chosen among them at the end
"""

__all__ = [
    "ByNumbers",
    "CloudMethod",
    "DrawPrior",
    "GuidanceMethod",
    "guidance_method",
    "number_option",
    "walking_method",
]

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, ClassVar

from torch import Tensor

from driftfield.errors import ConfigurationError, suggest
from driftfield.interfaces import Denoiser
from driftfield.linalg.operators import Observed
from driftfield.plain import JSONObject
from driftfield.registry import members
from driftfield.sampling.base import Noise, Sampler
from driftfield.sampling.guidance.cloud import ParticleCloud

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

    def options(self) -> JSONObject:
        """For provenance."""
        return asdict(self)  # type: ignore[call-overload]


class ByNumbers(GuidanceMethod):
    """A method with one product in an evaluation, whose options are the numbers that its denoiser takes."""

    denoiser: ClassVar[Callable[..., Denoiser]]
    products = 1

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        numbers = {name: number_option(name, value) for name, value in self.options().items()}
        return type(self).denoiser(denoiser, observed, **numbers)


class CloudMethod(GuidanceMethod):
    """A method whose particles walk together and carry weights; it makes no denoiser."""

    products = 1

    @property
    @abstractmethod
    def size(self) -> int:
        """Particles of a cloud."""

    @property
    @abstractmethod
    def looks(self) -> int:
        """Evaluations of the network for one particle; all but the last with a product with its Jacobian."""

    @abstractmethod
    def cloud(self, denoiser: Denoiser, observed: Observed, noise: Noise, shape: Sequence[int]) -> ParticleCloud:
        """Weighted draws of the posterior.

        Arguments:
            denoiser: Of the prior, for `size` fields.
            observed: y, H and R of the date.
            noise: Random draws by number, `size` fields each.
            shape: (channel, *space) of a field.
        """

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        """Refuses: whoever needs a denoiser asks for a `walking_method`."""
        raise ConfigurationError(
            f"{type(self).__name__} has no denoiser of the posterior. Take another method, such as mmps."
        )


def walking_method(method: GuidanceMethod, whose: str) -> GuidanceMethod:
    """The method, where every member walks by itself.

    Arguments:
        method: Any.
        whose: Who needs that, for the message.

    Raises:
        ConfigurationError: its particles walk together.
    """
    if isinstance(method, CloudMethod):
        raise ConfigurationError(
            f"The method {type(method).__name__.lower()} draws the fields of one date at once, and {whose} walks through many "
            "dates: expected a method whose members walk by themselves, such as sda or mmps. Take another one."
        )
    return method


def guidance_method(name: str, options: Mapping[str, Any] | None = None) -> GuidanceMethod:
    """A method with its options.

    Raises:
        ConfigurationError: an unknown method or option, or a value that makes no sense.
    """
    known = members("guidance")
    if name not in known:
        raise ConfigurationError(f"Unknown guidance method {name!r}: {suggest(name, known)}")
    allowed = [field.name for field in fields(known[name])]
    for key in options or {}:
        if key not in allowed:
            offered = suggest(key, allowed) if allowed else "it has no options. Leave it out."
            raise ConfigurationError(f"The method {name} has no option {key!r}: {offered}")
    method: GuidanceMethod = known[name](**(options or {}))
    return method


def number_option(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"Found method.{name}={value!r}: expected a number.")
    return float(value)
