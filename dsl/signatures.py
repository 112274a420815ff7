"""What `data NAME = SOURCE(options): fields` is checked against: options, and fields with axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from . import sizes
from .core import Axis, DType
from .diagnostics import Slug, or_any
from .syntax import Call, Name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .core import Axes
    from .syntax import Field

EXAMPLES = "b"
"""The axis along which the examples of every data set stand."""

LARGEST = 2**31
"""How many numbers a field may hold."""

Value = int | float | bool | str | None
"""What an option may be set to; the name of a tokeniser is a str."""

FIELD_KINDS = {
    "int": DType.INT,
    "float": DType.FLOAT,
    "bool": DType.BOOL,
    "text": DType.INT,  # token numbers, along one ragged axis
    "position": DType.INT,  # an index of the text's axis, for `@field`
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a source. Without a default it must be given; `None` stands for absent."""

    name: str
    kind: Literal["int", "float", "bool", "text", "choice", "tokenizer"]
    default: Value = None
    required: bool = False
    least: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldSignature:
    """A field of a data set. Its sizes are numbers, options, or symbols known when it is read.

    `ragged` pairs an axis with the one for each index of which it has a length of its own.
    """

    name: str
    axes: Axes
    kind: str
    tokenizer: str | None = None
    ragged: tuple[tuple[str, str], ...] = ()

    @property
    def dtype(self) -> DType:
        """What it holds."""
        return FIELD_KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the option called `option`, or with all of them together."""

    option: str | None
    slug: Slug
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a source takes and yields. With `declared`, the spec says which fields it reads."""

    name: str
    does: str
    options: tuple[Option, ...]
    fields: tuple[FieldSignature, ...] = ()
    declared: bool = False
    rule: Callable[[Mapping[str, Value]], str | None] = lambda _: None

    def complete(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """All options, those not given at their defaults."""
        return {option.name: given.get(option.name, option.default) for option in self.options}

    def fields_for(self, given: Mapping[str, Value]) -> tuple[FieldSignature, ...]:
        """The fields, with those sizes as numbers that the options decide."""
        values = {k: v for k, v in self.complete(given).items() if isinstance(v, int)}
        return tuple(_sized(field, values) for field in self.fields)

    def problems(self, given: Mapping[str, Value]) -> list[Problem]:
        """All that is wrong with options as given, in their order."""
        known = {option.name: option for option in self.options}
        found = []
        for name, value in given.items():
            if name not in known:
                hint = or_any(name, known)
                message = f"`{self.name}` has no option `{name}`"
                found.append(Problem(name, Slug.UNKNOWN_OPTION, message, hint))
            elif misfit := _misfit(self.name, known[name], value):
                found.append(Problem(name, Slug.WRONG_ARGUMENTS, misfit))
        for option in self.options:
            if option.required and option.name not in given:
                message = f"`{self.name}` needs `{option.name}`"
                found.append(Problem(None, Slug.WRONG_ARGUMENTS, message))
        if found:
            return found
        if broken := self.rule(self.complete(given)):
            return [Problem(None, Slug.WRONG_ARGUMENTS, broken)]
        return self._too_large(given)

    def _too_large(self, given: Mapping[str, Value]) -> list[Problem]:
        count = self.complete(given).get("n") or 1
        for field in self.fields_for(given):
            total = count if isinstance(count, int) else 1
            for axis in field.axes:
                total *= axis.size if isinstance(axis.size, int) else 1
            if total > LARGEST:
                message = f"`{field.name}` would hold {total} numbers; {LARGEST} are allowed"
                return [Problem(None, Slug.TOO_LARGE, message)]
        return []


def declared_field(field: Field) -> FieldSignature | None:
    """What a spec's own `clean[t of b]: text(tok)` declares; None if its kind is not one.

    The examples' axis need not be written.
    """
    match field.value:
        case Name(id=kind) if kind in FIELD_KINDS:
            tokenizer = None
        case Call(target=Name(id="text" as kind), args=(argument,)) if isinstance(
            argument.value, Name
        ):
            tokenizer = argument.value.id
        case _:
            return None
    written = [axis for axis in field.axes or () if axis.name != EXAMPLES]
    if (kind == "text" and len(written) != 1) or (kind == "position" and written):
        return None
    ragged = tuple((axis.name, axis.of) for axis in written if axis.of)
    names = (EXAMPLES, *(axis.name for axis in written))
    axes = tuple(Axis(name, sizes.symbol(name)) for name in names)
    return FieldSignature(field.name, axes, kind, tokenizer, ragged)


def _sized(field: FieldSignature, values: Mapping[str, int]) -> FieldSignature:
    axes = tuple(
        Axis(axis.name, sizes.evaluate(axis.size, values))
        if sizes.symbols(axis.size) <= values.keys()
        else axis
        for axis in field.axes
    )
    return FieldSignature(field.name, axes, field.kind, field.tokenizer, field.ragged)


def _misfit(source: str, option: Option, value: Value) -> str | None:
    """Why a value does not do for an option; None if it does."""
    said = f"`{option.name}` of `{source}`"
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    if value is None and option.default is None and not option.required:
        return None
    match option.kind:
        case "int" if not isinstance(value, int) or isinstance(value, bool):
            return f"{said} is a whole number, not {shown}"
        case "float" if not isinstance(value, int | float) or isinstance(value, bool):
            return f"{said} is a number, not {shown}"
        case "bool" if not isinstance(value, bool):
            return f"{said} is true or false, not {shown}"
        case "text" | "choice" if not isinstance(value, str):
            return f"{said} is a text in quotes, not {shown}"
        case "tokenizer" if not isinstance(value, str):
            return f"{said} is the name of a tokeniser, not {shown}"
        case "choice" if value not in option.choices:
            return f"{said} is one of {', '.join(option.choices)}, not {shown}"
    if isinstance(value, int | float):
        if option.least is not None and value < option.least:
            return f"{said} is at least {option.least}, not {shown}"
        if option.below is not None and value >= option.below:
            return f"{said} is below {option.below}, not {shown}"
    return None
