"""What does a sampler cost beside its network?

    python benchmarks/samplers_speed.py [--size 64] [--batch 8] [--evaluations 32] [--repeats 5]

The peers are the schedulers of diffusers and the samplers of azula (skipped with a line where it cannot be imported), driving the
same network of a million parameters at the same number of evaluations, in turns, in one process. A sampler's own time is all of a
draw but the network: preconditioning, masks, the step, the check for numbers that are not finite, and the noise of a stochastic
sampler. Ours draws it cell by cell (`CellNoise`), so that a member is the same in any batch and on any device; theirs calls
`torch.randn`. Times are of this thread alone where torch has one thread, so that other work on the machine does not count.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from driftfield.diffusion.denoiser import NetworkDenoiser, Preconditioning
from driftfield.diffusion.noise import CellNoise
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.networks import ResidualUNet
from driftfield.sampling import DiffusersSampler, DPMSolverPP2M, DPMSolverPP2MSDE, HeunSampler, Sampler
from driftfield.testing import tiny_batch

LIMIT = 0.03
CHANNELS = 3
SCHEDULE = LogLinearSchedule()
Draw = Callable[[Tensor], object]


class Timed(nn.Module):
    """The network with its condition bound; counts its own time and its calls."""

    def __init__(self, size: int, batch: int, device: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        network = ResidualUNet(CHANNELS, widths=(24, 56, 64), depths=(1, 2, 2), condition_depths=(1, 1, 1))
        self.network = network.to(device, memory_format=torch.channels_last).eval()
        known = tiny_batch(batch, channels=CHANNELS, covariates=0, shape=(size, size)).to(device)
        self.encoded = self.network.encode(known)
        self.device, self.seconds, self.calls = device, 0.0, 0

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        start = now(self.device)
        answer = self.network(x, c_noise, self.encoded)
        self.seconds += now(self.device) - start
        self.calls += 1
        return answer


def now(device: str) -> float:
    """Seconds that this work has taken."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def ours(sampler: Sampler, network: Timed, shape: tuple[int, ...]) -> Draw:
    """A sampler of ours, from the noise to the fields."""
    domain = torch.ones(shape, dtype=torch.bool, device=network.device)
    denoiser = NetworkDenoiser(Preconditioning(SCHEDULE, EDMParameterization()), network, domain)
    noise = _cells(shape, network.device)
    stochastic = isinstance(sampler, DPMSolverPP2MSDE)
    return lambda eps: sampler.sample(denoiser, lambda number: noise(number) if stochastic and number else eps)


def _cells(shape: tuple[int, ...], device: str) -> CellNoise:
    """The noise of one date's members."""
    batch, channels, height, width = shape
    names, rows, columns = [f"channel {c}" for c in range(channels)], np.arange(height), np.arange(width)
    return CellNoise(0, range(batch), ["2000-01-01"] * batch, names, rows, columns, device)


def diffusers_loop(name: str, network: Timed, levels: Tensor, **config: object) -> Draw:
    """The loop of a diffusers pipeline: the scheduler's levels and prediction, the network alone."""
    sampler = DiffusersSampler(name, config=config)
    scheduler = sampler._scheduler(levels.flip(0))
    steps = scheduler.timesteps
    c_noise = torch.log(levels.flip(0)).float().to(network.device) / 4

    def draw(eps: Tensor) -> Tensor:
        if "timesteps" in scheduler.set_timesteps.__code__.co_varnames:
            scheduler.set_timesteps(timesteps=list(range(len(levels)))[::-1])
        sample = eps * scheduler.init_noise_sigma
        for step in steps:
            given = scheduler.scale_model_input(sample, step)
            sample = scheduler.step(
                network(given, c_noise[int(step)].expand(len(eps))), step, sample, return_dict=False
            )[0]
        return sample

    return draw


