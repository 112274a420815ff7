"""Runs the body of a scan on affine expressions in place of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ...dsl.ops import (
    REDUCE,
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScatterAttrs,
    Select,
    Slice,
    StopAttrs,
    Window,
)
from .algebra import Algebra, Product, axis_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.core import Axis, Node
    from .algebra import Affine


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A value that is not said as a sum of products. `cause` is the node that is in the way."""

    cause: str
    linear: bool = False


Form = tuple[Product, ...] | Unsaid

LINEAR_ALONG = {"cumsum", "flip", "fft_re", "fft_im"}


class Interpreter:
    """The forms of nodes, from those of what they read."""

    def __init__(self, algebra: Algebra, carries: Mapping[str, int]) -> None:
        self.algebra = algebra
        self.forms: dict[str, Form] = {}
        for name, place in carries.items():
            axes = tuple((axis.name, axis.name) for axis in algebra.axes(name))
            self.forms[name] = (Product((), carry=place, axes=axes),)

    def run(self, order: Sequence[str]) -> None:
        """Give a form to each node that depends on the carries."""
        for name in order:
            read = self.algebra.edit.operands(name)
            if name not in self.forms and any(operand in self.forms for operand in read):
                self.forms[name] = self._form(self.algebra.edit.node(name), read)

    def form(self, name: str) -> Form:
        """The form of a node."""
        found = self.forms.get(name)
        return self.algebra.known(name) if found is None else found

    def _form(self, node: Node, read: tuple[str, ...]) -> Form:
        found = [self.form(name) for name in read]
        depends = [name in self.forms for name in read]
        for form, here in zip(found, depends, strict=True):
            if here and isinstance(form, Unsaid) and not form.linear:
                return form
        said = [form for form in found if not isinstance(form, Unsaid)]
        made = self._made(node, read, said, depends) if len(said) == len(found) else None
        if made is not None:
            return made
        if not _is_linear(node, depends):
            return Unsaid(node.name)
        unsaid = next((form for form in found if isinstance(form, Unsaid)), None)
        return Unsaid(node.name if unsaid is None else unsaid.cause, linear=True)

    def _made(
        self, node: Node, read: tuple[str, ...], given: list[Affine], depends: list[bool]
    ) -> Affine | None:
        algebra, first = self.algebra, self.algebra.edit.node(read[0])
        match node.attrs:
            case MapAttrs(fn=fn):
                return self._map(fn, read, given, depends)
            case ReduceAttrs(fn="sum" | "mean" as fn, axes=axes):
                value = given[0]
                for name in axes:
                    value = algebra.sum(value, axis_of(first.axes, name))
                    if fn == "mean":
                        value = algebra.scaled(value, [self._share(axis_of(first.axes, name))])
                return value
            case ContractAttrs(axes=axes) if sum(depends) == 1:
                at = depends.index(True)
                value = given[at]
                for other, form in enumerate(given):
                    if other != at:
                        value = algebra.scaled(value, form[0].factors)
                every = {axis.name: axis for name in read for axis in algebra.axes(name)}
                for name in axes:
                    value = algebra.sum(value, every[name])
                return value
            case RenameAttrs(pairs=pairs) if all(len(a) == 1 == len(b) for a, b in pairs):
                return algebra.rename(given[0], {a[0]: b[0].name for a, b in pairs})
            case IndexAttrs(how=Select() | Slice() as how):
                return algebra.select(given[0], how, axis_of(first.axes, how.axis))
        return None

    def _share(self, axis: Axis) -> str:
        """One over the size of an axis."""
        algebra = self.algebra
        count = algebra.add(REDUCE, ReduceAttrs("sum", (axis.name,)), algebra.ones(axis))
        return algebra.map("reciprocal", count)

    def _map(
        self, fn: str, read: tuple[str, ...], given: list[Affine], depends: list[bool]
    ) -> Affine | None:
        algebra = self.algebra
        match fn:
            case "add":
                return (*given[0], *given[1])
            case "sub":
                return (*given[0], *algebra.scaled(given[1], (), negative=True))
            case "neg":
                return algebra.scaled(given[0], (), negative=True)
            case "float":
                return given[0]
            case "mul" if sum(depends) == 1:
                value, factor = given if depends[0] else given[::-1]
                return algebra.scaled(value, factor[0].factors)
            case "div" if not depends[1]:
                return algebra.scaled(given[0], [algebra.map("reciprocal", read[1])])
            case "where" if not depends[0] and read[1] == read[2]:
                return given[1]  # repeated along axes of the condition
            case "where" if not depends[0]:
                return (
                    *algebra.chosen(read[0], given[1], holds=True),
                    *algebra.chosen(read[0], given[2], holds=False),
                )
        return None


def _is_linear(node: Node, depends: Sequence[bool]) -> bool:
    """Whether an operation is linear in what it reads of the carries."""
    match node.attrs:
        case MapAttrs("add" | "sub" | "neg" | "float"):
            return node.dtype is DType.FLOAT
        case MapAttrs("mul") | ContractAttrs():
            return sum(depends) == 1
        case MapAttrs("div"):
            return not depends[1]
        case MapAttrs("where"):
            return not depends[0]
        case ReduceAttrs("sum" | "mean") | RenameAttrs() | ConcatAttrs() | StopAttrs():
            return True
        case IndexAttrs(how=Gather(fill=fill) | Window(fill=fill)):
            return not fill and not any(depends[1:])
        case IndexAttrs():
            return True
        case ScatterAttrs():
            return not depends[1]
        case AlongAttrs(fn=fn):
            return fn in LINEAR_ALONG
    return False
