"""Every method on every setting, each pair computed once.

    key of a pair = hash of (observations, run, members, seed, version)        kept under runs/compare/NAME/SETTING/METHOD/

A second call finds all keys and computes nothing; a new method or setting adds its own pairs and leaves the others alone.
What a user can mend (`UserError`) becomes a note, so that one missing run does not cost the table; anything else ends the
comparison, and what was finished is kept.
"""

__all__ = ["run_comparison"]

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield import __version__
from driftfield.compare.pairs import PairPlace, Sharing, reconstruct_variants
from driftfield.compare.recipe import ComparedMethod, Comparison, Setting
from driftfield.compare.results import Entry, Results, SettingFacts
from driftfield.compare.runs import Contents, LearntFrom, fitted_run, is_calibrated, run_hash, write_visible
from driftfield.compare.settings import coarse_setting, content_hash, open_truth, setting_observations
from driftfield.compare.unpaired import as_quantiles
from driftfield.conventions import domain_of, held_out_of
from driftfield.data.pairing import Pair
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, FileFormatError, UserError, suggest
from driftfield.evaluate.alignment import everything_held_out, time_keys
from driftfield.evaluate.cells import level_slice
from driftfield.evaluate.evaluation import VariableScores, evaluate
from driftfield.evaluate.scores.score import field_scores
from driftfield.evaluate.spectra import resolved_wavelength, segment_spectra
from driftfield.evaluate.whole import StructureAsked
from driftfield.files import write_text
from driftfield.gridded.fingerprint import fingerprint
from driftfield.gridded.gridded_files import write_dataset
from driftfield.interfaces import Reconstructor
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.journal import UnfinishedError
from driftfield.runs import load_downscaler, load_reconstructor

log = logging.getLogger(__name__)


RAW = "raw"
"""What is added to the label of a calibrated method where its calibration is left out."""


def run_comparison(
    comparison: Comparison,
    *,
    members: int | None = None,
    only: Sequence[str] = (),
    runs: Path = Path("runs"),
    train: bool = False,
    afresh: bool = False,
    keep: bool = False,
    sharing: Sharing | None = None,
) -> Results:
    """Fits what is missing, reconstructs and scores what is not kept yet.

    Arguments:
        comparison: The recipe.
        members: In place of the recipe's.
        only: Labels of the methods to compare; all by default.
        runs: Where runs and the kept results lie.
        train: Train networks whose run is missing; else they are left out with a note.
        afresh: Fit peers and compute pairs again, though they are there; networks only with `train`.
        keep: Keep the reconstructions too (NetCDF), not only their scores.
        sharing: Who computes the pairs, and whether one that was begun goes on.

    Raises:
        UnfinishedError: a pair was begun as another one.
        ConfigurationError: a label that the recipe does not have.
        DataError: the truth, or what a setting asks of it, is not there.
    """
    chosen = _chosen(comparison, only)
    count = comparison.members if members is None else members
    archive = open_truth(comparison)
    tasks = {s.name: opened_setting(comparison, s, archive) for s in comparison.settings}
    facts = {name: _facts(task.scored, task.archive, comparison.targets) for name, task in tasks.items()}
    learnt = None
    if comparison.learn_from is not None:
        cells = facts[comparison.learn_from].observations
        write_visible(tasks[comparison.learn_from].scored, runs / f"{comparison.name}_visible.nc", cells)
        learnt = LearntFrom(cells, (str(comparison.data["archive"]), comparison.truth[0]))
    units = {name: str(archive.dataset[name].attrs.get("units", "1")) for name in comparison.targets}
    results = Results(comparison, count, facts, units, rows={}, notes=[])
    place = runs / "compare" / comparison.name
    bench = _Bench(comparison, archive, tasks, results, place, afresh, keep, sharing or Sharing())
    contents = Contents()
    for method in chosen:
        try:
            folder = fitted_run(method, learnt, train=train, afresh=afresh, contents=contents)
        except UserError as error:
            results.rows[method.label] = {}
            results.notes.append(f"{method.label}: {_one_line(error)}")
            continue
        bench.compare(method, folder)
    return results


