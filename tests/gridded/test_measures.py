"""Units travel with a run: what is compared with it is converted to the right number, or refused."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, coords, smooth, write

from driftfield.data.sources import open_archive, open_fields
from driftfield.errors import DataError
from driftfield.gridded.measures import Measure, Measures, in_units_of_run
from driftfield.gridded.unit_library import linear_conversion
from driftfield.observations.measured import in_run_units
from driftfield.observations.table import ObservationTable

CONVERSIONS = [
    # units of the run, units of the file, value of the run = value of the file * scale + offset
    ("mg m-3", "ug l-1", 1.0, 0.0),
    ("mg m-3", "ug/L", 1.0, 0.0),
    ("mg m-3", "kg m-3", 1e6, 0.0),
    ("mg m-3", "g/m^3", 1e3, 0.0),
    ("mmol m-3", "mol m-3", 1e3, 0.0),
    ("mmol m-3", "umol l-1", 1.0, 0.0),
    ("mmol m-3", "1e-3 mol m-3", 1.0, 0.0),
    ("W m-2", "mW m-2", 1e-3, 0.0),
    ("W m-2", "J m-2 s-1", 1.0, 0.0),
    ("m2 s-2", "J kg-1", 1.0, 0.0),
    ("kg m-3", "g cm-3", 1e3, 0.0),
    ("day", "hours", 1 / 24, 0.0),
    ("radian", "degrees", np.pi / 180, 0.0),
    ("umol kg-1", "mol kg-1", 1e6, 0.0),
    ("m s-1", "km h-1", 1 / 3.6, 0.0),
    ("m s-1", "knots", 1852 / 3600, 0.0),
    ("m", "cm", 0.01, 0.0),
    ("hPa", "Pa", 0.01, 0.0),
    ("degC", "K", 1.0, -273.15),
    ("K", "degC", 1.0, 273.15),
    ("degC", "degF", 5 / 9, -160 / 9),
    ("%", "1", 100.0, 0.0),
]
REFUSED = [("mg m-3", "mmol m-3"), ("W m-2", "K"), ("m", "s"), ("mg m-3", "log10(mg m-3)"), ("1", "dB"), ("mg m-3", "bananas"),
           ("m", "m**9**9**9"), ("1", "10**10**10"), ("m s-1", "degC"), ("mmol m-3", "__import__('os').abort()")]  # fmt: skip


def measured(truth: np.ndarray, units: str) -> Measures:
    return Measures({"q": Measure(units, float(truth.mean()), float(truth.std()))})


def opened(path: Path, values: np.ndarray, units: str | None, **parts: tuple[np.ndarray, dict]) -> xr.Dataset:
    attrs = {} if units is None else {"units": units}
    variables = {f"q_{name}": (DIMS, part, described) for name, (part, described) in parts.items()}
    return open_fields(write(xr.Dataset({"q": (DIMS, values, attrs)} | variables, coords()), path))


@pytest.mark.parametrize(("to", "found", "scale", "offset"), CONVERSIONS)
def test_a_file_is_brought_to_the_units_of_the_run(
    tmp_path: Path, to: str, found: str, scale: float, offset: float
) -> None:
    truth = smooth(low=2.0, high=9.0)
    error = 0.1 + 0.01 * truth
    there = (truth - offset) / scale
    parts = {
        "error": (error / scale, {}),
        "sd": (error / scale, {"units": found}),
        "upper": (there + 1 / scale, {"units": found}),
    }
    dataset = opened(tmp_path / "a", there, found, **parts)
    brought = measured(truth, to).brought(dataset, "a.nc")
    np.testing.assert_allclose(brought["q"].values, truth, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(brought["q_error"].values, error, rtol=1e-6)
    np.testing.assert_allclose(brought["q_sd"].values, error, rtol=1e-6)
    np.testing.assert_allclose(brought["q_upper"].values, truth + 1, rtol=1e-6, atol=1e-9)
    assert brought["q"].attrs["units"] == to
    xr.testing.assert_identical(measured(truth, to).brought(brought), brought)


@pytest.mark.parametrize(("to", "found"), REFUSED)
def test_what_does_not_convert_is_refused(tmp_path: Path, to: str, found: str) -> None:
    truth = smooth(low=2.0, high=9.0)
    dataset = opened(tmp_path / "a", truth, found)
    with pytest.raises(DataError, match=r"'q' is in .* and the run knows it in"):
        measured(truth, to).brought(dataset, "a.nc")
    assert linear_conversion(found, to) is None


@pytest.mark.parametrize("text", ["mg m-3", "my own scale", "a.u.", "log10(mg m-3)", "degC", "psu"])
def test_equal_text_passes_whatever_it_means(tmp_path: Path, text: str) -> None:
    truth = smooth(low=2.0, high=9.0)
    brought = measured(truth, text).brought(opened(tmp_path / "a", truth, text))
    np.testing.assert_array_equal(brought["q"].values, truth)


@pytest.mark.parametrize(
    ("units", "mean", "sd", "mistaken", "scale", "offset"),
    [
        ("degC", 14.0, 3.0, "K", 1.0, 273.15),
        ("degC", 18.0, 11.0, "K", 1.0, 273.15),
        ("K", 287.0, 21.0, "degC", 1.0, -273.15),
        ("degC", 14.0, 3.0, "degF", 1.8, 32.0),
        ("m", 0.0, 0.1, "cm", 100.0, 0.0),
        ("m", 0.02, 0.1, "mm", 1000.0, 0.0),
        ("Pa", 101325.0, 900.0, "hPa", 0.01, 0.0),
        ("1", 0.4, 0.3, "%", 100.0, 0.0),
        ("1e-3", 35.0, 1.0, "kg kg-1", 0.001, 0.0),
    ],
)
@pytest.mark.parametrize("bare", ["file", "run"])
def test_without_units_values_are_held_against_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, units: str, mean: float, sd: float, mistaken: str, scale: float,
    offset: float, bare: str,
) -> None:  # fmt: skip
    truth = mean + sd * np.random.default_rng(0).standard_normal((6, 4, 6))
    run = Measures({"q": Measure(units if bare == "file" else "", mean, sd)})
    right = opened(tmp_path / "right", truth, None if bare == "file" else "widgets")
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(run.brought(right)["q"].values, right["q"].values)
    assert ("declares no units of 'q': taken as" in caplog.text) == (bare == "file")
    wrong = opened(tmp_path / "wrong", truth * scale + offset, None if bare == "file" else "widgets")
    if bare == "run" and abs(truth * scale + offset - mean).min() < 20 * sd:
        return  # nobody can know: neither units nor distance say so
    with pytest.raises(DataError, match=f"look like {mistaken}" if bare == "file" else "expected about"):
        run.brought(wrong)


@pytest.mark.parametrize(("to", "found", "scale", "offset"), CONVERSIONS[::3])
def test_points_are_brought_to_the_units_of_the_run(to: str, found: str, scale: float, offset: float) -> None:
    truth = smooth(low=2.0, high=9.0).ravel()
    table = ObservationTable.of(
        longitude=0.0, latitude=0.0, depth=0.0, time=np.datetime64("2001-01-01", "us"), variable="q",
        value=(truth - offset) / scale, error=np.full(truth.size, 0.5 / abs(scale)), attrs={"q": {"units": found}},
    )  # fmt: skip
    brought = in_run_units(table, measured(truth, to))
    np.testing.assert_allclose(brought.value, truth, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(brought.error, 0.5, rtol=1e-6)
    with pytest.raises(DataError, match="is observed in"):
        in_run_units(table, Measures({"q": Measure("bananas per day", 5.0, 1.0)}))


@pytest.mark.parametrize("method", ["peer", "model"])
def test_a_run_keeps_its_measures(tmp_path: Path, method: str) -> None:
    """Written and loaded; a file in other units gives the same fields, in the units of the run."""
    from driftfield.data.codec import FieldCodec
    from driftfield.data.twin import observe
    from driftfield.peers import Climatology
    from driftfield.testing import tiny_ocean, tiny_training_data

    ocean = tiny_ocean()
    for name in ocean.data_vars:
        ocean[name].attrs["units"] = "mg m-3"
    data = tiny_training_data(ocean)
    if method == "model":
        codec = FieldCodec.fit(
            data.archive, data.train, data.targets, data.covariates, {"class": "ClimatologicalAnomaly"}
        )  # type: ignore[arg-type]
        again = FieldCodec.from_arrays(*codec.to_arrays())
        assert again.measures.to_json() == codec.measures.to_json()
        assert again.measures["sst"].units == "mg m-3"
        return
    peer = Climatology()
    peer.fit(data)
    peer.save(tmp_path / "run")
    run = Climatology.load(tmp_path / "run")
    seen = observe(ocean.isel(time=[20]), {"thetao": "random:0.5"}, error=0.1, seed=0)
    other = seen.copy()
    other["thetao"] = (seen["thetao"] * 1e-3).assign_attrs(units="g m-3")
    other["thetao_error"] = (seen["thetao_error"] * 1e-3).assign_attrs(units="g m-3")
    a, b = (run.reconstruct(one, members=2) for one in (seen, other))
    np.testing.assert_allclose(b["thetao"].values, a["thetao"].values, rtol=1e-5)
    assert b["thetao"].attrs["units"] == "mg m-3"
    assert in_units_of_run(run, other, "x")["thetao"].attrs["units"] == "mg m-3"
    with pytest.raises(DataError, match="the run knows it in 'mg m-3'"):
        run.reconstruct(seen.assign(thetao=seen["thetao"].assign_attrs(units="K")), members=2)


@pytest.mark.parametrize("units", ["K", "degF", "degC", "mg m-3", "ug l-1", "cm", "hPa", "%"])
@pytest.mark.parametrize("known", [True, False])
def test_an_archive_is_measured_in_the_units_of_the_program(tmp_path: Path, units: str, known: bool) -> None:
    name = (
        {"K": "sst", "degF": "sst", "degC": "sst", "cm": "zos", "hPa": "psl", "%": "siconc"}.get(units, "chl")
        if known
        else "q"
    )
    low, high = {"K": (280, 290), "degF": (40, 60), "hPa": (990, 1030), "%": (5, 95)}.get(units, (5, 15))
    path = write(xr.Dataset({name: (DIMS, smooth(low=low, high=high), {"units": units})}, coords()), tmp_path / "a")
    archive = open_archive(path, [name])
    measure = Measures.fit(archive.dataset, [name])[name]
    values = archive.dataset[name].values.astype(float)
    assert measure.units == archive.dataset[name].attrs["units"]
    np.testing.assert_allclose([measure.mean, measure.sd], [values.mean(), values.std()], rtol=1e-6)
    assert Measures.from_json(Measures({name: measure}).to_json())[name] == measure
