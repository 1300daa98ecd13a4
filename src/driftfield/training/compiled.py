"""torch.compile where it works; where it does not, a line, and the function as it is."""

__all__ = ["Compiled"]

import logging
from typing import Any, cast

import torch
from torch import Tensor

log = logging.getLogger(__name__)


class Compiled:
    """A loss that is compiled at its first call, and falls back to the plain one if that fails.

    Arguments:
        loss: (batch, generator, ...) -> scalar.
    """

    def __init__(self, loss: Any) -> None:
        self.plain, self._tried = loss, False
        self._built: Any = torch.compile(cast(Any, loss))

    def __call__(self, batch: Any, generator: torch.Generator, **options: Any) -> Tensor:
        if self._tried:
            return cast(Tensor, self._built(batch, generator, **options))
        before, everywhere = generator.get_state(), torch.get_rng_state()
        try:
            loss: Tensor = self._built(batch, generator, **options)
        except RuntimeError as error:
            # what is wrong with the batch or the model is wrong with the plain function too, and raised by it
            generator.set_state(before)
            torch.set_rng_state(everywhere)
            loss = self.plain(batch, generator, **options)
            log.warning("torch.compile does not work here, the training goes on without: %s", _first_line(error))
            self._built = self.plain
        self._tried = True
        return loss


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
