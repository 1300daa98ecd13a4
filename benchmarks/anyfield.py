"""How good is the filler of any field that comes with the package, where the answer is known, and on fields it never saw?

    python benchmarks/anyfield.py                        # everything; real data where $DRIFTFIELD_DATA is
    python benchmarks/anyfield.py --part exact --run FOLDER --every 3

exact    random Matern fields of known covariance, against the posterior that knows it: CRPS and spread, ratios (1 is perfect)
real     fields of the real world, one at a time, against interpolation fitted on the same single field: linear, and kriging with
         the field's own covariance (the filler before its network); RMSE, CRPS, 90 % coverage
spectra  power of members over that of the truth, by wavelength
seconds  128 x 128 cells, 16 members, one thread
curve    CRPS on four real sets against the samples that the weights have seen (checkpoints RUN_NNNNNNN of the training)
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.special import ndtr

from driftfield.data.masks import parse_pattern, reference_mask
from driftfield.data.sources import open_archive
from driftfield.models.any_field import AnyFieldReconstructor
from driftfield.runs import shipped_run
from driftfield.worlds.ocean import simulate_ocean
from driftfield.worlds.random_fields import MaternFields, draw_fields, grid_covariance

Plane = np.ndarray


@dataclass(frozen=True)
class Case:
    """One field with gaps, all (row, column).

    Arguments:
        truth: Any finite number outside the domain.
        observed: What is shown.
        domain: Where it exists.
        scored: Where it is hidden and known.
        error: Standard deviation of the observations' noise, which is added here.
        periodic: Whether the columns wrap.
    """

    truth: Plane
    observed: Plane
    domain: Plane
    scored: Plane
    error: float = 0.0
    periodic: bool = False

    def shown(self, seed: int = 0) -> xr.Dataset:
        """The observation data set."""
        noise = self.error * np.random.default_rng(seed).standard_normal(self.truth.shape)
        values = np.where(self.observed, self.truth + noise, np.nan).astype(np.float32)
        rows, columns = values.shape
        lon = np.arange(columns) * (360.0 / columns if self.periodic else 0.01)
        coords = {"time": np.array(["2020-01-01"], "M8[ns]"), "lat": np.arange(rows) * 0.01, "lon": lon}
        dataset = xr.Dataset({"field": (("time", "lat", "lon"), values[None])}, coords)
        if self.error:
            dataset["field_error"] = xr.full_like(dataset["field"], self.error)
        return dataset.assign(domain=(("lat", "lon"), self.domain))


def crps(mean: Plane, sd: Plane, truth: Plane) -> Plane:
    """CRPS of normal distributions."""
    z = (truth - mean) / sd
    return sd * (z * (2 * ndtr(z) - 1) + 2 * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) - 1 / np.sqrt(np.pi))


def filled(filler: AnyFieldReconstructor, case: Case) -> tuple[Plane, Plane]:
    """Mean and spread."""
    result = filler.reconstruct(case.shown(), members=1)
    return result["field"].values[0].astype(float), result["field_sd"].values[0].astype(float)


def linear(case: Case) -> Plane:
    """Triangles between the observations, the nearest one outside."""
    shown = case.shown()["field"].values[0]
    places = np.argwhere(case.observed).astype(float)
    values = shown[case.observed]
    cells = np.argwhere(np.ones_like(case.observed)).astype(float)
    answer = NearestNDInterpolator(places, values)(cells)
    if len(places) > 3 and min(np.ptp(places, axis=0)) > 0:
        inside = LinearNDInterpolator(places, values)(cells)
        answer = np.where(np.isfinite(inside), inside, answer)
    return answer.reshape(case.truth.shape)


# -- exact ---------------------------------------------------------------------------------------------------------------


def exact_rows(filler: AnyFieldReconstructor, untrained: AnyFieldReconstructor, repeats: int) -> None:
    """The posterior of the true covariance against the filler, which does not know it."""
    print("| cells | hidden | length | smoothness | observations | CRPS ratio | spread ratio | CRPS ratio, untrained |")
    print("|---|---|---|---|---|---|---|---|")
    worst = []
    for size, shares in ((32, (0.5, 0.9)), (64, (0.5, 0.75, 0.9, 0.95, 0.99)), (128, (0.95,))):
        for length, smoothness in ((2.7, 1.5), (5.3, 0.7), (7.1, 2.2), (13.0, 1.3)):
            for hidden in shares:
                row = exact_row((filler, untrained), size, hidden, length, smoothness, repeats if size < 128 else 1)
                worst.append(row[1:3])
                cells = " | ".join(f"{value:.3f}" for value in row[1:])
                print(f"| {size} | {hidden:.0%} | {length} | {smoothness} | {row[0]:.0f} | {cells} |", flush=True)
    ratios = np.array(worst)
    within = np.mean(np.abs(ratios - 1) <= 0.05, axis=0)
    print(
        f"within 5 %: CRPS in {within[0]:.0%} of the rows, spread in {within[1]:.0%}; median {np.median(ratios[:, 0]):.3f}"
    )


def exact_row(
    fillers: tuple[AnyFieldReconstructor, AnyFieldReconstructor],
    size: int,
    hidden: float,
    length: float,
    smoothness: float,
    repeats: int,
) -> tuple[float, float, float, float]:
    """Observations, CRPS ratio, spread ratio, and the CRPS ratio of the untrained one."""
    matern = MaternFields.single(length, smoothness)
    table = grid_covariance(matern, (size, size))[0]
    rng = np.random.default_rng(round(1000 * hidden) + size)
    sums = np.zeros(6)
    for _ in range(repeats):
        truth = draw_fields(rng, matern, (size, size))[0].astype(float)
        observed = rng.random(truth.shape) >= hidden
        rows, columns = np.nonzero(observed)
        i, j = (part.ravel() for part in np.indices(truth.shape))
        among = table[rows[:, None] - rows, columns[:, None] - columns] + 1e-8 * np.eye(rows.size)
        cross = table[rows[:, None] - i, columns[:, None] - j]
        weights = np.linalg.solve(among, cross)
        mean = (truth[observed] @ weights).reshape(truth.shape)
        sd = np.sqrt(np.maximum(1 - (weights * cross).sum(0), 1e-10)).reshape(truth.shape)
        case = Case(truth, observed, np.ones_like(observed), ~observed)
        answers = [(mean, sd), *(filled(filler, case) for filler in fillers)]
        scores = [float(crps(m, s, truth)[~observed].mean()) for m, s in answers]
        spreads = [float((s[~observed] ** 2).mean()) for _, s in answers]
        sums += [rows.size, *scores, *spreads[:2]]
    count, best, crps_filler, crps_untrained, variance, variance_filler = sums
    return count / repeats, crps_filler / best, float(np.sqrt(variance_filler / variance)), crps_untrained / best


# -- real ----------------------------------------------------------------------------------------------------------------


def plain(truth: Plane, observed: Plane, domain: Plane, *, error: float = 0.0, periodic: bool = False) -> Case:
    """What is in the domain, known and not observed is scored."""
    known = np.isfinite(truth)
    return Case(np.where(known, truth, 0), observed & known, domain, domain & ~observed & known, error, periodic)


def ersst(folder: Path, every: int) -> Iterator[tuple[str, Case]]:
    """Anomalies of the last twelve months, the masks of the reference; the climatology is that of the months before."""
    fields = xr.open_dataset(folder / "sst" / "ersstv5_monthly_2010-2020_2deg.nc")
    name = next(str(n) for n in fields.data_vars if fields[n].ndim == 3)
    values, month = fields[name].values, fields["time"].dt.month.values
    domain, first = np.isfinite(values).all(0), len(values) - 12
    climate = np.stack([values[:first][month[:first] == m].mean(0) for m in range(1, 13)])
    for kind in ("random", "clouds"):
        for share in (0.5, 0.75, 0.95):
            for date in range(first, len(values), every):
                observed = reference_mask(kind, share, date, domain)
                anomaly = values[date] - climate[month[date] - 1]
                yield f"ERSSTv5 anomaly, {kind} {share:.0%}", plain(anomaly, observed, domain, periodic=True)
    for date in range(first, len(values), every):
        observed = reference_mask("random", 0.95, date, domain)
        yield "ERSSTv5 itself, random 95%", plain(values[date], observed, domain, periodic=True)


def duacs(folder: Path, every: int) -> Iterator[tuple[str, Case]]:
    """Sea level of the last five days, as it is."""
    archive = open_archive(folder / "ssh" / "duacs_med_adt_daily_2005Q2.nc", ["adt"])
    values, domain = archive.dataset["adt"].values, archive.domain("adt").values.astype(bool)
    for kind in ("random", "clouds"):
        for share in (0.5, 0.75, 0.95):
            for date in range(len(values) - 5, len(values), max(1, every // 2)):
                observed = reference_mask(kind, share, date, domain)
                yield f"DUACS, {kind} {share:.0%}", plain(values[date], observed, domain)
    for date in range(len(values) - 5, len(values), max(1, every // 2)):
        observed = parse_pattern("tracks:0.95").draw(domain, np.random.default_rng(date))
        yield "DUACS, tracks 95%, noise 2 cm", plain(values[date], observed, domain, error=0.02)


def era5(folder: Path, every: int) -> Iterator[tuple[str, Case]]:
    """Temperature at 2 m over the United Kingdom, hours of the last five days."""
    archive = open_archive(folder / "atmos" / "era5_t2m_uk_hourly_2019-03.grib")
    values = archive.dataset[archive.variables[0]].values
    domain = np.isfinite(values).all(0)
    for pattern in ("random:0.95", "clouds:0.75", "swaths:0.8"):
        for date in range(len(values) - 120, len(values), 6 * every):
            observed = parse_pattern(pattern).draw(domain, np.random.default_rng(date))
            yield f"ERA5 t2m, {pattern}", plain(values[date], observed, domain)


def glorys(folder: Path, every: int) -> Iterator[tuple[str, Case]]:
    """Two sections of temperature over depth and distance, 2016 to 2019: whole columns and the surface are seen."""
    for place in ("Bonavista", "WhiteBay"):
        values = xr.open_dataset(folder / "sections3d" / f"glorys12_monthly_T_section_{place}.nc")["thetao"].values
        domain = np.isfinite(values).all(0)
        domain = domain[domain.any(1)]
        for count in (3, 5):
            for date in range(276, 324, 2 * every):
                rng = np.random.default_rng(date)
                observed = np.zeros_like(domain)
                observed[0] = True
                observed[:, rng.choice(domain.shape[1], count, replace=False)] = True
                truth = values[date][: len(domain)]
                yield f"GLORYS {place}, {count} columns", plain(truth, observed & domain, domain)


def alboran(folder: Path, every: int) -> Iterator[tuple[str, Case]]:
    """What was seen on a day and lies under the clouds of the day five later."""
    data = xr.open_dataset(folder / "sst" / "avhrr_alboran_L3_10days_clouds.nc", decode_times=False)
    values, domain = data["SST"].values, data["mask"].values > 0
    seen = np.isfinite(values) & domain
    for date in range(0, len(values), max(1, every // 2)):
        shown = seen[date] & seen[(date + 5) % len(values)]
        if shown.sum() > 100:
            truth = np.where(seen[date], values[date], 0)
            yield "Alboran, real clouds of another day", Case(truth, shown, domain, seen[date] & ~shown)


def others(folder: Path, every: int) -> Iterator[tuple[str, Case]]:
    """Heaton's simulated image, the simulated ocean, and daily sea level pressure, which the issue does not name."""
    image = xr.open_dataset(folder / "spatial" / "heaton_simulated_gp.nc")
    shown, truth = np.isfinite(image["train"].values), image["truth"].values
    yield "Heaton, simulated image", plain(truth, shown, np.isfinite(truth))
    ocean = simulate_ocean(years=0.6, seed=1, every_days=30.0)
    for variable, pattern in (("sst", "clouds:0.8"), ("thetao", "columns:0.95")):
        for date in range(0, ocean.sizes["time"], every):
            values = ocean[variable].isel(time=date).values
            values = values if values.ndim == 2 else values[4]
            domain = np.isfinite(values)
            observed = parse_pattern(pattern).draw(domain, np.random.default_rng(date))
            yield f"simulated ocean {variable}, {pattern}", plain(values, observed, domain, error=0.05)
    pressure = xr.open_dataset(folder / "atmos" / "ncep_r1_slp_daily_2001-2010_natl.nc")["slp"].values
    for date in range(3300, 3652, 12 * every):
        domain = np.ones(pressure.shape[1:], bool)
        observed = parse_pattern("random:0.9").draw(domain, np.random.default_rng(date))
        yield "NCEP sea level pressure, random 90%", plain(pressure[date], observed, domain)


