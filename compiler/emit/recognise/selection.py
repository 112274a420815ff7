"""What of a function is written, and in which form: from its results backwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ....dsl.ops import (
    ConcatAttrs,
    ContractAttrs,
    InputAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
)
from ...attention import contraction
from ..flow import LEAVES
from ..forms import (
    Attention,
    BatchNorm,
    Beside,
    Contracted,
    Convolution,
    Core,
    CrossEntropy,
    Form,
    LayerNorm,
    Linear,
    Piece,
    Pointwise,
    RMSNorm,
    Spread,
)
from ..functions import Call
from .attention import attention
from .idioms import IDIOMS
from .patterns import Found, View
from .picking import picked
from .windows import convolution, pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ....dsl.core import Node
    from ...artifact import Provided
    from ...attention import Contraction
    from ..cpp.attention.kernel import ContractionKernel
    from ..flow import Flow
    from ..functions import Function

    Contractions = Callable[[Contraction], Provided[ContractionKernel] | None]

NICKNAMES: dict[type[Form], str] = {
    LayerNorm: "normed",
    RMSNorm: "normed",
    BatchNorm: "normed",
    Linear: "projected",
    Attention: "attended",
    Contracted: "attended",
    Beside: "total",
    Pointwise: "active",
    Convolution: "convolved",
    CrossEntropy: "loss",
}


@dataclass(eq=False)
class Plan:
    """The pieces of one function, how often each is read, and what it takes from outside."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    borrowed: tuple[str, ...] = ()  # closed values that are computed once, by the caller
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # linear maps of one value
    named: frozenset[str] = frozenset()

    def inside(self, name: str) -> bool:
        """Whether a value is written where it is read; a scan is, with the first of its items."""
        if self.pieces[name].node.op.name == "scan":
            return True
        return self.uses[name] <= 1 and name not in self.named

    def call_it(self, piece: Piece) -> str:
        """A name for a value that has no address."""
        attrs = piece.node.attrs
        if isinstance(piece.form, Core):
            if isinstance(attrs, IotaAttrs):
                return f"{attrs.axis.name}_index"
            return getattr(attrs, "fn", None) or {"contract": "product", "rename": "view"}.get(
                piece.node.op.name, piece.node.op.name
            )
        return NICKNAMES.get(type(piece.form), "value")


def plan(
    flow: Flow,
    function: Function,
    inner: Mapping[int, Plan],
    results: Sequence[str] | None = None,
    contractions: Contractions | None = None,
) -> Plan:
    """The pieces of a function whose callees are planned already. `results` are the program's.

    Contractions for which `contractions` has a kernel are pieces.
    """
    own = [item for item in function.items if isinstance(item, str)]
    selector = _Selector(flow, frozenset(own), contractions=contractions)
    return selector.plan(function, inner, results)


def plan_body(
    flow: Flow,
    weights: frozenset[str] = frozenset(),
    contractions: Contractions | None = None,
) -> Plan:
    """The pieces of a program that stands alone, such as a scan's body, given parameters there."""
    own = [n for n in flow.nodes if flow.nodes[n].op.name not in LEAVES and n not in flow.closed]
    selector = _Selector(flow, frozenset(own), weights, contractions)
    selector.uses.update(flow.results)
    selector.take([n for n in flow.nodes if flow.nodes[n].op.name not in LEAVES], {})
    return selector.finished(())


