"""Every guidance method, with the exact denoiser, beside the exact posterior of Gaussian fields; writes docs/posterior.md.

python benchmarks/posterior.py [--cases 4] [--members 128] [--out docs/posterior.md]
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from driftfield.errors import DivergenceError
from driftfield.interfaces import Denoiser
from driftfield.linalg.covariance import Covariance
from driftfield.linalg.operators import Observed
from driftfield.linalg.prior_covariance import eof_covariance, spectral_covariance
from driftfield.linalg.solvers import GMRES, ConjugateGradients
from driftfield.sampling import DPMSolverPP2M, Sampler
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.dps import DPSDenoiser
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.mmps import MMPSDenoiser
from driftfield.sampling.guidance.particles import TwistedParticles
from driftfield.sampling.guidance.prior_covariance import PriorCovarianceDenoiser
from driftfield.sampling.guidance.pseudo_inverse import PseudoInverseDenoiser
from driftfield.sampling.guidance.repaint import RePaintSampler
from driftfield.sampling.guidance.replacement import ReplacementDenoiser
from driftfield.sampling.guidance.sda import SDADenoiser
from driftfield.sampling.guidance.tmpd import TMPDDenoiser
from driftfield.testing.posteriors import (
    MixtureProblem,
    PosteriorProblem,
    paired_noise,
    posterior_problems,
    score_members,
)

STEPS = 16
Make = Callable[[Denoiser, Observed], GuidedDenoiser]

INTRODUCTION = """# Guidance methods beside the exact posterior

Made by `python benchmarks/posterior.py` (`make bench`); do not edit. Goals and a fast version are in
`tests/sampling/guidance/test_posterior_table.py`.

The prior is a stationary Gaussian field of variance 1 with covariance exp(-d² / 2 l²), and every method has its *exact* denoiser,
so that whatever is wrong comes from the method or from the steps. {problems}

The walk is DPM-Solver++ 2M on {steps} noise levels, equal in log SNR from s = 80 to .01; RePaint walks down as many with
ancestral steps. {members} members for each of {cases} truths, in pairs of noise eps and -eps.

| column | meaning |
|---|---|
| CRPS | of the ensemble, averaged over the truth given y, divided by that of the posterior; 1 is best |
| spread | root mean square standard deviation, divided by the posterior's |
| mean | root mean square error of the ensemble mean, in posterior standard deviations |
| cost | network evaluations of a member: the denoiser 1, a vector-Jacobian product 2 |

