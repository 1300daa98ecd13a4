"""Training and forward speed of the backbones on this device: images per second, and the ratio to the dense twin.

    python benchmarks/networks.py [--size 64] [--seconds 4]

The peer is the dense 3x3 U-Net (`ResidualUNet`); `ConvNeXtUNet` has the same widths and depths. Skill at equal training time is
recorded in benchmarks/README.md.
"""

import argparse
import time
from collections.abc import Callable

import torch

from driftfield.networks import ConvNeXtUNet, ResidualUNet, UNet
from driftfield.testing import tiny_batch

SIZES = {"small": ((24, 64, 96, 96), (1, 2, 2, 2)), "medium": ((48, 96, 144, 192), (1, 2, 2, 2))}


def rate(step: Callable[[], object], images: int, seconds: float) -> float:
    """Images per second, after one call to warm up."""
    step()
    start, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        step()
        count += 1
    return images * count / passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = (arguments.size, arguments.size)
    batch = tiny_batch(arguments.batch, channels=10, covariates=1, shape=shape).to(device)
    x, c_noise = torch.randn(arguments.batch, 10, *shape, device=device), torch.zeros(arguments.batch, device=device)
    print(f"{device}, {torch.get_num_threads()} threads, {arguments.size} x {arguments.size}, batch {arguments.batch}")
    print("| network | parameters | precision | train images/s | forward images/s | train ratio to dense |")
    print("|---|---|---|---|---|---|")
    for size, (widths, depths) in SIZES.items():
        for precision in (torch.float32, torch.bfloat16):
            dense = 0.0
            for cls in (ResidualUNet, ConvNeXtUNet):
                torch.manual_seed(0)
                network: UNet = cls(10, 1, widths=widths, depths=depths).to(device, memory_format=torch.channels_last)
                with torch.autocast(device, precision, enabled=precision != torch.float32):

                    def train(network: UNet = network) -> None:
                        network(x, c_noise, network.encode(batch)).float().square().mean().backward()

                    with torch.no_grad():
                        encoded = network.encode(batch)

                    def forward(network: UNet = network, encoded: object = encoded) -> None:
                        with torch.no_grad():
                            network(x, c_noise, encoded)  # type: ignore[arg-type]

                    trained = rate(train, arguments.batch, arguments.seconds)
                    passed = rate(forward, arguments.batch, arguments.seconds)
                dense = dense or trained
                count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
                name = str(precision).removeprefix("torch.")
                print(
                    f"| {cls.__name__} {size} | {count:.1f} M | {name} | {trained:.1f} | {passed:.1f} | {trained / dense:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
