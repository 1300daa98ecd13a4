"""What `driftfield suggest` leaves behind: a table, and a map of where one observation helps most, with the chosen places."""

__all__ = ["draw", "write"]

from pathlib import Path

import cmocean
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from driftfield.evaluate.drawing import LAND, MapPanel, fill, headline, label_edges
from driftfield.files import replacing
from driftfield.gridded.cf import as_cf

COLUMNS = ("lat", "lon", "variance_left", "spread_left")


def write(suggestion: xr.Dataset, out: Path, *, overwrite: bool) -> None:
    """Writes the table (.csv) or everything (.nc), and the map beside it (.png).

    Arguments:
        suggestion: From `assimilation.suggesting.suggest_places`.
        out: Name of the table.
        overwrite: Replace what is there.
    """
    with replacing(out, overwrite=overwrite) as temporary:
        if out.suffix == ".csv":
            suggestion[list(COLUMNS)].to_dataframe().to_csv(temporary, float_format="%.6g")
        else:
            title = f"Where to observe {suggestion.attrs['observed']} next"
            as_cf(suggestion.assign_attrs(title=title)).to_netcdf(temporary)
    with replacing(out.with_suffix(".png"), overwrite=overwrite) as temporary:
        draw(suggestion).savefig(temporary, format="png", dpi=110, facecolor="white")


def draw(suggestion: xr.Dataset) -> Figure:
    """The map of what one observation would take away, with the chosen places; and what is left after each of them."""
    values = suggestion["reduction"].values
    lat, lon = suggestion["latitude"].values, suggestion["longitude"].values
    regular = np.ptp(lat, axis=1).max() < 1e-9 and np.ptp(lon, axis=0).max() < 1e-9
    x, y = (lon[0], lat[:, 0]) if regular else (np.arange(lat.shape[1]), np.arange(lat.shape[0]))
    there = np.isfinite(values)
    numbered = None if regular else ("column", "row")
    plane = MapPanel(x, y, False, values, values, there, there, numbered)
    units = suggestion["spread_left"].attrs.get("units", "")
    squared = f" [{units}²]" if units else ""
    figure = Figure(figsize=(11.5, 5), layout="constrained")
    grid = figure.subplots(1, 2, width_ratios=[3, 2], squeeze=False)
    top = float(np.nanmax(values)) or 1.0
    mesh = fill(grid[0, 0], plane, values, "one observation at each place", cmap=cmocean.cm.tempo, vmin=0, vmax=top)
    label_edges(grid[:, :1], plane)
    figure.colorbar(mesh, ax=grid[0, 0], label=f"fall of the variance{squared}", shrink=0.9)
    for order, place in enumerate(zip(*_placed(suggestion, regular), strict=True), start=1):
        grid[0, 0].plot(*place, "o", markersize=9, color="white", markeredgecolor="black")
        grid[0, 0].annotate(str(order), place, ha="center", va="center", fontsize=6)
    left = np.append(suggestion["variance_before"].values, suggestion["variance_left"].values)
    grid[0, 1].plot(np.arange(len(left)), left, "o-", color="black", markersize=4)
    grid[0, 1].set(xlabel="places observed, in this order", ylabel=f"expected variance{squared}", ylim=(0, None))
    grid[0, 1].grid(color=LAND)
    attrs = suggestion.attrs
    headline(figure, f"where to observe {attrs['observed']} next: {attrs['asked']}")
    return figure


def _placed(suggestion: xr.Dataset, regular: bool) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of the chosen places on the map."""
    lat, lon = suggestion["lat"].values, suggestion["lon"].values
    if regular:
        return lon, lat
    rows, columns = suggestion["latitude"].values, suggestion["longitude"].values
    flat = [int(np.argmin((rows - a) ** 2 + (columns - b) ** 2)) for a, b in zip(lat, lon, strict=True)]
    row, column = np.unravel_index(flat, rows.shape)
    return column, row
