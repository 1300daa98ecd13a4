"""Averages the weights of runs of one training: steadier than the last of them.

python scripts/average_runs.py runs/OUT runs/ONE runs/TWO ...
"""

import sys
from pathlib import Path

import numpy as np

from driftfield.checkpoint import read_run, write_run


def average(out: Path, folders: list[Path]) -> None:
    """Writes a run whose weights are the means; everything else is the last run's."""
    runs = [read_run(folder) for folder in folders]
    means = {
        name: np.mean([run.arrays[name].astype(np.float64) for run in runs], axis=0).astype(np.float32)
        for name in runs[-1].arrays
    }
    extra = runs[-1].extra | {"averaged_over_samples": [run.extra.get("samples") for run in runs]}
    write_run(out, runs[-1].class_name, runs[-1].arguments, means, extra)


if __name__ == "__main__":
    average(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
