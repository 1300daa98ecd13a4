"""Small worlds, exact problems, and the laws that every member of a family must keep: for us and for who extends us.

    check_denoiser(MyDenoiser(...), (3, 1, 8, 8))       shape, finiteness, samples that do not meet
    check_sampler(MySampler(evaluations=64))            the exact Gaussian, counted evaluations, repeatable draws
    check_reconstructor(my_method, observations)        output layout, member determinism, save and load

A broken law is an `AssertionError` that says found and expected.
"""

__all__ = [
    "CountingDenoiser",
    "GaussianProblem",
    "check_denoiser",
    "check_reconstructor",
    "check_sampler",
    "drawn_sd",
    "exact_problems",
    "numbered_noise",
    "tiny_batch",
    "tiny_ocean",
    "tiny_recipe",
    "tiny_training_data",
]

from driftfield.testing.exact import CountingDenoiser, GaussianProblem, drawn_sd, exact_problems, numbered_noise
from driftfield.testing.laws import check_denoiser, check_reconstructor, check_sampler
from driftfield.testing.worlds import tiny_batch, tiny_ocean, tiny_recipe, tiny_training_data
