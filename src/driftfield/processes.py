"""Which of the processes that train together this is, as whoever started them says.

    torchrun    RANK, WORLD_SIZE          srun    SLURM_PROCID          Lightning itself    LOCAL_RANK, NODE_RANK

The first one prepares, validates and writes; the others prepare and train, and write nothing.
"""

__all__ = ["count_processes", "is_helper"]

import os
from collections.abc import Mapping, Sequence
from typing import Any

_NUMBERS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")


def count_processes(devices: Any, nodes: Any) -> int:
    """How many train together: one for each device of each node; 1 for what is no number of devices (it is refused elsewhere)."""
    on_each = len(devices) if isinstance(devices, Sequence) and not isinstance(devices, str) else devices
    both = (on_each, nodes)
    return on_each * nodes if all(type(number) is int and number > 0 for number in both) else 1


def is_helper(trainer: Mapping[str, Any] | None) -> bool:
    """Whether a trainer, by its arguments, runs on several processes and this is not the first of them.

    Arguments:
        trainer: As a recipe says it.
    """
    settings = trainer or {}
    if count_processes(settings.get("devices", 1), settings.get("nodes", 1)) == 1:
        return False
    return any(os.environ.get(name, "0") not in ("", "0") for name in _NUMBERS)
