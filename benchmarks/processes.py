"""Loss curves of one training on one process, on two, killed and gone on with, and on another number of processes.

    python benchmarks/processes.py [--steps 100]

Every training is `driftfield train` of the simulated ocean; of a killed one the processes are ended with SIGKILL after its second
validation. What is shown are training losses and validation losses as the runs' own logs have them.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "ocean_diffusion.yaml"
SMALL = {
    "data.archive": "archive.zarr",
    "reconstructor.network.widths": "[8, 16, 16]",
    "reconstructor.network.depths": "[1, 1, 1]",
    "reconstructor.network.condition_depths": "[1, 1, 1]",
    "reconstructor.validation_samples": "8",
    "trainer.validate_every": "20",
    "trainer.loggers": "[csv]",
    "trainer.accelerator": "cpu",
    "trainer.precision": "float32",
    "trainer.learning_rate": "{peak: 1.0e-3, plan: cosine, warm_up: 20}",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        simulate = [sys.executable, "-m", "driftfield", "simulate", "ocean", "archive.zarr", "--years", "2"]
        subprocess.run(simulate, cwd=folder, check=True, capture_output=True)
        SMALL["trainer.steps"] = str(steps)
        curves = {
            "one process": train(folder, "one"),
            "one, accumulate: 2": train(folder, "parts", "trainer.accumulate=2"),
            "two processes": train(folder, "two", "trainer.devices=2"),
            "two, killed, two": killed(folder, "killed", then=2),
            "two, killed, one": killed(folder, "other", then=1),
        }
    expected = curves["one process"]
    print("| step | " + " | ".join(curves) + " |")
    print("|---|" + "---|" * len(curves))
    for step in sorted(expected):
        print(f"| {step} | " + " | ".join(f"{curve[step]:.6f}" for curve in curves.values()) + " |")
    for name, curve in curves.items():
        away = max(abs(curve[step] / loss - 1) for step, loss in expected.items())
        print(f"{name}: largest relative difference {away:.2g}")


def train(folder: Path, name: str, *settings: str, resume: bool = False) -> dict[int, float]:
    """The validation losses of a whole training, by step."""
    subprocess.run(
        command(name, *settings, *(["--resume"] if resume else [])), cwd=folder, check=True, capture_output=True
    )
    return losses(folder / name)


def killed(folder: Path, name: str, *, then: int) -> dict[int, float]:
    """Two processes are killed after the second validation, and so many go on."""
    process = subprocess.Popen(
        command(name, "trainer.devices=2"), cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None and len(losses(folder / name)) < 2:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return train(folder, name, f"trainer.devices={then}", resume=True)


def command(name: str, *settings: str) -> list[str]:
    small = [f"{key}={value}" for key, value in SMALL.items()]
    options = [part if part.startswith("--") else f"--set={part}" for part in (*small, *settings)]
    return [sys.executable, "-m", "driftfield", "train", str(RECIPE), "--raw", "--out", name, *options]


def losses(run: Path) -> dict[int, float]:
    """Of the log of a run; nothing where there is none yet."""
    found = {}
    for log in run.rglob("metrics.csv"):
        with open(log, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row.get("validation_loss"):
                    found[int(float(row["step"]))] = float(row["validation_loss"])
    return found


if __name__ == "__main__":
    main()
