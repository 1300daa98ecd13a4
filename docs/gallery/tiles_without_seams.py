"""Tiles without seams: a grid that is too large for one look, in overlapping tiles.

    python docs/gallery/tiles_without_seams.py [FOLDER]

Draws of a random field whose exact denoiser is known, from the same noise: in one look; in tiles that each walk to the
end by themselves and are blended once; in tiles that are blended at every step of the walk, as `driftfield reconstruct
--tile` does. Below, by how much neighbouring columns differ over 64 draws: where independent tiles overlap, one field
has to turn into another, and does so faster than the field itself ever changes.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.tiles import TiledDenoiser, Tiling
from driftfield.testing.posteriors import PosteriorProblem

ROWS, COLUMNS, SIZE, OVERLAP, DRAWS = 24, 72, 24, 8, 64
LENGTH = 5.0


def denoiser_of(rows: int, columns: int):  # type: ignore[no-untyped-def]
    """The exact one of the field on so many cells."""
    return PosteriorProblem((1, rows, columns), length=LENGTH, observed=1, error=1.0).denoiser()


def walk(denoiser, noise: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """Draws from this noise."""
    return DPMSolverPP2M(16).sample(denoiser, lambda _: noise)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    noise = torch.randn(DRAWS, 1, ROWS, COLUMNS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    tiling = Tiling.of(torch.ones(ROWS, COLUMNS, dtype=torch.bool), SIZE, OVERLAP)
    parts = [denoiser_of(*tile.weight.shape) for tile in tiling.tiles]
    fields = {
        "one look": walk(denoiser_of(ROWS, COLUMNS), noise),
        "tiles by themselves, blended once": tiling.blend(
            walk(part, tile.cut(noise)) for part, tile in zip(parts, tiling.tiles, strict=True)
        ),
        "tiles blended at every step": walk(TiledDenoiser(tiling, parts), noise),
    }
    figure = Figure(figsize=(8, 9), layout="constrained")
    *panels, steps = figure.subplots(4, 1, sharex=True)
    for ax, (name, field) in zip(panels, fields.items(), strict=True):
        mesh = ax.pcolormesh(field[0, 0], cmap="RdBu_r", vmin=-2.5, vmax=2.5)
        ax.set(title=name, ylabel="row")
        change = field[:, 0].diff(dim=-1).square().mean((0, 1)).sqrt()
        steps.plot(np.arange(1, COLUMNS), change, label=name)
    for tile in tiling.tiles:
        for ax in panels[1:]:
            ax.axvspan(tile.columns[0], tile.columns[-1] + 1, fill=False, linestyle=":", linewidth=1)
    steps.set(xlabel="column", ylabel="rms difference of neighbours", ylim=(0, None))
    steps.legend(fontsize="small", loc="lower left")
    figure.colorbar(mesh, ax=panels, label="standard deviations", shrink=0.6, extend="both")
    path = folder / "tiles_without_seams.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
