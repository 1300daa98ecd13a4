"""What a comparison is made of: settings, methods, and what is shown of them; `reading.py` makes it of a YAML file."""

__all__ = ["Comparison", "ComparedMethod", "Setting"]

from dataclasses import dataclass, field
from typing import Any

from driftfield.recipe import DataSection, Recipe

COMPARED = ("rmse", "crps", "spread_skill", "coverage_90")
"""The registered scores that a comparison shows, unless it names others."""

RESOLVED = "resolved_km"
"""Beside them, where a setting asks for it: the shortest wavelength that a method resolves."""


@dataclass(frozen=True)
class Setting:
    """What is hidden from the methods, and how well others have completed it.

    Arguments:
        name: In the table.
        hides: One of `observe` (variable -> pattern), `reference_mask` ("random:0.5"), `held_out` (a file), `transplant`
            (arguments of `driftfield.data.transplant.transplant_clouds`), `split` ("test" or "validation": all of that part), or
            `coarse` (every fine cell: shown are the coarse fields of `data.coarse`; `true`, or the truth of this setting
            {archive, coarse, region}); and its value.
        error: Standard deviation of the observation error, for all or by variable.
        times: First and last date, or None for those of the truth.
        every: Of these only each so many-th.
        some: Of these so many, drawn at random; None for all.
        segment_km: Length of the segments for the resolved wavelength, or None where it is not asked for.
        north_first: The reference masks were drawn on rows from north to south.
        reference: Figures of others on these very cells: {label: {score: value}}.
    """

    name: str
    hides: tuple[str, Any]
    error: float | dict[str, float] = 0.0
    times: tuple[Any, Any] | None = None
    every: int = 1
    some: int | None = None
    segment_km: float | None = None
    north_first: bool = False
    reference: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparedMethod:
    """Who completes the fields.

    Arguments:
        label: In the table.
        run: The run folder.
        recipe: How to fit it, or None where the run must exist.
    """

    label: str
    run: str
    recipe: Recipe | None = None

    @property
    def trained(self) -> bool:
        """Whether its weights are trained, which takes long."""
        return self.recipe is not None and bool(self.recipe.trainer)


@dataclass(frozen=True)
class Comparison:
    """A checked recipe of a comparison.

    Arguments:
        name: Of the file, without suffix: names runs, cache and table.
        title, description, notes: Text for the page.
        seed: Of the observations and the members.
        members: Size of the ensembles.
        data: As the `data` section of a training recipe, resolved.
        truth: Archive and first and last date.
        learn_from: Name of the setting that shows what may be learnt from.
        settings, methods: In the order of the file.
        model: Label of the method that is set against the best of the others.
        scores: Names of the registered scores that the page shows.
        wet: {variable: from which value on it is wet}.
    """

    name: str
    title: str
    description: str
    notes: tuple[str, ...]
    seed: int
    members: int
    data: DataSection
    truth: tuple[str, tuple[Any, Any] | None]
    learn_from: str | None
    settings: tuple[Setting, ...]
    methods: tuple[ComparedMethod, ...]
    model: str | None
    scores: tuple[str, ...] = COMPARED
    wet: dict[str, float] = field(default_factory=dict)

    @property
    def targets(self) -> list[str]:
        """The scored variables."""
        return list(self.data["targets"])

    def setting(self, name: str) -> Setting:
        """The setting of that name."""
        return next(setting for setting in self.settings if setting.name == name)
