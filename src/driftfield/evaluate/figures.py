"""Chooses what to draw from an evaluation, draws it and writes PNG files.

per variable: a map per level (three at most), members beside the mean, the first level at two more dates and, where there is
depth, a section, profiles and scores by level;
rank histograms and reliability where there is an ensemble; spectra where there is a box without land.
The time shown elsewhere is the one with the most held-out cells.
"""

__all__ = ["caption", "write_figures"]

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from driftfield.conventions import domain_of, geometry_of, held_out_of, positions_of
from driftfield.evaluate import drawing, plots
from driftfield.evaluate.alignment import Aligned, align
from driftfield.evaluate.cells import level_key
from driftfield.evaluate.evaluation import Evaluation
from driftfield.files import replacing

CAPTIONS = {
    "map": "Truth, observed and held-out cells beside the mean, spread and error of every method. "
    "Grey: land or sea floor; white: not observed. A method without spread has no panel of it.",
    "members": "Members beside the mean of their ensemble: each could be the truth, the mean is smoother than any of them.",
    "section": "The same along one row of latitude, depth downwards. Grey: sea floor or land.",
    "profiles": "Profiles at places whose column was hidden; "
    "the bands hold 90 % of a Gaussian with the method's spread.",
    "levels": "Scores of held-out cells by depth. Spread over skill is 1 (dashed) for honest uncertainty.",
    "ranks": "Rank of the truth among the members: flat at 1 (dashed) is perfect, "
    "a U overconfident, a dome too cautious.",
    "reliability": "Error found against spread promised, in five equally full bins of spread, with spread over skill of "
    "each: on the dashed line is perfect. Cells are sorted by one half of the members and judged by the other.",
    "spectra": "Power spectra in a box without land. A mean may lose power at scales that are not observed, a member "
    "should not.",
}


def caption(path: Path) -> str:
    """What a figure written by `write_figures` shows."""
    kind = path.stem.split("--")[1] if "--" in path.stem else ""
    return CAPTIONS.get(kind, path.stem)


def write_figures(
    truth: xr.Dataset, outputs: Mapping[str, xr.Dataset], observations: xr.Dataset, evaluation: Evaluation, folder: Path
) -> list[Path]:
    """Draws everything that an evaluation can show.

    Arguments:
        truth: As given to `evaluate`.
        outputs: As given to `evaluate`.
        observations: As given to `evaluate`.
        evaluation: Its result.
        folder: Where the PNG files go; made if need be.

    Returns:
        The files, in the order in which a report shows them, named `<variable>--<kind>[--<level>].png`.
    """
    aligned = align(truth, outputs, observations)
    paths = []
    for name in evaluation.variables:
        for stem, figure in _figures(aligned, evaluation, name):
            path = Path(folder) / f"{name}--{stem}.png"
            with replacing(path, overwrite=True) as temporary:
                figure.savefig(temporary, format="png", dpi=110, facecolor="white")
            paths.append(path)
    return paths


def _figures(aligned: Aligned, evaluation: Evaluation, name: str) -> Iterator[tuple[str, Figure]]:
    """Stem and figure, one after the other, so that only one is in memory."""
    view = _View(aligned, evaluation, name)
    text, units = view.text, view.units
    for index in view.levels():
        where = "" if view.depths is None else f" at {level_key(float(view.depths[index]))} m"
        stem = "map" if view.depths is None else f"map--{level_key(float(view.depths[index]))}m"
        title = f"{text}{where}, {view.stamp}"
        yield stem, plots.draw_comparison(*view.plane(index), name=text, units=units, title=title)
    yield from _other_dates(aligned, evaluation, name, view)
    if view.depths is not None and len(view.depths) > 1:
        row = view.row()
        title = f"{text}, section at {view.row_text(row)}, {view.stamp}"
        yield "section", plots.draw_comparison(*view.section(row), name=text, units=units, title=title)
        panels = view.profiles()
        if panels:
            title = f"{text} at hidden columns, {view.stamp}"
            yield "profiles", plots.draw_profiles(panels, name=text, units=units, title=title)
        scores = {
            method: by_variable[name]["levels"]
            for method, by_variable in evaluation.scores.items()
            if name in by_variable
        }
        columns = {
            "rmse": f"RMSE of the mean [{units}]",
            "crps": f"CRPS [{units}]",
            "spread_skill": "spread / skill [1]",
        }
        title = f"{text}: scores of held-out cells by depth"
        yield "levels", plots.draw_levels(scores, columns=columns, title=title)  # type: ignore[arg-type]
    ranks = {method: by_variable[name] for method, by_variable in evaluation.ranks.items() if name in by_variable}
    if ranks:
        yield "ranks", plots.draw_ranks(ranks, title=f"{text}: rank of the truth among the members")
    bins = {method: by_variable[name] for method, by_variable in evaluation.reliability.items() if name in by_variable}
    if bins:
        title = f"{text}: error in bins of spread"
        yield "reliability", plots.draw_reliability(bins, units=units, title=title)
    if name in evaluation.spectra:
        title = f"{text}: power spectra, mean of {len(aligned.times)} times"
        yield "spectra", plots.draw_spectra(evaluation.spectra[name], units=units, title=title)


