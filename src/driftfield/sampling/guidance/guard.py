"""A walk that runs away is stopped, and told apart from one that is only inaccurate.

Given y and x_t the misfit e = y - H x̂ has covariance R + H V H' with V <= s² (Tweedie), so its root mean square m should fall
with the noise level, below

    b(s) = (2 + 4/√n) √(r² + h² s²),        r² = tr R / n,    h² = tr H H' / n

where n observations leave chance the room in the first factor (1 observation: 6 standard deviations). An unstable correction
overshoots, and the misfit grows from step to step. A walk is stopped when, in any member, m has doubled from the least it was,
is still rising, *and* is beyond b(s). One that merely stays far from the observations is left alone: its misfit rises too, but
only where there is still much noise. As the noise falls an unstable walk may come back to finite, plausible and wrong fields:
it is the growth on the way that gives it away.
"""

__all__ = ["DivergenceGuard", "observed_size"]

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.interfaces import Observation
from driftfield.sampling.guidance.look import Look


class Guided(Protocol):
    """A guidance method, as far as its guard looks at it."""

    advice: str
    observation: Observation

    @property
    def name(self) -> str:
        """What users call it."""
        ...


class DivergenceGuard:
    """Follows one walk at a time; a new one begins when the noise level is back at the start.

    Arguments:
        growth: Growth of the misfit, from the least it was, that is too much.
    """

    def __init__(self, growth: float = 2.0) -> None:
        if not growth > 1:
            raise ConfigurationError(f"Found growth={growth}: expected a number above 1, 2 to begin with.")
        self.growth = growth
        self._first = self._level = 0.0
        self._step = 0
        self._least = self._before = torch.empty(0)

    def check(self, method: Guided, look: Look, guided: Tensor) -> None:
        """Looks at one answer.

        Arguments:
            method: Whose answer.
            look: What the prior said.
            guided: What the method made of it.

        Raises:
            DivergenceError: names the method, the step and what to change.
        """
        s, n = look.s, look.misfit.shape[-1]
        misfit = look.misfit.square().mean(-1).sqrt()
        self._follow(float(s.max()), misfit)
        if not torch.isfinite(guided).all():
            raise DivergenceError(self._message(method, "the numbers are not finite any more"))
        r, h = _error_size(method.observation, look), observed_size(look)
        bound = (2 + 4 / math.sqrt(n)) * torch.sqrt(r**2 + h**2 * s.flatten() ** 2)
        wild = (misfit > self.growth * self._least) & (misfit > self._before) & (misfit > bound)
        if wild.any():
            worst = int(torch.where(wild, misfit / bound, 0).argmax())
            raise DivergenceError(
                self._message(
                    method,
                    f"the misfit to the observations grew from {float(self._least[worst]):.3g} to "
                    f"{float(misfit[worst]):.3g}, where {float(bound[worst]):.3g} is the most to expect",
                )
            )
        self._least, self._before = torch.minimum(self._least, misfit), misfit

    def _follow(self, level: float, misfit: Tensor) -> None:
        if level >= self._first * (1 - 1e-6) or len(misfit) != len(self._least):
            self._first, self._level, self._step = level, level, 1
            self._least = self._before = misfit
        elif level < self._level * (1 - 1e-6):
            self._level, self._step = level, self._step + 1

    def _message(self, method: Guided, what: str) -> str:
        return f"{method.name} diverged at step {self._step} (noise level {self._level:.3g}): {what}. {method.advice}."


def observed_size(look: Look) -> Float[Tensor, " batch"]:
    """h: root mean square size of an observation of independent cells of variance 1."""
    return look.adjoint(_signs(look)).flatten(1).square().sum(-1).div(look.misfit.shape[-1]).sqrt()


def _error_size(observation: Observation, look: Look) -> Tensor:
    """r: root mean square error of an observation."""
    signs = _signs(look)[:1]
    return (signs * observation.covariance.matmul(signs)).mean().clamp(min=0).sqrt()


def _signs(look: Look) -> Tensor:
    """With random signs off-diagonal elements cancel, and traces remain (Hutchinson's estimate): (batch, n), all rows alike."""
    n = look.misfit.shape[-1]
    signs = torch.randint(0, 2, (1, n), generator=torch.Generator().manual_seed(n)) * 2 - 1
    return signs.to(look.misfit).expand_as(look.misfit)
