"""Every shape of a pattern is reached by its word: in a recipe, and by `driftfield mask --observe`."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import label

from driftfield.cli import main
from driftfield.data.masks import parse_pattern
from driftfield.data.observing import ObservingSystem
from driftfield.data.sources import open_fields, write_dataset
from driftfield.errors import ConfigurationError
from driftfield.testing import tiny_ocean

SEA = np.ones((96, 96), dtype=bool)


def drawn(text: str, seed: int = 0, domain: np.ndarray = SEA) -> np.ndarray:
    return parse_pattern(text).draw(domain, np.random.default_rng(seed))


def edges(hidden: np.ndarray) -> int:
    """Cells on the edge of what is hidden: many where gaps are small."""
    return int((hidden[1:] != hidden[:-1]).sum() + (hidden[:, 1:] != hidden[:, :-1]).sum())


def test_blocks_have_the_edges_that_were_asked_for() -> None:
    sizes = {}
    for text in ("blocks:0.05,smallest=0.25,largest=0.25", "blocks:0.05,smallest=0.0313,largest=0.0313"):
        sizes[text] = np.mean([edges(~drawn(text, seed)) for seed in range(20)])
    wide, small = sizes.values()
    # the same area in squares an eighth as wide has eight times the edge
    assert 4 < small / wide < 12
    few, count = label(~drawn("blocks:0.02,smallest=0.0313,largest=0.0313"))
    assert count >= 8, few.shape


def test_clouds_have_the_scale_that_was_asked_for() -> None:
    lengths = [edges(~drawn(f"clouds:0.5,scale={scale}")) for scale in (2, 8)]
    assert 2.5 < lengths[0] / lengths[1] < 6  # of Gaussian noise the edge goes as 1 / scale
    assert (drawn("clouds:0.5") == drawn("clouds:0.5,scale=8")).all()  # the default of 96 cells


def test_tracks_have_width_and_angle() -> None:
    def width(text: str) -> int:
        """The most frequent one: tracks may overlap."""
        found = []
        for seed in range(10):
            seen = np.pad(drawn(text, seed), ((0, 0), (1, 1))).astype(int)
            begins, ends = np.nonzero(np.diff(seen, axis=1) == 1), np.nonzero(np.diff(seen, axis=1) == -1)
            found.append(ends[1] - begins[1])
        return int(np.bincount(np.concatenate(found)).argmax())

    assert width("tracks:0.95,width=5,jitter=0") == 5
    assert width("swaths:0.95,width=3,jitter=0") == 3
    assert width("swaths:0.95,jitter=0") == 8
    # straight north and south: a track stays in its column
    columns = drawn("tracks:0.95,inclination=90,jitter=0").any(axis=0).sum()
    slanted = drawn("tracks:0.95,inclination=45,jitter=0").any(axis=0).sum()
    assert columns <= 6 < 60 < slanted


def test_the_share_of_full_profiles() -> None:
    domain = np.ones((10, 40, 40), dtype=bool)
    for full in (0.0, 0.3, 1.0):
        depth = drawn(f"profiles:n=400,full={full}", domain=domain).sum(axis=0)
        share = (depth[depth > 0] == 10).mean()
        # of those that are not full one in ten ends at the floor by chance
        assert share == pytest.approx(full + 0.1 * (1 - full), abs=0.06)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blocks:0.5,smalest=0.1", "Did you mean 'smallest'"),
        ("blocks:0.5,smallest=0.6,largest=0.3", "smallest <= largest"),
        ("clouds:0.5,scale=0", "more than 0"),
        ("clouds:0.5,scale=wide", "expected a number"),
        ("clouds:0.5,scale=2,scale=3", "once"),
        ("tracks:0.9,width=2.5", "whole number"),
        ("tracks:0.9,inclination=20", "45 to 90"),
        ("tracks:0.9,jitter=-1", "0 or more"),
        ("profiles:0.9,full=2", "share from 0 to 1"),
        ("random:0.9,scale=3", "it takes none"),
        ("columns:0.9,full=0.5", "it takes none"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_pattern(text)


def test_a_recipe_and_the_command_have_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "tracks:0.5,width=3,inclination=90,jitter=0"
    system = ObservingSystem({"sst": [text, "clouds:0.8,scale=4"]})
    assert [type(pattern).__name__ for pattern in system.patterns["sst"]] == ["Tracks", "Clouds"]
    monkeypatch.chdir(tmp_path)
    write_dataset(tiny_ocean(times=2), Path("truth.nc"))
    monkeypatch.setattr(sys, "argv", ["driftfield", "mask", "truth.nc", "seen.nc", "--observe", f"sst={text}"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    seen = open_fields("seen.nc").load()
    assert seen["sst"].attrs["pattern"] == text
    held_out = seen["sst_held_out"] if "sst_held_out" in seen else seen["held_out"]
    columns = held_out.isel(time=0).values.all(axis=0) | ~seen["domain"].values.any(axis=0)
    assert columns.any()  # north-south tracks leave whole columns out
