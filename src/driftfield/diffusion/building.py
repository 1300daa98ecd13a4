"""The section `diffusion` of a recipe as a diffusion model: schedule, parameterisation, noise levels and weighting by name."""

__all__ = ["diffusion_model", "one_sd"]

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from driftfield.diffusion.model import DiffusionModel
from driftfield.errors import ConfigurationError
from driftfield.plain import JSONObject
from driftfield.registry import build, lookup


def one_sd(spec: Mapping[str, Any]) -> JSONObject:
    """The section `diffusion` of a recipe with its `sd` in every part that has one and does not say it.

    Raises:
        ConfigurationError: a part that says another.
    """
    if "sd" not in spec:
        return dict(spec)

    def filled(kind: str, part: Any) -> Any:
        if not isinstance(part, Mapping) or "class" not in part:
            return part
        made = dict(part)
        known = inspect.signature(lookup(kind, str(part["class"]))).parameters
        if "sd" in known and made.setdefault("sd", spec["sd"]) != spec["sd"]:
            raise ConfigurationError(
                f"diffusion.sd is {spec['sd']!r}, and diffusion.{kind} ({part['class']}) has sd={made['sd']!r}: expected one of "
                "both. Leave one out."
            )
        if kind == "weighting" and "base" in known:
            made["base"] = filled(kind, made.get("base", {"class": "EDMWeighting"}))
        return made

    return {key: filled(key, part) if key in ("parameterization", "weighting") else part for key, part in spec.items()}


def diffusion_model(network: nn.Module, spec: Mapping[str, Any]) -> DiffusionModel:
    """A network as the diffusion model that the section `diffusion` of a recipe describes.

    Raises:
        ConfigurationError: an unknown key, or a value that makes no sense.
    """
    parts = dict(spec)
    sd = parts.pop("sd", 1.0)
    if isinstance(sd, bool) or not isinstance(sd, int | float) or not 0 < sd < float("inf"):
        raise ConfigurationError(f"Found diffusion.sd={sd!r}: expected a number above 0.")
    loss_over, exponent = parts.pop("loss_over", "domain"), parts.pop("loss_exponent", 1.0)
    if isinstance(exponent, bool) or not isinstance(exponent, int | float) or not 0.5 <= exponent <= 1:
        raise ConfigurationError(
            f"Found diffusion.loss_exponent={exponent!r}: expected a number from 0.5 to 1 (the mean)."
        )
    defaults: dict[str, JSONObject] = {
        "schedule": {"class": "LogLinearSchedule"},
        "parameterization": {"class": "EDMParameterization", "sd": sd},
        "noise_levels": {"class": "LogNormalLevels"},
        "weighting": {"class": "EDMWeighting", "sd": sd},
        "noise": {"class": "White"},
    }
    if isinstance(chosen := parts.get("schedule"), Mapping) and chosen.get("class") == "AdaptiveSchedule":
        # the same objective, drawn where its error is
        defaults["noise_levels"] = {"class": "ScheduleLevels"}
        defaults["weighting"] = {"class": "GaussianEDMWeighting", "mean": 0.0, "std": 3.4, "sd": sd}
    for key in parts:
        if key not in defaults:
            allowed = (*sorted(defaults), "sd", "loss_over", "loss_exponent")
            raise ConfigurationError(f"Unknown key {key!r} under 'diffusion': expected one of {allowed}.")
    made = {kind: build(kind, parts.get(kind, default)) for kind, default in defaults.items()}
    return DiffusionModel(network, made.pop("schedule"), **made, sd=sd, loss_over=loss_over, loss_exponent=exponent)
