"""A folder of results as one page of HTML, which needs nothing beside it."""

from __future__ import annotations

from .page import write_page

__all__ = ["write_page"]
