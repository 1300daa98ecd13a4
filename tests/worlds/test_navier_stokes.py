"""Two-dimensional turbulence: exact solutions, an independent solver, budgets, the order of the scheme, and what is written."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.gridded.gridded_files import open_fields, write_dataset
from driftfield.worlds.navier_stokes import NavierStokes, truncated
from driftfield.worlds.turbulence_record import GAP, simulate_navier_stokes

DATA = Path(os.environ.get("DRIFTFIELD_DATA", ""), "known_answer", "kolmogorov_flow_64.nc")
DECAYING = NavierStokes(32, reynolds=1e14, drag=0.0, forcing="none", step=0.01)


def grid(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """y and x of the points."""
    axis = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return axis[:, None], axis[None, :]


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_taylor_green_decays_exactly() -> None:
    """w = 2 cos x cos y exp(-2 nu t), without a nonlinear term; drag takes its share."""
    flow = NavierStokes(64, reynolds=100.0, drag=0.03, forcing="none", step=0.02)
    y, x = grid(64)
    w = 2 * torch.cos(x) * torch.cos(y)
    later = flow.fields(flow.march(flow.spectrum(w[None]), 500))[0]
    assert relative(later, w * math.exp(-(2 * 0.01 + 0.03) * 10)) < 1e-10


def test_the_laminar_flow_is_steady() -> None:
    """u = Re sin(4 y) / 16 balances force and viscosity; E = Re^2 / (4 n^4)."""
    flow = NavierStokes(32, reynolds=3.0, drag=0.0)
    y, _ = grid(32)
    laminar = (-3.0 / 4 * torch.cos(4 * y)).expand(32, 32)[None]
    w = flow.spectrum(laminar)
    assert relative(flow.fields(flow.march(w, 50)), laminar) < 1e-7
    budget = flow.budget(w)
    assert float(budget["energy"]) == pytest.approx(9 / (4 * 256), rel=1e-10)
    assert float(budget["input"]) == pytest.approx(float(budget["viscous"]), rel=1e-10)


def test_velocity_and_its_sign() -> None:
    """A vortex turns anticlockwise where the vorticity is positive: it carries what is east of it northwards."""
    flow = NavierStokes(48, reynolds=1e6, drag=0.0, forcing="none", step=0.005)
    y, x = grid(48)

    def blob(cx: float, cy: float, width: float) -> torch.Tensor:
        return torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))

    w = 8 * blob(3.0, 3.0, 0.5) + 0.05 * blob(4.2, 3.0, 0.3)
    # away from the vortex, what it carries along is the small blob
    later = (
        flow.fields(flow.march(flow.spectrum((w - w.mean())[None]), 40))[0]
        - flow.fields(
            flow.march(flow.spectrum((8 * blob(3.0, 3.0, 0.5) - (8 * blob(3.0, 3.0, 0.5)).mean())[None]), 40)
        )[0]
    )
    row = int((later * (x > 3.6)).argmax()) // 48
    assert 2 * math.pi * row / 48 > 3.1


@pytest.mark.parametrize(
    ("name", "reynolds", "drag", "points", "step", "tolerance"),
    [("re40", 40.0, 0.0, 128, 0.01, 1e-6), ("re1000_drag0p1", 1000.0, 0.1, 160, 0.01, 1e-3)],
)
def test_an_independent_solver_agrees(
    name: str, reynolds: float, drag: float, points: int, step: float, tolerance: float
) -> None:
    """At Re 1000 the last waves that are computed carry something, and the two do not cut at the same one."""
    if not DATA.is_file():
        pytest.skip("needs $DRIFTFIELD_DATA/known_answer/kolmogorov_flow_64.nc")
    with xr.open_dataset(DATA) as known:
        at = {
            t: torch.from_numpy(known[f"vorticity_{key}"].values.T.copy()) for t, key in ((0, "t0"), (1, f"{name}_t1"))
        }
    flow = NavierStokes(64, points, reynolds, drag, step=step)
    assert relative(flow.fields(flow.march(flow.spectrum(at[0][None]), 100))[0], at[1]) < tolerance


def test_energy_and_enstrophy_are_conserved_without_friction() -> None:
    flow = replace(DECAYING, cells=64)
    w = flow.first([0], 1) / 3
    before = flow.budget(w)
    after = flow.budget(flow.march(w, 200))
    assert abs(float(after["energy"] / before["energy"]) - 1) < 1e-8
    assert abs(float(after["enstrophy"] / before["enstrophy"]) - 1) < 1e-6


def test_the_energy_balance() -> None:
    """What the force gives and friction takes is what the energy changes by."""
    flow = NavierStokes(48, reynolds=100.0, drag=0.05, step=0.01)
    w = flow.march(flow.first([0, 1], 0), 300)
    first, gained = flow.budget(w)["energy"], torch.zeros(2, dtype=torch.float64)
    steps, given = 200, []
    for step in range(steps + 1):
        budget = flow.budget(w)
        rate = budget["input"] - budget["viscous"] - budget["drag"]
        gained += rate * flow.time_step * (0.5 if step in (0, steps) else 1.0)
        given.append(budget["input"])
        w = flow.march(w, 1) if step < steps else w
    change = flow.budget(w)["energy"] - first
    assert float((change - gained).abs().max()) < 1e-4 * float(torch.stack(given).mean()) * 2
    assert float(change.abs().min()) > 1e-4


def test_the_scheme_is_of_fourth_order() -> None:
    flow = NavierStokes(32, reynolds=200.0, drag=0.1)
    w = flow.first([0], 3)

    def after(steps: int) -> torch.Tensor:
        return torch.view_as_real(replace(flow, step=1.0 / steps).march(w, steps))

    exact = after(800)
    errors = [relative(after(steps), exact) for steps in (50, 100, 200)]
    assert errors[0] / errors[1] > 14
    assert errors[1] / errors[2] > 14


def test_products_fold_nothing_back() -> None:
    """With the waves of the cut, the nonlinear term is that of a grid twice as fine."""
    flow = NavierStokes(32, drag=0.0)
    fine = NavierStokes(64, drag=0.0)
    w = flow.first([0, 1], 5)
    coarse_term = torch.fft.irfft2(flow._nonlinear(w), s=(32, 32))
    wide = torch.fft.irfft2(fine._nonlinear(fine.spectrum(flow.fields(w))), s=(64, 64))
    kept = torch.fft.irfft2(torch.fft.rfft2(truncated(wide, 32)) * flow._waves.kept, s=(32, 32))
    torch.testing.assert_close(coarse_term, kept, rtol=1e-10, atol=1e-10)
    assert flow.cut == 10


def test_the_first_flow_is_the_same_at_every_resolution() -> None:
    low, high = (NavierStokes(n) for n in (32, 64))
    waves = torch.fft.rfft2(high.fields(high.first([4], 9), 32)) * low._waves.kept
    torch.testing.assert_close(torch.fft.irfft2(waves, s=(32, 32)), low.fields(low.first([4], 9)))
    together = low.first([3, 4], 9)
    torch.testing.assert_close(together[1], low.first([4], 9)[0])


def test_dynamics_of_coarse_states() -> None:
    """States of 16 x 16 points computed with 32 keep their shape and their large waves."""
    flow = NavierStokes(16, 32, substeps=2)
    state = flow.start(3, np.random.default_rng(0))
    assert state.shape == (3, flow.size)
    later = flow.advance(state, 2)
    same = replace(flow, compute=16)
    np.testing.assert_allclose(same.advance(state, 2)[1], same.advance(same.advance(state[1])), atol=1e-9)
    assert flow.step_days == pytest.approx(0.04)
    assert 0.01 < np.abs(later - state).max() < 5


def test_what_is_written(tmp_path: Path) -> None:
    settings = {"size": 16, "compute": 24, "trajectories": 2, "frames": 3, "every": 0.25, "spin_up": 0.5, "seed": 2}
    fields = simulate_navier_stokes(**settings)
    assert fields.sizes == {"time": 6, "lat": 16, "lon": 16}
    hours = np.diff(fields["time"].values) / np.timedelta64(1, "h")
    np.testing.assert_allclose(hours, [6, 6, 6 * (1 + GAP), 6, 6])
    assert fields["trajectory"].values.tolist() == [0, 0, 0, 1, 1, 1]
    assert fields.attrs["dealiasing_cut"] == 7
    assert fields.attrs["time_step"] == pytest.approx(0.25 / 10)
    single = simulate_navier_stokes(**settings | {"trajectories": 1})
    np.testing.assert_allclose(single["vorticity"], fields["vorticity"][:3], atol=1e-5)
    write_dataset(fields, tmp_path / "ns.nc")
    again = open_fields(tmp_path / "ns.nc")
    np.testing.assert_array_equal(again["vorticity"], fields["vorticity"])
    assert again.attrs["torus"] == "lat lon"


def test_decaying_flows_decay() -> None:
    fields = simulate_navier_stokes(forcing="none", drag=0.0, reynolds=200, size=16, frames=3, every=1.0)
    spread = fields["vorticity"].std(("lat", "lon")).values
    assert (np.diff(spread) < 0).all()
    assert fields.attrs["forcing"] == "none"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: NavierStokes(64, 32), "at least as many"),
        (lambda: NavierStokes(64, reynolds=-1.0), "expected numbers above 0"),
        (lambda: NavierStokes(64, forcing="kolmogorow"), "Did you mean 'kolmogorov'"),
        (lambda: NavierStokes(12, forcing_waves=6), "use more points"),
        (lambda: simulate_navier_stokes(every=0.0), "every=0"),
        (lambda: simulate_navier_stokes(frames=0), "frames"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        wrong()


def test_a_step_that_is_too_long_is_said() -> None:
    flow = NavierStokes(32, reynolds=1000.0, step=3.0)
    with pytest.raises(DivergenceError, match="smaller step"):
        flow.march(flow.first([0], 0), 200)


@pytest.mark.slow
def test_the_climate_at_reynolds_40() -> None:
    """E / E_laminar .426 and D / D_laminar .0925 in time means; energy input and dissipation within 2 %.

    A flow stays near a quiet state for a hundred time units, or bursts: its own mean of D / D_laminar is .080 to .124 over 120 of
    them. Twenty flows have a standard error of .003, three had .007.
    """
    flow = NavierStokes(48, reynolds=40.0, drag=0.0, step=0.05)
    w = flow.march(flow.first(range(20), 0), 800)
    budgets = []
    for _ in range(300):
        w = flow.march(w, 8)
        budgets.append({name: float(value.mean()) for name, value in flow.budget(w).items()})
    mean = {name: np.mean([budget[name] for budget in budgets]) for name in budgets[0]}
    assert mean["energy"] / 1.5625 == pytest.approx(0.426, abs=0.02)
    assert mean["viscous"] / 1.25 == pytest.approx(0.0925, abs=0.008)
    assert mean["viscous"] == pytest.approx(mean["input"], rel=0.02)
