"""The ocean twin experiment: profiles and altimeter tracks between cells, over an ocean that no method has seen.

    python benchmarks/ocean_twin.py [--dates 8] [--members 16] [--figure docs/images/ocean_twin.png]

prints the tables of docs/assimilation.md.

On every date 50 profiles of temperature (error .05 degC) and 4 passes of an altimeter (a point every 14 km, error 2.5 cm); every
tenth profile is kept back. The prior is guided by the points. The peers and the conditional model are given the same values on
cells (`driftfield gather`: linear in depth, means of cells), which loses where in a cell they were; what the conditional model of
recipes/ocean_diffusion.yaml cannot be given is the altimetry. Hidden are all cells that the gridded profiles do not fill.

The inflation of observation errors, and for those that see cells the error of representativeness, are chosen on another ocean.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from driftfield.assimilation.rows import DatedRows, row_days

from driftfield.assimilation.analysis import Assimilation
from driftfield.assimilation.inflation import choose_inflation
from driftfield.evaluate.drawing import MapPanel, colour_map, fill, label_edges, limits
from driftfield.evaluate.observation_space import ObservationScores, score_observations
from driftfield.evaluate.scores.deterministic import rmse
from driftfield.evaluate.scores.ensembles import coverage, crps_fair, spread_skill
from driftfield.gridded.encodings import as_dates
from driftfield.observations.drawn import draw_profiles, draw_tracks
from driftfield.observations.grid import StateGrid
from driftfield.observations.observe import state_grid
from driftfield.observations.readers.superobs import Target, bin_to_grid
from driftfield.observations.table import ObservationTable
from driftfield.observations.withholding import withhold
from driftfield.runs import load_reconstructor, shipped_run
from driftfield.worlds.ocean import simulate_ocean

PROFILES, PASSES = 50, 4
DEPTHS = (*range(5, 100, 10), *range(100, 200, 25), *range(200, 500, 50), *range(500, 1001, 100))
ERRORS = {"thetao": 0.05, "zos": 0.025}
OPTIONS = {"iterations": 3}
"""Of MMPS without a condition: on the other ocean 5 iterations run away on one date of three, GMRES is a little worse."""
CONDITIONED = {"iterations": 5, "solver": "gmres"}
"""Of MMPS beside a condition, where conjugate gradients run away."""
INFLATIONS = (1.0, 2.0, 4.0)
REPRESENTATIVENESS = (0.0, 0.2, 0.5)
LEVELS = (5.0, 50.0, 120.0, 300.0, 650.0)
"""Of the table by depth, metres."""

Method = Callable[["Twin", int], xr.Dataset]
"""(experiment, members) -> fields with `thetao_member`."""


@dataclass(frozen=True)
class Twin:
    """A known ocean, and what was seen of it.

    Arguments:
        truth: thetao, zos, domain.
        used, withheld: Observations; of the latter there is temperature alone.
        hidden: Cells that are scored, (time, depth, lat, lon).
        grid: The state of one date, temperature alone.
    """

    truth: xr.Dataset
    used: ObservationTable
    withheld: ObservationTable
    hidden: xr.DataArray
    grid: StateGrid

    def gridded(self, own: float, *, heights: bool) -> xr.Dataset:
        """The observations that are used, on cells; `own` is the error of representativeness, degC."""
        return on_cells(self.used, self.truth, own, heights=heights)

    def scores(self, fields: xr.Dataset) -> "Scores":
        members, truth = fields["thetao_member"], self.truth["thetao"]
        weights = np.cos(np.radians(truth["lat"]))
        scored: dict[str, Any] = {"mask": self.hidden, "weights": weights}
        dims = ("time", "lat", "lon")
        return Scores(
            rmse=float(rmse(members.mean("member"), truth, **scored)),
            crps=float(crps_fair(members, truth, **scored)),
            spread_skill=float(spread_skill(members, truth, **scored)),
            coverage=float(coverage(members, truth, **scored)),
            by_depth={
                "RMSE": rmse(members.mean("member"), truth, dims=dims, **scored),
                "CRPS": crps_fair(members, truth, dims=dims, **scored),
            },
            withheld=self._withheld(fields),
        )

    def _withheld(self, fields: xr.Dataset) -> ObservationScores:
        dates = as_dates(fields["time"])
        rows = DatedRows(self.withheld, row_days(self.withheld, dates), self.grid)
        near = rows.away(dates) == 0
        predicted = [rows.select(near[:, i]).predicted(fields.isel(time=[i])) for i in range(dates.size)]
        order = np.concatenate([np.flatnonzero(near[:, i]) for i in range(dates.size)])
        return score_observations(
            np.concatenate(predicted, axis=1), self.withheld.value[order], self.withheld.error[order]
        )


@dataclass(frozen=True)
class Scores:
    """On the hidden cells, by depth, and at the withheld profiles."""

    rmse: float
    crps: float
    spread_skill: float
    coverage: float
    by_depth: Mapping[str, xr.DataArray]
    withheld: ObservationScores


def twin(codec: Any, *, seed: int, dates: int, every: int) -> Twin:
    """`dates` dates of the ocean of a seed, `every` months apart, and their observations."""
    ocean = simulate_ocean(years=30 * dates * every / 365.2425, every_days=30, start="2040-01-15", seed=seed)
    truth = ocean.isel(time=slice(0, dates * every, every))[["thetao", "zos"]].load()
    truth = truth.assign(domain=truth["thetao"].notnull().any("time"))
    grid = state_grid(codec, [np.datetime64("2000-01-01")])
    floats = draw_profiles(truth, grid, "thetao", count=PROFILES, depths=DEPTHS, error=ERRORS["thetao"], seed=seed)
    passes = draw_tracks(truth, grid, "zos", count=PASSES, spacing_km=14.0, error=ERRORS["zos"], seed=seed)
    used, withheld = [passes], []
    for date in np.unique(floats.time):
        mine = floats.select(floats.time == date)
        kept = withhold(mine, 0.1, seed=seed)
        used.append(mine.select(kept.used))
        withheld.append(mine.select(kept.withheld))
    seen = ObservationTable.join(used)
    filled = on_cells(seen, truth, 0.0, heights=False)["thetao"].notnull()
    temperature = tuple(channel for channel in grid.channels if channel.variable == "thetao")
    alone = StateGrid(
        grid.lat, grid.lon, temperature, grid.domain[: len(temperature)], grid.periodic, grid.days, grid.step_days
    )
    return Twin(truth, seen, ObservationTable.join(withheld), truth["domain"] & ~filled, alone)


def on_cells(table: ObservationTable, truth: xr.Dataset, own: float, *, heights: bool) -> xr.Dataset:
    """As `driftfield gather` grids them; heights, where they are not to be shown, are all NaN."""
    levels: dict[str, tuple[float | None, ...]] = {"thetao": tuple(truth["depth"].values.tolist()), "zos": (None,)}
    domain = truth["domain"].values
    target = Target(
        truth["lat"].values,
        truth["lon"].values,
        truth["time"],
        levels,
        {"thetao": domain, "zos": domain[:1]},
        {name: {"units": str(truth[name].attrs["units"])} for name in levels},
    )
    gridded = bin_to_grid(as_points(table), target, representativeness={"thetao": own}, max_gap=150.0).dataset
    return gridded if heights else gridded.assign(zos=gridded["zos"].where(False))


def as_points(table: ObservationTable) -> xr.Dataset:
    """In the layout of the readers."""
    places = {"lat": table.latitude, "lon": table.longitude, "time": table.time, "depth": np.nan_to_num(table.depth)}
    columns = dict(places, profile=np.unique(table.platform.astype(str), return_inverse=True)[1])
    for name in ERRORS:
        mine = table.variable == name
        columns[name] = np.where(mine, table.value, np.nan)
        columns[f"{name}_error"] = np.where(mine, table.error, np.nan)
    return xr.Dataset({name: ("observation", values) for name, values in columns.items()})


# -- methods -----------------------------------------------------------------------------------------------------------


def shown(run: Any, own: float, *, heights: bool = False) -> Method:
    """A reconstruction of the gridded observations."""

    def method(twin: Twin, members: int) -> xr.Dataset:
        return run.reconstruct(twin.gridded(own, heights=heights), members=members, seed=0)

    return method


def guided(run: Any, inflation: float, variables: Sequence[str], *, own: float | None = None) -> Method:
    """The prior guided by the points of some variables; with `own` it is shown the profiles on cells beside them."""

    def method(twin: Twin, members: int) -> xr.Dataset:
        rows = twin.used.select(np.isin(twin.used.variable.astype(str), variables))
        condition = None if own is None else twin.gridded(own, heights=False)
        times = None if condition is not None else twin.truth["time"].values
        options = OPTIONS if condition is None else CONDITIONED
        return (
            Assimilation(run, "mmps", options, inflation=inflation)
            .analyse(rows, condition=condition, times=times, members=members)
            .fields
        )

    return method


def calibrated_inflation(run: Any, twin: Twin) -> float:
    """By the package's own search, on profiles of another ocean."""

    def analyse(factor: float) -> Any:
        kept = partial(withhold, fraction=0.2, variables=["thetao"], seed=0)
        return Assimilation(run, "mmps", OPTIONS, inflation=factor).analyse(twin.used, members=8, withhold=kept)

    chosen = choose_inflation(analyse, INFLATIONS)
    for one in chosen.to_json()["tried"]:
        print(f"  errors x {one['inflation']:g}: spread-skill {one['spread_skill']:.3f}", flush=True)
    return chosen.inflation


