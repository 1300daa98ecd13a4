"""How much of the package the main job walks through: `driftfield reconstruct shipped:ocean_diffusion`, a few simulated dates.

    files      in which a function is called          (no module code, no lambdas, no generator expressions)
    functions  that are called at least once          (not while modules are imported)
    edges      file -> file, where a function of the first calls one of the second, straight or through another package

    python benchmarks/trace.py [--source SRC] [--list]

Two sums beside each other: reading and writing anybody's file, and the rest. An edge belongs to the file that is called.
`--source` names the folder `src` of another checkout, so that two versions are measured alike, on the same observations.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent.parent / "src"
READING = (
    *("gridded/", "conventions.py", "geometry.py"),
    *(
        "data/axes.py",
        "data/encodings.py",
        "data/gridded_files.py",
        "data/lazy.py",
        "data/units.py",
        "data/valid_range.py",
    ),
)
"""How the names of the files begin that read and write what others have written; the second line as they were once called."""
_NAMELESS = ("<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>")


class Walk:
    """What of a package was called.

    Arguments:
        package: Its folder.
    """

    def __init__(self, package: Path) -> None:
        self.prefix = f"{package}/"
        self.functions: set[tuple[str, str]] = set()
        self.edges: set[tuple[str, str]] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """A profile hook."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(self.prefix) or code.co_name == "<module>":
            return
        callers = list(self._callers(frame))
        if any(caller.f_code.co_name == "<module>" for caller in callers):
            return
        file = code.co_filename.removeprefix(self.prefix)
        if callers and (nearest := callers[0].f_code.co_filename.removeprefix(self.prefix)) != file:
            self.edges.add((nearest, file))
        self.functions.add((file, code.co_qualname))

    def _callers(self, frame: FrameType) -> Iterable[FrameType]:
        """The frames of the package above one, nearest first."""
        above = frame.f_back
        while above is not None:
            if above.f_code.co_filename.startswith(self.prefix):
                yield above
            above = above.f_back

    def named(self) -> set[tuple[str, str]]:
        """(file, function), without those that have no name."""
        return {(file, name) for file, name in self.functions if not name.endswith(_NAMELESS)}


def counted(walk: Walk) -> str:
    """Files, functions and edges, of all and of the two parts."""
    rows = []
    for label, reads in (("all", None), ("reading anybody's file", True), ("the rest", False)):

        def wanted(file: str, reads: bool | None = reads) -> bool:
            return reads is None or file.startswith(READING) == reads

        functions = {(file, name) for file, name in walk.named() if wanted(file)}
        files = {file for file, _ in walk.functions if wanted(file)}
        edges = {(caller, file) for caller, file in walk.edges if wanted(file)}
        rows.append(f"{label:24} {len(files):4} files {len(functions):5} functions {len(edges):5} edges")
    return "\n".join(rows)


def observed(folder: Path) -> Path:
    """An observation file of two dates, written by this version."""
    from driftfield.data.sources import open_fields, write_dataset
    from driftfield.data.twin import observe
    from driftfield.worlds.ocean import simulate_ocean

    write_dataset(simulate_ocean(years=0.06, every_days=10, start="2040-01-15", seed=1), folder / "truth.nc")
    patterns = {"thetao": "profiles:0.95", "sst": "clouds:0.7"}
    seen = observe(open_fields(folder / "truth.nc"), patterns, error={"thetao": 0.05, "sst": 0.0}, seed=0)
    write_dataset(seen, folder / "observations.nc")
    return folder / "observations.nc"


def walked(source: Path, observations: Path) -> Walk:
    """The walk of the main job in the package that lies under `source`."""
    sys.path.insert(0, str(source))
    import driftfield
    from driftfield.cli import main

    package = source / "driftfield"
    assert Path(driftfield.__file__).parent == package, f"imported {driftfield.__file__}"
    walk = Walk(package)
    out = observations.with_name("reconstruction.nc")
    job = ["reconstruct", "shipped:ocean_diffusion", str(observations), "--out", str(out), "--members", "2"]
    sys.argv = ["driftfield", *job]
    sys.setprofile(walk)
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.setprofile(None)
    return walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=HERE)
    parser.add_argument("--list", action="store_true", help="every function, by file")
    parser.add_argument("--observations", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.observations is None:
        with tempfile.TemporaryDirectory() as folder:
            # another interpreter: this one has imported the package of this checkout to write the observations
            more = ["--list"] if asked.list else []
            command = [sys.executable, __file__, "--source", str(asked.source.resolve()), *more]
            subprocess.run([*command, "--observations", str(observed(Path(folder)))], check=True)
        return
    walk = walked(asked.source, asked.observations)
    print(counted(walk))
    if asked.list:
        for file, name in sorted(walk.named()):
            print(f"{file:40} {name}")


if __name__ == "__main__":
    main()
