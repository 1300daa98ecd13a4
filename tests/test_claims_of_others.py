"""What pages claim of others is what is known of them, and names in the docs exist."""

import inspect
import re
from pathlib import Path

import pytest

from driftfield import registry
from driftfield.registry import lookup

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "comparison").glob("*.md")),
    *sorted((ROOT / "src/driftfield/recipes/compare").glob("*.yaml")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_figures_of_quick_code_are_not_called_published(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "published figure" not in text
    assert "quick tuned code" not in text
    if "in italics" in text:
        assert "independent quick implementation, unpublished" in text


def test_the_example_of_the_registry_can_be_built() -> None:
    name, argument = re.search(r"`\{class: (\w+), (\w+): 80\}`", registry.__doc__ or "").groups()  # type: ignore[union-attr]
    assert argument in inspect.signature(lookup("schedule", name)).parameters
