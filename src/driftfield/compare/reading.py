"""The recipe of a comparison: one YAML file per data set.

title, description, notes                       text for the page that is written
seed, members                                   of observations and fits; size of the ensembles
scores: [rmse, crps, p99]                       registered scores of the page; rmse, crps, spread_skill, coverage_90 if not given
wet: {variable: value}                          from which value on it is wet, for scores of rain
data:      as in a training recipe              what the methods learn from
truth:     {archive, times: [first, last]}      what they are scored on; the test part of `data.split` if not given
learn_from: SETTING                             learn from what this setting shows instead of from the truth
settings:  {name: {observe | reference_mask | held_out | transplant | split | coarse, error, times, every, some, segment_km,
                   north_first, reference}}
methods:   {label: {class: ..., arguments}      fitted with `data`; `trainer` where weights are trained, `data` to change it
            label: {recipe: FILE, set: {...}}   fitted as a training recipe says, beside this file; `set` replaces values of it,
                                                such as {trainer.initial: FOLDER}
            label: {run: FOLDER}}               fitted already; shipped:NAME comes with the package, hub:REPO from a hub
model:     LABEL                                set against the best of the others
"""

__all__ = ["read_comparison"]

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from driftfield.compare.recipe import COMPARED, RESOLVED, ComparedMethod, Comparison, Setting
from driftfield.data.masks import parse_pattern
from driftfield.errors import ConfigurationError, suggest, whole_number
from driftfield.evaluate.scores.score import all_scores
from driftfield.recipe import Recipe, as_recipe, expanded, read_recipe, read_yaml
from driftfield.registry import build

_TEXT = ("driftfield_format", "title", "description", "notes")


_TOP = (*_TEXT, "seed", "members", "scores", "wet", "data", "truth", "learn_from", "settings", "methods", "model")


_HIDES = ("observe", "reference_mask", "held_out", "transplant", "split", "coarse")


_SETTING = (*_HIDES, "error", "times", "every", "some", "segment_km", "north_first", "reference")


def read_comparison(path: Path, overrides: Sequence[str] = (), *, runs: Path = Path("runs")) -> Comparison:
    """Reads and checks the recipe of a comparison; all classes and patterns that it names are built once.

    Arguments:
        path: The YAML file.
        overrides: "a.b=value" each.
        runs: Where runs are kept whose folder the recipe does not name.

    Raises:
        FileFormatError: the file cannot be read as YAML.
        ConfigurationError: a key, class, pattern or label that does not exist, or a section that is missing.
    """
    path = Path(path)
    content = read_yaml(path, overrides)
    _check_keys(content, _TOP, "at the top", path)
    for section in ("settings", "methods", "data"):
        if not isinstance(content.get(section), Mapping) or not content[section]:
            raise ConfigurationError(f"{path} lacks the section {section!r}: expected a mapping. Add it.")
    name = path.stem
    # checks the data section as a training recipe does
    shared = as_recipe(_training(content, content["data"], {"class": "-"}, {}), path)
    _check_coarse(content, path)
    settings = tuple(_setting(str(label), spec, path) for label, spec in content["settings"].items())
    learn_from = content.get("learn_from")
    if learn_from is not None and learn_from not in content["settings"]:
        raise ConfigurationError(
            f"learn_from in {path} is {learn_from!r}: {suggest(str(learn_from), content['settings'])}"
        )
    archive = None if learn_from is None else str(runs / f"{name}_visible.nc")
    methods = tuple(
        _method(str(label), spec, content, path, runs / f"{name}_{label}", archive)
        for label, spec in content["methods"].items()
    )
    model = content.get("model")
    if model is not None and model not in content["methods"]:
        raise ConfigurationError(f"model in {path} is {model!r}: {suggest(str(model), content['methods'])}")
    return Comparison(
        name=name,
        title=str(content.get("title", name)),
        description=str(content.get("description", "")).strip(),
        notes=tuple(map(str, content.get("notes") or ())),
        seed=shared.seed,
        members=_whole(content.get("members", 16), "members", path),
        data=shared.data,
        truth=_truth(content, shared.data, path),
        learn_from=learn_from,
        settings=settings,
        methods=methods,
        model=model,
        scores=_scores(content.get("scores"), path),
        wet=_wet(content.get("wet") or {}, shared.data["targets"], path),
    )


def _scores(names: Any, path: Path) -> tuple[str, ...]:
    if names is None:
        return COMPARED
    if not isinstance(names, list) or not names:
        raise ConfigurationError(f"scores in {path} is {names!r}: expected a list such as [rmse, crps].")
    for name in names:
        if name not in all_scores():
            raise ConfigurationError(f"Unknown score {name!r} in {path}: {suggest(str(name), all_scores())}")
    return tuple(names)


