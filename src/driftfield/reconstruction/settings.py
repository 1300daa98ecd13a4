"""The settings of a method that is fitted already: each is applied, or refused by its name with the reason that the method gives.

Settings --check_ability--> DiffusionReconstructor.sampler, .precision, .replacement, .to(device)
                        --> ConfigurationError: LinearInterpolation draws no samples: leave out --sampler.
"""

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "Applied",
    "Settings",
    "check_ability",
    "check_shareable",
    "has_exact",
    "imposing",
    "place_on",
    "uncalibrated",
    "with_settings",
]

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import xarray as xr

from driftfield.conventions import error_of
from driftfield.errors import ConfigurationError, suggest
from driftfield.interfaces import Abilities, Cannot, Sampler

log = logging.getLogger(__name__)

Method = TypeVar("Method")

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """What is asked of a method in place of what its run says; None leaves it as it is.

    Arguments:
        sampler: Another sampler.
        precision: Of the network while sampling, one of `PRECISIONS`.
        replacement: Impose the observations without error while sampling.
        device: Where the network computes, one of `DEVICES`; "auto" takes a GPU where there is one.
        raw: Leave out the calibration of the run, if it has one.
    """

    sampler: Sampler | None = None
    precision: str | None = None
    replacement: bool = False
    device: str = "cpu"
    raw: bool = False


@dataclass(frozen=True)
class Applied:
    """What became of settings.

    Arguments:
        device: Where the method computes: "cpu" or "cuda".
        calibration_left_out: Whether there was a calibration to leave out.
    """

    device: str
    calibration_left_out: bool


def check_ability(method: Any, name: str, *, asked: str = "") -> None:
    """Refuses a setting that has no meaning for a method.

    Arguments:
        method: Has `abilities`.
        name: Of the ability.
        asked: What asked for it, as the message says it, such as "--sampler"; the name itself by default.

    Raises:
        ConfigurationError: the method cannot; says why.
    """
    declared: Abilities = method.abilities
    if isinstance(able := vars(declared)[name], Cannot):
        raise ConfigurationError(f"{type(method).__name__} {able.why}: leave out {asked or name}.")


def with_settings(method: Any, settings: Settings) -> Applied:
    """Applies the settings to a method.

    Raises:
        ConfigurationError: the method does not take one of them, or its value makes no sense.
    """
    if settings.sampler is not None:
        check_ability(method, "sampler", asked="--sampler")
        method.sampler = settings.sampler
    if settings.precision is not None:
        check_ability(method, "precision", asked="--precision")
        if settings.precision not in PRECISIONS:
            raise ConfigurationError(f"Found --precision {settings.precision}: expected one of {PRECISIONS}.")
        method.precision = settings.precision
    if settings.replacement:
        check_ability(method, "replacement", asked="--replacement")
        method.replacement = True
    device = place_on(method, settings.device)
    calibrated = bool(method.abilities.calibration) and method.calibration is not None
    if settings.raw and calibrated:
        method.calibration = None
    return Applied(device, settings.raw and calibrated)


def check_shareable(method: Any) -> None:
    """Raises `ConfigurationError` for a method that completes all dates together: workers have nothing to share."""
    if not method.abilities.takes_dates_apart:
        raise ConfigurationError(
            f"{type(method).__name__} completes all dates together: there is nothing to share. Leave out --cluster."
        )


def uncalibrated(method: Method) -> Method:
    """A twin of a method that applies no calibration."""
    twin: Any = copy.copy(method)
    twin.calibration = None
    return cast(Method, twin)


def imposing(method: Any, observations: xr.Dataset) -> dict[str, str]:
    """The attribute `replacement` of what a method is about to make of a file; a file without exact observations is told of.

    Nothing is imposed where every observation states an error: the method then draws as without the setting.
    """
    if not method.abilities.replacement or not method.replacement:
        return {}
    if has_exact(observations, [name for name in method.codec.targets if name in observations]):
        return {"replacement": "true"}
    log.warning(
        "no observation is exact here, every one states an error: --replacement imposes nothing, and is not recorded"
    )
    method.replacement = False
    return {"replacement": "false"}


def place_on(method: Any, device: str) -> str:
    """Moves a network to the device that was asked for, and says which it is; a method without one has no other place.

    Raises:
        ConfigurationError: no such device, or nothing that could be moved there.
    """
    if device not in DEVICES:
        raise ConfigurationError(f"Found --device {device}: {suggest(device, DEVICES)}")
    there = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    able = method.abilities.device
    if device == "cuda" and not (able and there == "cuda"):
        why = "PyTorch finds no GPU here" if not isinstance(able, Cannot) else f"{type(method).__name__} {able.why}"
        raise ConfigurationError(f"Found --device cuda, but {why}: expected auto or cpu. Leave out --device.")
    if not able:
        return "cpu"
    method.to(there)
    return there


def has_exact(observations: xr.Dataset, variables: Sequence[str]) -> bool:
    """Whether any of the variables was observed somewhere without an error, or states none at all."""
    for name in variables:
        seen, error = observations[name].notnull(), error_of(observations, name)
        stated = error is not None and bool((seen & error.notnull()).any())
        # an error that is missing in part is the largest one, see `complete_errors`
        if bool((seen & (error == 0) if stated else seen).any()):
            return True
    return False