def _other_dates(aligned: Aligned, evaluation: Evaluation, name: str, view: "_View") -> Iterator[tuple[str, Figure]]:
    """Members beside the mean, and the first level at two more dates."""
    index = view.levels()[0]
    where = "" if view.depths is None else f" at {level_key(float(view.depths[index]))} m"
    ensembles = view.ensembles(index)
    if ensembles:
        title = f"{view.text}{where}, {view.stamp}: members beside the mean"
        yield (
            "members",
            plots.draw_members(view.plane(index)[0], ensembles, name=view.text, units=view.units, title=title),
        )
    for time in view.other_times():
        other = _View(aligned, evaluation, name, time)
        stem = "map" if view.depths is None else f"map--{level_key(float(view.depths[index]))}m"
        title = f"{view.text}{where}, {other.stamp}"
        shown = plots.draw_comparison(*other.plane(index), name=view.text, units=view.units, title=title)
        yield f"{stem}--{other.stamp.replace(':', '').replace(' ', 'T')}", shown


class _View:
    """One variable at one time, ready to be cut into planes."""

    def __init__(self, aligned: Aligned, evaluation: Evaluation, name: str, time: int | None = None) -> None:
        held_out, domain = held_out_of(aligned.observations, name), domain_of(aligned.observations, name)
        truth = aligned.truth[name]
        assert held_out is not None  # the evaluation refused it otherwise
        domain = truth.notnull().any("time") if domain is None else domain
        counts = (held_out & domain).broadcast_like(truth).sum([d for d in truth.dims if d != "time"])
        self.counts = counts.values
        time = int(self.counts.argmax()) if time is None else time
        self.time, self.outputs = time, aligned.outputs
        self.name, self.text, self.units = name, evaluation.names[name], evaluation.units[name]
        self.stamp = aligned.times[time].replace("T00:00:00", "").replace("T", " ")
        self.truth = self._at(truth, time)
        self.observed = self._at(aligned.observations[name], time)
        self.domain = self._at(domain, time)
        self.held_out = self._at(held_out, time) & self.domain & self.truth.notnull()
        self.depths = self.truth["depth"].values if "depth" in self.truth.dims else None
        self.answers = {
            method: (self._at(output[name], time), self._spread(output, time))
            for method, output in aligned.outputs.items()
            if name in output
        }

    def other_times(self, count: int = 2) -> list[int]:
        """Dates with scored cells besides this one, the first and the last before those between."""
        scored = [int(k) for k in np.flatnonzero(self.counts) if k != self.time]
        places = np.linspace(0, len(scored) - 1, min(count, len(scored))).round().astype(int)
        return [scored[k] for k in sorted(set(places.tolist()))]

    def ensembles(self, index: int, count: int = 4) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Mean and some members of every method that has more than one, at a level."""
        drawn = {}
        for method, output in self.outputs.items():
            members = output.get(f"{self.name}_member")
            if members is None or members.sizes["member"] < 2:
                continue
            some = self._at(members.isel(member=slice(count)), self.time)
            mean = self.answers[method][0]
            drawn[method] = tuple(
                part.isel(depth=index, missing_dims="ignore").transpose(..., "lat", "lon").values
                for part in (mean, some)
            )
        return drawn  # type: ignore[return-value]

    def levels(self) -> list[int]:
        """First, middle and last level that hold scored cells."""
        if self.depths is None:
            return [0]
        scored = [k for k in range(len(self.depths)) if bool(self.held_out.isel(depth=k).any())]
        return sorted({scored[0], scored[len(scored) // 2], scored[-1]})

    def row(self) -> int:
        """The latitude with the most scored cells."""
        return int(self.held_out.sum(["depth", "lon"]).argmax("lat"))

    def plane(self, index: int) -> tuple[drawing.MapPanel, dict[str, plots.Answer]]:
        """The map of one level."""
        return self._cut({} if self.depths is None else {"depth": index}, "lat")

    def section(self, row: int) -> tuple[drawing.MapPanel, dict[str, plots.Answer]]:
        """Depth and longitude along one latitude."""
        return self._cut({"lat": row}, "depth")

    def profiles(self, count: int = 4) -> list[plots.Panel]:
        """Up to `count` of the columns with the most hidden levels, spread over the region."""
        hidden = self.held_out.sum("depth").transpose("lat", "lon").values
        if hidden.max() < 2:
            return []
        rows, columns = np.nonzero(hidden == hidden.max())
        chosen = np.unique(np.linspace(0, len(rows) - 1, count + 2).round().astype(int)[1:-1])
        return [self._profile({"lat": int(rows[k]), "lon": int(columns[k])}) for k in chosen]

    def row_text(self, row: int) -> str:
        """The row of a section, as a title says it."""
        if self._numbered() is None:
            return drawing.latitude(float(self.truth["lat"][row]))
        return f"row {float(self.truth['lat'][row]):g}"

    def _degrees(self) -> tuple[np.ndarray, np.ndarray]:
        cells = geometry_of(self.truth)
        return cells.latitude, cells.one_turn.longitude

    def _numbered(self) -> tuple[str, str] | None:
        """What the axes of a grid with positions hold; None where they are degrees."""
        if positions_of(self.truth) is None or self.truth["lon"].attrs.get("standard_name") == "longitude":
            return None
        words = []
        for axis, word in (("lon", "column"), ("lat", "row")):
            attrs = self.truth[axis].attrs
            unit = str(attrs.get("units", "1"))
            name = str(attrs.get("standard_name", word)).replace("_", " ")
            words.append(name if unit == "1" else f"{name} [{unit}]")
        return words[0], words[1]

    def _profile(self, where: dict[str, int]) -> plots.Panel:
        inside = self.domain.isel(where).values

        def column(array: xr.DataArray) -> np.ndarray:
            return array.isel(where).values[inside]

        return plots.Panel(
            place=drawing.place(*(float(part[where["lat"], where["lon"]]) for part in self._degrees())),
            depth=self.truth["depth"].values[inside],
            truth=column(self.truth),
            observed=column(self.observed),
            answers={
                m: plots.Answer(column(x), None if s is None else column(s)) for m, (x, s) in self.answers.items()
            },
        )

    def _cut(self, where: dict[str, int], down: str) -> tuple[drawing.MapPanel, dict[str, plots.Answer]]:
        def cut(array: xr.DataArray) -> np.ndarray:
            return array.isel(where, missing_dims="ignore").transpose(down, "lon").values

        plane = drawing.MapPanel(
            x=self.truth["lon"].values,
            y=self.truth[down].values,
            vertical=down == "depth",
            truth=cut(self.truth),
            observed=cut(self.observed),
            held_out=cut(self.held_out),
            domain=cut(self.domain),
            numbered=self._numbered(),
        )
        return plane, {
            method: plots.Answer(cut(mean), None if sd is None else cut(sd))
            for method, (mean, sd) in self.answers.items()
        }

    @staticmethod
    def _at(array: xr.DataArray, time: int) -> xr.DataArray:
        return array.isel(time=time, drop=True, missing_dims="ignore").load()

    def _spread(self, output: xr.Dataset, time: int) -> xr.DataArray | None:
        """The predictive sd of the method, None where it states none."""
        members = output.get(f"{self.name}_member")
        if members is not None and members.sizes["member"] > 1:
            size = members.sizes["member"]
            sd = self._at(members, time).std("member", ddof=1) * np.sqrt(1 + 1 / size)
        elif f"{self.name}_sd" in output:
            sd = self._at(output[f"{self.name}_sd"], time)
        else:
            return None
        return sd if bool((sd > 0).any()) else None
