"""Workers that share a reconstruction: the bytes of one process, also when workers and command are killed; how soon it is done.

    python benchmarks/workers.py [--kills 20] [--dates 8] [--members 8] [--only bytes,kills,speed]

bytes     the shipped ocean model on 1, 2 and 4 workers: every array of the output against that of one process
kills     a worker, or every fourth time the command itself, is ended with SIGKILL at a random moment; the command is resumed
speed     the same units on 1 and on 2 workers of one thread each, which have opened run and observations before (best of two)

Under two minutes on two idle cores. Other programs on the cores make the ratio smaller: the load is printed beside it.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RUN = "shipped:ocean_diffusion"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--dates", type=int, default=8)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--only", default="bytes,kills,speed")
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    parts = asked.only.split(",")
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        observations = observe(asked.dates)
        options = [*observations, "--members", str(asked.members), "--batch-size", str(max(asked.members // 2, 1))]
        if "bytes" in parts or "kills" in parts:
            driftfield("reconstruct", RUN, *options, "--out", "alone.zarr")
            alone = arrays("alone.zarr")
        if "bytes" in parts:
            for workers in (1, 2, 4):
                driftfield("reconstruct", RUN, *options, "--out", f"{workers}.zarr", "--cluster", f"local:{workers}")
                print(f"{workers} worker(s): {compared(arrays(f'{workers}.zarr'), alone)}", flush=True)
        if "kills" in parts:
            killed(options, asked.kills)
            print(compared(arrays("killed.zarr"), alone), flush=True)
        if "speed" in parts:
            speed(options)


def observe(dates: int) -> list[str]:
    """Observations of some dates of a simulated ocean."""
    driftfield("simulate", "ocean", "truth.zarr", "--years", "1", "--seed", "99")
    import xarray as xr

    times = xr.open_zarr("truth.zarr", consolidated=False)["time"].values
    period = f"{str(times[0])[:10]}:{str(times[dates - 1])[:10]}"
    patterns = ("--observe", "thetao=profiles:0.95", "--observe", "sst=clouds:0.8", "--error", "0.05")
    driftfield("mask", "truth.zarr", "seen.zarr", *patterns, "--time", period)
    return ["seen.zarr"]


def driftfield(*words: str) -> None:
    """The command, which has to end well."""
    done = subprocess.run([sys.executable, "-m", "driftfield", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"driftfield {' '.join(words)}: {done.stderr[-2000:]}")


def arrays(store: str) -> dict[str, bytes]:
    """The bytes of every variable."""
    import xarray as xr

    with xr.open_zarr(store, consolidated=False, decode_times=False) as opened:
        return {str(name): opened[name].values.tobytes() for name in opened.variables}


def compared(found: dict[str, bytes], expected: dict[str, bytes]) -> str:
    """In words."""
    others = [name for name in expected if found.get(name) != expected[name]]
    same = f"{len(expected)} variables, {sum(map(len, expected.values())) / 1e6:.1f} MB, identical bytes"
    return f"DIFFERENT: {', '.join(others)}" if others or set(found) != set(expected) else same


def killed(options: list[str], kills: int) -> None:
    """One output, and so many kills before it is whole; starts it again if it was done before the last of them."""
    rng, workers, commands, began = random.Random(0), 0, 0, 0
    words = [
        sys.executable,
        "-m",
        "driftfield",
        "reconstruct",
        RUN,
        *options,
        "--out",
        "killed.zarr",
        "--cluster",
        "local:2",
    ]
    while True:
        resume = Path("killed.zarr.partial/journal.json").exists()
        if not resume and Path("killed.zarr").exists():
            if workers + commands >= kills:
                break
            began += 1  # it was done before all kills were
            shutil.rmtree("killed.zarr")
        command = subprocess.Popen(
            [*words, *(["--resume"] if resume else [])], stdout=-3, stderr=subprocess.PIPE, text=True
        )
        while command.poll() is None and workers + commands < kills:
            before, deadline = progress(), time.monotonic() + 60
            while progress() == before and time.monotonic() < deadline and command.poll() is None:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 1))
            if command.poll() is not None:
                break
            if (workers + commands) % 4 == 3:
                command.kill()
                commands += 1
                break
            if at_work := workers_of(command.pid):
                try:
                    os.kill(rng.choice(at_work), signal.SIGKILL)
                except ProcessLookupError:
                    continue
                workers += 1
        said = command.communicate()[1]
        if command.returncode not in (0, -signal.SIGKILL) and "exists already" not in said:
            sys.exit(f"the command ended with {command.returncode}: {said[-2000:]}")
    print(f"{workers} workers and {commands} commands killed (the output was begun {began + 1} times): ", end="")


def progress() -> set[str]:
    """The batches and chunks that are there."""
    return {str(path) for path in Path("killed.zarr.partial").rglob("*") if not path.name.endswith(".partial")}


def workers_of(parent: int) -> list[int]:
    """Processes that a process has spawned, by their numbers; not the one that tracks its resources."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
            words = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == parent and b"spawn_main" in words:
            found.append(int(entry.name))
    return found


def speed(options: list[str]) -> None:
    """Seconds of 1 and 2 workers."""
    from driftfield.cli.reconstruct_work import AskedReconstruction, prepare
    from driftfield.clusters import open_crew
    from driftfield.reconstruction.writer import write_reconstruction

    usual: dict[str, Any] = dict.fromkeys(AskedReconstruction.__dataclass_fields__)
    usual |= {"run": Path(RUN), "obs": Path(options[0]), "members": int(options[2]), "seed": 0, "device": "cpu"}
    usual |= {"batch_size": int(options[4]), "probabilities": (), "independent_tiles": False}
    usual |= {"replacement": False, "raw": False, "drop_outside": False}
    work, seconds = prepare(AskedReconstruction(**usual)).work, {}
    for workers in (1, 2):
        with open_crew(f"local:{workers}") as crew:
            crew.client.wait_for_workers(workers)
            taken = []
            for attempt in range(3):  # the first opens run and observations
                began = time.perf_counter()
                write_reconstruction(work, Path(f"speed{workers}{attempt}.zarr"), crew=crew)
                taken.append(time.perf_counter() - began)
            seconds[workers] = min(taken[1:])
    load = os.getloadavg()[0]
    print(
        f"1 worker {seconds[1]:.1f} s, 2 workers {seconds[2]:.1f} s: {seconds[1] / seconds[2]:.2f} times (load {load:.1f})"
    )


if __name__ == "__main__":
    main()
