"""`driftfield assimilate`."""

__all__ = ["assimilate"]

from driftfield.cli import assimilate_options as typed
from driftfield.cli.assimilate_work import Asked, AssimilateWork, Ensemble, Sources, WithheldShare
from driftfield.cli.options import Cluster, DropOutside, QualityLevel, RejectFlags, Resume, read_acceptance
from driftfield.cli.shared import Job, Overwrite, SamplerName, app, check_output, read_pairs


@app.command(rich_help_panel=Job.FILL)
def assimilate(
    run: typed.Run,
    out: typed.Out,
    obs: typed.Obs = None,
    points: typed.Points = None,
    coarse: typed.Coarse = None,
    function: typed.Function = None,
    variable: typed.Variable = None,
    members: typed.Members = 16,
    seed: typed.Seed = 0,
    method: typed.Method = None,
    set_: typed.Set = None,
    error: typed.Errors = None,
    inflate_error: typed.InflateError = None,
    correlated_km: typed.CorrelatedKm = None,
    footprint_km: typed.FootprintKm = None,
    time: typed.Time = None,
    window_days: typed.WindowDays = 0.0,
    withhold: typed.Withhold = None,
    by: typed.By = "platform",
    of: typed.Of = None,
    buffer_km: typed.BufferKm = 0.0,
    calibrate: typed.Calibrate = False,
    try_: typed.Try = None,
    batch_size: typed.BatchSize = 16,
    sampler: SamplerName = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    drop_outside: DropOutside = False,
    resume: Resume = False,
    cluster: Cluster = None,
    overwrite: Overwrite = False,
) -> None:
    """Constrain a trained prior by points, profiles, tracks, means over areas and depths, and functions of variables.

    Example: driftfield assimilate runs/prior points.csv --out analysis.nc --method mmps --members 16
    """
    check_output(out, overwrite=overwrite or resume)
    names = read_pairs(variable or [], "--variable", "NAME=NAME IN THE FILES")
    sources = Sources(obs, points, coarse, names, read_acceptance(quality_level, reject_flags), drop_outside)
    errors, footprint = typed.read_sizes(error, "--error"), typed.read_sizes(footprint_km, "--footprint-km")
    options, choices = typed.read_options(set_ or []), typed.read_choices(try_ or [])
    functions = typed.read_functions(function or [])
    asked = Asked(method, options, choices, inflate_error, errors, correlated_km, window_days, footprint, functions)
    withheld = WithheldShare(withhold, by, of, buffer_km, seed)
    work = AssimilateWork(run, sampler, sources, asked, withheld, Ensemble(members, seed, batch_size), time)
    work.write(out, calibrate=calibrate, resume=resume, overwrite=overwrite, cluster=cluster)
