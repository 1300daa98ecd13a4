"""Runs, recipes, paths and options that make no sense."""

import json
import shutil
from pathlib import Path

from malformed import Case, Rng, as_any, as_recipe, as_run, kind, listed, random_bytes

# -- runs --------------------------------------------------------------------------------------------------------------


def copied_run(rng: Rng, place: Path, good: Path) -> Path:
    bad = place / "bad"
    shutil.copytree(good / str(rng.choice(["peer", "model"])), bad)
    return bad


@kind
def corrupted_safetensors(rng: Rng, place: Path, good: Path) -> Case:
    """Cut, emptied, gone, one byte changed, a lying header, or a pickle."""
    bad = copied_run(rng, place, good)
    arrays = bad / "arrays.safetensors"
    whole = bytearray(arrays.read_bytes())
    which = rng.integers(6)
    if which == 0:
        whole = whole[: int(len(whole) * rng.uniform(0, 0.99))]
    elif which == 1:
        whole[int(rng.integers(8, len(whole)))] ^= 1 << int(rng.integers(8))
    elif which == 2:
        whole[:8] = int(rng.integers(2**40, 2**60)).to_bytes(8, "little")
    elif which == 3:
        whole = bytearray(b"\x80\x04\x95" + random_bytes(rng, 200))
    elif which == 4:
        whole += random_bytes(rng, 16)
    arrays.write_bytes(whole)
    if which == 5:
        arrays.unlink()
    return Case(as_run(rng, bad, good), ["bad/arrays.safetensors"])


@kind
def damaged_description(rng: Rng, place: Path, good: Path) -> Case:
    """run.json cut, with parts missing, of other types, of another class, or newer."""
    bad = copied_run(rng, place, good)
    text = (bad / "run.json").read_text()
    content = json.loads(text)
    which = rng.integers(9)
    if which == 0:
        text = text[: int(rng.integers(0, len(text) - 2))]
    elif which == 1:
        del content[rng.choice(["class", "arguments", "driftfield_format"])]
    elif which == 2:
        content[str(rng.choice(["arguments", "extra", "class"]))] = [["a", 1], 7, None][rng.integers(3)]
    elif which == 3:
        content["class"] = str(rng.choice(["Climatologie", "os.system", "Diffusion", "TrainingState"]))
    elif which == 4:
        content["driftfield_format"] = [99, 0, -1, "1", None, 1.5, True][rng.integers(7)]
    elif which == 5:
        content["arguments"] |= {"colour": "blue"}
    elif which == 6:
        del content["extra"][rng.choice(sorted({"codec", "variables", "targets", "periodic"} & set(content["extra"])))]
    elif which == 7:
        content = [["run"], 3, "run", None][rng.integers(4)]
    else:
        content["arrays_sha256"] = "0" * 64
    (bad / "run.json").write_text(text if which == 0 else json.dumps(content))
    return Case(as_run(rng, bad, good), ["bad" if which != 3 else "Unknown"])


@kind
def damaged_checkpoint(rng: Rng, place: Path, good: Path) -> Case:
    bad = place / "run" / "checkpoints" / "last"
    bad.mkdir(parents=True)
    which = rng.integers(3)
    if which == 0:
        shutil.copytree(good / "model", bad, dirs_exist_ok=True)
    else:
        (bad / "run.json").write_text(["{}", '{"driftfield_format": 1'][which - 1])
    return Case(["train", str(good / "model.yaml"), "--out", "run", "--resume"], ["checkpoints/last"])


@kind
def nothing_to_resume(rng: Rng, place: Path, good: Path) -> Case:
    if rng.random() < 0.4:
        return Case(["train", str(good / "model.yaml"), "--out", "new", "--resume"], ["Nothing to resume", "new"])
    command = ["reconstruct", str(good / "peer"), str(good / "obs.nc"), "--out", "new.zarr", "--resume"]
    if rng.random() < 0.5:
        return Case(command, ["Nothing to resume", "new.zarr.partial"])
    (place / "new.zarr.partial").mkdir()
    content = rng.choice(
        [
            "{",
            "[]",
            '{"made_of": 3, "finished": 1}',
            '{"made_of": {}, "finished": "x"}',
            '{"made_of": {"run": "1"}, "finished": 0}',
        ]
    )
    (place / "new.zarr.partial/journal.json").write_text(str(content))
    return Case(command, ["new.zarr.partial"])


