"""What `driftfield assimilate` does: its sources, its method and its analyses."""

__all__ = ["Asked", "Ensemble", "Sources", "WithheldShare", "AssimilateWork"]

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftfield.cli.assimilate_dates import share_dates
from driftfield.cli.assimilate_outcome import account_of, with_chosen_errors
from driftfield.cli.shared import check_counts, open_crew_of, read_period, use_sampler
from driftfield.errors import ConfigurationError, DataError, ExistsError, UserError
from driftfield.plain import JSONObject

if TYPE_CHECKING:
    import xarray as xr

    from driftfield.assimilation.analysis import Analysis, Assimilation
    from driftfield.cli.assimilate_outcome import Analyse
    from driftfield.clusters import Crew
    from driftfield.gridded.acceptance import Acceptance
    from driftfield.observations.derived import Derived
    from driftfield.observations.table import ObservationTable
    from driftfield.observations.withholding import Withholding
    from driftfield.reconstruction.kept_draws import KeptDraws


@dataclass(frozen=True)
class Sources:
    """Files.

    Arguments:
        obs: A table, files for the readers, or a gridded file; None if there is a coarse one.
        points: A table that guides beside a gridded file.
        coarse: A gridded file of larger cells.
        variables: Our name -> name in the files.
        acceptance, drop_outside: As of `data.observation_files.open_observations`, of gridded files alone.
    """

    obs: Path | None
    points: Path | None
    coarse: Path | None
    variables: Mapping[str, str]
    acceptance: "Acceptance"
    drop_outside: bool

    def read(self, names: tuple[str, ...]) -> "tuple[ObservationTable | xr.Dataset, xr.Dataset | None]":
        """What guides, and the gridded observations beside it that the network is shown.

        Arguments:
            names: Variables that a coarse file may be of.
        """
        from driftfield.observations.coarse import table_of_boxes
        from driftfield.observations.reading import read_observations
        from driftfield.observations.table import ObservationTable

        if self.obs is None and self.coarse is None:
            raise ConfigurationError("Nothing guides: expected OBS, or a coarser product with --coarse. Name one.")
        gridded = self.obs is not None and _is_gridded(self.obs)
        if self.points is not None and not gridded:
            raise DataError(
                f"{self.obs} has no grid: with --points it is what the network is shown. Name the table alone."
            )
        if not gridded and self.coarse is None:
            self._refuse_options_of_grids()
        if gridded and self.points is None and self.coarse is None:
            return self._opened(self.obs), None
        tables = [self.points] if gridded else [self.obs]
        guides = [read_observations([path], self.variables or None) for path in tables if path is not None]
        if self.coarse is not None:
            guides.append(table_of_boxes(self._opened(self.coarse), names))
        shown = self._opened(self.obs) if gridded else None
        return ObservationTable.join(guides), shown

    def _opened(self, path: "Path | None") -> "xr.Dataset":
        from driftfield.data.observation_files import open_observations

        assert path is not None
        return open_observations(path, acceptance=self.acceptance, drop_outside=self.drop_outside)

    def _refuse_options_of_grids(self) -> None:
        from driftfield.gridded.acceptance import USUAL

        if self.acceptance != USUAL or self.drop_outside:
            raise ConfigurationError(
                "--quality-level, --reject-flags and --drop-outside are of gridded files, and "
                f"{self.obs} is a table or holds points. Leave them out: `driftfield gather --flags` chooses among points."
            )

    def told(self) -> dict[str, str]:
        """Attributes of the output."""
        named = {"observations": self.obs, "points": self.points, "coarse": self.coarse}
        return {key: path.name for key, path in named.items() if path is not None}