Numbers behind MMPS are solver iterations; archives of 1000 fields taught the EOFs and the spectrum. Sampling error is about .005
in CRPS and .01 in spread; of the mean there is none where a method is affine in its noise.
Filters and smoothers have [a page like this](kalman.md); with an archive of your own it is done by
[exact denoisers](exact-denoisers.md).
"""


class Unwatched(DivergenceGuard):
    """Lets a walk that diverged go on, to see where it ends."""

    def check(self, method: GuidedDenoiser, look: object, guided: object) -> None:
        pass


def methods(problem: PosteriorProblem, learned: dict[str, Covariance]) -> dict[str, Make]:
    """Name -> denoiser, in the order of the table."""
    made: dict[str, Make] = {}
    for n in (1, 3, 5, 10, 20):
        made[f"MMPS, conjugate gradients, {n}"] = lambda d, o, n=n: MMPSDenoiser(d, o, solver=ConjugateGradients(n))
    made["MMPS, GMRES, 5"] = lambda d, o: MMPSDenoiser(d, o, solver=GMRES(5))
    for name, covariance in learned.items():
        made[f"MMPS, 1, preconditioned by {name}"] = lambda d, o, c=covariance: MMPSDenoiser(
            d, o, solver=ConjugateGradients(1), prior=c
        )
        made[f"MMPS, 2, preconditioned by {name}"] = lambda d, o, c=covariance: MMPSDenoiser(d, o, prior=c)
    made["prior covariance, the true one"] = lambda d, o: PriorCovarianceDenoiser(d, o, problem.prior)
    for name, covariance in learned.items():
        made[f"prior covariance, {name}"] = lambda d, o, c=covariance: PriorCovarianceDenoiser(d, o, c)
    made["TMPD"] = TMPDDenoiser
    made["pseudo-inverse"] = PseudoInverseDenoiser
    for scale in (0.1, 0.3, 1.0):
        made[f"SDA, sda_scale {scale:g}"] = lambda d, o, scale=scale: SDADenoiser(d, o, sda_scale=scale)
    for zeta in (1.0, 3.0):
        made[f"DPS, zeta {zeta:g}"] = lambda d, o, zeta=zeta: DPSDenoiser(d, o, zeta=zeta)
    return made


def learn(problem: PosteriorProblem, samples: int = 1000) -> dict[str, Covariance]:
    """What an archive of that many fields teaches."""
    generator = torch.Generator().manual_seed(99)
    fields = problem.prior.sample(torch.randn(samples, problem.cells, generator=generator, dtype=torch.float64))
    fields = fields.view(-1, *problem.shape)
    rank = 150 if problem.shape[1] > 1 else 40
    learned: dict[str, Covariance] = {f"{rank} EOFs": eof_covariance(fields, rank)}
    if problem.shape[1] > 1:
        learned["a spectrum"] = spectral_covariance(fields)
    return learned


def known_cells(problem: PosteriorProblem, members: int, case: int, repaint: bool) -> ReplacementDenoiser:
    """Replacement of the observed cells, as a field of values."""
    observation = problem.observation(case)
    shape = (members, *problem.shape)
    observed = (problem.h.sum(0) > 0).view(1, *problem.shape).expand(shape)
    y = observation.adjoint(observation.y[None]).expand(shape)
    eps = None if repaint else paired_noise(shape, seed=case)(0)
    return ReplacementDenoiser(problem.denoiser(), y, observed, torch.full(shape, problem.error), eps)


def measure(
    problem: PosteriorProblem, denoisers: Sequence[Denoiser], sampler: Sampler, cost: int, *, members: int
) -> str:
    """One row of a table, from the second column on."""
    drawn = []
    for case, denoiser in enumerate(denoisers):
        try:
            drawn.append(sampler.sample(denoiser, paired_noise((members, *problem.shape), seed=case)))
        except DivergenceError as error:
            return f"stopped by the guard at step {str(error).split('step ')[1].split()[0]} | | | {cost}"
    observations = [problem.observation(case) for case in range(len(denoisers))]
    # stochastic samplers redraw their noise in pairs too
    scores = score_members(problem, drawn, observations)
    return f"{scores.crps:.3f} | {scores.spread:.3f} | {scores.mean_error:.3f} | {cost}"


def table(name: str, problem: PosteriorProblem, *, cases: int, members: int) -> list[str]:
    """All methods on one problem."""
    prior = problem.denoiser()
    observations = [problem.observation(case) for case in range(cases)]
    title = f"## {name.capitalize()}\n\n{describe(problem)}\n"
    lines = [title, "| method | CRPS | spread | mean | cost |\n|---|---|---|---|---|"]
    walk = DPMSolverPP2M(STEPS)
    for label, make in methods(problem, learn(problem)).items():
        guided = [make(prior, observation) for observation in observations]
        row = measure(problem, guided, walk, STEPS * guided[0].evaluations, members=members)
        lines.append(f"| {label} | {row} |")
        print(lines[-1], flush=True)
    for label, sampler in (
        ("replacement", walk),
        ("RePaint, 10 passes", RePaintSampler(10 * (STEPS - 1) + 1, resamplings=10)),
    ):
        replaced = [
            known_cells(problem, members, case, repaint=isinstance(sampler, RePaintSampler)) for case in range(cases)
        ]
        row = measure(problem, replaced, sampler, sampler.evaluations, members=members)
        lines.append(f"| {label} | {row} |")
        print(lines[-1], flush=True)
    return lines


def describe(problem: PosteriorProblem) -> str:
    """One sentence."""
    rows, columns = problem.shape[1:]
    where = f"{columns} points" if rows == 1 else f"{rows} × {columns} cells"
    return f"{where}, length l = {problem.length:g}, {problem.observed} observed, error {problem.error:g}."


def cliff() -> list[str]:
    """SDA: which constants hold, by steps and error; what is stopped is also run to its end."""
    lines = [
        "## The cliff of SDA\n",
        "CRPS by `sda_scale`; in brackets what the walk would have ended with, had the guard not stopped it (32 members, 1 "
        "truth). A correction overshoots when (1 - s'/s) / sda_scale > 2, at the levels where the observations' error is "
        "small against the noise; `limit` is the constant at which that begins. Above it SDA holds, and is too wide. The "
        "guard errs on the safe side: near the limit it also stops walks that would have ended well (numbers in brackets that "
        "are no larger than those beside them).\n",
    ]
    scales = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 1.0)
    lines.append(f"| field | error | steps | limit | {' | '.join(f'{scale:g}' for scale in scales)} |")
    lines.append("|---" * (4 + len(scales)) + "|")
    for name in ("smooth line", "rough line"):
        for error in (0.01, 0.05, 0.2):
            base = posterior_problems()[name]
            problem = PosteriorProblem(base.shape, base.length, base.observed, error)
            for steps in (8, 16, 32):
                limit = (1 - 8000 ** (-1 / (steps - 1))) / 2
                found = [sda(problem, scale, steps) for scale in scales]
                lines.append(f"| {name} | {error} | {steps} | {limit:.2f} | {' | '.join(found)} |")
                print(lines[-1], flush=True)
    return lines


def sda(problem: PosteriorProblem, scale: float, steps: int) -> str:
    """CRPS, in brackets if the guard stops the walk."""
    observation, noise = problem.observation(), paired_noise((32, *problem.shape))
    crps, stopped = float("inf"), False
    for guard in (None, Unwatched()):
        guided = SDADenoiser(problem.denoiser(), observation, sda_scale=scale, guard=guard)
        try:
            drawn = DPMSolverPP2M(steps).sample(guided, noise)
        except DivergenceError:
            stopped = True
            continue
        crps = score_members(problem, [drawn], [observation]).crps
        if not stopped:
            break
    text = f"{crps:.2f}" if crps < 10 else f"{crps:.0f}" if crps < 1000 else f"{crps:.0e}"
    return f"({text})" if stopped else text


def particles() -> list[str]:
    """Twisted particles on a mixture in the plane."""
    problem = MixtureProblem()
    mean, sd, evidence = problem.posterior
    lines = [
        "## Twisted particles\n",
        f"Five Gaussians in the plane; a combination of the coordinates is seen with error {problem.error:g}. Largest error of "
        "the mean in posterior standard deviations, of the standard deviation (relative), and of ln p(y); root mean square of "
        "2 seeds.\n",
        "| particles | levels | mean | standard deviation | ln p(y) | fewest effective |\n|---|---|---|---|---|---|",
    ]
    for count, levels in ((500, 512), (5000, 512), (50000, 128), (50000, 512)):
        rows = []
        for seed in range(2):
            walk = TwistedParticles(problem.denoiser(), problem.observation, particles=count, levels=levels, sd=1.4)
            cloud = walk.draw(problem.shape, seed)
            off = ((cloud.mean().flatten() - mean) / sd).abs().max()
            wide = (cloud.sd().flatten() / sd - 1).abs().max()
            rows.append(torch.stack([off, wide, torch.tensor(cloud.log_evidence - evidence)]).double())
        a, b, c = torch.stack(rows).square().mean(0).sqrt().tolist()
        lines.append(f"| {count} | {levels} | {a:.4f} | {b:.4f} | {c:.4f} | {cloud.least_effective:.0f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--members", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "posterior.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    problems = posterior_problems()
    text = " ".join(f"*{name.capitalize()}*: {describe(problem)}" for name, problem in problems.items())
    blocks = [INTRODUCTION.format(problems=text, steps=STEPS, cases=arguments.cases, members=arguments.members)]
    for name, problem in problems.items():
        blocks.append("\n".join(table(name, problem, cases=arguments.cases, members=arguments.members)) + "\n")
    blocks.append("\n".join(cliff()) + "\n")
    blocks.append("\n".join(particles()) + "\n")
    arguments.out.write_text("\n".join(blocks))
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