# -- recipes -----------------------------------------------------------------------------------------------------------


UNKNOWN_RECIPE_KEY = [
    ("data.archiv", "archive"),
    ("sed", "seed"),
    ("data.target", "targets"),
    ("data.windows.sizes", "size"),
    ("data.split.validations", "validation"),
    ("reconstructor.refitt", "refit"),
    ("trainr", "trainer"),
    ("data.regions", "region"),
]


@listed(UNKNOWN_RECIPE_KEY)
def unknown_recipe_key(entry: tuple[str, str], good: Path) -> Case:
    path, near = entry
    return Case(as_recipe(good / "peer.yaml", f"{path}=1"), [repr(path.split(".")[-1]), near])


UNKNOWN_MODEL_KEY = [
    "reconstructor.network.width",
    "reconstructor.observing.observ",
    "reconstructor.diffusion.schedul",
    "reconstructor.sampler.evaluation",
    "reconstructor.augment.mixx",
    "reconstructor.first_guess.runn",
    "reconstructor.normalizer.clas",
    "trainer.step",
    "trainer.learning_rate.peek",
]


@listed(UNKNOWN_MODEL_KEY)
def unknown_model_key(path: str, good: Path) -> Case:
    return Case(as_recipe(good / "model.yaml", f"{path}=1"), [path.split(".")[-1]])


@kind
def class_that_is_not_registered(rng: Rng, place: Path, good: Path) -> Case:
    section = str(
        rng.choice(["reconstructor", "data.split", "reconstructor.network", "reconstructor.sampler", "trainer"])
    )
    name = str(rng.choice(["Climatologie", "os.system", "driftfield.runs.Climatology", "", "UNet3000", "dict"]))
    if rng.random() < 0.3:
        name = str(rng.choice(["7", "[Climatology]", "{class: Climatology}", "null"]))
        return Case(as_recipe(good / "model.yaml", f"{section}.class={name}"), [section.split(".")[-1]])
    return Case(as_recipe(good / "model.yaml", f"{section}.class='{name}'"), [repr(name)])


@kind
def bad_yaml(rng: Rng, place: Path, good: Path) -> Case:
    text = (good / "model.yaml").read_text()
    bad = place / "bad.yaml"
    which = rng.integers(6)
    lines = text.splitlines()
    at = int(rng.integers(1, len(lines)))
    content = [
        "\n".join([*lines[:at], "  - : [", *lines[at:]]).encode(),
        "\n".join([*lines[:at], "\t}", *lines[at:]]).encode(),
        random_bytes(rng, 400) + b"\xff\xfe\x00",
        text.encode("utf-16"),
        str(rng.choice(["", "just words", "[1, 2]", "7", "--- a\n--- b", "null"])).encode(),
        b"data: !!python/object/apply:os.system ['true']\n",
    ][which]
    bad.write_bytes(content)
    return Case(as_recipe(bad), ["bad.yaml"])


WRONG_TYPE_IN_A_RECIPE = [
    ("data.targets", "thetao"),
    ("data.targets", "[1, 2]"),
    ("data.targets", "[]"),
    ("data.levels", "5"),
    ("data.levels", "[deep]"),
    ("data.region", "[1, 2]"),
    ("data.region.lat", "north"),
    ("data.region.lat", "[a, b]"),
    ("data.archive", "7"),
    ("data.archive", "[]"),
    ("data.time", "2001"),
    ("data.time", "[2001]"),
    ("data.split", "TimeSplit"),
    ("data.split.validation", "much"),
    ("data.windows", "48"),
    ("data.windows.size", "wide"),
    ("data.windows.stride", "[1, 2, 3]"),
    ("data.windows.max_nodata_fraction", "half"),
    ("data.vector_pairs", "[thetao]"),
    ("data.vector_pairs", "uo"),
    ("data.covariates", "sst"),
    ("data.sections", "south.nc"),
    ("data.sections", "[7]"),
    ("data.domain", "[1]"),
    ("seed", "one"),
    ("seed", "1.5"),
    ("seed", "-1"),
    ("reconstructor", "Climatology"),
    ("trainer", "[1]"),
    ("driftfield_format", "2"),
]


