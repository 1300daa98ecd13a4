"""Groups partition what is scored, cells average to the whole, rain and small scales are what they say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from coarse_world import coarse_world

from driftfield.errors import ConfigurationError, DataError, FileFormatError
from driftfield.evaluate.alignment import everything_held_out
from driftfield.evaluate.evaluation import evaluate
from driftfield.evaluate.groups import GroupPlaces, group_table, read_sites, scores_per_cell


@pytest.fixture(scope="module")
def case() -> tuple[xr.Dataset, dict[str, xr.Dataset], xr.Dataset]:
    truth = coarse_world(40)
    rng = np.random.default_rng(3)
    members = (
        truth["tas"].values + rng.standard_normal((6, *truth["tas"].shape)) * np.linspace(0.2, 2, 40)[:, None, None]
    )
    made = truth[["tas"]].copy()
    made["tas_member"] = (("member", "time", "lat", "lon"), members.astype(np.float32))
    made["tas"] = truth["tas"].copy(data=members.mean(axis=0).astype(np.float32))
    single = truth.copy(deep=True)
    single["tas"] = truth["tas"] + 1.0
    outputs = {"drawn": made, "warm": single}
    return truth, outputs, everything_held_out(truth, outputs)


@pytest.mark.parametrize("by", ["hour", "month", "season", "year"])
def test_groups_of_dates_make_up_the_whole(by: str, case: tuple[xr.Dataset, dict[str, xr.Dataset], xr.Dataset]) -> None:
    table = group_table(*case, [by], GroupPlaces())
    scores = evaluate(*case).scores
    for method in ("drawn", "warm"):
        rows = table[(table.method == method) & (table.variable == "tas")]
        assert rows.n.sum() == scores[method]["tas"]["n"]
        for score, power in (("rmse", 2), ("mae", 1), ("bias", 1), ("crps", 1)):
            pooled = float((rows[score] ** power * rows.n).sum() / rows.n.sum()) ** (1 / power)
            assert pooled == pytest.approx(scores[method]["tas"][score], rel=1e-5, abs=1e-6)
    if by == "month":
        assert list(table[(table.method == "warm") & (table.variable == "tas")].group) == ["01", "02"]
        assert table[table.method == "warm"].bias.iloc[0] == pytest.approx(1.0, rel=1e-5)


def test_land_boxes_and_sites(case: tuple[xr.Dataset, dict[str, xr.Dataset], xr.Dataset], tmp_path: Path) -> None:
    land = xr.zeros_like(case[0]["tas"].isel(time=0, drop=True))
    land[:, 8:] = 1.0
    (tmp_path / "sites.csv").write_text("name,lat,lon\nhill,41.02,6.0\n")
    places = GroupPlaces(land, {"west": (39, 44, 4.9, 6.1)}, read_sites(tmp_path / "sites.csv"))
    table = group_table(*case, [], places)
    rows = table[(table.method == "warm") & (table.variable == "tas")].set_index("group")
    assert dict(rows.n) == {"land": 40 * 12 * 8, "sea": 40 * 12 * 8, "west": 40 * 12 * 5, "hill": 40}
    cells = scores_per_cell(*case)
    assert cells["tas_bias"].sel(output="warm").values == pytest.approx(1.0, rel=1e-4)
    hill = table[(table.method == "drawn") & (table.group == "hill")].iloc[0]
    there = cells.sel(output="drawn").isel(lat=4, lon=4)
    for score in ("rmse", "bias", "crps", "spread_skill"):
        assert float(there[f"tas_{score}"]) == pytest.approx(hill[score], rel=1e-4)
    with pytest.raises(DataError, match=r"'far' lies .* degrees from the nearest cell"):
        group_table(*case, [], GroupPlaces(sites=pd.DataFrame({"name": ["far"], "lat": [10.0], "lon": [6.0]})))
    with pytest.raises(DataError, match="holds no cell"):
        group_table(*case, [], GroupPlaces(boxes={"nowhere": (0, 1, 0, 1)}))
    with pytest.raises(ConfigurationError, match="Did you mean 'season'"):
        group_table(*case, ["seasons"], GroupPlaces())
    (tmp_path / "bad.csv").write_text("name,latitude\nx,1\n")
    with pytest.raises(FileFormatError, match="lacks the column 'lat'"):
        read_sites(tmp_path / "bad.csv")


def test_a_grouped_spread_is_that_of_the_whole(case: tuple[xr.Dataset, dict[str, xr.Dataset], xr.Dataset]) -> None:
    table = group_table(*case, ["year"], GroupPlaces())
    found = float(table[(table.method == "drawn")].spread_skill.iloc[0])
    assert found == pytest.approx(evaluate(*case).scores["drawn"]["tas"]["spread_skill"], rel=1e-4)


def test_seasons_are_those_of_meteorology() -> None:
    dates = pd.to_datetime(["2001-12-05", "2002-03-05", "2002-05-31", "2002-06-01", "2002-09-01"])
    truth = coarse_world(5).assign_coords(time=dates)
    outputs = {"off": truth[["tas"]] + xr.DataArray(np.arange(5.0), dims="time")}
    table = group_table(truth, outputs, everything_held_out(truth, outputs), ["season"], GroupPlaces()).set_index(
        "group"
    )
    assert dict(table.bias.round(3)) == {"DJF": 0.0, "MAM": 1.5, "JJA": 3.0, "SON": 4.0}
