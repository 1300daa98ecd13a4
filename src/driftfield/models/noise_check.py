"""Whether the noise of a model covers its fields, wave by wave, and the levels that it needs where a recipe does not state them.

    s_k    the noise level at which wave k has as much noise as signal (`gaussian.random_fields.cover`)
    s_max = 8 max s_k,   s_min = min s_k / 8,   training levels: ln s normal between them,   sd: of the whitened fields

White noise has its range from `noise_range`, which also knows fields with gaps; for a noise that has a colour the spectra say
more.
"""

__all__ = ["check_noise", "covering_colour", "covers", "noise_tables", "plain_covers", "said_of_noise"]

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.diffusion.coloured_noise import RandomFieldNoise
from driftfield.diffusion.noise import DiffusionNoise
from driftfield.errors import DataError
from driftfield.gaussian.random_fields.cover import NoiseCover, noise_cover
from driftfield.plain import JSONObject
from driftfield.registry import lookup

REACH = 8.0
"""How far beyond the first and the last of its waves a walk goes."""


def covers(
    fields: Float[Tensor, "field channel row column"],
    known: Bool[Tensor, "field channel row column"],
    noise: DiffusionNoise,
) -> list[NoiseCover]:
    """Of every channel; white noise is held against the waves of a box.

    Raises:
        DataError: gaps, or a shell without any signal.
    """
    if not bool(known.all()):
        raise DataError(f"Found {int((~known).sum())} cells on land or in gaps: waves need complete fields.")
    field = noise.field(fields.shape) if isinstance(noise, RandomFieldNoise) else None
    channels = fields.double().numpy().swapaxes(0, 1)
    return [noise_cover(channel, field, periodic=False) for channel in channels]


def check_noise(
    noise: DiffusionNoise,
    fields: Float[Tensor, "field channel row column"],
    known: Bool[Tensor, "field channel row column"],
    grid: tuple[int, int],
) -> list[NoiseCover]:
    """Holds a noise against fields before a training.

    Arguments:
        noise: Of the model.
        fields: What it is added to, network units.
        known: Where they are.
        grid: Rows and columns of the whole grid.

    Raises:
        ConfigurationError: fields with gaps, land or on a part of the grid, or a noise much smoother or rougher than they are.
        DataError: a shell without any signal.
    """
    noise.check(known, grid)
    channels = covers(fields, known, noise)
    for channel in channels:
        channel.check_width()
    return channels


def covering_colour(
    spec: Mapping[str, Any], channels: list[NoiseCover], whitened: Float[Tensor, "field channel row column"]
) -> JSONObject:
    """The section `diffusion` of a recipe with what it does not say: range, training levels, sd of what is diffused."""
    lowest, highest = _span(channels)
    schedule = dict(spec.get("schedule") or {"class": "LogLinearSchedule"})
    arguments = inspect.signature(lookup("schedule", str(schedule["class"]))).parameters
    for name, level in (("s_min", lowest / REACH), ("s_max", highest * REACH)):
        if name in arguments:
            schedule.setdefault(name, float(f"{level:.2g}"))
    filled = dict(spec) | {"schedule": schedule}
    filled.setdefault("sd", float(f"{float(whitened.square().mean().sqrt()):.3g}"))
    if schedule["class"] != "AdaptiveSchedule":
        # two standard deviations to either side reach four times beyond the waves
        low, high = math.log(lowest / 4), math.log(highest * 4)
        mean, std = round((low + high) / 2, 2), round((high - low) / 4, 2)
        filled.setdefault("noise_levels", {"class": "LogNormalLevels", "mean": mean, "std": std})
    return filled


def said_of_noise(channels: list[NoiseCover]) -> str:
    """One line."""
    lowest, highest = _span(channels)
    waves = channels[0].wavenumber
    return (
        f"waves {waves[0]:g} to {waves[-1]:g} are as large as the noise at s = {lowest:.2g} to {highest:.2g}: a factor of "
        f"{highest / lowest:.3g}"
    )


def noise_tables(channels: list[NoiseCover], names: list[str], s_min: float, s_max: float) -> str:
    """For people, in Markdown: every wave of every channel, and whether the levels of a run cover it."""
    parts = [f"Noise levels of this run: {s_min:g} to {s_max:g}.\n"]
    for name, channel in zip(names, channels, strict=True):
        bad = [f"{k:g}" for k in channel.wavenumber[~channel.covered(s_min, s_max)]]
        verdict = "covers every wave" if not bad else f"does not cover the waves {', '.join(bad)}"
        parts.append(f"## {name}\n\nThe noise {verdict}.\n\n{channel.table()}\n")
    return "\n".join(parts)


def plain_covers(channels: list[NoiseCover], names: list[str]) -> JSONObject:
    """For files: wavenumber, and the level at which a wave is as large as the noise."""
    return {
        name: {"wavenumber": channel.wavenumber.tolist(), "s": np.round(channel.equal, 6).tolist()}
        for name, channel in zip(names, channels, strict=True)
    }


def _span(channels: list[NoiseCover]) -> tuple[float, float]:
    """Of the levels at which waves are as large as the noise, over all channels."""
    return min(float(c.equal.min()) for c in channels), max(float(c.equal.max()) for c in channels)