@dataclass(frozen=True)
class _Task:
    """One setting, opened.

    Arguments:
        shown: What the methods see.
        scored: The observation file that says which cells are held out; the same, unless coarse fields are shown.
        archive: The truth.
        pair: Of coarse and fine fields, where coarse ones are shown.
    """

    shown: xr.Dataset
    scored: xr.Dataset
    archive: GriddedArchive
    pair: Pair | None = None

    @property
    def paired(self) -> bool:
        """Whether what is made has the dates of the truth."""
        return self.pair is None or self.pair.paired

    def structure(self, comparison: Comparison) -> StructureAsked | None:
        """What scores of whole fields are told, where the comparison shows any."""
        asked = [name for name in comparison.scores if name in field_scores()]
        if not asked:
            return None
        if self.pair is None or not self.paired:
            return StructureAsked(comparison.wet, only=asked)
        regridding = self.pair.regridding
        width = float(np.sqrt(np.median(regridding.coarse.area) / np.median(regridding.fine.area)))
        wet = {
            name: regridding.interpolate(regridding.fill_coarse(self.shown[name].values), "nearest") >= 0.1 * least
            for name, least in comparison.wet.items()
        }
        return StructureAsked(comparison.wet, width, wet, asked)


def opened_setting(comparison: Comparison, setting: Setting, archive: GriddedArchive) -> _Task:
    """What a setting shows and what it scores, a function of the recipe."""
    if setting.hides[0] == "coarse":
        opened = coarse_setting(comparison, setting, archive)
        return _Task(opened.shown, opened.scored, opened.archive, opened.pair)
    seen = setting_observations(comparison, setting, archive)
    return _Task(seen, seen, archive)


