"""Masks mean what they say: flag meanings, names, fractions; what nobody explained, is empty or inverted is refused."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, FORMATS, coords, smooth, write

from driftfield.data.observation_files import open_observations
from driftfield.data.sources import open_archive
from driftfield.errors import ConfigurationError, DataError

SEA = np.arange(24).reshape(4, 6) % 5 > 0
SPACE = {key: coords()[key] for key in ("lat", "lon")}


def archive(tmp_path: Path, *, land: float = np.nan) -> Path:
    values = np.where(SEA, smooth(low=2.0, high=9.0), land).astype("f4")
    return write(xr.Dataset({"x": (DIMS, values, {"units": "mg m-3"})}, coords()), tmp_path / "archive")


def mask(tmp_path: Path, name: str, values: np.ndarray, form: str = "NETCDF4", **attrs: object) -> Path:
    return write(xr.Dataset({name: (DIMS[1:], values, attrs)}, SPACE), tmp_path / "mask", form)


GHRSST = {"flag_masks": np.array([1, 2, 4, 8], "i1"), "flag_meanings": "water land lake ice"}
GHRSST_L4 = {
    "flag_masks": np.array([1, 2, 4, 8, 16], "i1"),
    "flag_meanings": "open_sea land open_lake open_sea_with_ice_in_the_grid open_lake_with_ice_in_the_grid",
}


def two(first: int, second: int, meanings: str) -> dict[str, object]:
    return {"flag_values": np.array([first, second], "i2"), "flag_meanings": meanings}


MASKS = {
    "ghrsst": ("mask", np.where(SEA, 1, 2).astype("i1"), GHRSST),
    "ghrsst with ice": ("mask", np.where(SEA, 9, 2).astype("i1"), GHRSST),
    "ghrsst l4": ("mask", np.where(SEA, 1, 2).astype("i1"), GHRSST_L4),
    "sea land": ("mask", np.where(SEA, 0, 1).astype("i1"), two(0, 1, "sea land")),
    "land sea": ("mask", np.where(SEA, 1, 0).astype("i1"), two(0, 1, "land sea")),
    "ocean 7": ("domain", np.where(SEA, 7, 3).astype("i2"), two(3, 7, "dry_land ocean")),
    "land only": ("mask", np.where(SEA, 0, 1).astype("i1"), {"flag_values": np.array([1], "i1"), "flag_meanings": "land"}),
    "lsm": ("lsm", np.where(SEA, 0.0, 1.0).astype("f4"), {}),
    "landmask": ("landmask", np.where(SEA, 0, 1).astype("i1"), {}),
    "land fraction": ("sftlf", np.where(SEA, 31.0, 74.0).astype("f4"), {"units": "%", "standard_name": "land_area_fraction"}),
    "sea fraction": ("sftof", np.where(SEA, 0.81, 0.2), {"units": "1", "standard_name": "sea_area_fraction"}),
    "binary": ("land_mask", np.where(SEA, 0, 1).astype("i2"), {"standard_name": "land_binary_mask"}),
    "sea binary": ("mask", np.where(SEA, 1, 0).astype("i1"), {"standard_name": "sea_binary_mask"}),
    "tmask": ("tmask", SEA.astype("i1"), {}),
    "plain": ("mask", SEA.astype("f8"), {}),
    "with holes": ("domain", np.where(SEA, 1.0, np.nan), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(MASKS))
@pytest.mark.parametrize("land", [np.nan, 0.0])
def test_a_mask_says_where_the_variable_exists(tmp_path: Path, case: str, land: float) -> None:
    name, values, attrs = MASKS[case]
    path = mask(tmp_path, name, values, FORMATS[len(case) % 4], **attrs)
    found = open_archive(archive(tmp_path, land=land), ["x"], domain=path)
    np.testing.assert_array_equal(found.domain("x").values, SEA)


@pytest.mark.parametrize(
    ("values", "attrs", "words"),
    [
        (np.where(SEA, 1, 2), {}, "holds 1, 2"),
        (np.where(SEA, 0, 255), {}, "holds 0, 255"),
        (np.where(SEA, -1.0, 0.0), {}, "holds -1, 0"),
        (np.where(SEA, 50.0, 100.0), {}, "holds 50, 100"),
        (np.where(SEA, 1, 2), {"flag_values": np.array([1, 2]), "flag_meanings": "a b"}, "name neither sea nor land"),
        (np.zeros(SEA.shape), {}, "is empty"),
        (np.ones(SEA.shape), {"flag_values": np.array([0.0, 1.0]), "flag_meanings": "sea land"}, "is empty"),
        (np.full(SEA.shape, np.nan), {}, "is empty"),
        (~SEA * 1.0, {}, "is inverted"),
        (SEA * 1.0, {"standard_name": "land_binary_mask"}, "is inverted"),
    ],
)
@pytest.mark.parametrize("name", ["mask", "domain"])
def test_what_nobody_explained_is_refused(
    tmp_path: Path, name: str, values: np.ndarray, attrs: dict, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        open_archive(archive(tmp_path), ["x"], domain=mask(tmp_path, name, values, **attrs))


def seen_with_domain(tmp_path: Path, coast: int, far: int, *, own: bool) -> tuple[Path, Path | None]:
    """Observations on 20 x 20 cells; of their 2400 values `coast` lie beside the domain, and `far` farther away."""
    exists = np.ones((20, 20), dtype=bool)
    exists[:4] = False
    values = smooth(shape=(20, 20), low=2.0, high=9.0)
    values[:, :4] = np.nan
    for row, number in ((3, coast), (0, far)):
        values[np.arange(number) // 20, row, np.arange(number) % 20] = 5.0
    data = {"x": (DIMS, values, {"units": "mg m-3"})}
    mine = {"domain": (DIMS[1:], exists.astype("i1"))}
    grid = coords(shape=(20, 20))
    path = write(xr.Dataset(data | (mine if own else {}), grid), tmp_path / "seen")
    space = {key: grid[key] for key in ("lat", "lon")}
    return path, None if own else write(xr.Dataset(mine, space), tmp_path / "mask")


@pytest.mark.parametrize(
    ("coast", "far", "fine"),
    [(0, 0, True), (1, 0, True), (100, 0, True), (100, 19, True), (0, 19, True), (0, 21, False), (0, 100, False)],
)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("drop", [True, False])
def test_observed_values_lie_inside_of_the_domain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, coast: int, far: int, fine: bool, own: bool, drop: bool
) -> None:
    """A coast may differ, a hundredth may lie in lakes; the mask may be in the file or in one of its own."""
    path, given = seen_with_domain(tmp_path, coast, far, own=own)
    with caplog.at_level(logging.INFO):
        if not fine and not drop:
            with pytest.raises(DataError, match=f"{far} of them farther than one cell: .*--drop-outside"):
                open_observations(path, given)
            return
        open_observations(path, given, drop_outside=drop)
    number = 1920 + coast + far
    counted = (
        f"{coast + far} of {number} observed values of 'x' lie outside of its domain ({far} farther than one cell)"
    )
    assert (counted in caplog.text) == (coast + far > 0)


def test_a_wide_coast_is_refused(tmp_path: Path) -> None:
    exists = np.ones((20, 20), dtype=bool)
    exists[::3] = False  # every cell outside has a neighbour inside
    dataset = xr.Dataset(
        {
            "x": (DIMS, smooth(shape=(20, 20), low=2.0, high=9.0), {"units": "1"}),
            "domain": (DIMS[1:], exists.astype("i1")),
        },
        coords(shape=(20, 20)),
    )
    with pytest.raises(DataError, match=r"840 of the 2400 observed values .* 0 of them farther than one cell"):
        open_observations(write(dataset, tmp_path / "a"))


def test_an_inverted_mask_is_said_to_be_one(tmp_path: Path) -> None:
    exists = np.zeros((20, 20), dtype=bool)
    exists[0, 0] = True
    dataset = xr.Dataset(
        {
            "x": (DIMS, smooth(shape=(20, 20), low=2.0, high=9.0), {"units": "1"}),
            "domain": (DIMS[1:], exists.astype("i1")),
        },
        coords(shape=(20, 20)),
    )
    with pytest.raises(DataError, match="The mask seems to be inverted: turn it round"):
        open_observations(write(dataset, tmp_path / "a"))


def test_without_a_domain_nothing_can_be_dropped(tmp_path: Path) -> None:
    dataset = xr.Dataset({"x": (DIMS, smooth(), {"units": "1"})}, coords())
    with pytest.raises(ConfigurationError, match=r"--drop-outside: .* states no domain"):
        open_observations(write(dataset, tmp_path / "a"), drop_outside=True)


@pytest.mark.parametrize("name", ["domain", "mask", "lsm"])
@pytest.mark.parametrize("changes", [False, True])
def test_a_mask_with_dates_says_where_at_any_of_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, changes: bool
) -> None:
    moving = np.broadcast_to(SEA, (6, 4, 6)).copy()
    if changes:
        moving[::2, 1] = False
    values = smooth(low=2.0, high=9.0)
    exists = (~moving if name == "lsm" else moving).astype("i1")
    own = xr.Dataset(
        {"x": (DIMS, np.where(SEA, values, np.nan), {"units": "1"}), "domain": (DIMS, moving.astype("i1"))}, coords()
    )
    given = write(xr.Dataset({name: (DIMS, exists)}, coords()), tmp_path / "mask")
    with caplog.at_level(logging.INFO):
        found = open_archive(archive(tmp_path), ["x"], domain=given).domain("x")
        mine = open_archive(write(own, tmp_path / "own"), ["x"]).domain("x")
    for domain in (found, mine):
        np.testing.assert_array_equal(domain.values, SEA)
    assert ("changes with time" in caplog.text) == changes