def _wet(wet: Any, targets: Sequence[str], path: Path) -> dict[str, float]:
    if not isinstance(wet, Mapping) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in wet.values()):
        raise ConfigurationError(f"wet in {path} is {wet!r}: expected {{variable: value}}, such as {{pr: 1.0}}.")
    for name in wet:
        if name not in targets:
            raise ConfigurationError(f"wet in {path} names {name!r}, which is no target: {suggest(str(name), targets)}")
    return {str(name): float(value) for name, value in wet.items()}


def _truth(content: Mapping[str, Any], data: Mapping[str, Any], path: Path) -> tuple[str, tuple[Any, Any] | None]:
    truth = content.get("truth") or {}
    if not isinstance(truth, Mapping):
        raise ConfigurationError(f"'truth' in {path} is {truth!r}: expected {{archive: FILE, times: [first, last]}}.")
    _check_keys(truth, ("archive", "times"), "under 'truth'", path)
    if data.get("sections"):
        raise ConfigurationError(
            f"{path} names data.sections, and a comparison scores on one grid: expected an archive alone. Train on the "
            "sections, move the run with `driftfield transfer`, and compare it as {run: FOLDER}."
        )
    archive = expanded(truth.get("archive", data["archive"]), "truth.archive")
    times = truth.get("times")
    if times is None and "archive" not in truth and content.get("learn_from") is None:
        times = (data.get("split") or {}).get("test")
        if not times and not all(_own_fields(spec) for spec in content["settings"].values()):
            raise ConfigurationError(
                f"{path} does not say what is scored: give data.split.test (a share, or [first, last]) or truth.times."
            )
        times = times if isinstance(times, list) else None
    return archive, _period(times, "truth.times", path)


def _own_fields(spec: Any) -> bool:
    """Whether a setting of a downscaling comparison has fields of its own to score."""
    coarse = spec.get("coarse") if isinstance(spec, Mapping) else None
    return isinstance(coarse, Mapping) and bool({"archive", "region"} & set(coarse))


def _setting(name: str, spec: Any, path: Path) -> Setting:
    where = f"under settings.{name}"
    if not isinstance(spec, Mapping):
        raise ConfigurationError(
            f"The setting {name!r} in {path} is {spec!r}: expected a mapping with one of {_HIDES}."
        )
    _check_keys(spec, _SETTING, where, path)
    how = [key for key in _HIDES if key in spec]
    if len(how) != 1:
        raise ConfigurationError(
            f"The setting {name!r} in {path} has {how or 'none'} of {_HIDES}: expected exactly one."
        )
    value = _hiding(how[0], expanded(spec[how[0]], f"settings.{name}.{how[0]}"), name, path)
    reference = spec.get("reference") or {}
    for label, figures in reference.items():
        _check_keys(figures, (*all_scores(), RESOLVED), f"{where}.reference.{label}", path)
    segment = spec.get("segment_km")
    if segment is not None and not (isinstance(segment, int | float) and segment > 0):
        raise ConfigurationError(f"settings.{name}.segment_km in {path} is {segment!r}: expected kilometres.")
    return Setting(
        name=name,
        hides=(how[0], value),
        error=_standard_deviations(spec.get("error", 0.0), name, path),
        times=_period(spec.get("times"), f"settings.{name}.times", path),
        every=_whole(spec.get("every", 1), f"settings.{name}.every", path),
        some=None if spec.get("some") is None else _whole(spec["some"], f"settings.{name}.some", path),
        segment_km=segment,
        north_first=bool(spec.get("north_first", False)),
        reference={str(label): dict(figures) for label, figures in reference.items()},
    )


def _hiding(how: str, value: Any, name: str, path: Path) -> Any:
    """What a setting hides, checked."""
    where = f"settings.{name}.{how} in {path} is {value!r}"
    if how == "observe":
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{where}: expected {{variable: pattern}}.")
        for pattern in value.values():
            parse_pattern(str(pattern))
    elif how == "reference_mask":
        kind, _, share = str(value).partition(":")
        if kind not in ("random", "clouds") or not re.fullmatch(r"0?\.\d+", share):
            raise ConfigurationError(f"{where}: expected random:SHARE or clouds:SHARE, below 1.")
    elif how == "coarse":
        if value is not True:
            _check_keys(value, ("archive", "coarse", "region"), f"under settings.{name}.coarse", path)
    elif how == "split" and value not in ("test", "validation"):
        raise ConfigurationError(f"{where}: expected test or validation.")
    elif how == "transplant":
        value = dict(value or {})
        _check_keys(value, ("lag", "most", "cloud"), f"under settings.{name}.transplant", path)
    return value


def _standard_deviations(error: Any, name: str, path: Path) -> Any:
    for number in error.values() if isinstance(error, Mapping) else (error,):
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < float("inf"):
            raise ConfigurationError(
                f"settings.{name}.error in {path} is {error!r}: expected a standard deviation, or one per variable."
            )
    return error


