"""Spectra: at which wavelengths the mean of an ensemble has lost its power, and a member has not.

    python docs/gallery/spectra.py [FOLDER]

Surface temperature of a simulated ocean of which one cell in twenty was seen, completed by optimal interpolation: power
against wavelength of the truth, the mean, its members, and of the error of the mean. Where the error has more than half
of the power of the truth (dotted), the mean no longer resolves the field. Below 90 km these members are rougher than
the truth.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.spectra import resolved_wavelength, segment_spectra


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    truth = df.simulate_ocean(years=0.1, every_days=6, start="2041-03-01", seed=7)[["thetao", "sst"]].isel(
        time=slice(0, 5)
    )
    seen = df.observe(truth, {"thetao": "profiles:0.95", "sst": "random:0.95"}, error=0.05, seed=1)
    fields = df.reconstruct("shipped:ocean_oi", seen, members=4)
    level = {"depth": int(abs(truth["depth"].values - 100).argmin())}
    mean, true = fields["thetao"].isel(level), truth["thetao"].isel(level)
    curves = segment_spectra(
        {
            "truth": true,
            "members": fields["thetao_member"].isel(level).transpose("member", "time", "lat", "lon"),
            "mean": mean,
            "error of the mean": mean - true,
        },
        true.notnull().all("time"),
        length_km=600,
    )
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    ax = figure.subplots()
    for name, style in {"truth": "k", "members": "C1", "mean": "C0", "error of the mean": "C3--"}.items():
        ax.loglog(curves["wavelength"], curves[name], style, label=name, linewidth=2 if name == "truth" else 1.5)
    resolved = resolved_wavelength(curves["error of the mean"], curves["truth"])
    if resolved is not None:
        ax.axvline(resolved, color="0.5", linestyle=":", label=f"resolved down to {resolved:.0f} km")
    ax.invert_xaxis()
    ticks = [600, 300, 200, 150, 100, 75, 50]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel="wavelength [km]", ylabel="power of temperature at 100 m [°C² km]")
    ax.legend(fontsize="small")
    path = folder / "spectra.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
