"""Windows of consecutive states: what a prior of trajectories learns from.

    archive --codec--> states (time, channel, lat, lon) --> runs of 2k+1 dates inside the split --> FieldBatch

The states of a window lie one after the other along the channels, and nothing of them is observed: the model learns what their
course is, not what follows from observations. A sample is a function of (seed, index) alone.
"""

__all__ = ["StateWindows", "runs"]


import numpy as np

from driftfield.data.codec import FieldCodec
from driftfield.errors import DataError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Archive
from driftfield.trajectories.whole_states import WholeStates, blank_batch, consecutive


def runs(archive: Archive, times: np.ndarray, states: int) -> np.ndarray:
    """Time indices (window, states) of all runs of dates of a split that follow each other one step of the archive apart.

    Raises:
        DataError: there is none.
    """
    ordered, follows, step = consecutive(archive, times)
    starts = np.arange(len(ordered) - states + 1)
    # the number of steps that are not one step long, up to each date
    broken = np.concatenate([[0], np.cumsum(~follows)])
    whole = starts[broken[starts + states - 1] == broken[starts]] if len(starts) else starts
    if not len(whole):
        raise DataError(
            f"No {states} of {len(ordered)} dates follow each other in steps of {step:g} days. Take fewer states in a window, "
            "or a split into periods."
        )
    return ordered[whole[:, None] + np.arange(states)]


class StateWindows(WholeStates):
    """Random windows of consecutive states.

    Arguments:
        fields: All states (time, channel, lat, lon) in network units, NaN where unknown.
        windows: Time indices (window, states).
        codec: Knows the grid.
        dates: (time, 2) fractions of the year and of the day.
        samples: Length of the data set.
        seed: Of every draw.
    """

    def __init__(
        self, fields: np.ndarray, windows: np.ndarray, codec: FieldCodec, *, dates: np.ndarray, samples: int, seed: int
    ) -> None:
        super().__init__(len(windows), samples=samples, seed=seed)
        self.fields, self.windows, self.codec = fields, windows, codec
        self.dates = dates

    def batch(self, chosen: np.ndarray) -> FieldBatch:
        """These windows."""
        times = self.windows[chosen]
        x = self.fields[times]
        target = x.reshape(len(x), -1, *x.shape[3:])
        middle = self.dates[times[:, times.shape[1] // 2]]
        exists = np.concatenate([self.codec.domains[name] for name in self.codec.targets])
        domain = np.broadcast_to(np.tile(exists, (times.shape[1], 1, 1)), target.shape)
        where = np.arange(target.shape[-2]), np.arange(target.shape[-1])
        return blank_batch(self.codec, domain, middle, *where, target=target)
