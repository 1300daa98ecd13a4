"""Pages of the site that are made, not written: recipes, commands, gallery, and the pages of the repository's root.

    registry, commands, docs/gallery/*.py, ARCHITECTURE.md ...  ->  docs/generated/*.md

Sphinx calls `write_all` before it reads anything; nothing here needs Sphinx, so that the tests can look at the pages.
"""

import ast
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"

NEEDS_A_RUN = {"lorenz96_climate"}
"""Scripts that first want a model trained: their figures are committed, and not drawn with the site."""

KINDS = {
    "reconstructor": "Methods that complete fields (`reconstructor:`)",
    "downscaler": "Methods that make fine fields from coarse ones (`downscaler:`)",
    "emulator": "Models of a time step (`emulator:`)",
    "network": "Networks",
    "schedule": "Schedules of the noise",
    "noise": "Colours of the noise (`diffusion.noise`)",
    "noise_levels": "Noise levels of training",
    "parameterization": "What the network predicts",
    "weighting": "Weights of the loss",
    "sampler": "Samplers",
    "guidance": "Guidance by observations (`--method`)",
    "normalizer": "Normalisers",
    "split": "Splits into training, validation and test",
    "observing": "What an observing system sees",
    "augmentation": "Augmentations",
    "trainer": "Trainers",
    "learning_rate": "Learning rates",
    "ema": "Averages of the weights",
    "callback": "Things to do while training",
    "logger": "Training logs",
    "dynamics": "Equations of a time step",
    "function": "Functions of variables that are observed (`--function`)",
    "pattern": "Patterns of gaps (`--observe`)",
    "score": "Scores",
    "point_reader": "Files of profiles, tracks and tables",
}
ROOT_PAGES = {
    "ARCHITECTURE.md": "architecture",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "benchmarks/README.md": "benchmarks",
}


