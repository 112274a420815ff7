"""The numbers of a call such as `adamw(3e-4, beta2 = 0.95)`, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.diagnostics import Diagnostic, Slug, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.program import Call
    from ...dsl.source import Span


def bound(
    call: Call, names: Sequence[str], span: Span, *, defaults: Mapping[str, float] | None = None
) -> dict[str, float]:
    """What a call is given, by name; numbers without one go in the order of `names`."""
    named = dict(call.options)
    if len(call.args) > len(names):
        message = f"`{call.name}` takes {len(names)} numbers at most, not {len(call.args)}"
        raise SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
    placed = dict(zip(names, call.args, strict=False))
    if twice := placed.keys() & named.keys():
        message = f"`{call.name}` is given `{min(twice)}` twice"
        raise SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
    return {**(defaults or {}), **placed, **named}


def whole(what: str, value: float, span: Span, *, least: int) -> int:
    """A number as an int; SpecError if it is none or too small."""
    if value != int(value) or value < least:
        message = f"{what} is a whole number from {least} on, not {value:g}"
        raise SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
    return int(value)
