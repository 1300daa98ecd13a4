"""Any downscaler, made consistent with its coarse field: every member is projected onto the fields with those coarse means.

    additive          x + A^-1 H' (H A^-1 H')^-1 (y - H x)        nearest such field; temperature
    multiplicative    x r                                         zeros stay zeros, means exact; rain

On real pairs the coarse model is no mean of the fine one: there it has to be asked for by name.
Harder et al. (2023), "Hard-constrained deep learning for climate downscaling", JMLR 24(365).
"""

__all__ = ["Conserving", "check_how", "conserved", "how_of", "refuse_other_means"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from driftfield.data.pairing import Pair
from driftfield.errors import ConfigurationError, suggest
from driftfield.interfaces import Abilities, Ability
from driftfield.linalg.regridding import Regridding
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import build, register

HOW = ("additive", "multiplicative", "none")


@register("downscaler")
class Conserving(Downscaler):
    """Projects what another downscaler gives, member by member.

    Arguments:
        downscaler: Class and arguments.
        how: {variable: additive | multiplicative | none}; multiplicative where `data.bounds` has a lower bound of 0, else
            additive.
    """

    def __init__(self, downscaler: Mapping[str, Any], how: Mapping[str, str] | None = None) -> None:
        self.downscaler, self.how = dict(downscaler), None if how is None else dict(how)
        self.inner: Downscaler = build("downscaler", self.downscaler)
        if isinstance(self.inner, Conserving):
            raise ConfigurationError("Found Conserving inside Conserving: expected another downscaler. Name it once.")
        if self.inner.abilities.needs_training:
            raise ConfigurationError(
                f"Conserving cannot train {type(self.inner).__name__}: expected its own argument 'how'. Say it there."
            )
        check_how(self.how)

    @property
    def method(self) -> str:  # type: ignore[override]
        """Of the inner one."""
        return f"{self.inner.method}, conserving"

    @property
    def abilities(self) -> Abilities:  # type: ignore[override]
        """Of the inner one."""
        return self.inner.abilities

    @property
    def follows_shifts(self) -> Ability:  # type: ignore[override]
        """As the inner one."""
        return self.inner.follows_shifts

    @property
    def needs_pairs(self) -> bool:  # type: ignore[override]
        """As the inner one."""
        return self.inner.needs_pairs

    def prepare(self, pair: Pair) -> None:
        """Refuses to force a coarse model's means on fine fields of another, unless told to.

        Raises:
            ConfigurationError: a real pair and no `how`, or `how` of a variable that is no target.
        """
        self.inner.take({}, {}, self.grids)
        self.inner.seed = self.seed
        self.inner.prepare(pair)
        refuse_other_means(self.how, pair, self.grids, type(self).__name__)

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """As the inner one."""
        return self.inner.learn(samples, regridding, grids)

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The inner estimate, projected; the mean is that of the projected members where there are several."""
        inner = self.inner.estimate(date, fitted, regridding, grids)
        how = how_of(self.how, date.name, grids)
        mean, members = (
            None if fields is None else conserved(fields, date.asked, regridding, how)
            for fields in (inner.mean, inner.members)
        )
        # factors are not linear: the mean of what they gave, not what they make of the mean
        return Estimate(mean if how != "multiplicative" or members is None else None, members=members)

    def take(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any], grids: PairGrids) -> None:
        """Takes back what `state` gave."""
        super().take(arrays, extra, grids)
        self.inner.seed = self.seed
        self.inner.take(arrays, extra, grids)


def check_how(how: Mapping[str, str] | None) -> dict[str, str]:
    """{variable: word}.

    Raises:
        ConfigurationError: a word that is none of `HOW`.
    """
    for name, word in (how or {}).items():
        if word not in HOW:
            raise ConfigurationError(f"Found how of {name}: {word!r}: {suggest(str(word), HOW)}")
    return dict(how or {})


def how_of(how: Mapping[str, str] | None, name: str, grids: PairGrids) -> str:
    """What is done to a variable: what was said, else factors where it has a lower bound of 0, and differences elsewhere."""
    if how is not None:
        return how.get(name, "none")
    return "multiplicative" if grids.bounds.get(name, (-np.inf, np.inf))[0] == 0 else "additive"


def refuse_other_means(how: Mapping[str, str] | None, pair: Pair, grids: PairGrids, method: str) -> None:
    """Refuses to force a coarse model's means on fine fields of another, unless told to.

    Raises:
        ConfigurationError: a real pair and no `how`, or `how` of a variable that is no target.
    """
    if how is None and not pair.means:
        raise ConfigurationError(
            f"{method} would force the means of a coarse model on another model's fine fields: expected data.coarse.factor, "
            f"where coarse fields are means of fine ones. Leave {method} out, or say 'how' for every variable."
        )
    for name in how or {}:
        if name not in grids.targets:
            raise ConfigurationError(f"Found how of {name!r}, which is no target: {suggest(name, grids.targets)}")


def conserved(fields: np.ndarray, asked: np.ndarray, regridding: Regridding, how: str) -> np.ndarray:
    """Fields ([member,] row, column) with the coarse means `asked`, NaN of which asks for nothing."""
    if how == "none" or not np.isfinite(asked).any():
        return fields
    if how == "additive":
        return regridding.project(fields, np.broadcast_to(asked, (*fields.shape[:-2], *asked.shape)))
    positive = np.maximum(fields, 0.0)
    return regridding.rescale(positive, np.broadcast_to(np.maximum(asked, 0.0), (*fields.shape[:-2], *asked.shape)))
