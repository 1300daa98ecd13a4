"""The U-Nets of the diffusers library as backbones: built from their own configuration, trained and sampled like ours.

    x_t, observations, masks, covariates ---- channels ------------------> sample
    c_noise = ln(s) / 4 ---- 100 ln s -----------------------------------> timestep
    position, date, presence ---- MLP ---- one vector -------------------> class_labels            (both models)
                                           a few tokens -----------------> encoder_hidden_states   (UNet2DConditionModel)

Every convolution of theirs is exchanged for one of ours with the same weights, so that longitude wraps, and their last
convolution starts at zero. What they keep is group normalisation over the window: unlike in our own networks, the answer of a
cell depends on how much land is around it. The condition is one more input here, and is seen anew at every evaluation.
"""

__all__ = ["DiffusersCondition", "DiffusersUNet"]

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from driftfield.errors import ConfigurationError, need, suggest
from driftfield.fields import FieldBatch
from driftfield.networks.blocks import Conv
from driftfield.networks.canvas import channels_last, condition_channels, halo, pad, set_wrap, stack_condition
from driftfield.networks.embeddings import PlaceDateEmbedding
from driftfield.plain import JSONObject
from driftfield.registry import register

MODELS = ("UNet2DModel", "UNet2DConditionModel")
_OURS = ("in_channels", "out_channels", "sample_size", "center_input_sample", "class_embed_type")
_TOKENS, _CONSTANTS = 4, 8


@dataclass(frozen=True)
class DiffusersCondition:
    """What is known, as their models want it."""

    channels: Float[Tensor, "batch condition lat lon"]
    labels: Float[Tensor, "batch embedding"] | Integer[Tensor, " batch"]
    tokens: Float[Tensor, "batch token feature"] | None
    wrap: bool

    def repeat(self, times: int) -> "DiffusersCondition":
        """Every sample `times` times in a row, for members that share their condition."""
        return DiffusersCondition(
            self.channels.repeat_interleave(times, dim=0),
            self.labels.repeat_interleave(times, dim=0),
            None if self.tokens is None else self.tokens.repeat_interleave(times, dim=0),
            self.wrap,
        )


