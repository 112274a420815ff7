"""Modules that hold parameters: nested as their addresses are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....dsl.core import Body, names
from ....dsl.ops import Distribution, ParamAttrs, StateAttrs
from ....dsl.sizes import product
from ..flow import flow
from ..forms import Spread
from ..functions import path_of
from ..recognise.selection import plan_body
from .expressions import literal
from .layout import Value, permuted
from .names import camel, plain
from .writer import Lines, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ....dsl.core import Axes, Node
    from ....dsl.sizes import Size
    from ..forms import Piece
    from ..functions import Path
    from .writer import Rule


def reference(path: Iterable[str]) -> str:
    """How a module's code speaks of what it holds."""
    return "self" + "".join(
        f".{key}" if plain(key) else f"[{key}]" if key.isdigit() else f'["{key}"]' for key in path
    )


@dataclass(eq=False)
class Module:
    """What stands at one path: parameters, states and further modules."""

    path: Path
    stored: dict[str, Node] = field(default_factory=dict)
    parts: dict[str, Module] = field(default_factory=dict)

    @property
    def is_list(self) -> bool:
        """Whether its parts are turns, one for each number."""
        return not self.stored and list(self.parts) == [str(n) for n in range(len(self.parts))]

    def key(self) -> object:
        """Equal for modules that hold the same."""
        own = tuple((name, _start(node)) for name, node in self.stored.items())
        return own, tuple((name, part.key()) for name, part in self.parts.items())


def _start(node: Node) -> object:
    attrs = node.attrs
    assert isinstance(attrs, ParamAttrs | StateAttrs)
    init: object = attrs.init
    if isinstance(attrs.init, Body):
        place = {step.node.name: at for at, step in enumerate(attrs.init.steps)}
        init = tuple(
            (s.node.op.name, repr(s.node.attrs), tuple(place[o] for o in s.operands))
            for s in attrs.init.steps
        )
    return type(attrs).__name__, attrs.axes, init, getattr(attrs, "trained", False)


def tree(nodes: Iterable[Node]) -> Module:
    """All modules, with what is at the top outermost."""
    root = Module(())
    for node in nodes:
        *parents, name = path_of(node.site or node.name)
        at = root
        for key in parents:
            at = at.parts.setdefault(key, Module((*at.path, key)))
        at.stored[name] = node
    _sort(root)
    return root


def _sort(module: Module) -> None:
    """Turns in the order of their numbers, wherever they were met first."""
    if all(key.isdigit() for key in module.parts):
        module.parts = dict(sorted(module.parts.items(), key=lambda item: int(item[0])))
    for part in module.parts.values():
        _sort(part)


