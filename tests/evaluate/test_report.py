"""Every figure says what it shows in which units, land is grey, and the page stands alone."""

import json
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from driftfield.errors import ExistsError
from driftfield.evaluate import drawing, plots
from driftfield.evaluate.alignment import align
from driftfield.evaluate.evaluation import evaluate
from driftfield.evaluate.figures import _View, caption, write_figures
from driftfield.evaluate.report import write_report, write_report_folder


@pytest.fixture(scope="module")
def found(world):
    return evaluate(world.truth, world.outputs, world.observations)


def _stands_alone(page: str, *, figures: int) -> None:
    assert page.count("<img") == figures
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert "http" not in re.sub(r'base64,[^"]*', "", page)


@pytest.mark.slow
def test_report_folder_is_complete_and_stands_alone(found, world, tmp_path):
    folder = tmp_path / "REPORT"
    given = {"provenance": {"command": "evaluate <truth>"}, "folder": folder}
    write_report_folder(found, world.truth, world.outputs, world.observations, **given)
    assert {path.name for path in folder.iterdir()} == {"scores.json", "diagnostics.json", "figures", "report.html"}
    assert json.loads((folder / "scores.json").read_text()) == found.scores
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {
        f"temperature--{k}.png" for k in ("section", "profiles", "levels", "ranks", "reliability", "spectra")
    } <= names
    assert {"temperature--map--5m.png", "temperature--map--120.5m.png", "ssh--map.png", "ssh--ranks.png"} <= names
    page = (folder / "report.html").read_text()
    _stands_alone(page, figures=len(names))
    assert "evaluate &lt;truth&gt;" in page
    best = f"{found.scores['diffusion']['temperature']['rmse']:.4g}"
    assert f'<td class="best">{best}</td>' in page
    with pytest.raises(ExistsError):
        write_report_folder(found, world.truth, world.outputs, world.observations, **given)


def test_a_report_without_figures_or_ensembles(world, tmp_path):
    found = evaluate(world.truth, {"c": world.outputs["climatology"]}, world.observations, variables=["ssh"])
    write_report(found, [], {}, tmp_path / "report.html")
    assert "climatology" in (tmp_path / "report.html").read_text()


def test_figures_of_one_deterministic_method(world, tmp_path):
    outputs = {"c": world.outputs["climatology"]}
    found = evaluate(world.truth, outputs, world.observations, variables=["ssh"])
    paths = write_figures(world.truth, outputs, world.observations, found, tmp_path)
    kinds = [path.name.removeprefix("ssh--").removesuffix(".png") for path in paths]
    assert (kinds[0], kinds[-1]) == ("map", "spectra")  # no members, no spread: no picture of them
    assert all(kind.startswith("map--") for kind in kinds[1:-1])
    assert len(kinds) == 4  # the date with most hidden cells, and two more
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert caption(paths[0]).startswith("Truth, observed")
    write_report(found, paths, {"truth": "truth.nc"}, tmp_path / "report.html")
    _stands_alone((tmp_path / "report.html").read_text(), figures=4)
    _, folded = (tmp_path / "report.html").read_text().split("Over the whole domain, observed cells too", 1)
    whole = next(iter(found.scores.values()))["ssh"]["whole_domain"]
    assert f"{whole['rmse']:.4g}" in folded.split("</details>")[0]


def test_comparison_has_units_colour_bars_and_grey_land():
    truth = np.arange(12.0).reshape(3, 4)
    domain = truth > 0
    plane = drawing.MapPanel(
        x=np.arange(4.0), y=np.arange(3.0), vertical=False, truth=np.where(domain, truth, np.nan),
        observed=np.full((3, 4), np.nan), held_out=domain, domain=domain,
    )  # fmt: skip
    answers = {"a": plots.Answer(truth + 1, np.ones((3, 4))), "b": plots.Answer(truth - 1, None)}
    figure = plots.draw_comparison(plane, answers, name="temperature", units="degC", title="temperature at 5 m")
    panels, bars = figure.axes[:7], figure.axes[7:]  # nine less the observations and the spread of b, which has none
    assert not [panel.get_title() for panel in panels if "no spread" in panel.get_title()]
    assert [bar.get_ylabel().replace("\n", " ") for bar in bars] == [
        "temperature [degC]", "spread (1 sd) [degC]", "mean minus truth [degC]",
    ]  # fmt: skip
    assert all(panel.get_facecolor() == to_rgba(drawing.LAND) and panel.get_title() for panel in panels)
    error = panels[5].collections[-1]
    assert error.get_clim()[0] == -error.get_clim()[1]
    assert error.get_array().mask.reshape(3, 4)[0, 0]  # land is not coloured


