"""What `driftfield reconstruct` says once its output is written."""

__all__ = ["tell"]

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from driftfield.errors import visible

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)


def tell(out: Path, observations: "xr.Dataset", shown: "xr.Dataset", withheld: float | None) -> None:
    """Where nothing was filled or used, the scores on what was withheld, and what was written.

    Arguments:
        out: The output.
        observations: What was seen.
        shown: What of it the run was shown.
        withheld: Share that it was not shown, None for nothing.
    """
    from driftfield.gridded.gridded_files import open_fields

    written = open_fields(out)
    _say_of_gaps(written, shown)
    if withheld is not None:
        _print_scores(out, written, observations, shown, withheld)
    print(visible(f"wrote {out}: {', '.join(sorted(map(str, written.data_vars)))}"))


def _say_of_gaps(written: "xr.Dataset", shown: "xr.Dataset") -> None:
    """A line where nothing was filled, or where some observation or none could be used."""
    from driftfield.conventions import domain_of, state_variables

    for name in (n for n in state_variables(shown) if n in written):
        dims = shown[name].dims
        if shown[name].shape != written[name].transpose(*dims, missing_dims="ignore").shape:
            continue
        seen, there = shown[name].notnull().values, written[name].transpose(*dims).notnull().values
        if not (there & ~seen).any():
            gaps = int((~seen).sum())
            why = f"all {gaps} gaps lie outside of its domain" if gaps else "there is no gap"
            log.warning("nothing of %r was filled: %s", name, why)
        elif domain_of(shown, name) is None and (outside := int((seen & ~there).sum())):
            log.info(
                "%d of %d observed values of %r lie outside of the domain of the run and are not used",
                outside, int(seen.sum()), name,
            )  # fmt: skip
        if seen.any() and not (there & seen).any():
            log.warning(
                "none of the %d observed values of %r lies in its domain: what was written is what the method says without them",
                int(seen.sum()),
                name,
            )


def _print_scores(
    out: Path, written: "xr.Dataset", observations: "xr.Dataset", shown: "xr.Dataset", share: float
) -> None:
    """RMSE, CRPS and coverage on what the run was not shown, of every variable that it completes."""
    from driftfield.conventions import state_variables
    from driftfield.evaluate.evaluation import evaluate

    names = [name for name in state_variables(shown) if name in written]
    label = out.stem
    plain = written.drop_attrs(deep=False)  # scored under one name, whatever the method calls itself
    scores = evaluate(observations, {label: plain}, shown, variables=names).scores[label]
    for name in names:
        scored = scores[name]
        values = [
            f"{word} {value:.4g}"
            for word, key in (("RMSE", "rmse"), ("CRPS", "crps"), ("90 % coverage", "coverage_90"))
            if isinstance(value := scored.get(key), float | int)
        ]
        units = str(observations[name].attrs.get("units", ""))
        print(f"{name} on {scored['n']:,} withheld values{f' [{units}]' if units else ''}: {', '.join(values)}")
    print(f"{out} was made without these {share:.0%} of what was seen: leave --withhold out to use everything")
