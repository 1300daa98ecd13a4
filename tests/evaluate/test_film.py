"""Films hold what the file holds: every date in its order, one scale for all, land that never changes."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from typer.testing import CliRunner

from driftfield.cli import app
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.drawing import LAND
from driftfield.evaluate.film import frames, write_film
from driftfield.evaluate.film_of_files import film_of

TIMES = 5


@pytest.fixture
def fields() -> xr.Dataset:
    """A field that grows from date to date, with land in the south-western corner, members and a spread."""
    values = np.arange(TIMES, dtype=float)[:, None, None] + np.zeros((TIMES, 6, 8))
    values[:, :3, :3] = np.nan
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(TIMES) * np.timedelta64(1, "D"),
        "lat": np.linspace(30, 35, 6),
        "lon": np.linspace(-60, -53, 8),
    }
    mean = xr.DataArray(values, coords, ("time", "lat", "lon"), attrs={"units": "degC", "long_name": "temperature"})
    members = xr.concat([mean - 0.5, mean + 0.5], xr.Variable("member", [0, 1])).transpose(
        "time", "member", "lat", "lon"
    )
    spread = xr.full_like(mean, 0.7).where(mean.notnull())
    return xr.Dataset({"t": mean, "t_sd": spread, "t_member": members})


def test_a_frame_for_every_date_with_even_sides(fields: xr.Dataset) -> None:
    film = film_of(fields, "t", layout=["mean", "spread", "member:1"])
    pictures = list(frames(film))
    assert len(pictures) == TIMES == len(film.stamps)
    assert film.stamps[0] == "2001-01-01"
    assert len({picture.shape for picture in pictures}) == 1
    height, width, colours = pictures[0].shape
    assert (height % 2, width % 2, colours) == (0, 0, 3)


def test_values_are_what_the_files_say(fields: xr.Dataset) -> None:
    seen = fields[["t"]].isel(time=[1, 3])
    film = film_of(
        fields, "t", layout=["truth", "observed", "mean", "spread", "member:1"], truth=fields + 1, observations=seen
    )
    by_title = {panel.title: panel.values for panel in film.panels}
    np.testing.assert_array_equal(by_title["truth"], fields["t"].values + 1)
    np.testing.assert_array_equal(by_title["member 1"], fields["t"].values + 0.5)
    np.testing.assert_array_equal(by_title["standard deviation"], fields["t_sd"].values)
    assert np.isnan(by_title["observed"][[0, 2, 4]]).all()
    np.testing.assert_array_equal(by_title["observed"][[1, 3]], seen["t"].values)
    np.testing.assert_array_equal(film.plane.domain, fields["t"].isel(time=0).notnull().values)


def test_one_scale_for_all_dates_and_grey_land_in_every_frame(fields: xr.Dataset) -> None:
    film = film_of(fields, "t", layout=["mean"])
    pictures = list(frames(film))
    # the same number in another frame has the same colour: a film of one date repeated is the same picture
    still = film_of(fields.isel(time=[2, 2]), "t", layout=["mean"])
    assert len(film.stamps) == TIMES
    two = list(frames(still))
    below_title = two[0].shape[0] // 8
    np.testing.assert_array_equal(two[0][below_title:], two[1][below_title:])
    changed = np.any([np.any(picture != pictures[0], axis=-1) for picture in pictures[1:]], axis=0)
    grey = np.all(pictures[0] == round(255 * float(LAND)), axis=-1)
    assert grey.sum() > 1000
    assert not (changed & grey).any()
    assert changed.sum() > 3 * grey.sum()


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_the_file_holds_every_frame(fields: xr.Dataset, tmp_path: Path, suffix: str) -> None:
    film = film_of(fields, "t", layout=["mean", "spread"])
    pictures = list(frames(film))
    out = tmp_path / f"film{suffix}"
    write_film(film, out, frames_per_second=4)
    if suffix == ".gif":
        with Image.open(out) as image:
            assert image.n_frames == TIMES  # type: ignore[attr-defined]
            assert image.info["duration"] == 250
            read = []
            for number in range(TIMES):
                image.seek(number)
                read.append(np.asarray(image.convert("RGB")))
    else:
        av = pytest.importorskip("av")
        with av.open(str(out)) as container:
            assert float(container.streams.video[0].average_rate) == 4
            read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(read) == TIMES
    for picture, expected in zip(read, pictures, strict=True):
        assert picture.shape == expected.shape
        assert np.abs(picture.astype(int) - expected).mean() < 3
    # in their order: each frame is nearest to the picture of its own date
    for number, picture in enumerate(read):
        apart = [np.abs(picture.astype(int) - other).mean() for other in pictures]
        assert int(np.argmin(apart)) == number


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("truth", "Nothing to show for 'truth'"),
        ("member:7", "members 0 to 1"),
        ("mean:1", "mean:1"),
        ("nonsense", "member:N"),
    ],
)
def test_a_layout_without_its_file_is_refused(fields: xr.Dataset, layout: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        film_of(fields, "t", layout=[layout])


def test_a_strip_and_one_date_are_films_too(fields: xr.Dataset) -> None:
    for part in (fields.isel(lat=[4]), fields.isel(time=[0]), fields.isel(lat=[4], lon=[5])):
        pictures = list(frames(film_of(part, "t", layout=["mean", "member:0"])))
        assert len(pictures) == part.sizes["time"]
        assert not any(side % 2 for side in pictures[0].shape[:2])


def test_dates_and_grids_have_to_fit(fields: xr.Dataset) -> None:
    with pytest.raises(DataError, match="does not hold 2001-01-05"):
        film_of(fields, "t", truth=fields.isel(time=slice(0, 4)))
    with pytest.raises(DataError, match="different grids"):
        film_of(fields, "t", truth=fields.isel(lon=slice(1, None)))
    with pytest.raises(DataError, match="different grids: lat"):
        film_of(fields, "t", truth=fields.assign_coords(lat=fields["lat"] + 0.5))
    with pytest.raises(DataError, match="no dates"):
        film_of(fields.isel(time=0), "t")
    with pytest.raises(ConfigurationError, match="no levels"):
        film_of(fields, "t", depth=10)


def test_the_level_of_the_film_is_shown_and_no_other(fields: xr.Dataset) -> None:
    deep = xr.concat([fields[["t"]] - depth for depth in (0.0, 10.0)], xr.Variable("depth", [5.0, 50.0]))
    deep = deep.transpose("time", "depth", "lat", "lon")
    film = film_of(deep, "t", layout=["truth", "mean"], truth=deep + 1, depth=49)
    np.testing.assert_array_equal(film.panels[0].values, fields["t"].values - 9)
    assert film.name.endswith("at 50 m")
    with pytest.raises(DataError, match="no level at 50 m: it holds 5, 40"):
        film_of(deep, "t", truth=deep.assign_coords(depth=[5.0, 40.0]), depth=50)
    with pytest.raises(ConfigurationError, match="expected 5 to 50"):
        film_of(deep, "t", depth=4000)


def test_the_command(fields: xr.Dataset, tmp_path: Path) -> None:
    fields.to_netcdf(tmp_path / "fields.nc")
    out = str(tmp_path / "film.gif")
    command = [
        "animate",
        str(tmp_path / "fields.nc"),
        "--out",
        out,
        "--time",
        "2001-01-02:2001-01-04",
        "--region",
        "lon=-58:-54",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "3 frames of mean, standard deviation" in result.output
    assert CliRunner().invoke(app, [*command[:3], str(tmp_path / "film.avi")]).exit_code != 0
    assert not list(tmp_path.glob("*.avi"))
