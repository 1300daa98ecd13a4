"""Trains the filler of any field on random worlds, on the processor, for a number of minutes or of steps.

python scripts/train_anyfield.py runs/anyfield --minutes 90
python scripts/train_anyfield.py runs/anyfield --minutes 30 --initial runs/anyfield_first    # goes on from other weights

Loss: the CRPS of a normal distribution in every cell that is not known exactly, relative to the mean CRPS of its sample, so that
an easy field teaches as much as a hard one. Weights are averaged over the steps; the learning rate is constant and falls to zero
over the last part of the time. Each checkpoint is a run folder that `driftfield reconstruct` reads; the ones at samples seen
(those seen again count again) = 1000 x 2^n are kept beside it as OUT_NNNNNN, for the learning curve.
"""

import argparse
import copy
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from driftfield.checkpoint import read_run, write_run
from driftfield.models.any_field_samples import AnyFieldSamples, SampleBatch
from driftfield.networks.any_field import AnyFieldNetwork
from driftfield.networks.weights import restore_weights, weight_arrays


class Stream(IterableDataset[SampleBatch]):
    """The samples of a seed, drawn in a worker beside the training."""

    def __init__(self, samples: AnyFieldSamples, seed: int) -> None:
        self.samples, self.seed = samples, seed

    def __iter__(self) -> Iterator[SampleBatch]:
        torch.set_num_threads(1)
        return self.samples.stream(self.seed)


def replayed(stream: Stream, replays: int, seed: int) -> Iterator[SampleBatch]:
    """Every new batch, then some of the last 300 again, flipped or turned: drawing costs more than learning."""
    rng = np.random.default_rng(seed)
    past: deque[SampleBatch] = deque(maxlen=300)
    for batch in DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=8):
        yield batch
        past.append(batch)
        for _ in range(replays):
            yield turned(past[int(rng.integers(len(past)))], int(rng.integers(1, 8)))


def turned(batch: SampleBatch, turn: int) -> SampleBatch:
    """The batch flipped along rows (bit 1) or columns (bit 2) and with its axes exchanged (bit 4)."""
    flips = [axis for axis, bit in ((1, 1), (2, 2)) if turn & bit]
    parts = [getattr(batch, field.name).flip(flips) for field in fields(batch)]
    return SampleBatch(*(part.transpose(1, 2).contiguous() if turn & 4 else part for part in parts))


def gaussian_crps(mean: Tensor, sd: Tensor, truth: Tensor) -> Tensor:
    """CRPS of N(mean, sd^2) in each cell (Gneiting et al. 2005)."""
    z = (truth - mean) / sd
    normal = torch.distributions.Normal(0.0, 1.0)
    return sd * (z * (2 * normal.cdf(z) - 1) + 2 * torch.exp(normal.log_prob(z)) - torch.pi**-0.5)


def sample_scores(network: AnyFieldNetwork, batch: SampleBatch) -> Tensor:
    """Mean CRPS of every sample over the cells that are not known exactly, NaN where there are none: (batch,)."""
    mean, sd = network(batch.values, batch.observed, batch.domain, batch.error, batch.guess, batch.spread)
    unknown = batch.domain & (~batch.observed | (batch.error > 0))
    scores = torch.where(unknown, gaussian_crps(mean, sd.clamp_min(1e-5), batch.truth), 0.0)
    return scores.sum((1, 2)) / unknown.sum((1, 2))


def relative(scores: Tensor) -> Tensor:
    """Mean logarithm of the scores: its gradient weighs every sample by its own score."""
    return torch.log(scores[scores.isfinite()] + 0.01).mean()


def validate(network: AnyFieldNetwork, batches: list[SampleBatch]) -> float:
    """The loss over fixed samples."""
    with torch.inference_mode():
        return float(relative(torch.cat([sample_scores(network, batch) for batch in batches])))


def train(options: argparse.Namespace) -> None:
    """The whole course."""
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    samples = AnyFieldSamples(cells=options.cells, quick=options.quick)
    fixed = [batch for batch, _ in zip(samples.stream(987654321), range(16), strict=False)]
    network = AnyFieldNetwork()
    seen, history = 0, []
    if options.initial:
        run = read_run(options.initial)
        restore_weights(network, run.arrays, options.initial)
        seen, history = int(run.extra["samples"]), list(run.extra["history"])
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    print({"samples": seen, "loss": validate(average, fixed)}, flush=True)
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))
    begin = last = time.time()
    step = 0
    for batch in replayed(Stream(samples, options.seed + seen), options.replays, options.seed):
        part = step / options.steps if options.steps else (time.time() - begin) / (60 * options.minutes)
        rate = options.rate * min(1.0, (step + 1) / 100, max(0.0, 1 - part) / options.decay)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=not options.float32):
            loss = relative(sample_scores(network, batch))
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if bool(norm.isfinite()):
            optimizer.step()
        step, before, seen = step + 1, seen, seen + len(batch.truth)
        with torch.no_grad():
            for ema, weight in zip(average.parameters(), network.parameters(), strict=True):
                ema.lerp_(weight, 1 - min(0.998, (1 + step) / (10 + step)))
        marked = (seen // 1000).bit_length() != (before // 1000).bit_length()
        if marked or part >= 1 or time.time() - last > 60 * options.every:
            last = time.time()
            history.append({"samples": seen, "loss": validate(average, fixed), "minutes": (last - begin) / 60})
            print({**history[-1], "step": step, "rate": rate, "norm": float(norm)}, flush=True)
            keep(average, options.out, seen, history, options.seed)
            if marked:
                keep(average, options.out.with_name(f"{options.out.name}_{seen:07d}"), seen, history, options.seed)
        if part >= 1:
            return


def keep(network: AnyFieldNetwork, folder: Path, seen: int, history: list[dict[str, float]], seed: int) -> None:
    """Writes a run folder."""
    arguments = {
        "network": {"class": "AnyFieldNetwork", "widths": list(network.widths), "depths": list(network.depths)}
    }
    extra = {"samples": seen, "history": history, "seed": seed}
    write_run(folder, "AnyFieldReconstructor", arguments, weight_arrays(network), extra)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--steps", type=int, help="In place of minutes: the same course on any machine.")
    parser.add_argument("--initial", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--replays", type=int, default=2, help="How often a batch is seen again.")
    parser.add_argument("--decay", type=float, default=0.35, help="Part of the time over which the rate falls.")
    parser.add_argument("--cells", type=int, default=32768)
    parser.add_argument("--every", type=float, default=4, help="Minutes between checkpoints.")
    parser.add_argument("--quick", action="store_true", help="First guesses from fewer observations, twice as fast.")
    parser.add_argument("--float32", action="store_true")
    train(parser.parse_args())
