"""A recipe is one YAML file: what to learn from, which reconstructor, how to train it.

    driftfield_format: 1
    seed: 0
    data:           {archive, targets, covariates, split, windows, levels, region, time, domain,
                    quality_level, reject_flags, vector_pairs, bounds, coarse, statics, sections}
    reconstructor:  {class: ..., arguments of its constructor}    or   emulator: {...}     for what steps in time
                                                                  or   downscaler: {...}   from coarse to fine fields
    trainer:        {class: LightningTrainer, arguments}          only where weights are trained

`$NAME` and `${NAME}` in paths are environment variables. `--set data.archive=x.nc` replaces one value. An unknown key is an
error that suggests the nearest one.
"""

__all__ = [
    "DataSection",
    "Recipe",
    "as_recipe",
    "expanded",
    "headline_of",
    "read_recipe",
    "read_yaml",
    "shipped_recipes",
]

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any, Required, TypedDict

import yaml

from driftfield.conventions import FORMAT
from driftfield.errors import ConfigurationError, FileFormatError, suggest
from driftfield.plain import Spec

_KEYS = {
    "": (
        "driftfield_format",
        "description",
        "seed",
        "data",
        "reconstructor",
        "emulator",
        "downscaler",
        "trainer",
        "reconstruction",
    ),
    "data": (
        "archive",
        "targets",
        "covariates",
        "split",
        "windows",
        "levels",
        "region",
        "time",
        "domain",
        "quality_level",
        "reject_flags",
        "vector_pairs",
        "bounds",
        "coarse",
        "statics",
        "sections",
    ),
    "reconstruction": ("smooth",),
    "data.windows": ("size", "stride", "max_nodata_fraction", "holding"),
}


LARGEST = 2**20
"""Bytes of a recipe, and parts of it once references (`&name`, `*name`) are written out."""