@dataclass(frozen=True)
class ClassText:
    """A class to be written: which parameters and parts it names, and how it is made.

    `made` is None for one that is given what it holds.
    """

    name: str
    about: str
    weights: tuple[str, ...]
    parts: tuple[str, ...]
    buffers: tuple[str, ...]
    made: tuple[str, ...] | None = None
    laid: tuple[str, ...] = ()
    methods: tuple[object, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in it: it holds what nobody reads."""
        lines = (self.about, self.weights, self.parts, self.buffers, self.made, self.methods)
        return not any(lines)


DRAWN = {
    "normal": "torch.empty({shape}).normal_({0}, {1})",
    "uniform": "torch.empty({shape}).uniform_({0}, {1})",
    "log_uniform": "torch.empty({shape}).uniform_({log0}, {log1}).exp()",
    "integers": "torch.randint({int0}, {int1}, ({shape},)).float()",
    "bernoulli": "torch.empty({shape}).bernoulli_({0})",
    "truncated_normal": "nn.init.trunc_normal_(torch.empty({shape}), {0}, {1}, {low}, {high})",
    "orthogonal": "nn.init.orthogonal_(torch.empty({rows}, {columns}), {0}).view({shape})",
}


def drawn(distribution: Distribution, sizes: Sequence[Size]) -> str:
    """Numbers of a distribution, as PyTorch draws them."""
    args = distribution.args
    shape = ", ".join(map(str, sizes)) or "()"
    if distribution.name == "constant":
        usual = {0.0: f"torch.zeros({shape})", 1.0: f"torch.ones({shape})"}
        listed = f"({shape},)" if len(sizes) == 1 else f"({shape})" if sizes else "()"
        return usual.get(args[0], f"torch.full({listed}, {literal(args[0]).text})")
    rows, *columns = sizes or (1,)
    words = {"shape": shape, "rows": rows, "columns": product(columns)}
    if distribution.name == "log_uniform":
        words |= {f"log{at}": literal(math.log(number)).text for at, number in enumerate(args)}
    if distribution.name == "integers":
        words |= {f"int{at}": int(number) for at, number in enumerate(args)}
    if distribution.name == "truncated_normal":
        mean, std = args
        words |= {"low": literal(mean - 2 * std).text, "high": literal(mean + 2 * std).text}
    return DRAWN[distribution.name].format(*(literal(n).text for n in args), **words)


class Holders:
    """Writes how modules are made, and which classes they need."""

    def __init__(
        self,
        classes: Mapping[Path, str],
        rule: Callable[[Piece], Rule],
        taken: Callable[[str], str],
        memory: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.classes, self.rule, self.take, self.memory = classes, rule, taken, memory
        self.found: dict[tuple[tuple[str, ...], ...], ClassText] = {}
        self.helpers: dict[str, None] = {}

    def content(self, module: Module, lines: Lines) -> list[str]:
        """What a module is made of, as keyword arguments."""
        texts: list[tuple[str, str]] = []
        odd: list[tuple[str, str]] = []
        for name, node in module.stored.items():
            text = self._initial(node, lines)
            (texts if plain(name) else odd).append((name, text))
        for name, part in module.parts.items():
            text = self.made(part, lines)
            (texts if plain(name) else odd).append((name, text))
        found = [f"{name}={text}" for name, text in texts]
        if odd:
            listed = ", ".join(f'"{name}": {text}' for name, text in odd)
            found.append(f"**{{{listed}}}")
        return found

    def made(self, module: Module, lines: Lines) -> str:
        """An expression that makes a module."""
        if module.path in self.classes:
            return f"{self.classes[module.path]}()"
        if module.is_list:
            return f"nn.ModuleList({self._turns(list(module.parts.values()), lines)})"
        return f"{self.holder(module).name}({', '.join(self.content(module, lines))})"

    def _turns(self, parts: Sequence[Module], lines: Lines) -> str:
        texts = [self.made(part, lines) for part in parts]
        runs: list[tuple[str, int]] = []
        for text in texts:
            if runs and runs[-1][0] == text:
                runs[-1] = text, runs[-1][1] + 1
            else:
                runs.append((text, 1))
        if len(runs) == 1:
            return f"[{runs[0][0]} for _ in range({runs[0][1]})]"
        listed = [
            text if count == 1 else f"*[{text} for _ in range({count})]" for text, count in runs
        ]
        return f"[{', '.join(listed)}]"

    def holder(self, module: Module) -> ClassText:
        """The class of a module that only holds things."""
        key = entries(module)
        if key not in self.found:
            weights = key[0]
            usual = {("b", "w"): "Affine", ("w",): "Weight"}.get(tuple(sorted(weights)))
            only = not any(key[1:])
            name = usual if usual is not None and only else camel(_last(module.path))
            self.found[key] = ClassText(self.take(name), "", *key)
        return self.found[key]

    def _initial(self, node: Node, lines: Lines) -> str:
        attrs = node.attrs
        assert isinstance(attrs, ParamAttrs | StateAttrs)
        trained = isinstance(attrs, ParamAttrs) and attrs.trained
        if isinstance(attrs.init, Distribution):
            text = self._drawn(attrs.init, node, attrs.axes)
        else:
            text = self._computed(attrs.init, node, lines)
        return f"nn.Parameter({text})" if trained else text

    def _drawn(self, distribution: Distribution, node: Node, axes: Axes) -> str:
        """Numbers of a distribution, in memory as the code that reads them wants it."""
        own = names(axes)
        order = self.memory.get(node.site or "", own)
        if order == own or distribution.name == "orthogonal":  # no matter of each number by itself
            return drawn(distribution, [axis.size for axis in axes])
        size = {axis.name: axis.size for axis in axes}
        return permuted(Value(drawn(distribution, [size[a] for a in order]), order), own).text

    def _computed(self, body: Body, node: Node, lines: Lines) -> str:
        known = flow(body)
        own = plan_body(known)
        (result,) = known.results
        while result in own.pieces and isinstance(own.pieces[result].form, Spread):
            (result,) = own.pieces[result].reads
        if result in known.numbers:
            number = float(known.numbers[result])
            return drawn(Distribution("constant", (number,)), [axis.size for axis in node.axes])
        writer = Writer(known, own, self.rule, _none, lines=lines)
        value = writer.exactly(writer.cast(writer.peek(known.results[0]), node.dtype), node.axes)
        self.helpers |= writer.helpers
        return f"{value.text}.clone()" if ".expand(" in value.text else value.text


def _none(node: Node) -> Value:
    raise KeyError(node.name)


def _last(path: Path) -> str:
    return next((key for key in reversed(path) if not key.isdigit()), "Part")


def entries(module: Module) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The names in a module that may be attributes: parameters, parts, and buffers."""
    weights: list[str] = []
    buffers: list[str] = []
    for name, node in module.stored.items():
        if plain(name):
            trained = isinstance(node.attrs, ParamAttrs) and node.attrs.trained
            (weights if trained else buffers).append(name)
    parts = tuple(name for name in module.parts if plain(name))
    return tuple(weights), parts, tuple(buffers)