@listed(WRONG_TYPE_IN_A_RECIPE)
def wrong_type_in_a_recipe(entry: tuple[str, str], good: Path) -> Case:
    path, value = entry
    return Case(as_recipe(good / "model.yaml", f"{path}={value}"), [f"{path.split('.')[-1]}|{value}"])


WRONG_TYPE_IN_A_MODEL = [
    ("reconstructor.network.widths", "8"),
    ("reconstructor.network.widths", "[]"),
    ("reconstructor.network.widths", "[a, b]"),
    ("reconstructor.network.widths", "[-4, 8]"),
    ("reconstructor.network.depths", "[1]"),
    ("reconstructor.network.embedding", "big"),
    ("reconstructor.network", "ResidualUNet"),
    ("reconstructor.observing", "everything"),
    ("reconstructor.observing.observe", "thetao"),
    ("reconstructor.observing.observe.thetao", "7"),
    ("reconstructor.observing.observe.thetao", "profiles:2"),
    ("reconstructor.observing.error", "small"),
    ("reconstructor.observing.error", "-1"),
    ("reconstructor.sampler.evaluations", "many"),
    ("reconstructor.sampler.evaluations", "-3"),
    ("reconstructor.sampler", "7"),
    ("reconstructor.diffusion", "7"),
    ("reconstructor.diffusion.sd", "wide"),
    ("reconstructor.validation_samples", "0"),
    ("reconstructor.validation_samples", "some"),
    ("reconstructor.normalizer", "none"),
    ("reconstructor.context", "[0]"),
    ("reconstructor.first_guess", "[1]"),
    ("reconstructor.augment", "yes"),
]


@listed(WRONG_TYPE_IN_A_MODEL)
def wrong_type_in_a_model(entry: tuple[str, str], good: Path) -> Case:
    path, value = entry
    return Case(as_recipe(good / "model.yaml", f"{path}={value}"), [f"{path.split('.')[-1]}|{value}"])


WRONG_TYPE_IN_A_TRAINER = [
    ("steps", "0"),
    ("steps", "many"),
    ("steps", "2.5"),
    ("batch_size", "-2"),
    ("batch_size", "null"),
    ("learning_rate", "fast"),
    ("learning_rate.peak", "-1"),
    ("learning_rate.peak", "high"),
    ("learning_rate.plan", "zigzag"),
    ("weight_decay", "heavy"),
    ("clip", "no"),
    ("clip", "-1"),
    ("ema", "2"),
    ("ema", "always"),
    ("precision", "float7"),
    ("validate_every", "0"),
    ("early_stopping", "soon"),
    ("workers", "-1"),
    ("workers", "all"),
    ("loggers", "[paper]"),
    ("loggers", "7"),
    ("accelerator", "steam"),
    ("devices", "0"),
    ("devices", "lots"),
    ("initial", "nowhere"),
]


@listed(WRONG_TYPE_IN_A_TRAINER)
def wrong_type_in_a_trainer(entry: tuple[str, str], good: Path) -> Case:
    path, value = entry
    return Case(
        as_recipe(good / "model.yaml", f"trainer.{path}={value}"), [f"{path.split('.')[-1]}|{value.strip('[]')}"]
    )


