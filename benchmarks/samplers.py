"""Spread error of every sampler on exact Gaussians, and agreement of all samplers on one trained checkpoint.

    python benchmarks/samplers.py [--run shipped:ocean_diffusion] [--members 12] [--cases 3]
    python benchmarks/samplers.py --climate runs/lorenz96_unconditional [--draws 2000]

The peer is DPM-Solver++ 2M at 256 evaluations: ratios of RMSE, CRPS and spread to it over the hidden cells; of a run that draws
a climate, differences of mean and standard deviation with their standard errors over pairs of draws from the same first noise.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from driftfield.data.twin import observe
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.evaluate.scores.deterministic import rmse
from driftfield.evaluate.scores.ensembles import crps_fair
from driftfield.models.unconditional import draw_unconditionally
from driftfield.registry import build
from driftfield.runs import load_reconstructor, shipped_run
from driftfield.worlds.ocean import simulate_ocean

EXACT = ("EulerSampler", "HeunSampler", "DPMSolverPP2M", "DDIMSampler")
TRAINED = [
    ("DPMSolverPP2M", 256),
    ("HeunSampler", 257),
    ("DDIMSampler", 256),
    ("DDPMSampler", 256),
    ("DPMSolverPP2M", 20),
]
CLIMATE = [*TRAINED[:4], ("DDIMSampler", 512), ("DDPMSampler", 512), TRAINED[4]]


def exact() -> None:
    """Relative error of the standard deviation, worst of three variances."""
    print("| sampler | evaluations | worst error of the standard deviation |\n|---|---|---|")
    schedule = LogLinearSchedule(0.002, 80.0)
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    for name in EXACT:
        for evaluations in (16, 20, 64, 256):
            sampler = build("sampler", {"class": name, "evaluations": evaluations})
            errors = []
            for variance in (0.09, 0.25, 1.0):
                denoiser = GaussianDenoiser(schedule, torch.tensor(0.0), torch.tensor(variance))
                errors.append(float(sampler.sample(denoiser, lambda draw: one)) / math.sqrt(variance) - 1)
            print(f"| {name} | {evaluations} | {100 * max(errors, key=abs):+.2f} % |")


def trained(run: str, members: int, cases: int) -> None:
    """All samplers on one checkpoint."""
    folder = shipped_run(run.removeprefix("shipped:")) if run.startswith("shipped:") else Path(run)
    model = load_reconstructor(folder)
    truth = simulate_ocean(years=30 * cases / 365.25, every_days=30, start="2040-01-15", seed=1)
    seen = observe(truth[["thetao", "sst"]], {"thetao": "profiles:0.95", "sst": "clouds:0.8"}, error=0.05, seed=1)
    hidden = seen["held_out"]
    peer: tuple[float, float, float] | None = None
    print("\n| sampler | evaluations | RMSE ratio | CRPS ratio | spread ratio | seconds |\n|---|---|---|---|---|---|")
    for name, evaluations in TRAINED:
        model.sampler = build("sampler", {"class": name, "evaluations": evaluations})  # type: ignore[attr-defined]
        start = time.perf_counter()
        drawn = model.reconstruct(seen, members=members, seed=0)
        seconds = time.perf_counter() - start
        found = (
            float(rmse(drawn["thetao"], truth["thetao"], mask=hidden)),
            float(crps_fair(drawn["thetao_member"], truth["thetao"], mask=hidden)),
            float((drawn["thetao_sd"].where(hidden) ** 2).mean() ** 0.5),
        )
        peer = peer or found
        ratios = " | ".join(f"{a / b:.4f}" for a, b in zip(found, peer, strict=True))
        print(f"| {name} | {evaluations} | {ratios} | {seconds:.0f} |", flush=True)


def influence(x: np.ndarray) -> np.ndarray:
    """(2, draw) what each draw adds to the mean and to the standard deviation of all numbers of x (draw, ...).

    Its mean over draws are these two; its scatter is their sampling error, and that of a difference of two samplers in pairs.
    """
    flat = x.reshape(len(x), -1).astype(float)
    sd = flat.std()
    return np.stack([flat.mean(1), sd + (((flat - flat.mean()) ** 2).mean(1) - sd**2) / (2 * sd)])


def with_error(parts: np.ndarray) -> str:
    """Mean of parts (draw,) and its standard error."""
    return f"{parts.mean():.4f} ± {parts.std(ddof=1) / math.sqrt(len(parts)):.4f}"


def climate(run: Path, draws: int) -> None:
    """Mean and standard deviation of what every sampler makes of no observations."""
    model = load_reconstructor(run)
    peer: np.ndarray | None = None
    print("| sampler | evaluations | mean | standard deviation | mean - peer's | standard deviation - peer's |")
    print("|---|---|---|---|---|---|")
    for name, evaluations in CLIMATE:
        model.sampler = build("sampler", {"class": name, "evaluations": evaluations})  # type: ignore[attr-defined]
        drawn = draw_unconditionally(model, members=draws, seed=0, batch_size=256)  # type: ignore[arg-type]
        found = influence(np.concatenate([drawn[f"{target}_member"].values for target in model.codec.targets]))  # type: ignore[attr-defined]
        peer = found if peer is None else peer
        parts = [*found, *(found - peer)]
        print(f"| {name} | {evaluations} | {' | '.join(map(with_error, parts))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="shipped:ocean_diffusion")
    parser.add_argument("--members", type=int, default=12)
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--climate", type=Path, help="a run that draws states from nothing")
    parser.add_argument("--draws", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.climate is not None:
        climate(arguments.climate, arguments.draws)
        return
    exact()
    trained(arguments.run, arguments.members, arguments.cases)


if __name__ == "__main__":
    main()