class _Selector:
    def __init__(
        self,
        flow: Flow,
        own: frozenset[str],
        weights: frozenset[str] = frozenset(),
        contractions: Contractions | None = None,
    ) -> None:
        self.flow, self.own, self.weights = flow, own, weights
        self.contractions = contractions
        self.totals: dict[str, str] = {}  # logs of sums that contractions give beside their result
        self.view = View(flow, own)
        self.uses: Counter[str] = Counter()
        self.pieces: dict[str, Piece] = {}

    def plan(
        self, function: Function, inner: Mapping[int, Plan], results: Sequence[str] | None
    ) -> Plan:
        is_root = results is not None
        gives = function.gives if results is None else results
        self.uses.update([*gives, *(name for name, _ in function.updates)])
        closed = [name for name in self.flow.nodes if name in self.flow.closed]
        self.take([*(closed if is_root else ()), *function.items], inner)
        borrowed = (
            ()
            if is_root
            else tuple(n for n in closed if self.uses[n] and not self.flow.is_number(n))
        )
        return self.finished(borrowed, only=gives[0] if len(gives) == 1 else "")

    def take(self, items: Sequence[str | Call], inner: Mapping[int, Plan]) -> None:
        """Choose forms for what is needed, last first."""
        self._find_totals(items)
        for item in reversed(items):
            if isinstance(item, Call):
                self.uses.update([*item.takes, *inner[id(item.function)].borrowed])
            elif self.uses[item] and not self.flow.is_number(item):
                piece = self.piece(self.flow.nodes[item])
                self.pieces[item] = piece
                self.uses.update(piece.reads)

    def finished(self, borrowed: tuple[str, ...], only: str = "") -> Plan:
        pieces = dict(reversed(self.pieces.items()))
        # a name of the spec is kept, unless all that it names is another value seen differently
        named = frozenset(
            name
            for name, piece in pieces.items()
            if piece.node.site is not None
            and piece.node.op.name != "rename"
            and not (name == only and self.uses[name] == 1)
        )
        return Plan(pieces, self.uses, borrowed, self._groups(pieces), named)

    def _groups(self, pieces: Mapping[str, Piece]) -> dict[str, tuple[str, ...]]:
        """Linear maps of one value by parameters that nothing else reads: one product for all.

        What attention keeps for its gradient is not put beside what is turned first and then
        forgotten: it would hold the memory of both.
        """
        kept = self._attended(pieces)
        alike: dict[object, list[str]] = {}
        for name, piece in pieces.items():
            if isinstance(piece.form, Linear) and all(map(self._is_private, piece.reads[1:])):
                key = piece.reads[0], piece.form.axes, len(piece.reads), name in kept
                alike.setdefault(key, []).append(name)
        return {name: tuple(group) for group in alike.values() if len(group) > 1 for name in group}

    def _attended(self, pieces: Mapping[str, Piece]) -> set[str]:
        """Values that attention reads as they are, renamed or put behind old ones at most."""
        read = {name for p in pieces.values() if isinstance(p.form, Attention) for name in p.reads}
        for name in [*read]:
            while isinstance(self.flow.nodes[name].attrs, RenameAttrs) or self._is_grown(name):
                name = self.flow.reads[name][-1]
                read.add(name)
        return read

    def _is_grown(self, name: str) -> bool:
        """Whether a value is what grows along an axis, and what is put behind it."""
        if not isinstance(self.flow.nodes[name].attrs, ConcatAttrs):
            return False
        first = self.flow.nodes[self.flow.reads[name][0]].attrs
        return isinstance(first, InputAttrs) and first.grows != ""

    def _is_private(self, name: str) -> bool:
        return self._is_weight(name) and len(self.flow.users[name]) == 1

    # ---- forms

    def piece(self, node: Node) -> Piece:
        """The node in the first form that fits."""
        if node.name in self.totals:
            return Piece(node, Beside(), (self.totals[node.name],))
        for found in (self._idiom(node), self._product(node), self._affine(node)):
            if found is not None:
                return found
        return Piece(node, Core(), self.flow.reads[node.name])

    def _idiom(self, node: Node) -> Piece | None:
        attrs = node.attrs
        if isinstance(attrs, ReduceAttrs) and attrs.fn == "mean":
            return self._mean_loss(node)
        if not isinstance(attrs, MapAttrs) or node.dtype is not DType.FLOAT:
            return None
        if attrs.fn == "where" and (spread := self._spread(node)) is not None:
            return spread
        for row in IDIOMS:
            for found in row.pattern(self.view, node.name, Found()):
                read = tuple(found.values[label] for label in row.reads)
                if self.view.free(node.name, found.inner) and self._are_floats(read[:1]):
                    return Piece(node, row.form(found), read)
        return None

    def _are_floats(self, read: tuple[str, ...]) -> bool:
        return all(self.flow.nodes[name].dtype is DType.FLOAT for name in read)

    def _mean_loss(self, node: Node) -> Piece | None:
        assert isinstance(node.attrs, ReduceAttrs)
        (name,) = self.flow.reads[node.name]
        inner = self.flow.nodes[name]
        if node.axes or not self.view.once(name) or name in self.flow.closed:
            return None
        found = self._idiom(inner) if isinstance(inner.attrs, MapAttrs) else None
        if found is None or not isinstance(found.form, CrossEntropy):
            return None
        return Piece(node, CrossEntropy(found.form.axis, mean=True), found.reads)

    def _spread(self, node: Node) -> Piece | None:
        condition, one, other = self.flow.reads[node.name]
        axes = self.flow.nodes[condition].axes
        if one != other or len(axes) != 1 or names(axes)[0] in self.flow.nodes[one].axis_names:
            return None
        return Piece(node, Spread(axes[0]), (one,))

    def _product(self, node: Node) -> Piece | None:
        contracted = self._contracted(node)
        if contracted is not None:
            return contracted
        for recognise in (attention, convolution, pool, picked):
            found = recognise(self.view, node)
            if found is not None and self.view.free(node.name, found[2]):
                form, read, _ = found
                if self._are_floats(read[:2]):
                    return Piece(node, form, read)
        return self._linear(node)

    def _contracted(self, node: Node) -> Piece | None:
        """A contraction shaped like attention, unless it is one that PyTorch is as fast at."""
        if self.contractions is None or not isinstance(node.attrs, ContractAttrs):
            return None
        usual = attention(self.view, node)
        is_usual = usual is not None and not usual[0].masks and not usual[0].signs
        if usual is not None and is_usual and not usual[0].causal:
            return None
        found = contraction(self.view, node)
        if found is None:
            return None
        if not found.contraction.softmax and any(
            self._is_weight(read.name) for read in found.reads[:3]
        ):  # a perceptron
            return None
        provided = self.contractions(found.contraction)
        if provided is None or (is_usual and provided.kernel is None):
            return None
        read = (*(own.name for own in found.reads), *(gate.read.name for gate in found.gates))
        return Piece(node, Contracted(found, provided.kernel, is_usual), read)

    def _find_totals(self, items: Sequence[str | Call]) -> None:
        """Logs of sums that are asked for beside the result of a contraction."""
        if not any(_is_total(self.flow.nodes[n]) for n in items if isinstance(n, str)):
            return
        for name in items:
            found = self._contracted(self.flow.nodes[name]) if isinstance(name, str) else None
            if found is not None and isinstance(found.form, Contracted):
                total = found.form.found.total
                if total is not None:
                    self.totals[total.name] = found.node.name

    def _linear(self, node: Node) -> Piece | None:
        """A contraction with something that shares no other axis with the value."""
        if not isinstance(node.attrs, ContractAttrs) or node.dtype is not DType.FLOAT:
            return None
        read = self.flow.reads[node.name]
        if len(read) != 2 or not self._are_floats(read):
            return None
        x, w = sorted(read, key=self._is_weight)
        summed = set(node.attrs.axes)
        shared = self.flow.nodes[x].axis_names & self.flow.nodes[w].axis_names
        if shared != summed or not self._is_weight(w):
            return None
        return Piece(node, Linear(node.attrs.axes), (x, w))

    def _is_weight(self, name: str) -> bool:
        return self.flow.nodes[name].op.name == "param" or name in self.weights

    def _affine(self, node: Node) -> Piece | None:
        """A linear map or a convolution, and a bias along what it makes."""
        if node.attrs != MapAttrs("add"):
            return None
        read = self.flow.reads[node.name]
        for product, bias in (read, read[::-1]):
            product, renames = self._renamed(product)
            if product not in self.own or not self.view.once(product):
                continue
            inner = self.flow.nodes[product]
            found = self._product(inner) if isinstance(inner.attrs, ContractAttrs) else None
            if found is None or not isinstance(found.form, Linear | Convolution):
                continue
            if renames:
                if not isinstance(found.form, Convolution):
                    continue
                found = replace(found, form=replace(found.form, renames=renames))
            x, w = (self.flow.nodes[name] for name in found.reads[:2])
            made = w.axis_names - x.axis_names - self._taps(found.form)
            if isinstance(found.form, Convolution):
                made = made | (w.axis_names & x.axis_names) - set(found.form.channels)
            own = self.flow.nodes[bias]
            if own.axis_names == made and made and own.dtype is DType.FLOAT and bias != product:
                return Piece(node, found.form, (*found.reads, bias))
        return None

    def _renamed(self, name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What stands under a rename of single axes that nobody else reads, and what it renames."""
        attrs = self.flow.nodes[name].attrs
        if not isinstance(attrs, RenameAttrs) or name not in self.own or not self.view.once(name):
            return name, ()
        if any(len(old) != 1 or len(new) != 1 for old, new in attrs.pairs):
            return name, ()
        pairs = tuple((old[0], new[0].name) for old, new in attrs.pairs)
        return self.flow.reads[name][0], pairs

    @staticmethod
    def _taps(form: Form) -> frozenset[str]:
        if isinstance(form, Convolution):
            return frozenset(slide.tap.name for slide in form.slides)
        return frozenset()


def _is_total(node: Node) -> bool:
    return isinstance(node.attrs, ReduceAttrs) and node.attrs.fn == "logsumexp"
