"""The modules that make the site."""

__all__ = ["DOCS", "site_module"]

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"


def site_module(name: str) -> Any:
    """One of docs/site."""
    sys.path.insert(0, str(DOCS / "site"))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(DOCS / "site"))
