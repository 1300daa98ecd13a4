"""Localisation: ten members imagine correlations that are not there.

    python docs/gallery/localisation.py [FOLDER]

Lorenz-96, 40 variables, every second one seen every 12 hours with an error of 1. Left: the covariance of variable 20
with the others in ten members, in a thousand, and in ten after it was faded by distance (Gaspari and Cohn). Right:
error of the analysis against the radius of localisation; too short throws information away, too long lets the noise of
the covariance in.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.assimilation.kalman import ETKF, Localisation, Observing, assimilate
from driftfield.worlds.lorenz import Lorenz96

CYCLES, SPIN_UP, STEPS, ERROR = 100, 40, 2, 1.0
RADII = (1.5, 3, 6, 10, 18)
SIZES = (10, 20)
SEEN = np.arange(0, 40, 2)


def covariance_with(ensemble: np.ndarray, variable: int = 20) -> np.ndarray:
    """Of one variable with all others."""
    departures = ensemble - ensemble.mean(0)
    return departures.T @ departures[:, variable] / (len(ensemble) - 1)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    world, rng = Lorenz96(), np.random.default_rng(1)
    many = world.advance(world.start(1000, rng), 400)
    # a forecast of two days from states that differ a little
    forecast = world.advance(many[0] + 0.5 * rng.standard_normal((1000, 40)), 8)
    truth = [many[1]]
    for _ in range(CYCLES):
        truth.append(world.advance(truth[-1], STEPS))
    observing = Observing.of_variables(SEEN, ERROR)
    y = observing.draw(np.stack(truth[1:]), rng)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    shape, errors = figure.subplots(1, 2)
    place = np.arange(40)
    faded = Localisation(5.0, period=40.0).weights(np.array([20.0]), place.astype(float))[0]
    shape.plot(place, covariance_with(forecast), "k", linewidth=2, label="1000 members")
    shape.plot(place, covariance_with(forecast[:10]), label="10 members")
    shape.plot(place, faded * covariance_with(forecast[:10]), label="10 members, radius 5")
    shape.set(xlabel="variable", ylabel="covariance with variable 20", title="A forecast of two days")
    shape.legend(fontsize="small")
    for members in SIZES:
        rows = []
        for radius in RADII:
            method = ETKF(1.06, Localisation(radius, period=40.0))
            analyses = assimilate(world, method, many[2 : 2 + members], y, observing, steps=STEPS)
            rows.append(analyses.scores(np.stack(truth[1:]), SPIN_UP)[0][0])
        errors.plot(RADII, rows, marker="o", label=f"{members} members")
    errors.axhline(ERROR, color="0.5", linestyle=":", label="error of an observation")
    errors.set(
        xlabel="radius of localisation [variables]",
        ylabel="RMSE of the analysis",
        title="Ensemble filter",
        ylim=(0, None),
    )
    errors.legend(fontsize="small")
    path = folder / "localisation.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
