"""One thing that is wrong with what is asked for, as the error that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.source import GENERATED

if TYPE_CHECKING:
    from ..dsl.diagnostics import Slug
    from ..dsl.source import Span


def mistake(
    slug: Slug, message: str, span: Span = GENERATED, *, hint: str | None = None
) -> SpecError:
    """The error; without a span, it is not in the spec."""
    return SpecError([Diagnostic(slug, message, span, hint=hint)])
