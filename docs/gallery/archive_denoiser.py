"""The exact denoiser of an archive: what a perfect network would answer, and why it should not be perfect.

    python docs/gallery/archive_denoiser.py [FOLDER]

An archive of some fields *is* a distribution, and its denoiser is a weighted mean of its fields. At high noise it
answers with the mean, at low noise with the one field that is nearest. Right: error of the answer for fields of the
archive and for new ones of the same kind, of 50, 500 and 5000 fields. A network that fits a small archive exactly has
learnt it by heart.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from driftfield.diffusion.exact import EmpiricalDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.gaussian.random_fields import Matern, PeriodicField

SIZES, CELLS, LEVELS = (50, 500, 5000), 16, np.geomspace(0.05, 20, 13)
SHOWN = (0.2, 3.0, 12.0)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    field = PeriodicField(Matern(6.0, 1.5), (CELLS, CELLS), (CELLS, CELLS))
    fields = torch.as_tensor(field.sample(np.random.default_rng(0), max(SIZES) + 100)).unsqueeze(1)
    archive, new = fields[:-100], fields[-100:]
    schedule = LogLinearSchedule(0.01, 80)
    generator = torch.Generator().manual_seed(1)

    def answer(data: torch.Tensor, clean: torch.Tensor, level: float) -> torch.Tensor:
        t = schedule.t(torch.full((len(clean),), -2 * np.log(level), dtype=torch.float64))
        alpha = schedule.alpha_sigma(t)[0].view(-1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
        return EmpiricalDenoiser(schedule, data)(alpha * (clean + level * noise), t)

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 2.6))
    for row, (name, data) in enumerate({"of the archive": archive[:500], "new": new}.items()):
        for column, level in enumerate(SHOWN):
            ax = figure.add_subplot(grid[row, column])
            ax.imshow(answer(archive[:500], data[:1], level)[0, 0], cmap="RdBu_r", vmin=-2.5, vmax=2.5, origin="lower")
            ax.set_title(f"{name}, s = {level:g}", fontsize=9)
            ax.set_xticks([])
            ax.set_yticks([])
    errors = figure.add_subplot(grid[:, 3])
    for number, size in enumerate(SIZES):
        for clean, style in ((archive[:50], "--"), (new, "-")):
            rms = [float((answer(archive[:size], clean, s) - clean).square().mean().sqrt()) for s in LEVELS]
            errors.loglog(
                LEVELS, rms, f"C{number}{style}", label=f"{size} fields, {'new' if style == '-' else 'archive'}"
            )
    errors.set(xlabel="noise level s", ylabel="rms error of the answer", ylim=(5e-3, 2))
    errors.legend(fontsize="small")
    path = folder / "archive_denoiser.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