@dataclass(frozen=True)
class Asked:
    """How observations are to enter.

    Arguments:
        method: Name of the guidance method; that of the run if None.
        options, choices: Its constants, and values of some to choose from.
        inflation, errors, correlated_km, window_days: See `Assimilation`.
        footprint: Radius in km, of all variables or of some; None for points.
        functions: See `Assimilation`.
    """

    method: str | None
    options: Mapping[str, Any]
    choices: Mapping[str, list[Any]]
    inflation: float | None
    errors: float | dict[str, float] | None
    correlated_km: float | None
    window_days: float
    footprint: float | dict[str, float] | None
    functions: "Mapping[str, Derived]"

    def __post_init__(self) -> None:
        if both := sorted(set(self.options) & set(self.choices)):
            raise ConfigurationError(f"Found --set and --try of {both[0]!r}: expected one of them. Leave one out.")

    def assimilation(
        self, reconstructor: Any, inflation: float | None, constants: Mapping[str, Any] | None = None
    ) -> "Assimilation":
        """With some constants more."""
        from driftfield.assimilation.analysis import Assimilation
        from driftfield.observations.stated import as_stated

        return Assimilation(
            reconstructor,
            self.method,
            {**self.options, **(constants or {})},
            inflation=inflation,
            default_error=self.errors,
            correlation_km=self.correlated_km,
            window_days=self.window_days,
            place=as_stated if self.footprint is None else partial(as_stated, radius_km=self.footprint),
            functions=self.functions,
        )

    def checked(self, reconstructor: Any) -> "Asked":
        """The same with the method's name; what makes no sense is refused before files are read."""
        method = self.assimilation(reconstructor, self.inflation).method
        for name, values in self.choices.items():
            for value in values:
                self.assimilation(reconstructor, self.inflation, {name: value})
        return replace(self, method=method)

    def told(self) -> dict[str, Any]:
        """Attributes of the output."""

        def text(sizes: float | dict[str, float] | None) -> str:
            if isinstance(sizes, dict):
                return " ".join(f"{name}={value:g}" for name, value in sizes.items())
            return "" if sizes is None else f"{sizes:g}"

        functions = [
            f"{name}={type(derived.function).__name__.lower()}({', '.join(derived.arguments)})"
            for name, derived in self.functions.items()
        ]
        attrs = {
            "footprint_km": text(self.footprint),
            "error_of_what_states_none": text(self.errors),
            "errors_correlated_km": text(self.correlated_km),
            "functions": "; ".join(functions),
        }
        return {name: value for name, value in attrs.items() if value}


@dataclass(frozen=True)
class WithheldShare:
    """What is kept back and scored: see `observations.withholding.withhold`; nothing if no share is given."""

    fraction: float | None
    by: str
    of: list[str] | None
    buffer_km: float
    seed: int

    def chooser(self) -> "Callable[[ObservationTable], Withholding] | None":
        """Chooses the rows."""
        from driftfield.observations.withholding import withhold

        if self.fraction is not None:
            return partial(
                withhold,
                fraction=self.fraction,
                by=self.by,  # type: ignore[arg-type]
                variables=self.of,
                buffer_km=self.buffer_km,
                seed=self.seed,
            )
        if self.of or self.buffer_km:
            raise ConfigurationError("--of and --buffer-km say what --withhold keeps back: add it, or leave them out.")
        return None

    def check_calibrate(self, run: Path, asked: Asked, members: int, *, overwrite: bool) -> None:
        """Refuses a calibration that has nothing to look at, or that a run has already."""
        from driftfield.checkpoint import read_run
        from driftfield.runs import refuse_borrowed

        refuse_borrowed(run)
        if self.fraction is None or members < 2:
            raise ConfigurationError(
                "--calibrate needs something to look at: pass --withhold, such as 0.2, and 2 members or more."
            )
        if asked.inflation is not None:
            raise ConfigurationError("--calibrate finds what --inflate-error would say: leave one of them out.")
        if asked.method in read_run(run).extra.get("assimilation", {}) and not overwrite:
            raise ExistsError(
                f"{run} knows the inflation for {asked.method} already. Pass --overwrite to find it again."
            )


@dataclass(frozen=True)
class Ensemble:
    """How many members, their seed, and how many at a time."""

    members: int
    seed: int
    batch_size: int

    def __post_init__(self) -> None:
        check_counts({"--members": self.members, "--batch-size": self.batch_size})
        check_counts({"--seed": self.seed}, least=0)