def test_one_field_of_which_nothing_was_seen_has_two_rows():
    truth = np.arange(12.0).reshape(3, 4)
    everywhere = np.ones((3, 4), dtype=bool)
    plane = drawing.MapPanel(
        x=np.arange(4.0), y=np.arange(3.0), vertical=False, truth=truth, observed=np.full((3, 4), np.nan),
        held_out=everywhere, domain=everywhere,
    )  # fmt: skip
    figure = plots.draw_comparison(plane, {"a": plots.Answer(truth + 1, None)}, name="tas", units="K", title="tas")
    titles = [panel.get_title() for panel in figure.axes[:4]]
    assert titles == ["truth", "a: mean", "held out: scored", "error, rms held out 1"]
    assert len({round(panel.get_gridspec().nrows) for panel in figure.axes[:4]}) == 1
    assert figure.axes[0].get_gridspec().nrows == 2


def test_members_stand_beside_their_mean_and_no_panel_is_empty(world, found):
    aligned = align(world.truth, world.outputs, world.observations)
    view = _View(aligned, found, "ssh")
    ensembles = view.ensembles(0)
    assert {method: members.shape for method, (_, members) in ensembles.items()} == {"diffusion": (4, 24, 32)}
    several = {**ensembles, "other": (ensembles["diffusion"][0], ensembles["diffusion"][1][:2])}
    figure = plots.draw_members(view.plane(0)[0], several, name="ssh", units="m", title="members")
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels[5:]] == ["other: mean", "member 0", "member 1"]
    for ax in figure.axes:
        assert ax.has_data()
    coloured = panels[1].collections[-1].get_array().filled(np.nan).reshape(24, 32)
    expected = world.outputs["diffusion"]["ssh_member"].isel(member=0, time=view.time).values
    np.testing.assert_allclose(coloured, expected, equal_nan=True)


def test_other_dates_are_those_with_scored_cells(world, found):
    aligned = align(world.truth, world.outputs, world.observations)
    view = _View(aligned, found, "ssh")
    assert sorted([view.time, *view.other_times()]) == [0, 1, 2]
    assert _View(aligned, found, "ssh", view.other_times()[0]).stamp != view.stamp


def test_a_single_row_of_cells_is_drawn_too():
    shown = np.ones((1, 4), bool)
    plane = drawing.MapPanel(
        np.arange(4.0), np.zeros(1), False, np.arange(4.0)[None], np.full((1, 4), np.nan), shown, shown
    )
    width, height = drawing.panel_size(plane, columns=2)
    assert width > height > 1
    answers = {"a": plots.Answer(plane.truth + 1, None)}
    figure = plots.draw_comparison(plane, answers, name="x", units="1", title="x")
    corners = figure.axes[0].collections[-1].get_coordinates()
    assert np.ptp(corners[..., 1]) == 1  # a strip without any height is an empty panel
    assert np.ptp(corners[..., 0]) == 4


def test_longitudes_and_latitudes_are_named():
    assert drawing.place(-35.5, 340) == "35.5°S 20°W"
    assert drawing.place(0, 180) == "0° 180°"


def test_colour_maps_suit_the_quantity():
    assert drawing.colour_map("sea surface height", "m")[1]
    assert drawing.colour_map("sea water potential temperature", "degC")[0].name == "thermal"
    assert not drawing.colour_map("something", "1")[1]


def test_a_method_keeps_its_colour_in_every_figure():
    both, alone = drawing.palette(["diffusion", "mine", "linear"]), drawing.palette(["linear"])
    assert both[2] == alone[0]
    assert len(set(both)) == 3