class _Bench:
    """Where methods are set before the same observations, one after the other."""

    def __init__(
        self,
        comparison: Comparison,
        archive: GriddedArchive,
        tasks: dict[str, _Task],
        results: Results,
        place: Path,
        afresh: bool,
        keep: bool,
        sharing: Sharing,
    ) -> None:
        self.sharing = sharing
        self.comparison, self.archive, self.tasks = comparison, archive, tasks
        self.results, self.place, self.afresh, self.keep = results, place, afresh, keep
        self.truth = fingerprint(archive)

    def compare(self, method: ComparedMethod, folder: Path) -> None:
        """Adds the rows of one method: one, or two where its run has a calibration."""
        run = run_hash(folder)
        loaded: Reconstructor | None = None
        load = load_downscaler if self.comparison.data.get("coarse") else load_reconstructor
        variants = (method.label, f"{method.label}, {RAW}") if is_calibrated(folder) else (method.label,)
        for label in variants:
            self.results.rows[label] = {}
        for setting in self.comparison.settings:
            key = self._key(setting, run)
            cached = {label: self._read(setting, label, key) for label in variants}
            if all(entry is not None for entry in cached.values()):
                self._take(setting, cached)
                continue
            try:
                loaded = load(folder) if loaded is None else loaded
                self._take(setting, self._compute(setting, method, loaded, variants, key, folder))
            except UnfinishedError:
                raise  # it is the command that has to be mended
            except UserError as error:
                self.results.notes.append(f"{method.label}, {setting.name}: {_one_line(error)}")

    def _take(self, setting: Setting, entries: Any) -> None:
        for label, entry in entries.items():
            self.results.rows[label][setting.name] = entry

    def _key(self, setting: Setting, run: str) -> str:
        made_of = self._made_of(setting, run) | {"segment_km": setting.segment_km}
        parts = list(made_of.values())
        if setting.hides[0] == "coarse":
            parts.append(content_hash(self.tasks[setting.name].shown))
        if asked := [name for name in self.comparison.scores if name in field_scores()]:
            parts.append(json.dumps([asked, self.comparison.wet]))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _made_of(self, setting: Setting, run: str) -> dict[str, Any]:
        """What the reconstruction of a pair depends on."""
        return {
            "version of driftfield": __version__,
            "scored observations": self.results.facts[setting.name].observations,
            "truth": self.truth,
            "run": run,
            "members of the table": self.results.members,
            "seed of the comparison": self.comparison.seed,
        }

    def _file(self, setting: Setting, label: str, key: str) -> Path:
        return self.place / _slug(setting.name) / _slug(label) / f"{key}.json"

    def _read(self, setting: Setting, label: str, key: str) -> Entry | None:
        path = self._file(setting, label, key)
        if self.afresh or not path.exists() or (self.keep and not path.with_suffix(".nc").exists()):
            return None
        try:
            return Entry(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise FileFormatError(f"{path} is damaged: {error}. Remove it to compute it again.") from error

    def _compute(
        self,
        setting: Setting,
        method: ComparedMethod,
        reconstructor: Reconstructor,
        variants: Sequence[str],
        key: str,
        folder: Path,
    ) -> dict[str, Entry]:
        seen = self.tasks[setting.name].shown
        members = self.results.members if reconstructor.abilities.spreads or setting.hides[0] != "coarse" else 1
        run, beside = run_hash(folder), self._file(setting, method.label, key).with_name("unfinished.zarr")
        place = PairPlace(beside, key, self._made_of(setting, run), setting.name, folder)
        draws, calibrated = Draws(members, self.comparison.seed), len(variants) > 1
        outputs, spent = reconstruct_variants(reconstructor, seen, draws, calibrated, place, self.sharing)
        seconds = round(spent, 2)
        log.info("%s, %s: %.1f s", method.label, setting.name, seconds)
        entries = {}
        for label, output in zip(variants, outputs, strict=True):
            scores, resolved, intervals = self._score(setting, label, output)
            entries[label] = Entry(
                observations=self.results.facts[setting.name].observations,
                run=run,
                members=max([int(output.sizes.get("member", 1)), 1]),
                seconds=seconds,
                scores=scores,
                resolved_km=resolved,
                intervals=intervals,
            )
            path = self._file(setting, label, key)
            if self.keep:
                write_dataset(output, path.with_suffix(".nc"), overwrite=True)
            write_text(path, json.dumps(asdict(entries[label]), indent=1, allow_nan=False) + "\n")
        place.remove()
        return entries

    def _score(
        self, setting: Setting, label: str, output: xr.Dataset
    ) -> tuple[VariableScores, dict[str, float | None], dict[str, dict[str, dict[str, float]]]]:
        task, targets = self.tasks[setting.name], self.comparison.targets
        seen, archive = task.scored, task.archive
        truth = archive.dataset[targets].sel(time=seen["time"])
        unnamed = output.drop_attrs(deep=False)
        if not task.paired:
            truth, unnamed = as_quantiles(truth, targets), as_quantiles(unnamed, targets)
            seen = everything_held_out(truth, {label: unnamed})
        structure = task.structure(self.comparison)
        evaluation = evaluate(truth, {label: unnamed}, seen, variables=targets, structure=structure)
        found, ends = evaluation.scores[label], evaluation.intervals.get(label, {}) if task.paired else {}
        resolved: dict[str, float | None] = {}
        for name in targets if setting.segment_km is not None else ():
            inside = level_slice(archive.domain(name).expand_dims("time"), 0).isel(time=0, drop=True)
            true, mean = level_slice(truth[name], 0), level_slice(output[name], 0)
            inside = inside & true.notnull().all("time")
            signal = level_slice(truth[name] - self._usual(name, seen["time"]), 0)
            parts = {"truth": signal, "error": mean.copy(data=mean.values - true.values)}
            curves = segment_spectra(parts, inside, length_km=float(setting.segment_km or 0))
            resolved[name] = resolved_wavelength(curves["error"], curves["truth"])
        intervals = {name: {score: asdict(end) for score, end in ends[name].items()} for name in ends}
        return {name: dict(found[name]) for name in targets}, resolved, intervals

    def _usual(self, name: str, scored: xr.DataArray) -> xr.DataArray | float:
        """The mean of all times of the truth that are not scored: knowing it is no skill, and it must not count as signal."""
        times = self.archive.times
        others = np.flatnonzero(~np.isin(time_keys(times), time_keys(scored)))
        return self.archive.dataset[name].isel(time=others).mean("time") if others.size else 0.0


def _chosen(comparison: Comparison, only: Sequence[str]) -> list[ComparedMethod]:
    labels = [method.label for method in comparison.methods]
    for label in only:
        if label not in labels:
            raise ConfigurationError(f"Unknown method {label!r} in --only: {suggest(label, labels)}")
    return [method for method in comparison.methods if not only or method.label in only]


def _facts(seen: xr.Dataset, archive: GriddedArchive, targets: Sequence[str]) -> SettingFacts:
    stamps = time_keys(seen["time"])
    held_out = {}
    for name in targets:
        hidden, domain = held_out_of(seen, name), domain_of(seen, name)
        assert hidden is not None and domain is not None  # noqa: PT018 - both were just written
        known = archive.dataset[name].sel(time=seen["time"]).notnull() & domain
        count = int((hidden & known).sum())
        held_out[name] = (count, count / max(int(known.sum()), 1))
    return SettingFacts(content_hash(seen), (stamps[0], stamps[-1], len(stamps)), held_out)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
