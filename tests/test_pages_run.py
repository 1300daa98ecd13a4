"""Every command block of README and site is run, in a folder with small files of the names that the page uses.

    page -> files of page_files.MAKERS -> its commands in order, some of them smaller -> exit code 0, and what --out names exists

`STAGES` says which files a page begins with, what is typed smaller than it stands there, and what cannot be run and why.
The page of sources needs servers: tests/sources/test_page_of_sources.py runs it with the same function.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest
from page_files import make
from pages import PAGES, commands_of, text_of
from running_pages import Stage, run_line

MAP = {"--box 42.5,45,-57.5,-55 --step .25": "--box 32,33.5,-39.5,-36.5 --step .5"}
SHORT = {"--members 16": "--members 2"}
"""Members cost nothing but time."""
FILL = {"--out filled.nc": "--out filled.nc --method linear"}
"""One method in place of all that are tried: tests/filling tries them."""
INSTALL = {"pip install": "an installation; docs/newcomer.md is the protocol of one"}
NO_WORKERS = (
    {}
    if find_spec("distributed")
    else {"driftfield reconstruct RUN OBS --out OUT.zarr --cluster local": "no distributed here"}
)

STAGES = {
    "README.md": Stage(
        smaller=FILL,
        left_out={
            "make demo": "a minute and more; test_demo.py runs the same",
            "make test": "these tests themselves",
        },
    ),
    "docs/assimilation.md": Stage(
        files=(
            *("runs/prior", "runs/ocean", "runs/surface", "runs/wind", "runs/lorenz96_window", "argo", "points.csv"),
            *("surface.nc", "profiles.csv", "mixed.csv", "microwave_sst.nc", "scatterometer.csv", "buoys.csv"),
            "course.csv",
        ),
        smaller={
            **SHORT,
            "lorenz96_window points.csv": "lorenz96_window course.csv",
            "particles=4096": "particles=32",
        },
        more="--members 2",
    ),
    "docs/function-space.md": Stage(
        smaller={
            "--size 64 --compute 96 --trajectories 32 --frames 24": "--size 16 --compute 24 --trajectories 1 --frames 3"
        }
    ),
    "docs/index.md": Stage(files=("FILE.nc",), smaller=FILL, left_out=INSTALL),
    "docs/mapping.md": Stage(
        files=("argo", "altika_20130401.nc", "stations.csv", "model.nc", "track.csv"),
        smaller={**MAP, "--step .125": "--step 2"},
        more="--method climatology",
    ),
    "docs/models/anyfield.md": Stage(
        files=("OBS.nc", "scripts"),
        smaller={r"--steps \d+": "--steps 1 --cells 512", "runs/c runs/d runs/e": "runs/b runs/c"},
        left_out=dict.fromkeys(
            ("python scripts/train_anyfield.py runs/d", "python scripts/train_anyfield.py runs/e"),
            "as runs/c, which is run",
        ),
    ),
    "docs/newcomer.md": Stage(files=("FILE.nc",), smaller=FILL, left_out=INSTALL),
    "docs/observations.md": Stage(files=("argo", "archive.nc", "runs/ocean", "box.csv", "casts.nc")),
    "docs/reading-real-files.md": Stage(files=("FILE.nc",), smaller={"inspect FILE": "inspect FILE.nc"}),
    "docs/scale.md": Stage(
        files=("recipe.yaml", "runs/ocean", "archive.nc"),
        smaller={"RUN OBS": "runs/ocean archive.nc --members 2", "local:4": "local:1"},
        left_out={
            **INSTALL,
            "torchrun": "several machines; test_several_processes.py sets what a launcher sets, on two processes",
            "srun": "a queue; the same test",
            **NO_WORKERS,
            "driftfield reconstruct RUN OBS --out OUT.zarr --cluster tcp": "a scheduler elsewhere; test_clusters.py has workers",
            "driftfield reconstruct RUN OBS --out OUT.zarr --cluster cluster.yaml": "a queue; test_clusters.py reads such a file",
        },
        processes={"driftfield train": 2},
    ),
    "docs/user-guide.md": Stage(
        files=("recipes",),
        smaller={
            **SHORT,
            "--years [0-9.]+": "--years 0.03",
            "steps=300": "steps=1 --set trainer.batch_size=2 --set reconstructor.validation_samples=2 --raw"
            " --set reconstructor.network.widths=[4,8,8,8]",
        },
        left_out=dict.fromkeys(
            ("driftfield train downscale.yaml", "driftfield downscale", "driftfield evaluate fine.nc"),
            "test_downscale_command.py runs these three lines as they stand",
        ),
        replaced={
            "driftfield simulate ocean archive.zarr": "archive.zarr",
            "driftfield simulate ocean truth.nc": "truth.nc",
        },
    ),
    "docs/viewer.md": Stage(
        files=("FILE.nc", "OBS.nc", "archive.nc"),
        smaller={"fields.nc": "FILE.nc", "other.nc": "OBS.nc", "seen.nc": "archive.nc"},
    ),
}
"""By page; docs/sources.md stands in tests/sources."""


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(STAGES))
def test_the_commands_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage, text = STAGES[page], text_of(page)
    make(tmp_path, *stage.files)
    for line in commands_of(text):
        run_line(line, stage)


def test_every_page_with_commands_is_run() -> None:
    with_commands = {page for page in PAGES if any(commands_of(text_of(page)))}
    assert with_commands == {*STAGES, "docs/sources.md"}


def test_what_is_left_out_stands_on_its_page_and_something_remains() -> None:
    for page, stage in STAGES.items():
        lines = list(commands_of(text_of(page)))
        assert all(any(line.startswith(beginning) for line in lines) for beginning in stage.left_out), page
        assert not all(line.startswith(tuple(stage.left_out)) for line in lines), page