def chosen_error(run: Any, twin: Twin, *, heights: bool = False) -> float:
    """The error of representativeness with the least CRPS, on another ocean."""
    found = {own: twin.scores(shown(run, own, heights=heights)(twin, 8)).crps for own in REPRESENTATIVENESS}
    print("  representativeness: " + ", ".join(f"{own:g} degC: CRPS {crps:.3f}" for own, crps in found.items()))
    return min(found, key=lambda own: found[own])


def methods(arguments: argparse.Namespace, prior: Any, other: Twin) -> list[tuple[str, Method]]:
    """What is compared, with its constants."""
    climatology, conditional = (load_reconstructor(shipped_run(f"ocean_{n}")) for n in ("climatology", "diffusion"))
    found: list[tuple[str, Method]] = [("climatology", shown(climatology, 0.0))]
    peer = load_reconstructor(shipped_run("ocean_oi"))
    found.append(("optimal interpolation, profiles on cells", shown(peer, chosen_error(peer, other))))
    if (arguments.peer / "run.json").exists():
        peer = load_reconstructor(arguments.peer)
        own = chosen_error(peer, other, heights=True)
        found.append(("optimal interpolation, profiles and altimetry on cells", shown(peer, own, heights=True)))
    own = chosen_error(conditional, other)
    found.append(("conditional model, profiles on cells", shown(conditional, own)))
    inflation = arguments.inflation or calibrated_inflation(prior, other)
    label = f"errors x {inflation:g}"
    return [
        *found,
        (f"prior guided by profiles ({label})", guided(prior, inflation, ["thetao"])),
        (f"prior guided by profiles and altimetry ({label})", guided(prior, inflation, ["thetao", "zos"])),
        (
            f"prior shown profiles on cells, guided by altimetry ({label})",
            guided(prior, inflation, ["zos"], own=own),
        ),
    ]


