"""Spread error of every sampler on exact Gaussians, and agreement of all samplers on one trained checkpoint.

    python benchmarks/samplers.py [--run shipped:ocean_diffusion] [--members 12] [--cases 3]

The peer is DPM-Solver++ 2M at 256 evaluations: ratios of RMSE, CRPS and spread to it over the hidden cells.
"""

import argparse
import math
import time
from pathlib import Path

import torch

from driftfield.data.synthetic.ocean import simulate_ocean
from driftfield.data.twin import observe
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.evaluate.ensembles import crps_fair
from driftfield.evaluate.scores import rmse
from driftfield.reconstruct import load_reconstructor, shipped_run
from driftfield.registry import build

EXACT = ("EulerSampler", "HeunSampler", "DPMSolverPP2M", "DDIMSampler")
TRAINED = [
    ("DPMSolverPP2M", 256),
    ("HeunSampler", 257),
    ("DDIMSampler", 256),
    ("DDPMSampler", 256),
    ("DPMSolverPP2M", 20),
]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="shipped:ocean_diffusion")
    parser.add_argument("--members", type=int, default=12)
    parser.add_argument("--cases", type=int, default=3)
    arguments = parser.parse_args()
    exact()
    trained(arguments.run, arguments.members, arguments.cases)


if __name__ == "__main__":
    main()
