"""Puts trained runs into the package: weights and fields as float16, nothing that only training needs.

python scripts/ship.py runs/ocean_diffusion runs/ocean_unet runs/ocean_oi runs/ocean_linear runs/ocean_climatology
"""

import sys
from pathlib import Path

import numpy as np

from driftfield.checkpoint import read_run, write_run

SHIPPED = Path(__file__).parents[1] / "src" / "driftfield" / "shipped"
HALVED = ("weights.", "covariance.samples", "covariance.tables")
"""Prefixes of arrays whose numbers are good to three digits."""


def ship(folder: Path) -> None:
    """Copies one run, smaller."""
    run = read_run(folder)
    arrays = {}
    for name, array in run.arrays.items():
        if name.startswith("departures.") and name != "departures.total":
            # months of single years: only for analyses of the training dates themselves
            array = array[:0]
        arrays[name] = array.astype(np.float16) if name.startswith(HALVED) else array
    extra = dict(run.extra)
    if "history" in extra:
        extra["history"] = extra["history"][-3:]
    write_run(SHIPPED / folder.name, run.class_name, run.arguments, arrays, extra)
    size = (SHIPPED / folder.name / "arrays.safetensors").stat().st_size / 1e6
    print(f"{folder.name}: {size:.1f} MB")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        ship(Path(argument))