@dataclass(frozen=True)
class AssimilateWork:
    """All that was typed."""

    run: Path
    sampler: str | None
    sources: Sources
    asked: Asked
    withheld: WithheldShare
    ensemble: Ensemble
    time: str | None

    def write(self, out: Path, *, calibrate: bool, resume: bool, overwrite: bool, cluster: str | None = None) -> None:
        """Analyses, writes and tells."""
        from driftfield.data.sources import write_dataset
        from driftfield.reconstruction.kept_draws import kept_while
        from driftfield.runs import called, find_run, load_reconstructor

        folder = find_run(self.run)
        reconstructor: Any = load_reconstructor(folder)
        use_sampler(reconstructor, self.sampler)
        asked = self.asked.checked(reconstructor)
        if calibrate:
            self.withheld.check_calibrate(self.run, asked, self.ensemble.members, overwrite=overwrite)
        elif asked.choices:
            raise ConfigurationError("--try says what --calibrate chooses from: add it, or leave it out.")
        made_of = self._made_of(folder, asked) | {"calibrate": calibrate}
        with kept_while(out, made_of, resume=resume, overwrite=overwrite) as keeper, open_crew_of(cluster) as crew:
            analyse = self._analysing(reconstructor, asked, keeper, crew)
            analysis = (
                with_chosen_errors(folder, str(asked.method), asked.options, asked.choices, analyse)
                if calibrate
                else analyse(asked.inflation, {})
            )
            attrs = {"run": called(self.run, folder), **self.sources.told(), **asked.told()}
            write_dataset(analysis.fields.assign_attrs(attrs), out, overwrite=overwrite)
        print(account_of(analysis))
        print(f"wrote {out}: {', '.join(sorted(map(str, analysis.fields.data_vars)))}")

    def _made_of(self, folder: Path, asked: Asked) -> JSONObject:
        """All that the output depends on."""
        from driftfield.reconstruction.kept_draws import made_of_run

        files = {"observations": self.sources.obs, "points": self.sources.points, "coarse": self.sources.coarse}
        ensemble = {"members": self.ensemble.members, "seed": self.ensemble.seed}
        shown = {"variable": self.sources.variables, "drop_outside": self.sources.drop_outside}
        accepted = {"quality_level and reject_flags": str(self.sources.acceptance)}
        constants = {
            "method": asked.method,
            "set": asked.options,
            "try": asked.choices,
            "inflate_error": asked.inflation,
        }
        constants |= {"correlated_km": asked.correlated_km, "window_days": asked.window_days} | asked.told()
        kept_back = {"withhold": vars(self.withheld), "time": self.time, "sampler": self.sampler or ""}
        return made_of_run(folder, ensemble | shown | accepted | constants | kept_back, files)

    def _analysing(self, reconstructor: Any, asked: Asked, keeper: "KeptDraws", crew: "Crew | None") -> "Analyse":
        """Analyses with a factor on the errors and some constants, of files that are read once."""
        observations, how = self._observations(reconstructor, asked)

        def analyse(inflation: float | None, constants: Mapping[str, Any]) -> "Analysis":
            part = keeper.part(_named(inflation, constants))
            share = None if crew is None else partial(share_dates, self, crew, inflation, dict(constants), part.folder)
            return asked.assimilation(reconstructor, inflation, constants).analyse(
                observations,
                members=self.ensemble.members,
                seed=self.ensemble.seed,
                batch_size=self.ensemble.batch_size,
                keeper=part,
                share=share,
                **how,
            )

        return analyse

    def _observations(self, reconstructor: Any, asked: Asked) -> tuple[Any, dict[str, Any]]:
        """What guides, and what else an analysis is told of it."""
        observations, condition = self.sources.read((*reconstructor.codec.targets, *asked.functions))
        period = slice(*read_period(self.time)) if self.time else None
        return observations, {"condition": condition, "times": period, "withhold": self.withheld.chooser()}

    def opened(self) -> tuple[Any, Asked, Any, dict[str, Any]]:
        """On a worker: the run, what is asked of it, and the observations."""
        from driftfield.runs import find_run, load_reconstructor

        reconstructor: Any = load_reconstructor(find_run(self.run))
        use_sampler(reconstructor, self.sampler)
        asked = self.asked.checked(reconstructor)
        return reconstructor, asked, *self._observations(reconstructor, asked)


def _named(inflation: float | None, constants: Mapping[str, Any]) -> str:
    """The folder of an analysis among others."""
    word = json.dumps([inflation, constants], sort_keys=True, default=str)
    return hashlib.sha256(word.encode()).hexdigest()[:16]


def _is_gridded(path: Path) -> bool:
    from driftfield.gridded.gridded_files import open_raw

    if path.suffix == ".zarr":
        return True
    if path.suffix not in (".nc", ".nc4", ".cdf"):
        return False
    try:
        dims = [{str(dim).lower() for dim in array.dims} for array in open_raw(path).data_vars.values()]
    except UserError:
        return False  # the readers say what is wrong with it
    return any(names & {"lat", "latitude", "y"} and names & {"lon", "longitude", "x"} for names in dims)
