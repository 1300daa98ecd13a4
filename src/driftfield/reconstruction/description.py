"""What a run is, in a few lines: method, variables and place, what it was made for, how it was trained and calibrated."""

__all__ = ["about", "describe"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from driftfield.checkpoint import Run, is_borrowed
from driftfield.registry import names

PLACES = (("depth", "m"), ("lat", "°N"), ("lon", "°E"))
NEXT = {
    "reconstructor": "reconstruct {run} OBSERVATIONS --out OUT.nc",
    "downscaler": "downscale {run} COARSE --out FINE.nc",
    "emulator": "forecast {run} INITIAL --steps 10 --out OUT.nc",
}
"""What is done with a run of a family."""


def about(run: Run) -> str:
    """Method, variables and place of a run, one line."""
    facts = run.extra.get("codec", run.extra)
    targets = facts.get("targets")
    if not targets:
        return f"{run.class_name}: not bound to variables or a place"
    covariates = facts.get("covariates") or [v for v in facts.get("variables", ()) if v not in targets]
    said = f"{run.class_name} of {', '.join(targets)}" + (f" with {', '.join(covariates)}" if covariates else "")
    for kind, unit in PLACES:
        if (values := _axis(run, kind)) is not None:
            said += f"; {kind} {float(np.min(values)):.4g} to {float(np.max(values)):.4g} {unit} ({values.size})"
    return said


def describe(run: Run, name: str) -> str:
    """All that a user may want to know of a run before using it.

    Arguments:
        run: That was read.
        name: As it was called.
    """
    lines = [
        f"{name} is a run: {about(run)}",
        _expects(run.arguments),
        _made_of(run),
        _trained(run),
        _calibrated(run, name),
    ]
    job = next((job for family, job in NEXT.items() if run.class_name in names(family)), "")
    return "\n".join([*filter(None, lines), *([f"next: driftfield {job.format(run=name)}"] if job else [])])


def _axis(run: Run, kind: str) -> np.ndarray | None:
    """The longest axis of a kind that is kept."""
    known = [array for key, array in run.arrays.items() if key.rpartition(".")[2] == kind]
    return max(known, key=len) if known else None


def _expects(arguments: Mapping[str, Any]) -> str:
    """Patterns and errors of observations that it was made for."""
    observing = arguments.get("observing") or {}
    patterns = observing.get("observe") or arguments.get("patterns")
    if not patterns:
        return ""
    if not isinstance(patterns, Mapping):
        patterns = {"": patterns}
    parts = [f"{name} {_listed(texts)}".strip() for name, texts in patterns.items()]
    error = observing.get("error")
    return f"made for: {'; '.join(parts)}" + ("" if error is None else f"; observation error {error}")


def _listed(texts: Any) -> str:
    return ", ".join(map(str, texts)) if isinstance(texts, Sequence) and not isinstance(texts, str) else str(texts)


def _made_of(run: Run) -> str:
    """Network and its weights."""
    weights = sum(array.size for key, array in run.arrays.items() if key.startswith("weights."))
    network = (run.arguments.get("network") or {}).get("class")
    if not weights:
        return ""
    return f"network: {network or 'of its own'}, {weights / 1e6:.2f} million weights"


def _trained(run: Run) -> str:
    """The last validation of its training."""
    history = run.extra.get("history") or []
    if not history:
        return ""
    scores = {key: value for key, value in history[-1].items() if key.startswith("validation_")}
    said = ", ".join(f"{key.removeprefix('validation_')} {value:.4g}" for key, value in sorted(scores.items()))
    last = history[-1]
    length = f"{int(last['step'])} steps" if "step" in last else f"{int(last.get('samples', 0))} samples"
    return f"trained: {length}" + (f"; last validation: {said}" if said else "")


def _calibrated(run: Run, name: str) -> str:
    """Spread-skill and coverage before and after, where it has a calibration."""
    calibration = run.extra.get("calibration")
    if calibration is None:
        return "calibrated: no" + ("" if is_borrowed(name) else f" (driftfield calibrate {name})")
    parts = []
    for variable, both in (calibration["about"].get("scores") or {}).items():
        before, after = both["raw"], both["calibrated"]
        parts.append(
            f"{variable} spread-skill {before['spread_skill']:.2f} -> {after['spread_skill']:.2f}, "
            f"90 % coverage {before['coverage_90']:.2f} -> {after['coverage_90']:.2f}"
        )
    return f"calibrated on {calibration['about'].get('cases', '?')} validation dates: {'; '.join(parts) or 'no scores kept'}"
