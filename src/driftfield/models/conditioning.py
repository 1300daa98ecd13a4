"""What a network is told beside observations and covariates: only what it has an argument for, and all of that or a refusal."""

__all__ = ["taken"]

from collections.abc import Mapping
from typing import Any, TypedDict

from driftfield.data.conditions import Conditions
from driftfield.errors import ConfigurationError
from driftfield.registry import lookup, members, parameters_of


class Taken(TypedDict, total=False):
    """Arguments of a network's constructor."""

    statics: int
    labels: list[int]


def taken(network: Mapping[str, Any], conditions: Conditions) -> Taken:
    """The arguments that tell a network how many static fields and classes of labels it gets; none, where there are none.

    Arguments:
        network: Class and arguments of the backbone.
        conditions: Of the run.

    Raises:
        ConfigurationError: the network takes no static fields, or no labels.
    """
    stated = Taken()
    if conditions.statics:
        stated["statics"] = len(conditions.statics)
    if conditions.labels:
        stated["labels"] = conditions.classes
    for argument, what in (("statics", "static fields (data.statics)"), ("labels", "class labels")):
        name = network.get("class", "")
        if argument in stated and argument not in parameters_of(lookup("network", name)):
            others = sorted(n for n, cls in members("network").items() if argument in parameters_of(cls))
            raise ConfigurationError(
                f"{name} takes no {what}: expected a network that does, {', '.join(others)}. Name one of them, or leave them out."
            )
    return stated
