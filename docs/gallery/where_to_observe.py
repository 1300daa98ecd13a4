"""Where to observe next: ten places that would take most uncertainty away, one after another.

    python docs/gallery/where_to_observe.py [FOLDER]

The members of a reconstruction know where they disagree, and which places vary together. Left: the spread, what was
seen (dots), and the ten places in their order. Right: what ten places taken at random would leave instead, twenty times
over. `df.suggest`, `driftfield suggest`.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.drawing import LAND
from driftfield.gaussian.placement import KnownPrior, best_places

NUMBER, ERROR = 10, 0.1


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    truth = df.simulate_ocean(years=0.02, every_days=5, start="2041-03-01", seed=7).isel(time=[0])[["thetao", "sst"]]
    seen = df.observe(truth, {"thetao": "profiles:0.98", "sst": "clouds:0.9"}, error=0.05, seed=3)
    fields = df.reconstruct("shipped:ocean_oi", seen, members=64)
    fields = fields.isel(depth=[int(np.abs(fields["depth"].values - 100).argmin())])
    places = df.suggest(fields, error=ERROR, number=NUMBER, localisation_km=0)
    members = fields["thetao_member"].isel(time=0, depth=0).transpose("member", "lat", "lon").values.reshape(64, -1)
    sea = np.isfinite(members).all(axis=0)
    covariance = np.cov(members[:, sea], rowvar=False)
    weights = np.full(sea.sum(), 1 / sea.sum())
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    chart, left = figure.subplots(1, 2, width_ratios=(1.5, 1))
    chart.set_facecolor(LAND)
    sd = fields["thetao_sd"].isel(time=0, depth=0)
    mesh = chart.pcolormesh(sd["lon"], sd["lat"], sd, cmap="magma_r", vmin=0, shading="nearest")
    figure.colorbar(mesh, ax=chart, label="standard deviation of temperature at 100 m [°C]")
    rows, columns = np.nonzero(np.isfinite(seen["thetao"].isel(time=0, depth=0).values))
    chart.plot(sd["lon"].values[columns], sd["lat"].values[rows], ".", color="black", markersize=2)
    for number, (lat, lon) in enumerate(zip(places["lat"].values, places["lon"].values, strict=True), 1):
        chart.text(lon, lat, str(number), ha="center", va="center", color="white", weight="bold", fontsize=9,
                   bbox={"boxstyle": "circle,pad=0.2", "facecolor": "tab:blue", "edgecolor": "white"})  # fmt: skip
    chart.set(xlabel="longitude [degrees east]", ylabel="latitude [degrees north]")
    for draw in range(20):
        cells = rng.choice(sea.sum(), NUMBER, replace=False)
        gone = best_places(
            KnownPrior(covariance), cells[:, None], weights, number=NUMBER, error=np.full((NUMBER, 1), ERROR)
        )
        left.plot(
            range(NUMBER + 1), np.sqrt(gone.left), color="0.75", linewidth=1, label="at random" if draw == 0 else None
        )
    before = float(places["variance_before"])
    left.plot(range(NUMBER + 1), np.sqrt([before, *places["variance_left"].values]), "o-", label="suggested")
    left.set(
        xlabel="places observed",
        ylabel="rms standard deviation left [°C]",
        ylim=(0, None),
        xticks=range(0, NUMBER + 1, 2),
    )
    left.legend()
    path = folder / "where_to_observe.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