def azula_peers(network: Timed, evaluations: int) -> dict[str, Draw]:
    """Their Heun and their exponential Adams-Bashforth of order 2, which is DPM-Solver++ 2M."""
    try:
        from azula.denoise import KarrasDenoiser
        from azula.noise import VESchedule
        from azula.sample import HeunSampler as Heun
        from azula.sample import xEABSampler
    except ImportError as error:
        print(f"azula cannot be imported ({error}): skipped. Install it with: pip install --no-deps azula")
        return {}

    class Backbone(nn.Module):
        """Their denoiser calls (x, c_time) with c_time = ln s, a number."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor, c_time: Tensor) -> Tensor:
            return self.network(x, (c_time / 4).expand(len(x)))

    denoiser = KarrasDenoiser(Backbone(), VESchedule(SCHEDULE.s_min, SCHEDULE.s_max))
    heun = Heun(denoiser, steps=evaluations // 2, silent=True)
    multistep = xEABSampler(denoiser, order=2, steps=evaluations, silent=True)
    return {"azula Heun": lambda eps: heun(80 * eps), "azula xEAB(2)": lambda eps: multistep(80 * eps)}


def measure(
    draws: dict[str, Draw], network: Timed, shape: tuple[int, ...], repeats: int
) -> dict[str, tuple[float, ...]]:
    """Per draw: milliseconds beside the network and of the network, and its calls; the methods take turns."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in draws}
    for repeat in range(repeats + 1):
        eps = torch.randn(*shape, generator=torch.Generator().manual_seed(repeat)).to(network.device)
        for name, draw in draws.items():
            network.seconds, network.calls = 0.0, 0
            start = now(network.device)
            draw(eps)
            total = now(network.device) - start
            if repeat:  # the first round warms up
                found[name].append((1000 * (total - network.seconds), 1000 * network.seconds, network.calls))
    return {name: tuple(median(column) for column in zip(*rows, strict=True)) for name, rows in found.items()}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--evaluations", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = (arguments.batch, CHANNELS, arguments.size, arguments.size)
    network = Timed(arguments.size, arguments.batch, device)
    count = sum(parameter.numel() for parameter in network.network.parameters()) / 1e6
    samplers: dict[str, tuple[Sampler, str, dict[str, object]]] = {
        "Heun": (HeunSampler(arguments.evaluations), "HeunDiscreteScheduler", {}),
        "DPM-Solver++ 2M": (DPMSolverPP2M(arguments.evaluations), "DPMSolverMultistepScheduler", {}),
        "DPM-Solver++ 2M SDE": (
            DPMSolverPP2MSDE(arguments.evaluations),
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++"},
        ),
    }
    families = {name: {f"driftfield {name}": ours(one[0], network, shape)} for name, one in samplers.items()}
    try:
        for family, (own, name, config) in samplers.items():
            title = " ".join(["diffusers", name, *map(str, config.values())])
            families[family][title] = diffusers_loop(name, network, own.noise_levels(SCHEDULE), **config)
    except ImportError as error:
        print(f"diffusers: skipped. {error}")
    peers = azula_peers(network, arguments.evaluations)
    for family, name in (("Heun", "azula Heun"), ("DPM-Solver++ 2M", "azula xEAB(2)")):
        if name in peers:
            families[family][name] = peers[name]
    found = measure({k: v for f in families.values() for k, v in f.items()}, network, shape, arguments.repeats)
    print(
        f"{device}, {torch.get_num_threads()} threads, network of {count:.2f} M, {shape}, {arguments.evaluations} evaluations"
    )
    print(
        "| sampler | evaluations | own ms per draw | network ms per draw | own share | ours / theirs |\n|---|---|---|---|---|---|"
    )
    verdicts = []
    for title, family in families.items():
        # per evaluation: Heun takes an odd number of them with us and with diffusers, an even one with azula
        own = [found[name][0] / found[name][2] for name in family]
        met = True
        for name, each in zip(family, own, strict=True):
            beside, inside, calls = found[name]
            share = beside / (beside + inside)
            ratio = own[0] / each
            print(f"| {name} | {calls:.0f} | {beside:.2f} | {inside:.0f} | {share:.2%} | {ratio:.2f} |")
            met &= ratio <= 1 and (share < LIMIT or not name.startswith("driftfield"))
        verdicts.append(f"{title} {'met' if met else 'MISSED'}")
    print(f"own time under {LIMIT:.0%} and not above theirs: {', '.join(verdicts)}")


if __name__ == "__main__":
    main()
