"""The text of a block that grows line by line while Hypothesis draws what stands in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ..dsl import sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..dsl.sizes import Size

LETTERS = [
    "a",
    "c",
    "e",
    "f",
    "g",
    "h",
    "i",
    "j",
    "k",
    "m",
    "n",
    "o",
    "p",
    "q",
    "r",
    "u",
    "v",
    "w",
    "y",
    "z",
]  # of fresh axes
LARGEST = 30.0
MOST_ELEMENTS = 400


@dataclass(frozen=True)
class Term:
    """An expression with its type; `bound` is about its largest number.

    `exact` ones have no rounding, so that comparing or rounding them is safe. `name` is that of a
    value that a loop may carry.
    """

    text: str
    axes: tuple[str, ...]
    kind: str = "float"
    bound: float = 2.0
    exact: bool = False
    loose: bool = False
    name: str | None = None

    @property
    def atom(self) -> str:
        """The text as an operand."""
        return f"({self.text})" if self.loose else self.text


@dataclass(frozen=True)
class Routine:
    """A block of the file: how it is called, and what it gives."""

    name: str
    takes: tuple[str, ...]
    gives: tuple[tuple[str, ...], ...]
    arrow: tuple[str, str] | None = None
    pack: bool = False


@dataclass
class Block:
    """What all suites of one block share: which names are taken, what may be called."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    routines: tuple[Routine, ...] = ()
    together: bool = True  # whether examples along `b` may be mixed
    ragged: frozenset[str] = frozenset()
    count: int = 0
    taken: set[str] = field(default_factory=set)

    def name(self, stem: str = "v") -> str:
        """A name not used before."""
        self.count += 1
        return f"{stem}{self.count}"


@dataclass
class Suite:
    """Lines at one indentation, and what may be read where they stand."""

    block: Block
    depth: int = 1
    lines: list[str] = field(default_factory=list)
    values: list[Term] = field(default_factory=list)
    sizes: dict[str, Size] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)  # axes that a parameter may have
    numbers: tuple[str, ...] = ()
    truths: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()  # axes of the scans around
    banks: tuple[str, ...] = ()
    most: int = 3  # how many axes a value has at most
    pending: list[str] = field(default_factory=list)  # axes that no line has made yet

    # ---- choices

    def pick(self, values: Sequence[Any] | str) -> Any:
        """One of the values, or of the words of a text."""
        return self.block.draw(
            st.sampled_from(values.split() if isinstance(values, str) else list(values))
        )

    def often(self) -> bool:
        """True three times in four."""
        return bool(self.pick([True, True, True, False]))

    def some(self, values: Iterable[Any], least: int = 0, most: int = 2) -> list[Any]:
        """Some of the values, each once."""
        known = list(dict.fromkeys(values))
        least = min(least, len(known))
        if not known:
            return []
        return list(
            self.block.draw(
                st.lists(st.sampled_from(known), min_size=least, max_size=most, unique=True)
            )
        )

    def term(
        self,
        *kinds: str,
        axis: str | None = None,
        exact: bool = False,
        axes: int = 0,
        near: Term | None = None,
    ) -> Term | None:
        """A value that may be read, the latest most likely: with that axis, of these kinds.

        With `near`, one that may stand beside that one without a warning.
        """
        fit = [
            v
            for v in self.values
            if v.kind in (kinds or ("float",))
            and (axis is None or axis in v.axes)
            and (v.exact or not exact)
            and len(v.axes) >= axes
            and (near is None or not v.axes or not near.axes or set(v.axes) & set(near.axes))
            and (near is None or len({*v.axes, *near.axes}) <= self.most + 1)
        ]
        return self.pick(fit[::-1]) if fit else None

    # ---- axes

    def free(self, term: Term) -> list[str]:
        """The axes of a value that may be reduced, renamed or indexed: examples may be kept apart."""
        return [a for a in term.axes if a != "b" or self.block.together]

    def static(self, axis: str) -> int | None:
        """The size as a number, where it is one."""
        size = self.sizes[axis]
        return size if isinstance(size, int) else None

    def known(self, term: Term) -> list[str]:
        """The axes of a value that parameters may have."""
        return [a for a in self.free(term) if a in self.fixed]

    def new_axis(self, size: Size, stem: str | None = None, fixed: bool | None = None) -> str:
        """A name for a new axis of that size."""
        free = [letter for letter in LETTERS if letter not in self.block.taken]
        axis = stem if stem is not None else self.pick(free[:6]) if free else self.block.name("z")
        self.block.taken.add(axis)
        self.sizes[axis] = size
        self.pending.append(axis)
        if isinstance(size, int) if fixed is None else fixed:
            self.fixed.add(axis)
        return axis

    def forget(self) -> None:
        """Axes for which nothing was written are not there."""
        for axis in self.pending:
            self.sizes.pop(axis, None)
            self.fixed.discard(axis)
        self.pending.clear()

    def twin(self, axis: str, term: Term) -> str:
        """Another name for an axis: one of equal size that the value lacks, or a new one."""
        equal = [
            a
            for a, size in self.sizes.items()
            if size == self.sizes[axis] and a not in term.axes and a not in self.steps and a != "b"
        ]
        if equal and self.often():
            return str(self.pick(equal))
        return self.new_axis(self.sizes[axis], fixed=axis in self.fixed)

    def elements(self, axes: Iterable[str]) -> int:
        """About how many elements these axes have."""
        symbols = {symbol for size in self.sizes.values() for symbol in sizes.symbols(size)}
        known = dict.fromkeys(symbols, 3)
        return sizes.evaluate(sizes.product(self.sizes[a] for a in axes), known)

    # ---- writing

    def line(self, text: str) -> None:
        """Write a line."""
        self.pending.clear()
        self.lines.append("    " * self.depth + text)

    def let(self, made: Term | None, name: str | None = None) -> Term | None:
        """Assign the expression to a name; none if it would be too large."""
        if (
            made is None
            or self.elements(made.axes) > MOST_ELEMENTS
            or len(made.axes) > self.most + 1
        ):
            return None
        text, bound, exact = made.text, made.bound, made.exact
        if bound > LARGEST:
            if made.kind != "float":
                return None
            text, bound, exact = f"tanh({made.text})", 1.0, False
        name = name or self.block.name()
        self.line(f"{name} = {text}")
        axes = (*made.axes, *(a for a in self.banks if a not in made.axes))
        found = Term(name, axes, made.kind, bound, exact, name=name)
        self.values.append(found)
        return found

    def fitted(self, term: Term, axes: Iterable[str]) -> Term:
        """The value without the axes that are not among these."""
        kept = tuple(a for a in term.axes if a in set(axes))
        extra = [a for a in term.axes if a not in kept]
        if not extra:
            return term
        fn = self.pick(["mean", "mean", "max"])
        return Term(f"{fn}[{', '.join(extra)}]({term.text})", kept, "float", term.bound)

    def inner(self, **changes: Any) -> Suite:
        """A suite inside this one: it reads what this one does, and what it makes stays in it."""
        own: dict[str, Any] = {
            "values": list(self.values),
            "sizes": dict(self.sizes),
            "fixed": set(self.fixed),
        }
        return replace(self, depth=self.depth + 1, lines=[], pending=[], **{**own, **changes})
