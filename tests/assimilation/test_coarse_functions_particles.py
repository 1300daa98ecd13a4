"""Means over boxes, functions of variables and particles guide to the posterior that they should, with a prior that is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.assimilation.analysis import Assimilation
from driftfield.errors import ConfigurationError, DataError
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.observations.coarse import table_of_boxes
from driftfield.observations.derived import Derived
from driftfield.observations.table import ObservationTable
from driftfield.registry import names
from driftfield.trajectories.trajectory import TrajectoryReconstructor

DAY = "2001-03-05"
SPEED = {"speed": Derived.named("speed", ["u", "v"])}
MANY = {"particles": 1500, "levels": 32}


def affine(run: DiffusionReconstructor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of a network unit of u and v."""
    both = [run.codec.normalizers[name] for name in ("u", "v")]
    mean = [float(one.mean_at(np.array([DAY], dtype="datetime64[s]")).mean()) for one in both]
    return np.array(mean), np.array([one.std.item() for one in both])


def posterior(run: DiffusionReconstructor, h: np.ndarray, y: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (cell,) of N(m, S C S) given y = h x + e, physical units: textbook algebra."""
    mean, std = (np.repeat(part, 30) for part in affine(run))
    covariance = std[:, None] * run.model.prior.numpy() * std  # type: ignore[union-attr]
    gain = covariance @ h.T @ np.linalg.inv(h @ covariance @ h.T + error**2 * np.eye(len(h)))
    return mean + gain @ (y - h @ mean), np.sqrt(np.diag(covariance - gain @ h @ covariance))


def flat(fields: xr.Dataset, suffix: str = "") -> np.ndarray:
    """(cell,) of one date, u then v."""
    return np.concatenate([fields[f"{name}{suffix}"].values[0].ravel() for name in ("u", "v")])


def agrees(fields: xr.Dataset, mean: np.ndarray, sd: np.ndarray, effective: float) -> None:
    """Whether an ensemble of so many draws has this mean and spread."""
    away = (flat(fields) - mean) / (sd / np.sqrt(effective))
    assert np.sqrt(np.mean(away**2)) < 1.7
    assert np.sqrt(np.mean((flat(fields, "_sd") / sd) ** 2)) == pytest.approx(1, abs=0.1)


def coarse_file() -> xr.Dataset:
    """u of two rows of two degrees and two columns of three: a mean of three cells is not the value in the middle."""
    return xr.Dataset(
        {"u": (("time", "lat", "lon"), np.array([[[7.0, 5.0], [8.0, np.nan]]]), {"units": "m s-1"})},
        coords={"time": [np.datetime64(DAY, "ns")], "lat": [40.5, 42.5], "lon": [-9.0, -6.0]},
    ).assign(u_error=0.3)


def test_a_coarser_product_gives_the_closed_form_posterior(winds: DiffusionReconstructor) -> None:
    table = table_of_boxes(coarse_file(), ("u", "v"))
    assert len(table) == 3
    h, blocks = np.zeros((3, 60)), ((0, 0), (0, 1), (1, 0))
    for row, (i, j) in enumerate(blocks):
        for lat in (2 * i, 2 * i + 1):
            # the area of a cell between two parallels
            area = np.diff(np.sin(np.radians([39.5 + lat, 40.5 + lat])))[0]
            h[row, 6 * lat + 3 * j : 6 * lat + 3 * j + 3] = area
    h /= h.sum(1, keepdims=True)
    y = np.array([coarse_file()["u"].values[0, i, j] for i, j in blocks])
    found = Assimilation(winds, "mmps", {"iterations": 12}).analyse(table, members=64, batch_size=64)
    assert found.guided_by == 3
    agrees(found.fields, *posterior(winds, h, y, 0.3), 64)


def test_boxes_are_land_beyond_the_grid_or_count_by_area(winds: DiffusionReconstructor) -> None:
    rows = ObservationTable.of(
        longitude=[-7.5, -7.5, 352.5, -7.5],
        latitude=[42.0, 45.5, 42.0, 42.0],
        time=DAY,
        variable="u",
        value=[6.0, 6.0, 6.0, 7.0],
        error=0.1,
        cell_width=[2.0, 2.0, 2.0, 0.5],
        cell_height=[2.0, 2.0, 2.0, 0.5],
    )
    account = Assimilation(winds).analyse(rows, members=1).account
    assert dict(account.total.dropped) == {"outside the grid": 1, "duplicate": 1}
    with pytest.raises(DataError, match="cell_width or a cell_height alone"):
        ObservationTable.of(longitude=0, latitude=0, time=DAY, variable="u", value=1, cell_width=1.0)


def speeds(value: Any = 9.0, error: float = 0.4, **columns: Any) -> ObservationTable:
    given: dict[str, Any] = {
        "longitude": [-8.0],
        "latitude": [42.0],
        "time": DAY,
        "variable": "speed",
        "value": value,
        "error": error,
    }
    return ObservationTable.of(**(given | columns))


def by_quadrature(run: DiffusionReconstructor, value: float, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of (u, v) in the cell of the observation, on a dense grid of both."""
    mean, std = affine(run)
    cell = 2 * 6 + 2
    prior = run.model.prior.numpy()[np.ix_([cell, 30 + cell], [cell, 30 + cell])]  # type: ignore[union-attr]
    inverse = np.linalg.inv(std[:, None] * prior * std)
    axes = [m + s * np.linspace(-6, 6, 601) for m, s in zip(mean, std, strict=True)]
    u, v = np.meshgrid(*axes, indexing="ij")
    away = np.stack([u - mean[0], v - mean[1]], axis=-1)
    log = -np.einsum("...i,ij,...j->...", away, inverse, away) / 2 - (np.hypot(u, v) - value) ** 2 / (2 * error**2)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    means = np.array([(weight * part).sum() for part in (u, v)])
    return means, np.sqrt([(weight * (part - m) ** 2).sum() for part, m in zip((u, v), means, strict=True)])


@pytest.mark.parametrize(("method", "options", "close"), [("mmps", {"iterations": 4}, 0.25), ("particles", MANY, 0.12)])
def test_a_speed_moves_both_components_to_their_posterior(
    winds: DiffusionReconstructor, method: str, options: dict[str, Any], close: float
) -> None:
    found = Assimilation(winds, method, options, functions=SPEED).analyse(speeds(), members=256, batch_size=256).fields
    mean, sd = by_quadrature(winds, 9.0, 0.4)
    here = found.isel(time=0).sel(lat=42, lon=-8)
    for name, m, s in zip(("u", "v"), mean, sd, strict=True):
        assert float(here[name]) == pytest.approx(m, abs=close * s)
        assert float(here[f"{name}_sd"]) == pytest.approx(s, rel=0.15)
        # the members too, not only what is said of them
        assert float(here[f"{name}_member"].mean()) == pytest.approx(m, abs=(close + 3 / 16) * s)
    assert found.attrs["observations_used"] == 1


def test_a_linear_function_gives_the_closed_form_posterior(winds: DiffusionReconstructor) -> None:
    """A difference beside a point of one of its variables."""
    rows = speeds(
        [3.5, 7.0],
        0.2,
        variable=["contrast", "u"],
        longitude=[-8.0, -6.5],
        latitude=[42.0, 41.0],
    )
    h = np.zeros((2, 60))
    h[0, [14, 44]] = 1, -1
    h[1, [6 + 3, 6 + 4]] = 0.5
    made = Assimilation(
        winds, "mmps", {"iterations": 12}, functions={"contrast": Derived.named("difference", ["u", "v"])}
    )
    agrees(made.analyse(rows, members=64, batch_size=64).fields, *posterior(winds, h, np.array([3.5, 7.0]), 0.2), 64)


@pytest.mark.parametrize(("noise", "particles"), [("winds", 1500), ("winds_in_colour", 500)])
def test_particles_find_the_closed_form_posterior(noise: str, particles: int, request: pytest.FixtureRequest) -> None:
    winds = request.getfixturevalue(noise)
    rows = speeds([7.0, 3.0], variable=["u", "v"], longitude=-8.0, latitude=[42.0, 43.0])
    h = np.zeros((2, 60))
    h[0, 14], h[1, 30 + 20] = 1, 1
    found = Assimilation(winds, "particles", MANY | {"particles": particles}).analyse(rows, members=256).fields
    mean, sd = posterior(winds, h, np.array([7.0, 3.0]), 0.4)
    assert np.sqrt(np.mean(((flat(found) - mean) / sd) ** 2)) < 0.1
    assert np.sqrt(np.mean((flat(found, "_sd") / sd) ** 2)) == pytest.approx(1, abs=0.06)
    members = np.concatenate([found[f"{name}_member"].values[:, 0].reshape(256, -1) for name in ("u", "v")], axis=1)
    assert np.sqrt(np.mean(((members.mean(0) - mean) / sd) ** 2)) < 0.2
    assert np.sqrt(np.mean((members.std(0) / sd) ** 2)) == pytest.approx(1, abs=0.1)


def test_a_member_of_particles_depends_on_no_other(winds: DiffusionReconstructor) -> None:
    made = Assimilation(winds, "particles", {"particles": 64, "levels": 8})
    rows = speeds(variable="u")
    many, few = (made.analyse(rows, members=n, seed=3, batch_size=b).fields for n, b in ((5, 5), (2, 1)))
    xr.testing.assert_equal(many["u_member"][:2], few["u_member"])
    xr.testing.assert_equal(many["u"], few["u"])
    other = made.analyse(rows, members=2, seed=4).fields
    assert not np.array_equal(other["u_member"], few["u_member"])
    assert few.attrs["network_evaluations"] == 3 * 8 - 2


def test_few_particles_are_said_to_be_worth_little(
    winds: DiffusionReconstructor, caplog: pytest.LogCaptureFixture
) -> None:
    Assimilation(winds, "particles", {"particles": 16, "levels": 4}).analyse(
        speeds(8.5, 0.001, variable="u"), members=8
    )
    assert "the ensemble is a poor one" in caplog.text


@pytest.mark.parametrize("method", names("guidance"))
def test_every_method_takes_a_function_or_refuses_it_by_name(winds: DiffusionReconstructor, method: str) -> None:
    options: dict[str, dict[str, Any]] = {
        "prior_covariance": {"samples": 60, "rank": 20},
        "particles": {"particles": 500, "levels": 16},
        "dps": {"zeta": 3.0},
    }
    made = Assimilation(winds, method, options.get(method), functions=SPEED)
    rows = speeds(12.0, 0.2)
    if method in ("replacement", "repaint"):
        with pytest.raises(ConfigurationError, match="functions of several variables"):
            made.analyse(rows, members=2)
        return
    free = Assimilation(winds).analyse(speeds(variable="u", error=1e3), members=16).fields
    found = made.analyse(rows, members=16).fields
    before, after = (
        np.hypot(*(f[f"{n}_member"].isel(time=0).sel(lat=42, lon=-8).values for n in ("u", "v"))).mean()
        for f in (free, found)
    )
    assert abs(after - 12.0) < 0.7 * abs(before - 12.0)


def test_a_speed_at_rest_has_a_derivative() -> None:
    speed = SPEED["speed"].function
    values = torch.zeros(1, 2, 2, dtype=torch.float64)
    values[0, 1] = torch.tensor([3.0, 4.0])
    values.requires_grad_()
    found = speed(values)
    (slope,) = torch.autograd.grad(found.sum(), values)
    assert found.tolist() == [[0.0, 5.0]]
    np.testing.assert_allclose(slope.numpy(), [[[0, 0], [0.6, 0.8]]])


def test_a_function_is_in_the_units_of_its_variables(winds: DiffusionReconstructor) -> None:
    in_metres, in_knots = (
        Assimilation(winds, functions=SPEED).analyse(
            speeds(9.0 * factor, 0.4 * factor, attrs={"speed": {"units": units}}), members=1
        )
        for factor, units in ((1.0, "m s-1"), (100.0, "cm s-1"))
    )
    xr.testing.assert_allclose(in_metres.fields["u"], in_knots.fields["u"], atol=1e-4)


def test_what_is_withheld_of_a_function_is_scored(winds: DiffusionReconstructor) -> None:
    from driftfield.observations.withholding import withhold

    rows = speeds(
        [9.0, 8.0, 7.0, 8.0],
        longitude=[-8.0, -9.0, -6.0, -7.0],
        latitude=[41.0, 42.0, 43.0, 42.0],
        platform=["a", "b", "c", "d"],
    )
    found = Assimilation(winds, functions=SPEED).analyse(
        rows, members=4, withhold=lambda used: withhold(used, fraction=0.25)
    )
    assert found.withheld["speed"].count == 1
    assert found.withheld["speed"].rmse < 3


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "argument": (
        lambda run: Assimilation(run, functions={"speed": Derived.named("speed", ["u", "w"])}),
        "'speed' is a function of 'w'",
    ),
    "name of a variable": (
        lambda run: Assimilation(run, functions={"u": Derived.named("speed", ["u", "v"])}),
        "'u' is a variable of this run",
    ),
    "function": (lambda run: Derived.named("velocity", ["u", "v"]), "Unknown function 'velocity'.*speed"),
    "number": (lambda run: Derived.named("difference", ["u"]), "expected 2 variables"),
    "unknown rows": (
        lambda run: Assimilation(run, functions=SPEED).analyse(speeds(variable="spede")),
        "not a variable of this state",
    ),
    "land": (
        lambda run: Assimilation(run, functions=SPEED).analyse(speeds(latitude=60.0)),
        "outside the grid",
    ),
    "particles": (lambda run: Assimilation(run, "particles", {"particles": 1}), "method.particles=1"),
    "particles of a course": (
        lambda run: TrajectoryReconstructor({"class": "ResidualUNet"}, guidance={"method": "particles"}),
        "particles draws the fields of one date at once",
    ),
    "levels": (lambda run: Assimilation(run, "particles", {"levels": 1}), "method.levels=1"),
    "effective": (lambda run: Assimilation(run, "particles", {"effective": 2}), "method.effective=2"),
    "calendar": (
        lambda run: table_of_boxes(coarse_file().convert_calendar("noleap", use_cftime=True), ("u",)),
        "calendar 'noleap'",
    ),
    "one row": (lambda run: table_of_boxes(coarse_file().isel(lat=[0]), ("u",)), "one lat alone"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(winds: DiffusionReconstructor, case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises((ConfigurationError, DataError), match=message):
        call(winds)