WRONG_COMPARISON = [
    ("seting", "1"),
    ("settings", "[half]"),
    ("settings.half", "7"),
    ("settings.half.observed", "1"),
    ("settings.half.observe", "thetao"),
    ("settings.half.observe.thetao", "fog:0.5"),
    ("settings.half.error", "small"),
    ("settings.half.times", "7"),
    ("settings.half.held_out", "none.nc"),
    ("methods", "7"),
    ("methods.climatology", "Climatology"),
    ("methods.climatology.class", "Climatologie"),
    ("methods.climatology", "{recipe: none.yaml}"),
    ("members", "none"),
    ("members", "0"),
    ("seed", "-1"),
    ("model", "nobody"),
    ("learn_from", "elsewhere"),
    ("truth", "7"),
    ("truth.archive", "none.nc"),
    ("truth.time", "1"),
    ("data.targets", "thetao"),
]


@listed(WRONG_COMPARISON)
def wrong_comparison(entry: tuple[str, str], good: Path) -> Case:
    path, value = entry
    command = ["compare", str(good / "compare.yaml"), "--out", "report.md", "--overwrite", "--set", f"{path}={value}"]
    return Case(command, [f"{path.split('.')[-1]}|{value}|{value.strip('{}').split(' ')[-1]}"])


@kind
def unreadable_setting(rng: Rng, place: Path, good: Path) -> Case:
    setting = str(
        rng.choice(["data", "=7", "data.archive", "data.targets=[", "data.archive.x=1", "seed={", "seed.a=1"])
    )
    return Case(as_recipe(good / "peer.yaml", setting), [setting.split("=")[0].removesuffix(".a") or "=7"])


# -- paths and options -------------------------------------------------------------------------------------------------


@kind
def path_that_does_not_exist(rng: Rng, place: Path, good: Path) -> Case:
    name = str(
        rng.choice(["none.nc", "no/folder/none.nc", "none*.nc", "none.zarr", "n" * 300 + ".nc", "none.yaml", "nöne.nc"])
    )
    command = [as_any(rng, name, good), as_run(rng, name, good), as_recipe(name)][rng.integers(3)]
    return Case(command, [name[:40]])


@kind
def output_that_cannot_be_written(rng: Rng, place: Path, good: Path) -> Case:
    (place / "file").write_text("a file")
    parent = str(rng.choice(["file", "file/deep", "/proc", "/proc/no/such", "n" * 300]))
    if rng.random() < 0.3:
        command = ["mask", str(good / "truth.nc"), f"{parent}/new.nc", "--observe", "thetao=random:0.5"]
    elif rng.random() < 0.4:
        command = ["train", str(good / "peer.yaml"), "--out", f"{parent}/new"]
    elif rng.random() < 0.5:
        command = ["evaluate", str(good / "truth.nc"), str(good / "out.nc"), "--observations", str(good / "obs.nc")]
        command += ["--out", f"{parent}/new"]
    else:
        command = ["reconstruct", str(good / "peer"), str(good / "obs.nc"), "--out", f"{parent}/new.zarr"]
    return Case(command, [parent[:100], "Cannot write"])


OUTPUT_THAT_EXISTS = [
    "mask GOOD/truth.nc out.nc --observe thetao=random:0.5",
    "simulate ocean out.zarr",
    "train GOOD/peer.yaml --out run",
    "train GOOD/model.yaml --out run",
    "reconstruct GOOD/peer GOOD/obs.nc --out out.zarr",
    "reconstruct GOOD/model GOOD/obs.nc --out out.nc",
    "evaluate GOOD/truth.nc GOOD/out.nc --observations GOOD/obs.nc --out report",
]


@listed(OUTPUT_THAT_EXISTS)
def output_that_exists(command: str, good: Path) -> Case:
    return Case(command.replace("GOOD", str(good)).split(), ["exists already", "--overwrite"])


