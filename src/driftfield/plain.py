"""Plain values: what recipes, `run.json` and reports are made of, and nothing that a file of text could not hold.

JSON    null | true, false | number | text | [JSON, ...] | {text: JSON, ...}
Spec    {class: Name, argument: JSON, ...}      how a recipe names a registered member
"""

__all__ = ["JSON", "JSONObject", "Spec"]

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
JSONObject: TypeAlias = dict[str, JSON]
Spec: TypeAlias = Mapping[str, JSON]
