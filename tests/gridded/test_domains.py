"""Masks mean what they say: flag meanings, names, fractions; what nobody explained, is empty or inverted is refused."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, FORMATS, coords, smooth, write

from driftfield.data.observation_files import open_observations
from driftfield.data.sources import open_archive
from driftfield.errors import DataError

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


@pytest.mark.parametrize("outside", [0, 1, 4, 40, 144])
@pytest.mark.parametrize("own", [True, False])
def test_observed_values_lie_inside_of_the_domain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, outside: int, own: bool
) -> None:
    """`outside`: how many of the 144 observed values do not; the mask may be in the file or in one of its own."""
    exists = np.ones((4, 6), dtype=bool)
    values = smooth(low=2.0, high=9.0)
    if outside in (1, 4):
        exists[0, 0] = False
        values[outside:, 0, 0] = np.nan
    elif outside == 40:
        exists[0] = False
    elif outside == 144:
        exists[:] = False
        exists[0, 0] = True
        values[:, 0, 0] = np.nan
    number = int((np.isfinite(values) & ~exists).sum())
    data = {"x": (DIMS, values, {"units": "mg m-3"})}
    mine = {"domain": (DIMS[1:], exists.astype("i1"))}
    path = write(xr.Dataset(data | (mine if own else {}), coords()), tmp_path / "seen")
    given = None if own else write(xr.Dataset(mine, SPACE), tmp_path / "mask")
    with caplog.at_level(logging.INFO):
        if number > 96:
            with pytest.raises(
                DataError, match=r"outside of its domain: expected them inside. The mask seems to be inverted"
            ):
                open_observations(path, given)
        else:
            open_observations(path, given)
            assert (f"{number} of" in caplog.text and "outside of its domain" in caplog.text) == (number > 0)