IMPOSSIBLE_OPTIONS: list[tuple[list[str], str]] = [
    (["DRAW", "--members=-3"], "--members -3"),
    (["DRAW", "--members=0"], "--members 0"),
    (["DRAW", "--batch-size=0"], "--batch-size"),
    (["DRAW", "--tile=0"], "--tile 0"),
    (["DRAW", "--tile=8", "--overlap=5"], "half a tile at most"),
    (["DRAW", "--tile=8", "--overlap=-1"], "--overlap -1"),
    (["DRAW", "--overlap=2"], "--tile"),
    (["DRAW", "--seed=-1"], "--seed -1"),
    (["DRAW", "--smooth=-2"], "--smooth -2"),
    (["DRAW", "--smooth=nan"], "--smooth nan"),
    (["DRAW", "--sampler=DPM"], "'DPM'"),
    (["DRAW", "--sampler=DPMSolverPP2M:0"], "--sampler"),
    (["DRAW", "--sampler=DPMSolverPP2M:x"], "'x'"),
    (["DRAW", "--domain=none.nc"], "none.nc"),
    (["MASK", "thetao=random:7"], "'random:7'"),
    (["MASK", "thetao=random:-0.5"], "'random:-0.5'"),
    (["MASK", "thetao=fog:0.5"], "'fog:0.5'"),
    (["MASK", "thetao"], "'thetao'"),
    (["MASK", "thetao=all", "--error=-1"], "--error -1"),
    (["MASK", "thetao=all", "--error=sst=1"], "'sst'"),
    (["MASK", "thetao=all", "--time=2001"], "--time '2001'"),
    (["MASK", "thetao=all", "--time=x:y"], "'x'"),
    (["MASK", "thetao=all", "--seed=-4"], "--seed -4"),
    (["gather", "none.csv", "--variable=thetao=TEMP", "--table=out.nc", "--overwrite"], "none.csv"),
    (["gather", "none.csv", "--variable=thetao", "--table=out.nc", "--overwrite"], "'thetao'"),
    (["gather", "none.csv", "--variable=thetao=TEMP", "--out=out.nc", "--overwrite"], "--like"),
    (["gather", "none.csv", "--variable=thetao=TEMP"], "--table"),
    (["gather", "none.csv", "--variable=thetao=TEMP", "--table=out.nc", "--overwrite", "--flags=x"], "'x'"),
    (["calibrate", "GOOD/peer"], "recipe.yaml"),
    (["calibrate", "GOOD/peer", "--recipe=GOOD/peer.yaml", "--members=1"], "--members 1"),
    (["calibrate", "GOOD/peer", "--recipe=GOOD/peer.yaml", "--conformal=2"], "--conformal 2"),
    (["calibrate", "GOOD/peer", "--recipe=GOOD/peer.yaml", "--observe=sst=all"], "sst"),
    (["calibrate", "none"], "none is not a run"),
    (["diagnose", "GOOD/peer", "GOOD/obs.nc", "--truth=GOOD/truth.nc", "--out=report", "--overwrite"], "Climatology"),
    (["diagnose", "GOOD/model", "GOOD/obs.nc", "--truth=GOOD/truth.nc", "--out=new", "--time=9"], "time 9"),
    (["diagnose", "GOOD/model", "GOOD/obs.nc", "--truth=GOOD/truth.nc", "--out=new", "--variable=so"], "'so'"),
    (["diagnose", "GOOD/model", "GOOD/obs.nc", "--truth=none.nc", "--out=new"], "none.nc"),
    (["simulate", "ocean", "out.zarr", "--overwrite", "--years=-1"], "years"),
    (["simulate", "ocean", "out.zarr", "--overwrite", "--years=nan"], "years"),
    (["simulate", "ocean", "out.zarr", "--overwrite", "--every-days=0"], "every_days"),
    (["simulate", "ocean", "out.zarr", "--overwrite", "--start=someday"], "someday"),
    (["simulate", "ocean", "out.zarr", "--overwrite", "--seed=-1"], "seed"),
]


@listed(IMPOSSIBLE_OPTIONS)
def impossible_option(entry: tuple[list[str], str], good: Path) -> Case:
    (first, *rest), culprit = entry
    beginnings = {
        "DRAW": ["reconstruct", str(good / "model"), str(good / "obs.nc"), "--out", "out.nc", "--overwrite"],
        "MASK": ["mask", str(good / "truth.nc"), "out.nc", "--overwrite", "--observe"],
    }
    return Case([*beginnings.get(first, [first]), *(one.replace("GOOD", str(good)) for one in rest)], [culprit])
