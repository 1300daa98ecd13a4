"""One image with gaps: what was seen, what kriging makes of it, and how sure that is.

    python docs/gallery/fill_one_image.py [FOLDER]

No archive, no training: the covariance is that of the image itself. The spread is small next to observations and grows
into the clouds; it is scaled by what the method misses in blocks that it hid on purpose. `driftfield fill` without
`method` tries all that fit.
"""

import sys
from importlib.resources import files
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.drawing import scale_of

DATE = "2041-05-03"


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    seen = xr.open_dataset(files("driftfield") / "shipped" / "sst_scene.nc")[["sst", "domain"]].sel(time=[DATE])
    fields = df.fill(seen, "sst", method="kriging")
    land = seen["domain"].where(seen["domain"] == 0)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    colours = scale_of("sst", "degC", [fields["sst"].values])
    shown = {"seen": seen["sst"][0], "filled": fields["sst"][0], "standard deviation": fields["sst_sd"][0]}
    for ax, (name, field) in zip(panels, shown.items(), strict=True):
        ax.pcolormesh(seen["lon"], seen["lat"], land, cmap="gray", vmin=-0.72, vmax=0.28)
        if name == "standard deviation":
            colours = {"cmap": "magma_r", "vmin": 0, "vmax": float(field.quantile(0.99))}
        mesh = ax.pcolormesh(seen["lon"], seen["lat"], field, shading="nearest", **colours)
        ax.set(title=name, xlabel="longitude [degrees east]")
        if name != "seen":
            label = "temperature [°C]" if name == "filled" else "standard deviation [°C]"
            figure.colorbar(mesh, ax=ax, label=label, extend="both" if name == "filled" else "max")
    panels[0].set_ylabel("latitude [degrees north]")
    path = folder / "fill_one_image.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