SETS: tuple[Callable[[Path, int], Iterator[tuple[str, Case]]], ...] = (ersst, duacs, era5, glorys, alboran, others)


def scores(mean: Plane, sd: Plane | None, case: Case) -> np.ndarray:
    """Squared error, CRPS and coverage over the scored cells; a method without spread has its absolute error as CRPS."""
    error = (mean - case.truth)[case.scored]
    if sd is None:
        return np.array([(error**2).mean(), np.abs(error).mean(), np.nan])
    spread = np.maximum(sd[case.scored], 1e-12)
    covered = np.abs(error) <= 1.6449 * spread
    return np.array([(error**2).mean(), crps(error, spread, np.zeros_like(error)).mean(), covered.mean()])


def real_rows(
    filler: AnyFieldReconstructor, untrained: AnyFieldReconstructor, folder: Path, every: int, names: list[str]
) -> None:
    """One row per setting."""
    print("| setting | fields | RMSE | CRPS | coverage | kriging: RMSE | CRPS | coverage | linear: RMSE | CRPS |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    collected: dict[str, list[np.ndarray]] = {}
    for make in (make for make in SETS if not names or make.__name__ in names):
        settings = set()
        for name, case in make(folder, every):
            row = [scores(*filled(f, case), case) for f in (filler, untrained)]
            collected.setdefault(name, []).append(np.concatenate([*row, scores(linear(case), None, case)[:2]]))
            settings.add(name)
        for name in (name for name in collected if name in settings):
            print(f"| {name} | {len(collected[name])} | {' | '.join(table_cells(collected[name]))} |", flush=True)
    rows = np.array([rooted(part) for part in collected.values()])
    print(
        f"{len(rows)} rows: CRPS at or below kriging of the field by itself in {np.mean(rows[:, 1] <= rows[:, 4]):.0%}, RMSE in "
        f"{np.mean(rows[:, 0] <= rows[:, 3]):.0%}; RMSE at or below linear in {np.mean(rows[:, 0] <= rows[:, 6]):.0%}, CRPS in "
        f"{np.mean(rows[:, 1] <= rows[:, 7]):.0%}; coverage within [.85, .95] in {np.mean(np.abs(rows[:, 2] - 0.9) <= 0.05):.0%}"
    )


def rooted(parts: list[np.ndarray]) -> np.ndarray:
    """Means over the fields of a setting, squared errors rooted."""
    mean = np.mean(parts, axis=0)
    mean[[0, 3, 6]] = np.sqrt(mean[[0, 3, 6]])
    return mean


def table_cells(parts: list[np.ndarray]) -> list[str]:
    """As text."""
    return [f"{value:.2f}" if k in (2, 5) else f"{value:.3g}" for k, value in enumerate(rooted(parts))]


# -- spectra, seconds, curve -----------------------------------------------------------------------------------------------


def power(field: Plane) -> np.ndarray:
    """Power of a plane, tapered, in six bins of wave number from 1/32 to 1/4 per cell."""
    taper = np.hanning(field.shape[0])[:, None] * np.hanning(field.shape[1])[None]
    spectrum = np.abs(np.fft.fft2((field - field.mean()) * taper)) ** 2
    number = np.hypot(np.fft.fftfreq(field.shape[0])[:, None], np.fft.fftfreq(field.shape[1])[None])
    edges = np.geomspace(1 / 32, 1 / 4, 7)
    return np.array([spectrum[(number >= a) & (number < b)].mean() for a, b in itertools.pairwise(edges)])


def spectra(filler: AnyFieldReconstructor, folder: Path | None) -> None:
    """Power of the members over that of the truth."""
    rng = np.random.default_rng(5)
    sets: dict[str, list[Case]] = {}
    for length, smoothness in ((3.0, 0.7), (8.0, 1.5)):
        for _ in range(4):
            truth = draw_fields(rng, MaternFields.single(length, smoothness), (64, 64))[0]
            observed = parse_pattern("clouds:0.75").draw(np.ones(truth.shape, bool), rng)
            sets.setdefault(f"Matern {length} {smoothness}, clouds", []).append(plain(truth, observed, observed | True))
    if folder is not None:
        for name, case in era5(folder, 5):
            sets.setdefault(name, []).append(case)
    print("| set | power of members over the truth's, wavelengths from 32 to 4 cells |\n|---|---|")
    for name, cases in sets.items():
        ratios = []
        for case in cases:
            members = filler.reconstruct(case.shown(), members=8)["field_member"].values[:, 0].astype(float)
            ratios.append((np.mean([power(member) for member in members], axis=0), power(case.truth)))
        members_power, truth_power = np.mean(ratios, axis=0)
        print(f"| {name} | {' '.join(f'{value:.2f}' for value in members_power / truth_power)} |")


def seconds(filler: AnyFieldReconstructor, untrained: AnyFieldReconstructor) -> None:
    """Processor time of one field; the peer fits and applies kriging on it in the same process."""
    rng = np.random.default_rng(2)
    truth = draw_fields(rng, MaternFields.single(8.0, 1.2), (128, 128))[0]
    case = plain(truth, rng.random(truth.shape) > 0.9, np.ones(truth.shape, bool))
    shown = case.shown()
    for name, made, members in (
        ("16 members", filler, 16),
        ("mean and spread", filler, 1),
        ("kriging alone", untrained, 1),
    ):
        made.reconstruct(shown, members=members)
        took = []
        for _ in range(3):
            start = time.process_time()
            made.reconstruct(shown, members=members)
            took.append(time.process_time() - start)
        print(f"128 x 128, {name}: {np.median(took):.2f} s of one thread")


def curve(runs: list[Path], folder: Path, every: int) -> None:
    """CRPS of checkpoints over that of the untrained network, on four real sets."""
    cases: dict[str, list[Case]] = {}
    for make in (ersst, duacs, era5, glorys):
        for name, case in make(folder, every):
            if "95" in name or "clouds" in name or "columns" in name:
                cases.setdefault(make.__name__, []).append(case)
    fillers = [AnyFieldReconstructor.load(run) for run in runs]
    print(f"| samples | {' | '.join(cases)} |\n|---|{'---|' * len(cases)}")
    base = AnyFieldReconstructor(fillers[0].network_spec)
    unit = {name: [scores(*filled(base, case), case)[1] for case in part] for name, part in cases.items()}
    for filler in fillers:
        ratios = [
            np.mean([scores(*filled(filler, case), case)[1] / one for case, one in zip(part, unit[name], strict=True)])
            for name, part in cases.items()
        ]
        print(f"| {filler.extra.get('samples')} | {' | '.join(f'{value:.3f}' for value in ratios)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["exact", "real", "spectra", "seconds", "curve", "all"], default="all")
    parser.add_argument("--run", type=Path, help="Another run than the shipped one.")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="Checkpoints for the curve.")
    parser.add_argument("--every", type=int, default=1, help="Take every n-th field of a setting.")
    parser.add_argument(
        "--sets", nargs="*", default=[], choices=[make.__name__ for make in SETS], help="Of the real part."
    )
    parser.add_argument("--repeats", type=int, default=6, help="Fields per row of the exact part.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    filler = AnyFieldReconstructor.load(options.run or shipped_run("anyfield"))
    untrained = AnyFieldReconstructor(filler.network_spec)
    place = os.environ.get("DRIFTFIELD_DATA")
    folder = Path(place) if place and Path(place).is_dir() else None
    parts = ("seconds", "exact", "spectra", "real", "curve") if options.part == "all" else (options.part,)
    for part in parts:
        if part == "seconds":
            seconds(filler, untrained)
        elif part == "exact":
            exact_rows(filler, untrained, options.repeats)
        elif part == "spectra":
            spectra(filler, folder)
        elif folder is None:
            print(f"{part}: skipped, DRIFTFIELD_DATA names no folder of real data")
        elif part == "real":
            real_rows(filler, untrained, folder, options.every, options.sets)
        elif options.runs:
            curve(options.runs, folder, options.every)


if __name__ == "__main__":
    main()
