"""Interpolation in space and time tuned on few cases of a pattern instead of eighteen: for what is tuned, not how well."""

__all__ = ["few_cases"]

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from driftfield.peers.space_time_cases import CaseDrawer


@contextmanager
def few_cases(count: int = 4) -> Iterator[None]:
    """While it lasts; of several patterns no fewer than four each."""
    defaults = CaseDrawer.draw.__kwdefaults__
    assert defaults is not None
    assert "count" in defaults
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults, "count", count)
        yield
