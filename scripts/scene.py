"""Makes `shipped/sst_scene.nc`: surface temperature of a simulated ocean as a satellite would see it, for the first page.

    python scripts/scene.py src/driftfield/shipped/sst_scene.nc

Eight days under clouds that hide three fifths of the sea, with errors of 0.1 degC.
"""

import sys
from pathlib import Path

from driftfield.data.sources import write_dataset
from driftfield.data.twin import observe
from driftfield.worlds.ocean import simulate_ocean


def main(out: Path) -> None:
    """Writes the scene."""
    truth = simulate_ocean(years=0.022, every_days=1, start="2041-05-01", seed=7)[["sst"]]
    seen = observe(truth, {"sst": "clouds:0.6"}, error=0.1, seed=3).drop_vars(
        ["held_out", "sst_held_out"], errors="ignore"
    )
    seen.attrs = {"title": "Sea surface temperature of a simulated ocean under clouds", "source": "scripts/scene.py"}
    write_dataset(seen, out, overwrite=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