@register("network")
class DiffusersUNet(nn.Module):
    """A U-Net of the diffusers library, of any size of field.

    Arguments:
        channels: Channels of the field.
        covariates: Channels of the given fields.
        first_guess: Whether a first guess and its error scale are part of the condition.
        visible: Whether the condition says where the noisy field exists (ambient training).
        model: "UNet2DModel" or "UNet2DConditionModel".
        config: Arguments of that class, such as `block_out_channels` and `layers_per_block`. What is left out is small: widths
            32, 64 and 128, one layer each, attention on the coarsest grid. With `num_class_embeds: N` the class label is the
            N-th part of the year (12: the month), and position, date and presence are constant input channels.
        position: Encoding of the window's position: "unit_sphere", "sincos" or "raw".
        statics: How many static fields are part of the condition.
        labels: How many classes the label of a sample has, in a list of one: their `num_class_embeds`.

    Raises:
        MissingExtraError: diffusers is not installed.
        ConfigurationError: an unknown model or argument, one that is filled in here, or more labels than their model takes.
    """

    def __init__(
        self,
        channels: int,
        covariates: int = 0,
        first_guess: bool = False,
        visible: bool = False,
        model: str = "UNet2DModel",
        config: Mapping[str, Any] | None = None,
        position: str = "unit_sphere",
        statics: int = 0,
        labels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if model not in MODELS:
            raise ConfigurationError(f"Unknown model {model!r} of diffusers: {suggest(str(model), MODELS)}")
        theirs = getattr(need("diffusers", "diffusers", f"The network {model}"), model)
        conditional = model == "UNet2DConditionModel"
        arguments = _arguments(theirs, _with_classes(dict(config or {}), labels), conditional)
        widths = arguments["block_out_channels"]
        self.first_guess, self.visible, self.statics, self.labelled = first_guess, visible, statics, bool(labels)
        self.multiple = 2 ** (len(widths) - 1)
        self.classes: int | None = arguments.get("num_class_embeds")
        self.fourier = arguments.get("time_embedding_type") == "fourier"
        known = condition_channels(channels, covariates, first_guess=first_guess, visible=visible, statics=statics)
        self.model = theirs(
            in_channels=channels + known + (_CONSTANTS if self.classes else 0),
            out_channels=channels,
            class_embed_type=None if self.classes else "identity",
            **arguments,
        )
        embedding = self.model.time_embedding.linear_2.out_features
        self.context = PlaceDateEmbedding(embedding, covariates, position)
        self.constants = nn.Linear(embedding, _CONSTANTS) if self.classes else None
        self.tokens = nn.Linear(embedding, _TOKENS * arguments["cross_attention_dim"]) if conditional else None
        _exchange_convolutions(self.model)
        nn.init.zeros_(self.model.conv_out.weight)
        nn.init.zeros_(self.model.conv_out.bias)

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> DiffusersCondition:
        """What is known; does not see `batch.target`."""
        known = stack_condition(batch, first_guess=self.first_guess, visible=self.visible, statics=self.statics)
        condition = pad(known, self.multiple, wrap)
        context = self.context(batch.position, batch.date, batch.presence)
        tokens = None if self.tokens is None else self.tokens(context).unflatten(1, (_TOKENS, -1))
        if self.classes is None:
            return DiffusersCondition(condition, context, tokens, wrap)
        assert self.constants is not None
        constants = self.constants(context)[:, :, None, None].expand(-1, -1, *condition.shape[-2:])
        return DiffusersCondition(torch.cat([condition, constants], dim=1), self._label(batch), tokens, wrap)

    def forward(
        self, x: Float[Tensor, "batch channel lat lon"], c_noise: Float[Tensor, " batch"], encoded: DiffusersCondition
    ) -> Float[Tensor, "batch channel lat lon"]:
        """The prediction for the scaled noisy field x (0 outside the domain)."""
        height, width = x.shape[-2:]
        west, _, inner_wrap = halo(width, self.multiple, encoded.wrap)
        set_wrap(self.model, inner_wrap)
        sample = torch.cat([pad(x, self.multiple, encoded.wrap), encoded.channels], dim=1)
        conditions: dict[str, Tensor] = {"class_labels": encoded.labels}
        if encoded.tokens is not None:
            conditions["encoder_hidden_states"] = encoded.tokens
        (answer,) = self.model(channels_last(sample), self._timestep(c_noise), return_dict=False, **conditions)
        return answer[..., :height, west : west + width]

    def _label(self, batch: FieldBatch) -> Integer[Tensor, " batch"]:
        """The class of every sample: its label, or else the part of the year."""
        assert self.classes is not None
        if not self.labelled:
            return (batch.date[:, 0] * self.classes).long().clamp(0, self.classes - 1)
        if batch.labels is None or batch.labels.shape[1] != 1:
            raise ConfigurationError("This network was built for 1 class label, which the batch does not hold.")
        return batch.labels[:, 0]

    def _timestep(self, c_noise: Tensor) -> Tensor:
        """The noise level as the model's own embedding of time expects it."""
        log_s = 4 * c_noise.float()
        if not self.fourier:
            # one unit is one step of a 1000-step chain, as fine as these sines and cosines were made for
            return 100 * log_s
        # UNet2DModel takes the logarithm itself
        return log_s if self.tokens is not None else log_s.exp()


def _with_classes(config: Mapping[str, Any], labels: Sequence[int]) -> Mapping[str, Any]:
    """The config with the number of classes of the label."""
    if not labels:
        return config
    if len(labels) > 1 or "num_class_embeds" in config:
        stated = f"{len(labels)} labels" if len(labels) > 1 else "labels and num_class_embeds"
        raise ConfigurationError(
            f"DiffusersUNet has one class label: found {stated}. Name one label, and leave the other out."
        )
    return {**config, "num_class_embeds": labels[0]}


def _arguments(theirs: type, config: Mapping[str, Any], conditional: bool) -> Mapping[str, Any]:
    """The constructor's arguments: those given, checked, and a small model for the rest."""
    allowed = [name for name in inspect.signature(theirs).parameters if name not in _OURS]
    for key in config:
        if key in _OURS:
            raise ConfigurationError(
                f"Found {key!r} in the config of {theirs.__name__}: it is filled in. Leave it out."
            )
        if key not in allowed:
            raise ConfigurationError(f"{theirs.__name__} has no argument {key!r}: {suggest(key, allowed)}")
    if config.get("time_embedding_type", "positional") not in ("positional", "fourier"):
        raise ConfigurationError(
            f"Found time_embedding_type={config['time_embedding_type']!r}: noise levels are not whole numbers; expected "
            "'positional' or 'fourier'."
        )
    widths = config.get("block_out_channels", (32, 64, 128))
    if not isinstance(widths, list | tuple) or not widths or any(type(w) is not int or w < 1 for w in widths):
        raise ConfigurationError(f"Found block_out_channels={widths!r}: expected whole numbers, one per resolution.")
    kind = "CrossAttn" if conditional else "Attn"
    plain = len(widths) - 1
    defaults: JSONObject = {
        "layers_per_block": 1,
        "norm_num_groups": math.gcd(32, *widths),
        "down_block_types": ["DownBlock2D"] * plain + [f"{kind}DownBlock2D"],
        "up_block_types": [f"{kind}UpBlock2D"] + ["UpBlock2D"] * plain,
    }
    if conditional:
        defaults["cross_attention_dim"] = 64
    # theirs are tuples, a recipe has lists
    return {key: _tuples(value) for key, value in {**defaults, **config, "block_out_channels": widths}.items()}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _exchange_convolutions(module: nn.Module) -> None:
    """Puts ours, which can wrap longitude, in place of every convolution that keeps its size or halves it."""
    for name, child in module.named_children():
        if type(child) is nn.Conv2d and child.padding == tuple(size // 2 for size in child.kernel_size):
            exchanged = Conv(
                child.in_channels,
                child.out_channels,
                (child.kernel_size[0], child.kernel_size[1]),
                groups=child.groups,
                stride=(child.stride[0], child.stride[1]),
            )
            exchanged.weight, exchanged.bias = child.weight, child.bias
            setattr(module, name, exchanged)
        else:
            _exchange_convolutions(child)