def write_all() -> None:
    """Writes every generated page that has changed."""
    pages = {
        "recipes.md": recipes(),
        "commands.md": commands(),
        "models.md": models(),
        **gallery(),
        **tutorials(),
        **root_pages(),
    }
    for folder in ("gallery", "tutorials"):
        (GENERATED / folder).mkdir(parents=True, exist_ok=True)
    for stale in set(GENERATED.rglob("*.md")) - {GENERATED / name for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def recipes() -> str:
    """Every class that a recipe may name, with its arguments, their defaults and what they mean; and the shipped recipes."""
    from driftfield.recipe import headline_of, shipped_recipes
    from driftfield.registry import ROOMS, members

    lines = [
        "# Recipes: every class and its arguments",
        "",
        "Made from the registry. The constructor is the configuration: `{class: HeunSampler, evaluations: 63}` names a class of",
        "this page and some of its arguments; how the parts of a recipe fit together is in the [user guide](../user-guide.md).",
        "",
        "## Recipes that come with the package",
        "",
        "`driftfield recipes NAME` copies one.",
        "",
        "| recipe | what it is |",
        "|---|---|",
        *(f"| `{name}` | {_cell(headline_of(path))} |" for name, path in shipped_recipes().items()),
    ]
    for kind in sorted(ROOMS, key=[*KINDS, *ROOMS].index):
        lines += ["", f"## {title_of(kind)}"]
        for name, member in sorted(members(kind).items()):
            lines += ["", f"### `{name}`", "", *_member(member)]
    return "\n".join(lines) + "\n"


def title_of(kind: str) -> str:
    """What a kind is called on the page."""
    return KINDS.get(kind, f"{kind.replace('_', ' ').capitalize()} (`{kind}:`)")


def _member(member: Any) -> Iterator[str]:
    if not (inspect.isclass(member) or inspect.isfunction(member)):
        yield from (_summary(inspect.getdoc(type(member)) or ""), "")
        yield from _fields_of(member)
        return
    yield _summary(inspect.getdoc(member) or inspect.getdoc(inspect.getmodule(member)) or "")
    parameters = _parameters(member)
    if not parameters:
        return
    meanings = meanings_of(member)
    yield from ("", "| argument | default | meaning |", "|---|---|---|")
    for name, parameter in parameters.items():
        default = "required" if parameter.default is parameter.empty else f"`{_cell(_shown(parameter.default))}`"
        yield f"| `{name}` | {default} | {_cell(meanings.get(name, ''))} |"


def _fields_of(member: Any) -> Iterator[str]:
    """Of a registered object: what its fields of text say."""
    for name, value in sorted(vars(member).items()):
        if isinstance(value, str | int | float) and not name.startswith("_"):
            yield f"* {name}: {_cell(str(value))}"


def _parameters(member: Any) -> dict[str, inspect.Parameter]:
    from driftfield.registry import parameters_of

    if not inspect.isclass(member):
        return {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: p for name, p in parameters_of(member).items() if p.kind not in variadic}


def meanings_of(member: Any) -> dict[str, str]:
    """The text of every argument, from the docstring of the class, of its constructor, or of the classes above."""
    meanings: dict[str, str] = {}
    for owner in member.__mro__:
        for doc in (owner.__doc__, vars(owner).get("__init__") and owner.__init__.__doc__):
            for name, text in arguments_in(inspect.cleandoc(doc or "")).items():
                meanings.setdefault(name, text)
    return meanings


def arguments_in(doc: str) -> dict[str, str]:
    """`name: text` of the section Arguments, names that share a line apart."""
    section = re.search(r"^(?:Arguments|Attributes):\n((?:[ ]{4}.*\n|\n)+)", doc + "\n", re.MULTILINE)
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else []:
        head = re.match(r"^ {4}([a-z_]\w*(?:, [a-z_]\w*)*): (.*)", line)
        if head:
            names = head[1].split(", ")
            texts |= dict.fromkeys(names, head[2])
        elif line.startswith(" " * 8):
            for name in names:
                texts[name] += f" {line.strip()}"
    return texts


def _summary(doc: str) -> str:
    """What stands before the first section."""
    text = re.split(r"^(?:Arguments|Attributes|Returns|Raises|Yields):", doc, maxsplit=1, flags=re.MULTILINE)[
        0
    ].rstrip()
    # indented lines are equations and pictures
    return re.sub(r"((?:^ {4}.*\n?)+)", lambda block: f"```text\n{inspect.cleandoc(block[1])}\n```\n", text, flags=re.M)


def _shown(value: object) -> str:
    return getattr(value, "__name__", None) or repr(value)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def commands() -> str:
    """What `driftfield COMMAND --help` says, of every command, by what it is for."""
    import typer

    from driftfield.cli import app
    from driftfield.cli.shared import Job

    root: Any = typer.main.get_command(app)
    lines = ["# Commands", "", "Made from the commands themselves; `driftfield COMMAND --help` says the same."]
    for job in Job:
        lines += ["", f"## {job.value}"]
        for name, command in root.commands.items():
            if getattr(command, "rich_help_panel", None) == job:
                for words, leaf in _leaves(f"driftfield {name}", command):
                    lines += ["", f"### `{words}`", "", *_command(leaf)]
    return "\n".join(lines) + "\n"


def _leaves(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    """A command, or those below it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
        return
    for name, leaf in below.items():
        yield from _leaves(f"{words} {name}", leaf)


def _command(command: Any) -> Iterator[str]:
    text = inspect.cleandoc(command.help or "")
    text, _, example = text.partition("Example: ")
    yield text.strip()
    if example:
        yield from ("", "```sh", " ".join(example.split()), "```")
    yield from ("", "| argument or option | default | meaning |", "|---|---|---|")
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{(parameter.metavar or parameter.name).upper()}`"
        default = "required" if parameter.required else "" if parameter.default is None else f"`{parameter.default}`"
        yield f"| {names} | {_cell(default)} | {_cell(getattr(parameter, 'help', None) or '')} |"


def models() -> str:
    """A card for every run that comes with the package, and how they were made."""
    from driftfield.checkpoint import read_run
    from driftfield.reconstruction.description import describe
    from driftfield.runs import shipped_runs

    lines = [
        "# Runs that come with the package",
        "",
        "Made from the runs themselves; `driftfield models` lists them, and those fetched from a hub, and",
        "`driftfield inspect shipped:NAME` says the same as here. Weights are Apache-2.0, as the package, and were",
        "learnt from simulated fields alone.",
    ]
    for name, folder in shipped_runs().items():
        first, *more = describe(read_run(folder), f"shipped:{name}").splitlines()
        lines += ["", f"## `shipped:{name}`", "", f"{first.partition(' is a run: ')[2]}.", ""]
        job = next((line.removeprefix("next: ") for line in more if line.startswith("next: ")), "")
        lines += [f"* {line}" for line in more if not line.startswith("next: ")]
        lines += ["", "```sh", job, "```"] if job else []
    source = ROOT / "src" / "driftfield" / "shipped" / "README.md"
    made = source.read_text(encoding="utf-8").partition("\n")[2]
    made = made.replace("docs/models/anyfield.md", "[its own card](../models/anyfield.md)")
    return "\n".join(lines) + f"\n\n## How they were made\n{made}"


def gallery() -> dict[str, str]:
    """A page for each script: what it shows, its figure, and itself; and one with all figures, small."""
    pages = {"gallery.md": contact_sheet()}
    for script in sorted((DOCS / "gallery").glob("*.py")):
        doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        title, _, text = doc.partition("\n")
        text = re.sub(
            r"((?:^ {4}.*\n?)+)", lambda block: f"```sh\n{inspect.cleandoc(block[1])}\n```\n", text, flags=re.M
        )
        where = figure_of(script.stem)
        shown = f"![{script.stem}]({os.path.relpath(where, GENERATED / 'gallery')})" if where else UNDRAWN
        pages[f"gallery/{script.stem}.md"] = (
            f"# {title.rstrip('.')}\n{text}\n\n{shown}\n\n"
            f"```{{literalinclude}} ../../gallery/{script.name}\n:language: python\n```\n"
        )
    return pages


def tutorials() -> dict[str, str]:
    """A page and a notebook for each tutorial: as they were run, or unrun where they never were."""
    from notebooks import Tutorial

    pages = {}
    for script in sorted((DOCS / "tutorials").glob("*.py")):
        for suffix in ("md", "ipynb"):
            name, tutorial = f"tutorials/{script.stem}.{suffix}", Tutorial.read(script)
            unrun = tutorial.notebook() if suffix == "ipynb" else tutorial.page().replace("*Run when", "*Not run when")
            pages[name] = (GENERATED / name).read_text(encoding="utf-8") if (GENERATED / name).exists() else unrun
    return pages


UNDRAWN = "*`make docs` draws the figure; this copy of the site was built without.*"


def figure_of(name: str) -> Path | None:
    """Where the figure of a script lies: drawn with the site, or committed."""
    places = (GENERATED / "gallery" / f"{name}.png", DOCS / "gallery" / f"{name}.png")
    return next((place for place in places if place.exists()), None)


def contact_sheet() -> str:
    """The gallery at a glance: the chapters of its page, a small figure for every script."""
    page = (DOCS / "gallery" / "README.md").read_text(encoding="utf-8")
    lines = [
        "# Gallery",
        "",
        "One idea, one short script, one figure each, drawn when this site was built. A click shows the script.",
        "",
    ]
    for line in page.splitlines():
        row = re.match(r"\| \[(\w+)\.py\]\(\w+\.py\) \| (.*) \|$", line)
        if line.startswith("## "):
            lines += [line, ""]
        elif row:
            where = figure_of(row[1])
            if where:
                picture = os.path.relpath(where, GENERATED)
                lines += [
                    f"```{{figure}} {picture}",
                    ":width: 340px",
                    ":align: left",
                    f":target: gallery/{row[1]}.html",
                    ":alt: " + row[1],
                    "",
                    row[2],
                    "```",
                    "",
                ]
            else:
                lines += [f"* [{row[1]}](gallery/{row[1]}.md): {row[2]}"]
    return "\n".join(lines) + "\n"


def root_pages() -> dict[str, str]:
    """The pages that lie beside `docs`, with their links turned to where they stand here."""
    return {
        f"{name}.md": relinked((ROOT / source).read_text(encoding="utf-8"), ROOT / source, GENERATED / f"{name}.md")
        for source, name in ROOT_PAGES.items()
    }


def as_restructured(lines: list[str]) -> list[str]:
    """Lines of a docstring whose stars and bars are letters, as everywhere in ours, and not markup."""
    return ["".join(_escaped(part) for part in re.split(r"(`[^`]*`)", line)) for line in lines]


def _escaped(part: str) -> str:
    return part if part.startswith("`") else re.sub(r"(?<!\\)([*|])", r"\\\1", part)


def relinked(text: str, source: Path, page: Path) -> str:
    """Links of a text turned to the site's pages; what the site does not have stays as words.

    Arguments:
        text: Markdown.
        source: Where the text was written for.
        page: Where it stands.
    """

    def turn(link: re.Match[str]) -> str:
        shown, target, anchor = link[1], link[2], link[3] or ""
        if "://" in target or target.startswith("mailto:") or not target:
            return link[0]
        path = (source.parent / target).resolve()
        inside = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if inside in ROOT_PAGES:
            path = GENERATED / f"{ROOT_PAGES[inside]}.md"
        elif inside == "README.md":
            path, anchor = DOCS / "index.md", ""
        elif path.parent == DOCS / "gallery" and path.suffix == ".py":
            path = GENERATED / "gallery" / f"{path.stem}.md"
        elif path == DOCS / "gallery" / "README.md":
            path = GENERATED / "gallery.md"
        elif path.is_relative_to(DOCS) and (path / "index.md").exists():
            path /= "index.md"
        if not path.is_relative_to(DOCS) or not (path.exists() or path.is_relative_to(GENERATED)):
            return shown
        return f"[{shown}]({os.path.relpath(path, page.parent)}{anchor})"

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", turn, text)
