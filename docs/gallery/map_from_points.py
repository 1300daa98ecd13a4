"""A map from points: stations in, a field and its spread out.

    python docs/gallery/map_from_points.py [FOLDER]

One hundred and fifty stations of a known field, mapped by `df.map`: it tries regressions and krigings on stations that
it leaves out and takes the best. Right, at 500 places that it never saw: what the map says against what is there, with
bars of one standard deviation.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import driftfield as df
from driftfield.gaussian.random_fields import Matern
from driftfield.gaussian.random_fields.places import field_at

BOX, STEP, STATIONS, ERROR = (40.0, 46.0, -10.0, -2.0), 0.1, 150, 0.15


def table(field: np.ndarray, lat: np.ndarray, lon: np.ndarray, cells: np.ndarray) -> pd.DataFrame:
    """Rows of a table at some cells."""
    rows, columns = np.unravel_index(cells, field.shape)
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2020-06-15"),
            "latitude": lat[rows],
            "longitude": lon[columns],
            "temperature": field[rows, columns],
        }
    )


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(3)
    lat, lon = np.arange(BOX[0], BOX[1], STEP), np.arange(BOX[2], BOX[3], STEP)
    field = 15 - 0.4 * (lat[:, None] - 43) + 1.2 * field_at(Matern(90.0, 1.5), lat, lon).sample(rng, 1)[0]
    cells = rng.permutation(field.size)
    stations = table(field, lat, lon, cells[:STATIONS])
    stations["temperature"] += ERROR * rng.standard_normal(STATIONS)
    variables = {"temperature": "temperature"}
    fields = df.map(stations, box=BOX, step=STEP, variables=variables, every="1D")
    hidden = table(field, lat, lon, cells[STATIONS : STATIONS + 500])
    answers = df.map_at(stations, hidden.drop(columns="temperature"), variables=variables)
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    place = fields["lon"], fields["lat"]
    mesh = left.pcolormesh(*place, fields["temperature"].isel(time=0).squeeze(), cmap="cividis", shading="nearest")
    figure.colorbar(mesh, ax=left, label="temperature [°C]")
    mesh = middle.pcolormesh(
        *place, fields["temperature_sd"].isel(time=0).squeeze(), cmap="magma_r", vmin=0, shading="nearest"
    )
    figure.colorbar(mesh, ax=middle, label="standard deviation [°C]")
    for ax, title in ((left, "map"), (middle, "its spread")):
        ax.scatter(stations["longitude"], stations["latitude"], s=6, color="white", edgecolor="black", linewidth=0.5)
        ax.set(title=title, xlabel="longitude [degrees east]", ylabel="latitude [degrees north]")
    inside = np.mean(np.abs(answers["temperature"] - hidden["temperature"]) < 1.645 * answers["temperature_sd"])
    right.errorbar(
        hidden["temperature"],
        answers["temperature"],
        yerr=answers["temperature_sd"],
        fmt=".",
        alpha=0.35,
        linewidth=0.8,
    )
    right.axline((15, 15), slope=1, color="black", linewidth=1)
    right.set(
        xlabel="there [°C]",
        ylabel="map [°C]",
        title=f"500 hidden places,\n{100 * inside:.0f} % in their interval of 90 %",
    )
    path = folder / "map_from_points.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
