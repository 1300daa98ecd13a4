"""Noise with a colour: at which noise level every wave of a turbulent flow is as large as the noise.

    python docs/gallery/noise_cover.py [FOLDER]

A walk has to begin above the highest point of its line and to end below the lowest. White noise drowns the long waves of a flow
last and the short ones first, a squared exponential the other way round, a factor of a thousand apart; a Matern field that is as
rough as the flow drowns all of them at about the same level.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.gaussian.random_fields import Matern, PeriodicField, SquaredExponential
from driftfield.gaussian.random_fields.cover import noise_cover
from driftfield.worlds.turbulence_record import simulate_navier_stokes

N = 40
NOISES = {
    "white": None,
    "exponential, length .1": Matern(0.1, 0.5),
    "Matern 3/2, length .05": Matern(0.05, 1.5),
    "squared exponential, length .05": SquaredExponential(0.05),
}


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    flow = simulate_navier_stokes(size=N, compute=64, trajectories=3, frames=6, every=2.0, spin_up=10.0)
    fields = flow["vorticity"].values / float(flow["vorticity"].std())
    figure = Figure(figsize=(10, 4), layout="constrained")
    spectra, levels = figure.subplots(1, 2)
    for name, kernel in NOISES.items():
        cover = noise_cover(fields, None if kernel is None else PeriodicField(kernel, (N, N)))
        spectra.loglog(cover.wavenumber, np.sqrt(cover.noise), label=name)
        ratio = float(cover.equal.max() / cover.equal.min())
        levels.loglog(cover.wavenumber, cover.equal, label=f"{name}: a factor of {ratio:.3g}")
    spectra.loglog(cover.wavenumber, np.sqrt(cover.signal), "k--", label="the flow")
    spectra.set(
        xlabel="wavenumber", ylabel="amplitude of a wave", title="Kolmogorov flow and noise at s = 1", ylim=(1e-3, None)
    )
    levels.set(xlabel="wavenumber", ylabel="noise level s", title="Where a wave is as large as the noise")
    spectra.legend(fontsize="small")
    levels.legend(fontsize="small")
    path = folder / "noise_cover.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
