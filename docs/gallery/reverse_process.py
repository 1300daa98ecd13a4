"""A film of the reverse process: from noise to two members that agree with what was seen.

    python docs/gallery/reverse_process.py [FOLDER]

Two walks at eight of their twenty steps, held to sixty observed cells (dots): above what the sampler carries, divided
by its size, below what the denoiser takes the clean field to be. The large structures are there first, then the small
ones; far from the observations the members part early. A watcher of `Sampler.sample` sees every step.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.guidance import MMPSDenoiser
from driftfield.testing.posteriors import PosteriorProblem

PROBLEM = PosteriorProblem((1, 32, 32), length=4, observed=60, error=0.05, seed=4)
SHOWN, MEMBERS, EVALUATIONS = (0, 4, 8, 10, 12, 14, 16, 19), 2, 20


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    observed = PROBLEM.observation()
    frames: list[tuple[float, torch.Tensor, torch.Tensor]] = []

    def watch(x_t: torch.Tensor, t: float, clean: torch.Tensor) -> None:
        frames.append((t, x_t.clone(), clean.clone()))

    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(MEMBERS, *PROBLEM.shape, generator=generator, dtype=torch.float64)
    denoiser = MMPSDenoiser(PROBLEM.denoiser(), observed)
    DPMSolverPP2M(EVALUATIONS).sample(denoiser, lambda _: noise, watcher=watch)
    figure = Figure(figsize=(12, 6.6), layout="constrained")
    panels = figure.subplots(2 * MEMBERS, len(SHOWN), sharex=True, sharey=True)
    rows, columns = np.nonzero(
        observed.operator.adjoint(torch.ones(1, len(observed.y)).double()).reshape(32, 32).numpy()
    )
    for column, step in enumerate(SHOWN):
        t, noisy, clean = frames[step]
        for member in range(MEMBERS):
            above, below = panels[2 * member, column], panels[2 * member + 1, column]
            field = noisy[member, 0]
            above.imshow(field / field.std(), cmap="RdBu_r", vmin=-2.5, vmax=2.5, origin="lower")
            mesh = below.imshow(clean[member, 0], cmap="RdBu_r", vmin=-2.5, vmax=2.5, origin="lower")
            below.scatter(columns, rows, s=2, color="black")
        panels[0, column].set_title(f"step {step + 1}, t = {t:.2f}", fontsize=9)
    for row, label in enumerate(["carried", "clean field"] * MEMBERS):
        panels[row, 0].set_ylabel(f"member {row // 2 + 1}\n{label}", fontsize=9)
    for ax in panels.ravel():
        ax.set_xticks([])
        ax.set_yticks([])
    figure.colorbar(mesh, ax=panels, label="standard deviations; dots: observed cells", shrink=0.6, extend="both")
    path = folder / "reverse_process.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
