"""Patterns of gaps: what nine observing systems leave out of the same sea.

    python docs/gallery/mask_patterns.py [FOLDER]

`df.observe` and `driftfield mask --observe VARIABLE=PATTERN` take the words above the panels; the number is the share
of the sea that is hidden. White was not seen. A model that is to fill clouds should learn from clouds: cells that are
hidden one by one are easy.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.drawing import scale_of

PATTERNS = (
    "random:0.8",
    "blocks:0.6",
    "clouds:0.7",
    "tracks:0.8",
    "swaths:0.6",
    "profiles:n=40",
    "clouds:0.7,scale=1",
    "tracks:0.9,inclination=80,width=1",
    "tracks:0.9+profiles:0.97",
)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    truth = df.simulate_ocean(years=0.02, every_days=5, start="2041-05-01", seed=3).isel(time=[0])[["sst"]]
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(3, 3, sharex=True, sharey=True)
    colours = scale_of("sst", "degC", [truth["sst"].values])
    for ax, pattern in zip(panels.ravel(), PATTERNS, strict=True):
        seen = df.observe(truth, {"sst": pattern}, seed=1)
        land = ~seen["domain"].values
        ax.pcolormesh(truth["lon"], truth["lat"], seen["domain"].where(land), cmap="gray", vmin=-0.72, vmax=0.28)
        mesh = ax.pcolormesh(truth["lon"], truth["lat"], seen["sst"][0], shading="nearest", **colours)
        ax.set_title(pattern, family="monospace", fontsize=9)
    for ax in panels[-1]:
        ax.set_xlabel("longitude [degrees east]")
    for ax in panels[:, 0]:
        ax.set_ylabel("latitude [degrees north]")
    figure.colorbar(mesh, ax=panels, label="sea surface temperature [°C]", shrink=0.6, extend="both")
    path = folder / "mask_patterns.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
