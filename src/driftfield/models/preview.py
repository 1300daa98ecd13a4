"""What a network makes of one validation sample while it is trained, as a picture.

fixed sample -> members in network units -> times their scale -> truth, observed, mean, member, sd -> step_000500.png

Nothing here draws from a global stream of random numbers: a training with pictures ends with the weights of one without.
"""

__all__ = ["shown_channels", "write_preview"]

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.fields import Channel, FieldBatch
from driftfield.files import replacing
from driftfield.reconstruction.draws import DatedWindow, Estimator

ROWS = 3
"""Variables in a picture, at most."""


def shown_channels(channels: Sequence[Channel], depth: float | None = None) -> dict[str, int]:
    """The channel of every variable that a picture shows.

    Arguments:
        channels: Of the target.
        depth: Metres; of each variable with levels the nearest one is shown, the first one for None.

    Raises:
        ConfigurationError: a depth, and no variable has levels.
    """
    if depth is not None and all(channel.level is None for channel in channels):
        raise ConfigurationError(
            f"Found preview_depth={depth:g}, and no target has levels: nothing to choose from. Leave it out."
        )
    shown: dict[str, int] = {}
    for number, channel in enumerate(channels):
        best = shown.setdefault(channel.variable, number)
        level, before = channel.level, channels[best].level
        if depth is not None and level is not None and before is not None and abs(level - depth) < abs(before - depth):
            shown[channel.variable] = number
    return shown


def write_preview(
    estimate: Estimator,
    batch: FieldBatch,
    *,
    channels: Sequence[Channel],
    scale: np.ndarray,
    title: str,
    path: Path,
    units: Mapping[str, str] | None = None,
    depth: float | None = None,
) -> None:
    """Draws one level of the first few variables of a sample.

    Arguments:
        estimate: Batch of one sample and its window -> the estimate.
        batch: One sample.
        channels: Of its target.
        scale: (channel, 1, 1) standard deviation of a network unit in physical units.
        title: Begins the title of the picture.
        path: PNG to write; an older one is replaced.
        units: Of the variables.
        depth: Metres, of the level (`shown_channels`).
    """
    # matplotlib takes a while to import, and few trainings draw
    from driftfield.evaluate.drawing import place
    from driftfield.evaluate.preview import Scene, draw_preview

    height, width = batch.target.shape[-2:]
    answer = estimate(batch, DatedWindow("0", np.arange(height), np.arange(width)))
    members = _physical(answer.members, scale)
    mean = members.mean(0) if answer.mean is None else _physical(answer.mean, scale)
    sd = members.std(0, ddof=1) if answer.sd is None and len(members) > 1 else None
    sd = sd if answer.sd is None else _physical(answer.sd, scale)
    truth, seen = _physical(batch.target[0], scale), _physical(batch.seen.value[0], scale)
    observed, domain, held_out = (part[0].cpu().numpy() for part in (batch.seen.where, batch.domain, batch.held_out))
    # a clean field that is known in part is no truth elsewhere
    known = domain if batch.visible is None else domain & batch.visible[0].cpu().numpy()
    shown = shown_channels(channels, depth)
    scenes = [
        Scene(
            name=_label(name, channels[k].level, (units or {}).get(name)),
            truth=np.where(known[k], truth[k], np.nan),
            observed=np.where(observed[k], seen[k], np.nan),
            held_out=held_out[k],
            domain=domain[k],
            mean=mean[k],
            member=None if sd is None else members[0, k],
            sd=None if sd is None else sd[k],
        )
        for name, k in list(shown.items())[:ROWS]
    ]
    where = place(*(round(degrees, 1) for degrees in batch.position[0].tolist()))
    title = f"{title}: departures from the mean field, window around {where}"
    with replacing(path, overwrite=True) as temporary:
        draw_preview(scenes, title=title).savefig(temporary, format="png", dpi=100, facecolor="white")


def _label(name: str, level: float | None, units: str | None) -> str:
    return name + ("" if level is None else f", {level:g} m") + (f" [{units}]" if units else "")


def _physical(field: Tensor, scale: np.ndarray) -> np.ndarray:
    """Network units -> departures in physical units."""
    physical: np.ndarray = field.detach().cpu().numpy() * scale
    return physical
