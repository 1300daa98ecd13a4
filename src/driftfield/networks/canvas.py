"""The canvas that a U-Net works on: a grid that can be halved, its longitude, and what is known as a stack of channels.

    any grid --pad--> rows and columns a multiple of 2^halvings --network--> crop

A global grid that can be halved often enough needs no columns, since its convolutions wrap; another one is continued round the
globe on both sides by a halo that is cropped at the end.
"""

__all__ = ["channels_last", "condition_channels", "halo", "pad", "set_wrap", "stack_condition"]

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.networks.blocks import Conv, wrap_longitude


def halo(width: int, multiple: int, wrap: bool) -> tuple[int, int, bool]:
    """Cells to add west and east, and whether the convolutions themselves wrap.

    Arguments:
        width: Columns of the grid.
        multiple: Of which the padded width has to be one.
        wrap: Whether the grid goes round the globe.
    """
    if not wrap:
        return 0, -width % multiple, False
    if width % multiple == 0:
        return 0, 0, True
    margin = 2 * multiple
    return margin, margin + -width % multiple, False


def pad(
    x: Float[Tensor, "batch channel lat lon"], multiple: int, wrap: bool
) -> Float[Tensor, "batch channel lat2 lon2"]:
    """Continues longitude as `halo` says, and adds zeros north (and east, where nothing wraps)."""
    north = -x.shape[-2] % multiple
    west, east, _ = halo(x.shape[-1], multiple, wrap)
    if wrap and (west or east):
        x = wrap_longitude(x, west, east)
    elif east:
        x = F.pad(x, (0, east, 0, 0))
    return F.pad(x, (0, 0, 0, north)) if north else x


def channels_last(x: Tensor) -> Tensor:
    """The same field in the layout that convolutions are fastest in."""
    return x.contiguous(memory_format=torch.channels_last)


def set_wrap(network: nn.Module, wrap: bool) -> None:
    """Tells every convolution whether longitude wraps."""
    for module in network.modules():
        if isinstance(module, Conv):
            module.wrap = wrap


def condition_channels(channels: int, covariates: int, *, first_guess: bool, visible: bool, statics: int = 0) -> int:
    """Channels of `stack_condition`.

    Per field channel: value, seen?, error, exists?, first guess, its scale, noisy?; per covariate: value, seen?, error; the
    static fields themselves.
    """
    return (4 + 2 * first_guess + visible) * channels + 3 * covariates + statics


def stack_condition(
    batch: FieldBatch, *, first_guess: bool, visible: bool, statics: int = 0
) -> Float[Tensor, "batch condition lat lon"]:
    """All that is known of a batch beside the noisy field; does not see `batch.target`.

    Arguments:
        batch: In network units.
        first_guess: Whether the first guess and its scale are part of it.
        visible: Whether it says where the noisy field exists.
        statics: How many static fields are part of it.

    Raises:
        ConfigurationError: there is no first guess in the batch, or another number of static fields.
    """
    domain = batch.domain.float()
    condition = [batch.seen.value, batch.seen.where.float(), batch.seen.error, domain]
    condition += [batch.given.value, batch.given.where.float(), batch.given.error]
    if first_guess:
        if batch.guess is None:
            raise ConfigurationError("This network was built with first_guess=True, but the batch holds none.")
        condition += [batch.guess.mean, batch.guess.scale]
    if visible:
        condition.append(domain if batch.visible is None else batch.visible.float())
    held = 0 if batch.statics is None else batch.statics.shape[1]
    if held != statics:
        raise ConfigurationError(f"This network was built for {statics} static fields, but the batch holds {held}.")
    if batch.statics is not None:
        condition.append(batch.statics)
    return torch.cat(condition, dim=1)
