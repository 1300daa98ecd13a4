"""One table per data set: every method, on the same observations, scored on the same cells.

recipe  ->  settings: what is hidden          methods: who completes it
                |  observations                   |  runs, fitted where they are missing
                +---------------+-----------------+
                                |  reconstruct, evaluate: kept per setting and method
                                v
                 table (Markdown) and numbers (JSON), the same bytes for the same input
"""

from driftfield.compare.reading import read_comparison
from driftfield.compare.recipe import ComparedMethod, Comparison, Setting
from driftfield.compare.results import Results
from driftfield.compare.running import run_comparison
from driftfield.compare.settings import open_truth, setting_observations
from driftfield.compare.table import write_tables

__all__ = [
    "Comparison",
    "ComparedMethod",
    "Results",
    "Setting",
    "open_truth",
    "read_comparison",
    "run_comparison",
    "setting_observations",
    "write_tables",
]
