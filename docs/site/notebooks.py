"""Tutorials: Python files in cells, as Jupytext and every editor read them, run when the site is built.

    # %% [markdown]      text, every line behind a `# `
    # %%                 Python; what it prints, and the figure or the value of its last line, stands below it
    # %%bash             commands, every line behind a `# `: those of `driftfield` are run

    docs/tutorials/NAME.py  ->  docs/generated/tutorials/NAME.md, NAME.ipynb and figures

All cells share one namespace and a folder of their own, which is empty at the beginning.
"""

import ast
import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

Namespace = dict[str, Any]


@dataclass
class Cell:
    """One cell and what came of it.

    Arguments:
        kind: markdown, python or bash.
        source: Text, code or commands.
        output: What was printed, and the value of the last line.
        figure: Where its figure lies.
    """

    kind: str
    source: str
    output: str = ""
    figure: Path | None = None


@dataclass
class Tutorial:
    """A file in cells."""

    path: Path
    cells: list[Cell] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Tutorial":
        """Divides a file into cells; what stands before the first is for programs."""
        parts = re.split(r"^# %%(.*)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        cells = []
        for mark, text in zip(parts[::2], parts[1::2], strict=True):
            kind = {"": "python", "[markdown]": "markdown", "bash": "bash"}[mark.strip()]
            if kind != "python":
                text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
            cells.append(Cell(kind, text.strip("\n")))
        return cls(path, cells)

    def run(self, figures: Path) -> "Tutorial":
        """Runs every cell in an empty folder; figures are written to `figures`.

        Raises:
            RuntimeError: a cell that fails; says which.
        """
        names: Namespace = {"__name__": "__main__"}
        figures.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for number, cell in enumerate(self.cells):
                if cell.kind == "markdown":
                    continue
                heard = io.StringIO()
                try:
                    with contextlib.redirect_stdout(heard):
                        value = _commands(cell.source) if cell.kind == "bash" else _python(cell.source, names)
                except Exception as error:
                    heard_of = f"{heard.getvalue()}\n{error}"
                    raise RuntimeError(f"{self.path.name}, cell {number + 1}:\n{cell.source}\n{heard_of}") from error
                if isinstance(value, Figure):
                    cell.figure = figures / f"{self.path.stem}_{number + 1}.png"
                    value.savefig(cell.figure, dpi=100)
                elif value is not None:
                    heard.write(f"{value}\n")
                cell.output = heard.getvalue().rstrip()
        return self

    def page(self) -> str:
        """As Markdown, with a link to the notebook."""
        lines = []
        for cell in self.cells:
            lines += (
                [cell.source, ""]
                if cell.kind == "markdown"
                else [f"```{'sh' if cell.kind == 'bash' else 'python'}", cell.source, "```", ""]
            )
            lines += ["```text", cell.output, "```", ""] if cell.output else []
            lines += [f"![figure]({cell.figure.name})", ""] if cell.figure else []
        name = self.path.stem
        lines += [
            f"*Run when this site was built. {{download}}`As a notebook <{name}.ipynb>`; as a script: docs/tutorials/{name}.py.*"
        ]
        return "\n".join(lines) + "\n"

    def notebook(self) -> str:
        """As a Jupyter notebook, with the text that was printed; figures come when it is run."""
        cells = [
            {"cell_type": "markdown", "metadata": {}, "source": cell.source}
            if cell.kind == "markdown"
            else {
                "cell_type": "code",
                "metadata": {},
                "execution_count": None,
                "source": f"%%bash\n{cell.source}" if cell.kind == "bash" else cell.source,
                "outputs": [{"output_type": "stream", "name": "stdout", "text": cell.output}] if cell.output else [],
            }
            for cell in self.cells
        ]
        kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}, indent=1) + "\n"


def _python(source: str, names: Namespace) -> object:
    """Runs statements; the value of a last line that is an expression."""
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    last = last if isinstance(last, ast.Expr) else None
    tree.body = tree.body[:-1] if last else tree.body
    exec(compile(tree, "cell", "exec"), names)
    value = None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return None if source.rstrip().endswith(";") else value


def _commands(source: str) -> None:
    """Runs lines of the shell, each a command of driftfield, in this process."""
    from driftfield.cli import main

    for line in source.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] != "driftfield":
            raise ValueError(f"{words[0]} is no command of driftfield")
        before, sys.argv = sys.argv, words
        try:
            with contextlib.redirect_stderr(io.StringIO()) as said:
                main()
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"{line}\n{said.getvalue()}") from end
        finally:
            sys.argv = before


def build(source: Path, target: Path) -> None:
    """One tutorial: its page, its figures and its notebook."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tutorial = Tutorial.read(source).run(target)
    (target / f"{source.stem}.ipynb").write_text(tutorial.notebook(), encoding="utf-8")
    (target / f"{source.stem}.md").write_text(tutorial.page(), encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
