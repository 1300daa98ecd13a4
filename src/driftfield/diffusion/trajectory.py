r"""Trajectories of any length from a prior of short windows.

A window is 2k+1 consecutive states x_(i-k) ... x_(i+k). Where a state depends on its k neighbours on either side alone (its
Markov blanket), so does its score, and the windows that hold a state in their middle are enough (Rozet and Louppe 2023,
"Score-based data assimilation", algorithm 2):

    state           1 ... k      k+1 ... T-k          T-k+1 ... T
    is taken from   window 1     its own window       the last window

Noisy states are no longer Markov, but nearly so where the noise level s is small: for an autoregressive process of first order
and k >= 1 the composed score is exact as s -> 0. At larger s a state misses what states further off know of it, and what is drawn
without observations forgets faster than the process: for x_(i+1) = .9 x_i + noise of variance 1 trajectories of 40 states have

    k                            1      2      3      5      10     truth
    variance in the middle      .82    .86    .89    .94    1.00    1.00
    covariance ten steps apart  .00    .00    .01    .09     .30     .35

so a window should be about as long as the memory of the world, or observations should be no rarer than windows are long.

Guidance by moment matching reads Cov[x | x_t] off the Jacobian. That of the composition is not symmetric: each of its rows comes
from another window. Backwards the composition therefore answers with the mean of the covariances of all windows,

    V = sum over windows  S' N V_window N S,        N = 1 / sqrt(number of windows that hold a state)

(S cuts a window out), which is symmetric, positive where theirs are, and fades out with the distance in time, as localisation
does in an ensemble filter. Forwards nothing changes.

A trajectory is a field whose channels are its states one after the other, each with its own: (batch, state channel, *space).
"""

__all__ = ["WindowedDenoiser"]

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Denoiser


class WindowedDenoiser:
    """Has the denoiser of a window and is the denoiser of a trajectory.

    Arguments:
        denoiser: Of (rows, states channel, *space): all windows of the first trajectory, then those of the next. One that is
            bound to conditions is bound to batch x `windows(length)` rows.
        states: Length 2k+1 of a window, odd.
        channels: Channels of one state.

    Raises:
        ConfigurationError: the length of a window is even, or a number is below 1.
    """

    def __init__(self, denoiser: Denoiser, states: int, channels: int = 1) -> None:
        if states < 1 or states % 2 == 0 or channels < 1:
            raise ConfigurationError(
                f"Found windows of {states} states with {channels} channel(s): expected an odd number of states, so that a "
                "window has a middle, and 1 channel or more."
            )
        self.schedule = denoiser.schedule
        self.denoiser, self.states, self.channels = denoiser, states, channels

    def windows(self, length: int) -> int:
        """How many windows a trajectory of `length` states has.

        Raises:
            ConfigurationError: the trajectory is shorter than a window.
        """
        if length < self.states:
            raise ConfigurationError(
                f"A trajectory of {length} state(s) is shorter than the window of {self.states}. Draw {self.states} states and "
                f"keep the first {length}: the window knows their distribution."
            )
        return length - self.states + 1

    def __call__(
        self, x_t: Float[Tensor, "batch state_channel *space"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch state_channel *space"]:
        length, left_over = divmod(x_t.shape[1], self.channels)
        if left_over:
            raise ConfigurationError(
                f"Found {x_t.shape[1]} channels, which is no whole number of states of {self.channels} channel(s) each."
            )
        count, half, space = self.windows(length), self.states // 2, x_t.shape[2:]
        parts = x_t.reshape(len(x_t), length, self.channels, *space)
        # (window, states) -> state
        places = torch.arange(count)[:, None] + torch.arange(self.states)
        root = (
            torch.bincount(places.flatten(), minlength=length).to(x_t).rsqrt().view(1, length, *[1] * (parts.ndim - 2))
        )
        backwards = torch.is_grad_enabled() and x_t.requires_grad
        if backwards:
            parts = _scaled_backwards(parts, root)
        cut = parts[:, places.to(x_t.device)]
        rows = cut.reshape(len(x_t) * count, self.states * self.channels, *space)
        clean = self.denoiser(rows, t.repeat_interleave(count)).view(cut.shape)
        joined = torch.cat([clean[:, 0, :half], clean[:, :, half], clean[:, -1, half + 1 :]], dim=1)
        if backwards:
            spread = torch.zeros_like(joined).index_add(1, places.flatten().to(x_t.device), clean.flatten(1, 2))
            # forwards spread - spread is nothing
            joined = joined.detach() + root * (spread - spread.detach())
        return joined.reshape(x_t.shape)


def _scaled_backwards(x: Tensor, factor: Tensor) -> Tensor:
    """x itself, whose gradient is multiplied."""
    return x.detach() + factor * (x - x.detach())
