"""What a report says of a method: sentences from the attributes of its file, and whatever they leave for a list."""

__all__ = ["method_prose", "remaining"]

from collections.abc import Mapping

SAID = (
    "method",
    "run",
    "observations",
    "members",
    "seed",
    "created",
    "sampler",
    "network_evaluations",
    "driftfield_version",
)
"""Attributes that the sentences use up."""

SILENT = ("Conventions", "driftfield_format", "title", "history")
"""Attributes that say nothing of the method; the history stands in the list all the same."""


def method_prose(attributes: Mapping[str, str], members: int) -> str:
    """Who made the fields, from what, how and when.

    Arguments:
        attributes: Of the file.
        members: Size of its ensemble.
    """
    maker = f"Made by {attributes['run']}" if "run" in attributes else "Made by a run that the file does not name"
    source = f" from {attributes['observations']}" if "observations" in attributes else ""
    when = f" on {attributes['created'][:10]}" if attributes.get("created") else ""
    version = f" with Driftfield {attributes['driftfield_version']}" if "driftfield_version" in attributes else ""
    sentences = [f"{maker}{source}{when}{version}."]
    seed = f", drawn with seed {attributes['seed']}" if members > 1 and "seed" in attributes else ""
    sentences.append(f"{members} members{seed}." if members > 1 else "One field; no ensemble.")
    if "sampler" in attributes:
        looks = attributes.get("network_evaluations")
        sentences.append(
            f"Each walked by {attributes['sampler']}{f' in {looks} looks of the network' if looks else ''}."
        )
    return " ".join(sentences)


def remaining(attributes: Mapping[str, str]) -> dict[str, str]:
    """What the sentences did not say."""
    return {key: value for key, value in attributes.items() if key not in (*SAID, *SILENT[:-1])}
