"""Where a walk starts: at the last noise level a little of the field is left, and pure noise does not know it.

    python docs/gallery/start_of_a_walk.py [FOLDER]

A field of mean 2 and standard deviation 1, with its exact denoiser, from noise of many largest levels s. A walk that
starts at pure noise loses a share of the mean and of the spread, the more the lower s is; starting from the denoiser's
first answer costs one look, from the marginal two. What is left below 0.1 % is the walk's own steps. `start:` in a
recipe.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.sampling import HeunSampler
from driftfield.sampling.starting import STARTS

LEVELS = (2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 40.0)
MEAN, DRAWS = 2.0, 2000


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    # quantiles of the normal in place of random numbers: what differs is the start alone
    noise = torch.special.ndtri((torch.arange(DRAWS, dtype=torch.float64) + 0.5) / DRAWS)[:, None, None, None]
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    means, spreads = figure.subplots(1, 2)
    for name, start in STARTS.items():
        lost, narrow = [], []
        for level in LEVELS:
            denoiser = GaussianDenoiser(
                LogLinearSchedule(0.002, level), torch.tensor(MEAN, dtype=torch.float64), torch.tensor(1.0).double()
            )
            initial = start.beyond_noise(denoiser, noise)
            drawn = HeunSampler(201).sample(denoiser, lambda _: noise, initial=initial)
            lost.append(100 * abs(float(drawn.mean()) / MEAN - 1))
            narrow.append(100 * abs(float(drawn.std() / noise.std()) - 1))
        label = f"{name}: {start.evaluations} looks"
        means.loglog(LEVELS, lost, marker="o", label=label)
        spreads.loglog(LEVELS, narrow, marker="o", label=label)
    for ax, title in ((means, "of the mean"), (spreads, "of the standard deviation")):
        ax.set(title=f"What is wrong {title}", xlabel="noise level s at the start", ylabel="error [%]")
        ax.set_xticks(LEVELS, [f"{level:g}" for level in LEVELS])
        ax.minorticks_off()
    means.legend(fontsize="small")
    path = folder / "start_of_a_walk.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