# -- telling -----------------------------------------------------------------------------------------------------------


def line(label: str, s: Scores, seconds: float) -> str:
    w = s.withheld
    field = f"{s.rmse:.3f} | {s.crps:.3f} | {s.spread_skill:.2f} | {s.coverage:.3f}"
    return f"| {label} | {field} | {w.rmse:.3f} | {w.crps:.3f} | {w.spread_skill:.2f} | {w.coverage_90:.3f} | {seconds:.0f} |"


def depth_table(scores: Mapping[str, Scores], levels: Sequence[float]) -> str:
    lines = [
        "| RMSE / CRPS, degC | " + " | ".join(f"{level:g} m" for level in levels) + " |",
        "|---" * (1 + len(levels)) + "|",
    ]
    for label, one in scores.items():
        cells = [" / ".join(f"{float(score.sel(depth=z)):.3f}" for score in one.by_depth.values()) for z in levels]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(twin: Twin, answers: Mapping[str, xr.Dataset], path: Path, *, level: float = 120.0, date: int = 0) -> None:
    """Truth and observations beside mean, spread and error of some methods, at one depth of one date."""
    from matplotlib.figure import Figure

    truth = twin.truth["thetao"].isel(time=date).sel(depth=level)
    domain = twin.truth["domain"].sel(depth=level).values
    x, y = truth["lon"].values, truth["lat"].values
    nothing = np.full(truth.shape, np.nan)
    plane = MapPanel(x, y, False, truth.values, nothing, twin.hidden.isel(time=date).sel(depth=level).values, domain)
    columns = 1 + len(answers)
    figure = Figure(figsize=(3.1 * columns + 1.0, 6.0), layout="constrained")
    grid = np.array(figure.subplots(2, columns, squeeze=False, sharex=True, sharey=True))
    colours, diverging = colour_map("thetao", "degC")
    low, high = limits([truth.values], diverging)
    drawn = fill(grid[0, 0], plane, truth.values, f"truth, {level:g} m", cmap=colours, vmin=low, vmax=high)
    seen = twin.used.select(twin.used.time == truth["time"].values.astype(twin.used.time.dtype))
    fill(grid[1, 0], plane, nothing, "observed: profiles, altimetry")
    heights = seen.variable == "zos"
    grid[1, 0].scatter(seen.longitude[heights], seen.latitude[heights], s=2, color="0.45")
    deep = ~heights & (np.abs(seen.depth - level) < 15.0)
    marks = {"cmap": colours, "vmin": low, "vmax": high, "edgecolors": "black", "linewidths": 0.4}
    grid[1, 0].scatter(seen.longitude[deep], seen.latitude[deep], c=seen.value[deep], s=22, **marks)
    members = {name: fields["thetao_member"].isel(time=date).sel(depth=level) for name, fields in answers.items()}
    widest = max(float(m.std("member", ddof=1).quantile(0.99)) for m in members.values())
    for column, (name, member) in enumerate(members.items(), start=1):
        error = float(np.sqrt(((member.mean("member") - truth) ** 2).where(plane.held_out).mean()))
        title = f"{name}\nmean, RMSE {error:.2f} degC"
        fill(grid[0, column], plane, member.mean("member").values, title, cmap=colours, vmin=low, vmax=high)
        sd = member.std("member", ddof=1).values
        spread = fill(grid[1, column], plane, sd, "standard deviation", cmap="viridis", vmin=0.0, vmax=widest)
    label_edges(grid, plane)
    figure.colorbar(drawn, ax=grid[0], label="temperature [degC]", shrink=0.85)
    figure.colorbar(spread, ax=grid[1], label="standard deviation [degC]", shrink=0.85)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/ocean_prior"))
    parser.add_argument(
        "--peer", type=Path, default=Path("runs/ocean_oi_height"), help="interpolation that sees heights"
    )
    parser.add_argument("--dates", type=int, default=8)
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--inflation", type=float, help="of observation errors; chosen on another ocean by default")
    parser.add_argument("--figure", type=Path)
    parser.add_argument(
        "--keep", type=Path, help="folder for the fields of every method; those that are there are read"
    )
    arguments = parser.parse_args()
    if not (arguments.run / "run.json").exists():
        print(f"no run in {arguments.run}: skipped. Train it with recipes/ocean_prior.yaml.")
        return
    prior: Any = load_reconstructor(arguments.run)
    other = twin(prior.codec, seed=2, dates=3, every=4)
    scored = twin(prior.codec, seed=1, dates=arguments.dates, every=1)
    print(f"{len(scored.used)} observations, {len(scored.withheld)} values of profiles are withheld", flush=True)
    compared = methods(arguments, prior, other)
    head = ("RMSE", "CRPS", "spread-skill", "90 % coverage")
    print("\n| method | " + " | ".join(head) + " | " + " | ".join(f"{h}, withheld" for h in head) + " | s |")
    print("|---" * 10 + "|", flush=True)
    scores, fields = {}, {}
    for number, (label, method) in enumerate(compared):
        start, kept = time.perf_counter(), arguments.keep and arguments.keep / f"method{number}.nc"
        if kept and kept.exists():
            fields[label] = xr.open_dataset(kept)
        else:
            fields[label] = method(scored, arguments.members)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                fields[label].to_netcdf(kept)
        scores[label] = scored.scores(fields[label])
        print(line(label, scores[label], time.perf_counter() - start), flush=True)
    print("\n" + depth_table(scores, LEVELS))
    if arguments.figure:
        names = {
            "optimal": "optimal interpolation",
            "conditional": "conditional model",
            "prior guided by profiles and": "prior, guided",
        }
        picked = {names[key]: f for key in names for label, f in fields.items() if label.startswith(key)}
        draw(scored, picked, arguments.figure)


if __name__ == "__main__":
    main()
