"""What it costs that freed memory goes back to the system: the same work with glibc's own settings and with ours.

    python benchmarks/freed_memory.py

Peer: glibc as it comes (any MALLOC_ variable keeps Driftfield from touching it). Each in a process of its own, on one thread;
seconds are those of the processor, faults those that the kernel counted.
"""

import json
import os
import resource
import subprocess
import sys
import time


def work() -> dict[str, tuple[float, int]]:
    """Processor seconds and page faults of three jobs."""
    import numpy as np
    import torch

    import driftfield as df
    from driftfield.gaussian.local_kriging import Scattered, solve_leaves
    from driftfield.gaussian.neighbours import leaves
    from driftfield.gaussian.space_time_covariance import Component, Places, SpaceTimeCovariance

    torch.set_num_threads(1)
    truth = df.simulate_ocean(years=0.1, every_days=20, start="2041-03-01", seed=7)
    seen = df.observe(truth[["thetao", "sst"]], {"thetao": "profiles:0.95", "sst": "clouds:0.8"}, error=0.05, seed=7)
    run = df.load("shipped:ocean_diffusion")
    lat, lon = (a.ravel() for a in np.meshgrid(np.arange(36, 40, 0.08), np.arange(0, 6, 0.08), indexing="ij"))
    places = Places(lat, lon, np.zeros(lat.size), np.zeros(lat.size))
    covariance = SpaceTimeCovariance((Component(0.98, 150.0, 150.0, 10.0),), 0.02)
    where = np.random.default_rng(0).permutation(lat.size)[:1500]
    none = np.zeros(where.size)
    given = Scattered(none.astype(int), where, none, np.sin(lat[where])[:, None].astype(np.float32), none)
    groups = leaves(covariance.embed(places, np.zeros(lat.size))[-1], 16)
    points = torch.randn(8, 250, 7, dtype=torch.float64)

    def distances() -> None:
        for _ in range(200):
            squares = (points * points).sum(-1)
            (squares[:, :, None] + squares[:, None]).sub_((2 * points) @ points.transpose(1, 2)).clamp_min_(0.0)

    jobs = {
        "members of the shipped ocean model": lambda: run.reconstruct(seen, members=8, seed=0),
        "kriging, 240 observations a leaf": lambda: solve_leaves(
            covariance, given, places, groups, time=0, day=0.0, most=240, overlapping=True
        ),
        "tables of distances": distances,
    }
    took = {}
    for name, job in jobs.items():
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        job()
        took[name] = (time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return took


def main() -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    plain |= {"OMP_NUM_THREADS": "1"}
    took = {}
    for label, more in (("glibc as it comes", {"MALLOC_ARENA_TEST": "8"}), ("driftfield", {})):
        done = subprocess.run(
            [sys.executable, __file__, "work"], env=plain | more, capture_output=True, text=True, check=True
        )
        took[label] = json.loads(done.stdout)
    print("| job | glibc as it comes: seconds, faults | driftfield: seconds, faults | times faster |")
    print("|---|---|---|---|")
    for name, (seconds, faults) in took["glibc as it comes"].items():
        ours, our_faults = took["driftfield"][name]
        print(f"| {name} | {seconds:.2f}, {faults:,} | {ours:.2f}, {our_faults:,} | {seconds / ours:.2f} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        print(json.dumps(work()))
    else:
        main()
