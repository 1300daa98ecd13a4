"""logs/csv/metrics.csv: a row for each step that has figures, a column for each figure."""

__all__ = ["CsvLog"]

import csv
import io
import shutil
from collections.abc import Mapping
from pathlib import Path

from driftfield.files import write_text
from driftfield.registry import register
from driftfield.training.logs.base import TrainingLog


@register("logger", "csv")
class CsvLog(TrainingLog):
    """Appends; a figure that was not there before adds a column, and the file is written anew.

    Arguments:
        folder, begun: See `TrainingLog`.
    """

    def __init__(self, folder: Path, begun: int) -> None:
        super().__init__(folder, begun)
        self.path = folder / "logs" / "csv" / "metrics.csv"
        self.rows: list[dict[str, str]] = []
        if begun and self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if float(row["step"] or 0) <= begun]
        else:
            shutil.rmtree(self.path.parent, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.columns = list(dict.fromkeys(["step", *(name for row in self.rows for name in row)]))
        self._write_all()

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        row = {"step": str(step)} | {name: repr(float(value)) for name, value in figures.items()}
        self.rows.append(row)
        new = [name for name in row if name not in self.columns]
        self.columns += new
        if new:
            self._write_all()
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(row)

    def _write_all(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())