class DataSection(TypedDict, total=False):
    """The section `data`: the arguments of `driftfield.data.prepare`, which says what each means."""

    archive: Required[str]
    targets: Required[Sequence[str]]
    covariates: Sequence[str]
    split: Spec
    windows: Mapping[str, Any]
    levels: Sequence[float]
    region: Mapping[str, Any]
    time: tuple[Any, Any]
    domain: str
    vector_pairs: Sequence[Sequence[str]]
    bounds: Mapping[str, Mapping[str, float]]
    coarse: Mapping[str, Any]
    statics: Mapping[str, Any]
    sections: Sequence[str]


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Arguments:
        seed: Of everything random in the training.
        data: Arguments of `driftfield.data.prepare`.
        reconstructor: Class and arguments, empty where an emulator is trained.
        trainer: Class and arguments, empty where nothing is trained.
        content: The whole recipe as it was resolved, for the run folder.
        emulator: Class and arguments, empty where a reconstructor is fitted.
        downscaler: Class and arguments, empty where something else is fitted.
    """

    seed: int
    data: DataSection
    reconstructor: Spec
    trainer: Spec
    content: Mapping[str, Any] = field(repr=False, default_factory=dict)
    emulator: Spec = field(default_factory=dict)
    downscaler: Spec = field(default_factory=dict)

    @property
    def learner(self) -> tuple[str, Spec]:
        """What is fitted: its family, and class and arguments."""
        kinds: dict[str, Spec] = {
            "emulator": self.emulator,
            "downscaler": self.downscaler,
            "reconstructor": self.reconstructor,
        }
        return next(((kind, spec) for kind, spec in kinds.items() if spec), ("reconstructor", {}))

    @property
    def hash(self) -> str:
        """Of the resolved recipe: equal recipes have equal hashes."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads, overrides and checks a recipe.

    Arguments:
        path: The YAML file.
        overrides: "a.b=value" each; the value is YAML.

    Raises:
        FileFormatError: the file cannot be read as YAML.
        ConfigurationError: a key that does not exist, a section that is missing, a value of the wrong kind.
    """
    return as_recipe(read_yaml(path, overrides), path)


def read_yaml(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The mapping that a YAML file holds, with values replaced.

    Arguments:
        path: The YAML file.
        overrides: "a.b=value" each; the value is YAML.

    Raises:
        FileFormatError: the file cannot be read as YAML, or holds no mapping.
        ConfigurationError: an override that cannot be read.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise FileFormatError(f"Cannot read the recipe {path}: it is no file. Name a YAML file.")
        if Path(path).stat().st_size > LARGEST:
            raise FileFormatError(
                f"The recipe {path} is larger than {LARGEST} bytes: expected a few kilobytes of YAML."
            )
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        if _expanded_size(content, {}) > LARGEST:
            raise FileFormatError(
                f"The recipe {path} refers to its own parts over and over and would fill the memory: expected a few "
                "kilobytes of YAML. Write it out."
            )
    except OSError as error:
        raise FileFormatError(f"Cannot read the recipe {path}: {error.strerror}. Name a YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise FileFormatError(f"{path} is not valid YAML: {place}. Correct the file.") from error
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} holds no mapping, found {type(content).__name__}. A recipe starts with 'data:'.")
    for override in overrides:
        _override(content, override)
    return content


def _expanded_size(part: Any, known: dict[int, int]) -> int:
    """Parts of a YAML document, those that are referred to counted wherever they are."""
    if not isinstance(part, dict | list):
        return 1
    if id(part) not in known:
        known[id(part)] = LARGEST + 1  # a part that holds itself
        inner = part.values() if isinstance(part, dict) else part
        known[id(part)] = 1 + sum(_expanded_size(one, known) for one in inner)
    return known[id(part)]


def as_recipe(content: dict[str, Any], source: Path) -> Recipe:
    """Checks the content of a recipe and puts environment variables in.

    Arguments:
        content: What a recipe file holds.
        source: The file, for messages.

    Raises:
        ConfigurationError: a key that does not exist, a section that is missing, a value of the wrong kind.
    """
    _check(content, source)
    return Recipe(
        seed=content.get("seed", 0),
        data=expanded(content["data"], "data"),
        reconstructor=expanded(content.get("reconstructor") or {}, "reconstructor"),
        trainer=dict(content.get("trainer") or {}),
        content=content,
        emulator=expanded(content.get("emulator") or {}, "emulator"),
        downscaler=expanded(content.get("downscaler") or {}, "downscaler"),
    )


def _override(content: dict[str, Any], text: str) -> None:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigurationError(f"Cannot read --set {text!r}: expected key.of.the.recipe=value.")
    *parents, last = path.split(".")
    section = content
    for key in parents:
        if section.get(key) is None:
            section[key] = {}
        section = section[key]
        if not isinstance(section, dict):
            raise ConfigurationError(f"Cannot set {path!r}: {key!r} is not a section of the recipe.")
    try:
        section[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"Cannot read the value of --set {text!r} as YAML. Quote it.") from error


def _check(content: Mapping[str, Any], path: Path) -> None:
    version = content.get("driftfield_format", FORMAT)
    if version != FORMAT:
        raise ConfigurationError(f"{path} has driftfield_format {version!r}: this version reads {FORMAT}.")
    for section, allowed in _KEYS.items():
        part: Any = content
        for key in filter(None, section.split(".")):
            part = (part or {}).get(key)
        if part is None:
            continue
        if not isinstance(part, Mapping):
            raise ConfigurationError(f"'{section}' in {path} is {part!r}: expected a mapping with keys {allowed}.")
        for key in part:
            if key not in allowed:
                where = f"under '{section}'" if section else "at the top"
                raise ConfigurationError(f"Unknown key {key!r} {where} of {path}: {suggest(str(key), allowed)}")
    learners = [key for key in ("reconstructor", "emulator", "downscaler") if content.get(key) is not None]
    if len(learners) > 1:
        raise ConfigurationError(
            f"{path} has a {learners[0]!r} and a {learners[1]!r}: a recipe trains one. Leave one out."
        )
    learner = learners[0] if learners else "reconstructor"
    for section, needed in (("", "data"), ("", learner), ("data", "archive"), ("data", "targets")):
        if (content[section] if section else content).get(needed) is None:
            raise ConfigurationError(f"{path} lacks {needed!r}{f' under {section!r}' if section else ''}. Add it.")
    _check_kinds(content["data"], path)
    _check_smoothing(content, path)
    for section in ("reconstructor", "emulator", "downscaler", "trainer"):
        if not isinstance(content.get(section) or {}, Mapping):
            raise ConfigurationError(f"{section!r} in {path} must be a mapping with the key 'class'.")
    if type(content.get("seed", 0)) is not int or content.get("seed", 0) < 0:
        raise ConfigurationError(f"seed is {content['seed']!r} in {path}: expected a whole number, 0 or more.")


def _check_smoothing(content: Mapping[str, Any], path: Path) -> None:
    stated = content.get("reconstruction") or {}
    smooth = stated.get("smooth", 0)
    if isinstance(smooth, bool) or not isinstance(smooth, int | float) or not 0 <= smooth < float("inf"):
        raise ConfigurationError(
            f"reconstruction.smooth is {smooth!r} in {path}: expected a number of cells, 0 or more."
        )
    for key, why in (("emulator", "completes nothing"), ("downscaler", "smooths nothing")):
        if stated and content.get(key) is not None:
            raise ConfigurationError(f"{path} has 'reconstruction' and the {key!r}, which {why}. Leave it out.")


def _check_kinds(data: Mapping[str, Any], path: Path) -> None:
    """Values of `data` that are lists in YAML: `targets: sst` would otherwise be the variables s, s and t."""
    for key, kind, form in (
        ("targets", str, "[thetao]"),
        ("covariates", str, "[sst]"),
        ("levels", int | float, "[5, 100, 500]"),
        ("time", None, "[2010-01, 2015-12]"),
        ("reject_flags", str, "[ice, sun_glint]"),
        ("sections", str, "[west.nc, south.nc]"),
        ("vector_pairs", None, "[[uo, vo]]"),
    ):
        value = data.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not (kind is None or all(isinstance(item, kind) for item in value)):
            raise ConfigurationError(f"data.{key} is {value!r} in {path}: expected a list such as {form}.")
    if not data["targets"]:
        raise ConfigurationError(f"data.targets is empty in {path}: expected a list such as [thetao].")
    for pair in data.get("vector_pairs") or ():
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(item, str) for item in pair):
            raise ConfigurationError(f"data.vector_pairs holds {pair!r} in {path}: expected pairs such as [uo, vo].")
    share = (data.get("windows") or {}).get("max_nodata_fraction", 0.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ConfigurationError(f"data.windows.max_nodata_fraction is {share!r} in {path}: expected 0 to 1.")
    for key in ("archive", "domain"):
        value = data.get(key) or ""
        paths = value if isinstance(value, list) and key == "archive" else [value]
        if not all(isinstance(item, str) for item in paths):
            raise ConfigurationError(f"data.{key} is {data[key]!r} in {path}: expected a path.")
    for key in ("split", "region", "bounds", "coarse", "statics"):
        if not isinstance(data.get(key) or {}, Mapping):
            raise ConfigurationError(f"data.{key} is {data[key]!r} in {path}: expected a mapping.")
    for axis, limits in (data.get("region") or {}).items():
        if (
            not isinstance(limits, list)
            or len(limits) != 2
            or not all(isinstance(item, int | float) for item in limits)
        ):
            raise ConfigurationError(f"data.region.{axis} is {limits!r} in {path}: expected degrees such as [30, 45].")


def expanded(value: Any, where: str) -> Any:
    """The same with environment variables put in; one that is not set is an error."""
    if isinstance(value, Mapping):
        return {key: expanded(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list):
        return [expanded(part, where) for part in value]
    if isinstance(value, str) and "$" in value:
        filled = os.path.expandvars(value)
        if "$" in filled:
            raise ConfigurationError(
                f"{where} is {value!r}, but that environment variable is not set. Export it, or use --set {where}=PATH."
            )
        return filled
    return value


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package: their files by their names, such as `ocean_oi` and `compare/ersst`."""
    folder = Path(str(files("driftfield"))) / "recipes"
    return {str(path.relative_to(folder).with_suffix("").as_posix()): path for path in sorted(folder.rglob("*.yaml"))}


def headline_of(path: Path) -> str:
    """The first sentence of the comment that a recipe begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
    return re.split(r"(?<=\.)\s", comment, maxsplit=1)[0].rstrip(".")
