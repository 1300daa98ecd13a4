"""A network that corrects a first guess of any field on any grid, and says how far each cell may be off.

    values (0 where not observed), observed, domain, error, and the first guess with its spread (kriging of the field by itself)
       |-- filled    averages of averages: each cell takes the finest scale at which anything was observed
       |-- summary   numbers of the whole sample (variogram, share observed, skewness) -> scale and shift of every block
       v
    2 x 2 cells -> channels, U-Net, channels -> 2 x 2 cells
       v
    mean = guess + spread d,   sd = spread exp(r);   at an observation with error e: |mean - value| <= 4 e and sd <= e

So the first guess is what an untrained network says, and a cell that was observed without error keeps its value exactly. The
network sees no position, date, unit or variable; where the field does not exist nothing enters.
"""

__all__ = ["STRIDE", "AnyFieldNetwork"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from driftfield.registry import register

STRIDE = 2
"""Cells a side that the body takes together."""

_LAGS = (1, 2, 4, 8, 16, 32)
_FEATURES = 8
_SUMMARY = 9 + 4 * len(_LAGS)


@register("network")
class AnyFieldNetwork(nn.Module):
    """A U-Net over 2 x 2 cells, whose blocks are scaled and shifted by a summary of the sample.

    Arguments:
        widths: Channels per resolution, finest first; each resolution halves the sides.
        depths: Blocks per resolution, on the way down and on the way up.
        fine: Channels of the last layers, at full resolution.
        summary: Width of the embedding of the summary.
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 80, 112, 128, 128),
        depths: Sequence[int] = (1, 1, 1, 1, 1),
        fine: int = 20,
        summary: int = 64,
    ) -> None:
        super().__init__()
        self.widths, self.depths = tuple(widths), tuple(depths)
        self.summary = nn.Sequential(nn.Linear(_SUMMARY, summary), nn.SiLU(), nn.Linear(summary, summary), nn.SiLU())
        given = _FEATURES * STRIDE**2
        self.stem = nn.Conv2d(given, widths[0], 3, padding=1)
        self.down, self.up, self.join = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for resolution, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            before = widths[0] if resolution == 0 else widths[resolution - 1] + _POOLED
            self.down.append(_stage(before, width, depth, summary))
        for resolution in range(len(widths) - 2, -1, -1):
            self.join.append(nn.Conv2d(widths[resolution + 1], widths[resolution], 1))
            self.up.append(_stage(2 * widths[resolution], widths[resolution], depths[resolution], summary))
        self.spread_out = nn.Conv2d(widths[0], fine * STRIDE**2, 3, padding=1)
        self.fine_in = nn.Conv2d(fine + _FEATURES, fine, 3, padding=1)
        self.fine_out = nn.Conv2d(fine, 2, 3, padding=1)
        nn.init.zeros_(self.fine_out.weight)
        with torch.no_grad():
            assert self.fine_out.bias is not None
            self.fine_out.bias.zero_()

    @property
    def multiple(self) -> int:
        """Sides are padded to a multiple of this."""
        return STRIDE * 2 ** (len(self.widths) - 1)

    def forward(
        self, values: Tensor, observed: Tensor, domain: Tensor, error: Tensor, guess: Tensor, spread: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of every cell (batch, lat, lon), in the units of `values`.

        Arguments:
            values: Observed values of about mean 0 and standard deviation 1; any finite number elsewhere (batch, lat, lon).
            observed: Where they were observed, boolean.
            domain: Where the field exists, boolean.
            error: Standard deviation of the observations' errors, 0 or more; any finite number elsewhere.
            guess: First guess; any finite number outside the domain.
            spread: Its standard deviation, positive.
        """
        rows, columns = values.shape[-2:]
        seen = observed & domain
        pad = (0, -columns % self.multiple, 0, -rows % self.multiple)
        values, error = (functional.pad(torch.where(seen, part.float(), 0.0), pad)[:, None] for part in (values, error))
        guess = functional.pad(torch.where(domain, guess.float(), 0.0), pad)[:, None]
        log_spread = functional.pad(torch.where(domain, spread.float(), 1.0).log(), pad)[:, None]
        mask, inside = (functional.pad(part.float(), pad)[:, None] for part in (seen, domain))
        halvings = 1 + int(max(values.shape[-2:])).bit_length() - 1
        filled = _filled(values, mask / (1 + error**2), halvings)
        features = torch.cat(
            [
                _tame(values),
                mask,
                inside,
                error / (1 + error),
                _tame(guess),
                _tame(filled) * inside - _tame(guess),
                _nearness(mask),
                log_spread / 3,
            ],
            1,
        )
        summary = torch.cat([_summary(values, mask, inside, error), _of_guess(guess, log_spread, inside, mask)], 1)
        offset, change = self._body(features, summary).float().split(1, 1)
        sd = torch.exp((log_spread + change).clamp(-12.0, 8.0))
        mean = guess + log_spread.exp() * offset
        near = 4 * error
        mean = torch.where(mask > 0, values + torch.minimum(torch.maximum(mean - values, -near), near), mean)
        sd = torch.where(mask > 0, torch.minimum(sd, error), sd)
        return mean[:, 0, :rows, :columns], sd[:, 0, :rows, :columns]

    def _body(self, features: Tensor, summary: Tensor) -> Tensor:
        summary = self.summary(summary)
        pooled = functional.avg_pool2d(features[:, [0, 1, 2, 4, 7]], STRIDE)
        z = self.stem(functional.pixel_unshuffle(features, STRIDE).to(memory_format=torch.channels_last))
        skips: list[Tensor] = []
        for resolution, stage in enumerate(self.down):
            if resolution:
                pooled = functional.avg_pool2d(pooled, 2)
                z = torch.cat([functional.avg_pool2d(z, 2), pooled.to(z.dtype)], 1)
            for block in stage:  # type: ignore[attr-defined]
                z = block(z, summary)
            skips.append(z)
        for stage, join, skip in zip(self.up, self.join, reversed(skips[:-1]), strict=True):
            z = functional.interpolate(join(z), scale_factor=2.0, mode="bilinear", align_corners=False)
            z = torch.cat([z, skip], 1)
            for block in stage:  # type: ignore[attr-defined]
                z = block(z, summary)
        fine = functional.pixel_shuffle(self.spread_out(functional.silu(z)), STRIDE)
        fine = self.fine_in(torch.cat([fine, features.to(fine.dtype)], 1).contiguous(memory_format=torch.channels_last))
        return self.fine_out(functional.silu(fine))


_POOLED = 5


class _Block(nn.Module):
    """x -> x + W2 silu(scale W1 silu(x) + shift), scale and shift from the summary."""

    def __init__(self, inputs: int, width: int, summary: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        self.modulation = nn.Linear(summary, 2 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor, summary: Tensor) -> Tensor:
        scale, shift = self.modulation(summary)[:, :, None, None].chunk(2, 1)
        inner = self.first(functional.silu(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(functional.silu(inner))


def _stage(given: int, width: int, depth: int, summary: int) -> nn.ModuleList:
    return nn.ModuleList([_Block(given if block == 0 else width, width, summary) for block in range(depth)])


def _tame(values: Tensor) -> Tensor:
    """Far values grow like a logarithm: one outlier must not drown the rest."""
    return 3 * torch.asinh(values / 3)


def _filled(values: Tensor, weight: Tensor, halvings: int) -> Tensor:
    """Push and pull: every cell takes the average at the finest scale where anything was observed, joined smoothly.

    Arguments:
        values: 0 where not observed (batch, 1, lat, lon).
        weight: Of the values, 0 where not observed.
        halvings: How often the sides are halved, at most.
    """
    sums, weights = [values * weight], [weight]
    for _ in range(halvings):
        if any(side % 2 for side in sums[-1].shape[-2:]):
            break
        sums.append(functional.avg_pool2d(sums[-1], 2))
        weights.append(functional.avg_pool2d(weights[-1], 2))
    total = weights[-1].sum((2, 3), keepdim=True).clamp_min(1e-12)
    field = (sums[-1].sum((2, 3), keepdim=True) / total).expand_as(sums[-1])
    for resolution in range(len(sums) - 1, -1, -1):
        if resolution < len(sums) - 1:
            field = functional.interpolate(field, scale_factor=2.0, mode="bilinear", align_corners=False)
        # an average of few observations against what the next coarser scale says
        prior = 0.15 / 4.0**resolution
        field = (sums[resolution] + prior * field) / (weights[resolution] + prior)
    return field


def _nearness(mask: Tensor) -> Tensor:
    """About minus the logarithm of the distance to the nearest observation: the log density over growing squares."""
    density, pooled, scale = mask * 1.0, mask, 1
    while not any(side % 2 for side in pooled.shape[-2:]):
        pooled, scale = functional.avg_pool2d(pooled, 2), scale * 2
        density = density + functional.interpolate(
            pooled, scale_factor=float(scale), mode="bilinear", align_corners=False
        )
    return torch.log(density + 1e-4) / 4


def _summary(values: Tensor, mask: Tensor, inside: Tensor, error: Tensor) -> Tensor:
    """Numbers of the whole sample (batch, number): its moments, its share observed, and its variogram along both axes."""
    count = mask.sum((1, 2, 3)).clamp_min(1.0)
    tame = _tame(values)

    def mean(part: Tensor) -> Tensor:
        return (part * mask).sum((1, 2, 3)) / count

    size = inside.sum((1, 2, 3)).clamp_min(1.0)
    numbers = [
        torch.log(count) / 4,
        count / size,
        torch.log(size) / 4,
        mean(tame**3) / 4,
        torch.log1p(mean(tame**4)) / 2,
    ]
    numbers.append(torch.log(mean(error**2) + 1e-4) / 4)
    for lag in _LAGS:
        for axis in (2, 3):
            numbers += _variogram(tame, mask, lag, axis)
    return torch.stack(numbers, 1)


def _of_guess(guess: Tensor, log_spread: Tensor, inside: Tensor, mask: Tensor) -> Tensor:
    """What the first guess says of the sample: its variance, its mean log spread, and that of the hidden cells (batch, 3)."""
    size = inside.sum((1, 2, 3)).clamp_min(1.0)
    hidden = inside * (1 - mask)
    count = hidden.sum((1, 2, 3)).clamp_min(1.0)
    variance = (_tame(guess) ** 2 * inside).sum((1, 2, 3)) / size
    spread, unknown = (log_spread * inside).sum((1, 2, 3)) / size, (log_spread * hidden).sum((1, 2, 3)) / count
    return torch.stack([torch.log(variance + 1e-3) / 3, spread / 3, unknown / 3], 1)


def _variogram(values: Tensor, mask: Tensor, lag: int, axis: int) -> list[Tensor]:
    """Log semivariance at a lag, 0 without pairs, and how many pairs there are: two tensors (batch,)."""
    side = values.shape[axis]
    if side <= lag:
        nothing = values.new_zeros(len(values))
        return [nothing, nothing]
    pair = mask.narrow(axis, lag, side - lag) * mask.narrow(axis, 0, side - lag)
    half = 0.5 * (values.narrow(axis, lag, side - lag) - values.narrow(axis, 0, side - lag)) ** 2
    pairs = pair.sum((1, 2, 3))
    semivariance = (half * pair).sum((1, 2, 3)) / pairs.clamp_min(1.0)
    known = pairs / (pairs + 2.0)
    return [torch.log(semivariance + 1e-4) / 4 * known, torch.log1p(pairs) / 8]
