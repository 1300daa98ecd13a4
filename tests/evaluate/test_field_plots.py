"""The picture of a file: quantiles, series, sections along a column, a second file, and grids whose rows are no latitudes."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import exit_code
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from driftfield.data.sources import write_dataset
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.drawing import corners
from driftfield.evaluate.field_plots import FieldPlot, draw_fields
from driftfield.testing import tiny_ocean


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return tiny_ocean(times=5)[["thetao"]]


@pytest.fixture(scope="module")
def fields(truth: xr.Dataset) -> xr.Dataset:
    """The truth and members around it, their mean, spread and quantiles."""
    noise = np.random.default_rng(0).normal(size=(6, *truth["thetao"].shape))
    members = truth["thetao"].expand_dims(member=np.arange(6)) + 0.3 * noise
    made = xr.Dataset(
        {
            "thetao": members.mean("member", skipna=False),
            "thetao_sd": members.std("member", ddof=1, skipna=False),
            "thetao_member": members.transpose("time", "member", ...),
            "thetao_quantile": members.quantile([0.1, 0.9], "member", skipna=False).transpose("time", "quantile", ...),
        }
    )
    made["thetao"].attrs = dict(truth["thetao"].attrs)
    return made


def panels(figure: Figure) -> dict[str, Axes]:
    return {ax.get_title(): ax for part in (figure, *figure.subfigs) for ax in part.axes if ax.get_title()}


def shown(ax: Axes, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(ax.collections[-1].get_array().filled(np.nan)).reshape(shape)


def test_a_map_of_every_quantile(fields: xr.Dataset) -> None:
    drawn = panels(draw_fields(fields, "thetao", FieldPlot(["quantiles"], time=2, depth=1)))
    depth = f"{float(fields['depth'][1]):g}"
    assert set(drawn) == {f"quantile 0.1 at {depth} m", f"quantile 0.9 at {depth} m"}
    expected = fields["thetao_quantile"].isel(time=2, depth=1, quantile=1).values
    found = shown(drawn[f"quantile 0.9 at {depth} m"], expected.shape)
    np.testing.assert_allclose(found, expected, equal_nan=True)


def test_a_series_shows_mean_band_and_quantiles_of_one_place(fields: xr.Dataset) -> None:
    look = FieldPlot(["series", "spread", "quantiles", "members"], depth=1, row=3, column=5)
    drawn = panels(draw_fields(fields, "thetao", look))
    (ax,) = [ax for title, ax in drawn.items() if title.startswith("time series")]
    here = fields.isel(lat=3, lon=5, depth=1)
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["mean"].get_ydata(), here["thetao"].values)
    np.testing.assert_allclose(lines["quantiles 0.1, 0.9"].get_ydata(), here["thetao_quantile"].values[:, 0])
    (band,) = ax.collections
    top = max(vertex[1] for vertex in band.get_paths()[0].vertices)
    assert top == pytest.approx(float((here["thetao"] + 1.645 * here["thetao_sd"]).max()), abs=1e-4)
    assert f"{float(fields['lat'][3]):g}°N" in ax.get_title()


def test_a_series_is_not_drawn_across_a_hole(truth: xr.Dataset) -> None:
    many = tiny_ocean(times=12)[["thetao"]].isel(time=[0, 1, 2, 3, 9, 10, 11])
    (ax,) = panels(draw_fields(many, "thetao", FieldPlot(["series"], row=3, column=5))).values()
    values = np.asarray(ax.lines[-1].get_ydata())
    assert np.isnan(values).nonzero()[0].tolist() == [4]
    np.testing.assert_allclose(np.delete(values, 4), many["thetao"].isel(lat=3, lon=5, depth=0).values)


def test_a_section_along_a_column(fields: xr.Dataset) -> None:
    drawn = panels(draw_fields(fields, "thetao", FieldPlot(["section"], time=1, row=3, column=5, along="lat")))
    (ax,) = [ax for title, ax in drawn.items() if title.startswith("mean, section")]
    expected = fields["thetao"].isel(time=1, lon=5).transpose("depth", "lat").values
    np.testing.assert_allclose(shown(ax, expected.shape), expected, equal_nan=True)
    assert "W" in ax.get_title() or "E" in ax.get_title()


def test_the_difference_is_this_file_minus_the_second(fields: xr.Dataset, truth: xr.Dataset) -> None:
    # the second file holds fewer dates and more cells than the first
    second = truth.isel(time=[0, 2, 3])
    first = fields.isel(lat=slice(1, None))
    figure = draw_fields(first, "thetao", FieldPlot(time=2, depth=0, row=2, column=5), minus=second, minus_name="t.nc")
    drawn = panels(figure)
    (title,) = [t for t in drawn if t.startswith("minus t.nc at")]
    expected = (first["thetao"] - truth["thetao"]).isel(time=2, depth=0).values
    np.testing.assert_allclose(shown(drawn[title], expected.shape), expected, equal_nan=True, atol=1e-6)
    low, high = drawn[title].collections[-1].get_clim()
    assert low == -high
    (series,) = [ax for t, ax in drawn.items() if t.startswith("time series")]
    other = next(np.asarray(line.get_ydata()) for line in series.lines if line.get_label() == "t.nc")
    assert np.isnan(other).tolist() == [False, True, False, False, True]


def test_what_cannot_be_subtracted_is_refused(fields: xr.Dataset, truth: xr.Dataset) -> None:
    with pytest.raises(DataError, match=r"t\.nc.*lacks 1 of"):
        draw_fields(fields, "thetao", FieldPlot(time=4), minus=truth.isel(time=[0]), minus_name="t.nc")
    with pytest.raises(ConfigurationError, match="no part 'difference'"):
        draw_fields(fields, "thetao", FieldPlot(["mean"]), minus=truth)
    kelvin = truth.copy()
    kelvin["thetao"] = kelvin["thetao"].assign_attrs(units="K")
    with pytest.raises(DataError, match="in degC, that of other in K"):
        draw_fields(fields, "thetao", FieldPlot(), minus=kelvin)
    with pytest.raises(ConfigurationError, match="none of difference"):
        draw_fields(fields, "thetao", FieldPlot(["difference"]))
    with pytest.raises(ConfigurationError, match="along 'depth'"):
        FieldPlot(along="depth")


def test_more_members_than_four_take_another_row(fields: xr.Dataset) -> None:
    drawn = panels(draw_fields(fields, "thetao", FieldPlot(["members"], members=6)))
    tops = [round(ax.get_position().y1, 2) for title, ax in drawn.items() if title.startswith("member")]
    assert len(tops) == 6


def test_corners_of_a_regular_grid_are_its_edges() -> None:
    lon, lat = np.meshgrid([10.0, 11.0, 12.0], [40.0, 42.0])
    np.testing.assert_allclose(corners(lon), np.tile([9.5, 10.5, 11.5, 12.5], (3, 1)))
    np.testing.assert_allclose(corners(lat), np.tile([[39.0], [41.0], [43.0]], (1, 4)))


def test_cells_with_positions_lie_where_they_are(truth: xr.Dataset) -> None:
    turned = truth.isel(depth=[0])
    rows, columns = np.meshgrid(np.arange(turned.sizes["lat"]), np.arange(turned.sizes["lon"]), indexing="ij")
    latitude, longitude = 40 + 0.4 * rows + 0.1 * columns, 350 + 0.5 * columns - 0.2 * rows
    dims = ("lat", "lon")
    turned = turned.assign_coords(
        lat=np.arange(rows.shape[0]), lon=np.arange(rows.shape[1]),
        latitude=(dims, latitude), longitude=(dims, longitude),
    )  # fmt: skip
    look = FieldPlot.at(turned, ["mean", "series"], lat=float(latitude[4, 6]), lon=float(longitude[4, 6]) - 360)
    assert (look.row, look.column) == (4, 6)
    drawn = panels(draw_fields(turned, "thetao", look))
    mesh = next(ax for title, ax in drawn.items() if title.startswith("field")).collections[-1]
    centres = mesh.get_coordinates()[:-1, :-1] + mesh.get_coordinates()[1:, 1:]
    np.testing.assert_allclose(centres[..., 1] / 2, latitude, atol=1e-6)
    np.testing.assert_allclose((centres[..., 0] / 2 - longitude) % 360 % 359.999, 0, atol=2e-3)
    with pytest.raises(ConfigurationError, match="expected both"):
        FieldPlot.at(turned, lat=41.0)
    with pytest.raises(ConfigurationError, match="on the grid of the file"):
        FieldPlot.at(turned, lat=-41.0, lon=0.0)


def test_the_command_writes_png_and_pdf(
    tmp_path: Path, fields: xr.Dataset, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(fields, Path("fields.nc"))
    write_dataset(truth, Path("truth.nc"))
    arguments = ["--minus", "truth.nc", "--along", "lat", "--show", "mean,difference,section,series"]
    assert exit_code("plot", "fields.nc", "--out", "a.pdf", *arguments) == 0
    assert exit_code("plot", "fields.nc", "--out", "a.png", *arguments) == 0
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert exit_code("plot", "fields.nc", "--out", "a.svg") == 2
    assert exit_code("plot", "fields.nc", "--out", "b.png", "--minus", "none.nc") == 2
