"""One observation: what it says of the cells around it, by five ways to guide a walk.

    python docs/gallery/one_observation.py [FOLDER]

A Gaussian line of unit variance, seen in the middle only: 2, with an error of 0.5. The exact posterior is known
(black). Every method has the exact denoiser of the prior, so that what differs is the guidance. Moment matching (MMPS)
is exact here; the others take a number for the covariance of the prior, or none.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import MatrixOperator, Observed
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.guidance import DPSDenoiser, MMPSDenoiser, PseudoInverseDenoiser, SDADenoiser, TMPDDenoiser
from driftfield.testing.posteriors import PosteriorProblem, paired_noise

CELLS, LENGTH, VALUE, ERROR, MEMBERS = 64, 6.0, 2.0, 0.5, 256
METHODS = {
    "MMPS": MMPSDenoiser,
    "TMPD": TMPDDenoiser,
    "pseudo-inverse": PseudoInverseDenoiser,
    "SDA": SDADenoiser,
    "DPS": DPSDenoiser,
}


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    problem = PosteriorProblem((1, 1, CELLS), length=LENGTH, observed=1, error=ERROR)
    h = torch.zeros(1, CELLS, dtype=torch.float64)
    h[0, CELLS // 2] = 1
    y, errors = torch.tensor([VALUE]).double(), DiagonalCovariance(torch.tensor([ERROR**2]).double())
    observed = Observed(MatrixOperator(h, problem.shape), y, errors)
    column = problem.prior.dense()[:, CELLS // 2]
    share = 1 / (1 + ERROR**2)
    mean, sd = column * VALUE * share, (1 - column**2 * share).sqrt()
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    means, spreads = figure.subplots(1, 2)
    place = torch.arange(CELLS) - CELLS // 2
    for number, (name, method) in enumerate(METHODS.items()):
        guided = method(problem.denoiser(), observed)
        drawn = DPMSolverPP2M(24).sample(guided, paired_noise((MEMBERS, *problem.shape), seed=1))[:, 0, 0]
        for ax, values in ((means, drawn.mean(0)), (spreads, drawn.std(0))):
            ax.plot(place, values, color=f"C{number}", label=name, linewidth=1.5)
    means.plot(place, mean, "k--", label="exact", linewidth=2)
    spreads.plot(place, sd, "k--", label="exact", linewidth=2)
    means.errorbar([0], [VALUE], yerr=[ERROR], fmt="o", color="black", capsize=3, label="observation")
    means.set(xlabel="cells from the observation", ylabel="mean of the members")
    spreads.set(xlabel="cells from the observation", ylabel="standard deviation of the members", ylim=(0, None))
    handles, labels = means.get_legend_handles_labels()
    spreads.legend(handles, labels, fontsize="small", ncols=2, loc="lower right")
    path = folder / "one_observation.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
