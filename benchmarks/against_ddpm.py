"""Seconds per reconstructed field and training images per second, against a 1000-step DDPM of the diffusers library.

    python benchmarks/against_ddpm.py [--size 128] [--batch 2] [--steps 20] [--rounds 3]

Ours: the default network of the recipes, its condition encoded once, 20 evaluations (one for the conditional mean, 19 of
DPM-Solver++ 2M). Theirs: a `UNet2DModel` of the same number of parameters, without any condition, and `DDPMScheduler`; of its
1000 equal steps only the first few are timed, and scaled. The two take turns in one process. Times are of this thread alone
where torch has one thread, so that other work on the machine does not count.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn

from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_levels import LogNormalLevels
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.networks import ResidualUNet
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.starting import conditional_mean
from driftfield.testing import tiny_batch

CHANNELS, CHAIN = 3, 1000
Step = Callable[[], object]


def now(device: str) -> float:
    """Seconds that this work has taken."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def parameters(network: nn.Module) -> int:
    """How many numbers there are to learn."""
    return sum(parameter.numel() for parameter in network.parameters())


def our_model(device: str) -> DiffusionModel:
    """The network of recipes/ocean_diffusion.yaml."""
    network = ResidualUNet(CHANNELS, widths=(24, 64, 96, 96), depths=(1, 2, 2, 2))
    model = DiffusionModel(
        network.to(memory_format=torch.channels_last),
        LogLinearSchedule(),
        parameterization=EDMParameterization(),
        noise_levels=LogNormalLevels(),
        weighting=EDMWeighting(),
    )
    return model.to(device)


def their_model(wanted: int, device: str) -> nn.Module:
    """The UNet2DModel of four resolutions, with attention on the coarsest, that is nearest in parameters."""
    from diffusers import UNet2DModel

    def make(width: int) -> nn.Module:
        return UNet2DModel(
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=(width, 2 * width, 2 * width, 2 * width),
            down_block_types=("DownBlock2D", "DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
        )

    width = min(range(8, 128, 4), key=lambda width: abs(parameters(make(width)) - wanted))
    return make(width).to(device, memory_format=torch.channels_last)


def draws(ours: DiffusionModel, theirs: nn.Module, batch: Any, steps: int) -> tuple[Step, Step]:
    """One draw of a batch of fields by us; `steps` of their chain."""
    from diffusers import DDPMScheduler

    shape, device = batch.target.shape, batch.target.device
    sampler = DPMSolverPP2M(19)
    scheduler = DDPMScheduler(CHAIN)
    scheduler.set_timesteps(CHAIN)

    def own() -> None:
        denoiser = ours.denoiser(batch)
        eps = torch.randn(shape, device=device)
        sampler.sample(denoiser, lambda number: eps, initial=conditional_mean(denoiser, eps))

    def chain() -> None:
        x = torch.randn(shape, device=device)
        for t in scheduler.timesteps[:steps]:
            x = scheduler.step(theirs(x, t, return_dict=False)[0], t, x, return_dict=False)[0]

    return own, chain


def trainings(ours: DiffusionModel, theirs: nn.Module, batch: Any) -> tuple[Step, Step]:
    """One optimiser step of each."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(CHAIN)
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-4) for model in (ours, theirs)]
    generator = torch.Generator().manual_seed(0)

    def own() -> None:
        optimizers[0].zero_grad()
        ours.loss(batch, generator).backward()
        optimizers[0].step()

    def chain() -> None:
        optimizers[1].zero_grad()
        eps = torch.randn_like(batch.target)
        t = torch.randint(0, CHAIN, (len(batch),), device=batch.target.device)
        predicted = theirs(scheduler.add_noise(batch.target, eps, t), t, return_dict=False)[0]
        ((predicted - eps) ** 2).mean().backward()
        optimizers[1].step()

    return own, chain


def in_turns(pair: tuple[Step, Step], rounds: int, device: str) -> tuple[float, float]:
    """Median seconds of each, after one round to warm up."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for step, kept in zip(pair, took, strict=True):
            start = now(device)
            step()
            if turn:
                kept.append(now(device) - start)
    return median(took[0]), median(took[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=2, help="fields per draw and images per training step")
    parser.add_argument("--steps", type=int, default=20, help="steps of their chain of 1000 that are timed")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    ours = our_model(device)
    try:
        theirs = their_model(parameters(ours), device)
    except ImportError as error:
        print(f"skipped: {error}. Install diffusers with: pip install 'driftfield[diffusers]'")
        return
    batch = tiny_batch(arguments.batch, channels=CHANNELS, covariates=0, shape=(arguments.size, arguments.size)).to(
        device
    )
    ours.eval(), theirs.eval()
    with torch.no_grad():
        own, part = in_turns(draws(ours, theirs, batch, arguments.steps), arguments.rounds, device)
    ours.train(), theirs.train()
    trained = in_turns(trainings(ours, theirs, batch), arguments.rounds, device)
    chain = part * CHAIN / arguments.steps
    rates = [len(batch) / seconds for seconds in trained]
    print(
        f"{device}, {torch.get_num_threads()} threads, {arguments.size} x {arguments.size} x {CHANNELS}, batch {len(batch)}"
    )
    print("| | parameters | seconds per field | training images/s |\n|---|---|---|---|")
    print(f"| driftfield, 20 evaluations | {parameters(ours) / 1e6:.2f} M | {own / len(batch):.2f} | {rates[0]:.2f} |")
    print(
        f"| DDPM, {CHAIN} steps ({arguments.steps} timed, x {CHAIN // arguments.steps}) | {parameters(theirs) / 1e6:.2f} M | "
        f"{chain / len(batch):.1f} | {rates[1]:.2f} |"
    )
    print(
        f"a field in {own / chain:.4f} of the time ({chain / own:.0f} times faster); {rates[0] / rates[1]:.2f} times the images/s"
    )


if __name__ == "__main__":
    main()
