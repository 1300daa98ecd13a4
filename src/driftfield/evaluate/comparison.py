"""Which method is best, and by how much: tables and ratios from the scores of an `Evaluation`.

skill ratio of a method to a peer = mean over levels of score(method) / score(peer),        below 1: better (errors)
"""

__all__ = ["best_methods", "scores_table", "skill_ratio"]

from collections.abc import Mapping
from statistics import fmean

from driftfield.errors import DataError, suggest
from driftfield.evaluate.evaluation import Evaluation, Scores
from driftfield.evaluate.scores.score import all_scores


def best_methods(rows: Mapping[str, Mapping[str, object]], score: str) -> list[str]:
    """The method whose score is nearest to the ideal, with all that tie with it; none if no method has the score.

    Arguments:
        rows: {method: {score: value}}.
        score: Name of a registered score.
    """
    measure = all_scores()[score].distance
    distance = {m: measure(float(row[score])) for m, row in rows.items() if isinstance(row.get(score), float)}  # type: ignore[arg-type]
    return [method for method, found in distance.items() if found == min(distance.values())]


def scores_table(evaluation: Evaluation) -> str:
    """An aligned text table per variable, a star at the best of each column."""
    blocks = []
    headlines = [name for name, score in all_scores().items() if score.headline]
    columns = [*headlines, "n"]
    for variable in evaluation.variables:
        rows = {m: found[variable] for m, found in evaluation.scores.items() if variable in found}
        count, share = evaluation.held_out[variable]
        title = f"{variable} [{evaluation.units[variable]}]: {count} held-out cells ({100 * share:.1f} % of the domain)"
        best = {score: best_methods(rows, score) for score in headlines}
        lines = [["method", *columns]]
        for method, row in rows.items():
            cells = [_cell(row.get(score)) + ("*" if method in best.get(score, ()) else " ") for score in columns]
            lines.append([method, *cells])
        widths = [max(len(line[k]) for line in lines) for k in range(len(columns) + 1)]
        text = [
            "  ".join(
                # a header stands over the digits, not over the column of stars
                cell.ljust(width) if k == 0 else (cell if row_index else cell + " ").rjust(width + 1)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for row_index, line in enumerate(lines)
        ]
        blocks.append("\n".join([title, text[0], "-" * len(max(text, key=len)), *text[1:]]))
    weighting = "weighted by area" if evaluation.area_weighted else "every cell counts alike"
    footer = f"* best of the column; {len(evaluation.times)} times, {weighting}"
    return "\n\n".join(blocks) + "\n\n" + "\n".join([footer, *evaluation.notes])


def skill_ratio(scores: Scores, variable: str, score: str, method: str = "diffusion") -> dict[str, float]:
    """The mean over levels of `method`'s score divided by each peer's; below 1 the method has the smaller error.

    A surface variable has one level. Peers without the score, or with a score of 0, are left out.

    Raises:
        DataError: the method or the variable was not scored.
    """
    own = _levels(scores, method, variable, score)
    ratios = {}
    for peer in scores:
        if peer == method or variable not in scores[peer]:
            continue
        other = _levels(scores, peer, variable, score)
        shared = [own[level] / other[level] for level in own if other.get(level)]
        if shared:
            ratios[peer] = fmean(shared)
    return ratios


def _levels(scores: Scores, method: str, variable: str, score: str) -> dict[str, float]:
    """{level: value} of one score, without nulls; a surface variable has the one level ""."""
    if method not in scores:
        raise DataError(f"No scores of method {method!r}: {suggest(method, scores)}")
    if variable not in scores[method]:
        raise DataError(f"No scores of variable {variable!r}: {suggest(variable, scores[method])}")
    row = scores[method][variable]
    levels = row.get("levels") or {"": row}
    assert isinstance(levels, dict)
    return {key: float(found[score]) for key, found in levels.items() if found.get(score) is not None}


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