def _method(
    label: str, spec: Any, content: Mapping[str, Any], path: Path, run: Path, archive: str | None
) -> ComparedMethod:
    forms = "{class: ...}, {recipe: FILE} or {run: FOLDER}"
    if not re.fullmatch(r"[\w .+-]+", label) or not isinstance(spec, Mapping):
        raise ConfigurationError(f"The method {label!r} in {path} is {spec!r}: expected {forms}, and a plain label.")
    rest = {key: value for key, value in spec.items() if key not in ("run", "recipe", "set", "trainer", "data")}
    folder = str(spec.get("run", str(run).replace(" ", "_")))
    source = Path(f"{path}, methods.{label}")
    if "recipe" in spec:
        if rest or "trainer" in spec or "data" in spec:
            raise ConfigurationError(
                f"The method {label!r} in {path} names a recipe: expected nothing but 'run' and 'set' beside it."
            )
        replaced = spec.get("set") or {}
        if not isinstance(replaced, Mapping):
            raise ConfigurationError(
                f"'set' of the method {label!r} in {path} is {replaced!r}: expected {{key.of.the.recipe: value}}."
            )
        overrides = [f"{key}={json.dumps(value)}" for key, value in replaced.items()]
        recipe = read_recipe(path.parent / str(spec["recipe"]), overrides)
        _check_same_task(recipe, content, source)
    elif "set" in spec:
        raise ConfigurationError(
            f"The method {label!r} in {path} has 'set' and no recipe: write the values themselves."
        )
    elif "class" in spec:
        data = {**content["data"], **(spec.get("data") or {})}
        recipe = as_recipe(_training(content, data, rest, spec.get("trainer") or {}), source)
    elif "run" in spec and not rest:
        return ComparedMethod(label, folder)
    else:
        raise ConfigurationError(f"The method {label!r} in {path} is {dict(spec)!r}: expected {forms}.")
    if archive is not None:
        overridden = {**recipe.content, "data": {**recipe.content["data"], "archive": archive}}
        recipe = as_recipe(overridden, source)
    built = build(*recipe.learner)
    if built.abilities.needs_training != bool(recipe.trainer):
        need = "needs a 'trainer'" if not recipe.trainer else "is fitted at once: leave out 'trainer'"
        raise ConfigurationError(f"The method {label!r} in {path}: {type(built).__name__} {need}.")
    return ComparedMethod(label, folder, recipe)


def _training(
    content: Mapping[str, Any], data: Any, reconstructor: Mapping[str, Any], trainer: Mapping[str, Any]
) -> dict[str, Any]:
    """A training recipe as a file of its own would hold it."""
    made: dict[str, Any] = {key: content[key] for key in ("driftfield_format", "seed") if key in content}
    made |= {"data": data, "downscaler" if (data or {}).get("coarse") else "reconstructor": dict(reconstructor)}
    return made | ({"trainer": dict(trainer)} if trainer else {})


def _check_coarse(content: Mapping[str, Any], path: Path) -> None:
    """Either every setting shows coarse fields, or none does."""
    coarse = bool(content["data"].get("coarse"))
    for name, spec in content["settings"].items():
        if isinstance(spec, Mapping) and ("coarse" in spec) != coarse:
            raise ConfigurationError(
                f"settings.{name} in {path} {'hides cells' if coarse else 'shows coarse fields'}, and data.coarse is "
                f"{'there' if coarse else 'not'}: expected 'coarse: true' in every setting and data.coarse, or neither."
            )
        for key in ("every", "some"):
            if isinstance(spec, Mapping) and key in spec and not coarse:
                raise ConfigurationError(f"settings.{name}.{key} in {path} is for coarse fields. Leave it out.")
    if coarse and content.get("learn_from"):
        raise ConfigurationError(
            f"{path} has data.coarse and learn_from: downscalers learn from the archive. Leave it out."
        )


def _check_same_task(recipe: Recipe, content: Mapping[str, Any], source: Path) -> None:
    """A method may not have learnt from what the others are tested on."""
    for key in ("targets",) if content.get("learn_from") else ("archive", "targets", "split"):
        method_value, shared = recipe.content["data"].get(key), content["data"].get(key)
        if method_value != shared:
            raise ConfigurationError(
                f"data.{key} in the recipe of {source} is {method_value!r}: expected {shared!r}, as for all."
            )


def _period(value: Any, where: str, path: Path) -> tuple[Any, Any] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigurationError(f"{where} in {path} is {value!r}: expected [first, last] dates.")
    return value[0], value[1]


def _whole(value: Any, where: str, path: Path) -> int:
    return whole_number(f"{where} in {path}", value)


def _check_keys(spec: Any, allowed: Sequence[str], where: str, path: Path) -> None:
    if not isinstance(spec, Mapping):
        raise ConfigurationError(f"Found {spec!r} {where} of {path}: expected a mapping with keys {tuple(allowed)}.")
    for key in spec:
        if key not in allowed:
            raise ConfigurationError(f"Unknown key {key!r} {where} of {path}: {suggest(str(key), allowed)}")
