"""Writes linear maps and contractions: `F.linear`, a matrix product, or `einsum`."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ....dsl.ops import ContractAttrs, ParamAttrs
from ..forms import Linear
from .layout import ATOM, MULTIPLIED, Layout, Value, aligned, permuted, place, squeezed
from .pointwise import together, typed
from .writer import Beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..forms import Piece
    from .writer import Writer


def write_linear(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A linear map; several of the same value are one product, taken apart afterwards."""
    group = w.plan.groups.get(piece.node.name)
    if group is not None and (w.outer is not None or beside(w, group) is not None):
        return _side_by_side(w, piece, group)
    assert isinstance(piece.form, Linear)
    x = squeezed(w.need(piece.reads[0]))
    weight = squeezed(w.need(piece.reads[1]))
    bias = squeezed(w.need(piece.reads[2])) if len(piece.reads) > 2 else None
    if _store(w, piece.reads[1], x):
        weight = permuted(weight, _as_in(weight, x))
    return linear(w, x, weight, bias, piece, steady=w.constants.issuperset(piece.reads[1:]))


def linear(
    w: Writer, x: Value, weight: Value, bias: Value | None, piece: Piece, *, steady: bool = False
) -> Value:
    """The sum over the axes that value and weight share, plus a bias along the weight's others."""
    summed = tuple(axis for axis in weight.axes if axis in x.axes)
    made = tuple(axis for axis in weight.axes if axis not in x.axes)
    rest = tuple(axis for axis in x.axes if axis not in summed)
    flat = w.flattened(x, [*([axis] for axis in rest), summed])
    if not made:
        text = f"{flat.at(MULTIPLIED)} @ {w.flattened(weight, [summed]).at(MULTIPLIED + 1)}"
        return Value(text, rest, rank=MULTIPLIED)
    texts = [_matrix(w, weight, made, summed)]
    if bias is not None:
        texts.append(w.flattened(bias, [made]).text)
    if steady:
        texts = [
            w.steady(text, word) for text, word in zip(texts, ("matrix", "bias"), strict=False)
        ]
    text = f"F.linear({', '.join([flat.text, *texts])}"
    return _split(w, Value(f"{text})", (*rest, "*")), made, piece)


def _store(w: Writer, name: str, x: Value) -> bool:
    """Say that memory should hold a parameter as `F.linear` wants it, if it is one: products are
    faster so, and its gradient, which comes in that order, is taken over without a copy."""
    attrs = w.flow.nodes[name].attrs
    if not isinstance(attrs, ParamAttrs) or not attrs.trained:
        return False
    own = names(attrs.axes)
    made = [axis for axis in own if axis not in x.axes]
    w.stored[w.flow.nodes[name].site or name] = (*made, *(a for a in x.axes if a in own))
    return True


def _as_in(weight: Value, x: Value) -> tuple[str, ...]:
    """The axes of a weight, those that are summed in the order in which the value has them."""
    summed = iter([axis for axis in x.axes if axis in weight.axes])
    return tuple(next(summed) if axis in x.axes else axis for axis in weight.axes)


def _matrix(w: Writer, weight: Value, made: tuple[str, ...], summed: tuple[str, ...]) -> str:
    """The weight as `F.linear` wants it: what is made first, then what is summed."""
    if weight.axes[: len(made)] == made:
        return w.flattened(weight, [made, summed]).text
    return f"{w.flattened(weight, [summed, made]).atom}.t()"


def _split(w: Writer, value: Value, made: tuple[str, ...], piece: Piece) -> Value:
    """The last dimension as the axes that the map makes."""
    layout = (*value.layout[:-1], *made)
    if len(made) == 1:
        return replace(value, layout=layout)
    shape = ", ".join(w.size(piece.node.size(axis)) for axis in made)
    return value.view(f".unflatten(-1, ({shape}))", layout)


def _side_by_side(w: Writer, piece: Piece, group: Sequence[str]) -> Value:
    """One product for the weights of a group; a name for each of its parts."""
    pieces = [w.plan.pieces[name] for name in group]
    for other in pieces[1:]:
        w.left[other.reads[0]] -= 1
    x = squeezed(w.need(pieces[0].reads[0]))
    weights = [squeezed(w.need(other.reads[1])) for other in pieces]
    summed = tuple(axis for axis in weights[0].axes if axis in x.axes)
    rest = tuple(axis for axis in x.axes if axis not in summed)
    made = [tuple(axis for axis in value.axes if axis not in summed) for value in weights]
    flat = w.flattened(x, [*([axis] for axis in rest), summed])
    biases = [squeezed(w.need(name)) for other in pieces for name in other.reads[2:]]
    if w.outer is not None:
        listed = [_matrix(w, v, axes, summed) for v, axes in zip(weights, made, strict=True)]
        texts = [w.steady(f"torch.cat(({', '.join(listed)}))", "matrix")]
        if biases:
            both = zip(biases, made, strict=True)
            listed = [w.flattened(value, [axes]).text for value, axes in both]
            texts.append(w.steady(f"torch.cat(({', '.join(listed)}))", "bias"))
    else:
        found = beside(w, group)
        assert found is not None
        texts = [f"*{w.laid_out(found)}({', '.join(found.parts)})"]
    text = f"F.linear({', '.join([flat.text, *texts])})"
    _take_apart(w, Value(text, (*rest, "*")), pieces, made)
    return w.values[piece.node.name]


def beside(w: Writer, group: Sequence[str]) -> Beside | None:
    """How the parameters of a group are put side by side; None if some are no plain attributes."""
    parts, words = [], []
    summed: set[str] = set()
    for name in group:
        piece = w.plan.pieces[name]
        held = [w.peek(read).text.rpartition(".") for read in piece.reads[1:]]
        trained = [getattr(w.flow.nodes[read].attrs, "trained", False) for read in piece.reads[1:]]
        if not all(trained) or any(not dot or not own.isidentifier() for _, dot, own in held):
            return None
        if len({holder for holder, _, _ in held}) != 1:
            return None
        weight = names(w.flow.nodes[piece.reads[1]].axes)
        own = [axis for axis in weight if axis not in piece.node.axis_names]
        made = [axis for axis in weight if axis in piece.node.axis_names]
        if [*own, *made] != [*weight] or summed not in (set(), set(own)):
            return None
        if any([*names(w.flow.nodes[bias].axes)] != made for bias in piece.reads[2:]):
            return None
        summed = set(own)
        parts.append(held[0][0])
        words.append(" ".join(attribute for _, _, attribute in held))
    return Beside(tuple(parts), tuple(words), len(summed))


def _take_apart(w: Writer, whole: Value, pieces: list[Piece], made: list[tuple[str, ...]]) -> None:
    sizes = [
        [piece.node.size(axis) for axis in axes] for piece, axes in zip(pieces, made, strict=True)
    ]
    nodes = [piece.node for piece in pieces]
    wanted = [w.plan.call_it(piece) for piece in pieces]
    targets = [w.target(node, name) for node, name in zip(nodes, wanted, strict=True)]
    front = whole.layout[:-1]
    if all(own == sizes[0] for own in sizes) and len(sizes[0]) > 1:
        shape = ", ".join(map(w.size, sizes[0]))
        text = f"{whole.text}.unflatten(-1, ({len(pieces)}, {shape})).unbind({-1 - len(sizes[0])})"
        w.line(f"{', '.join(targets)} = {text}", nodes[0])
        found = [Value(target, (*front, *axes)) for target, axes in zip(targets, made, strict=True)]
    else:
        if all(own == sizes[0] for own in sizes):
            text = f"{whole.text}.chunk({len(pieces)}, -1)"
        else:
            lengths = [w.size(_product(own)) for own in sizes]
            text = f"{whole.text}.split(({', '.join(lengths)}), -1)"
        w.line(f"{', '.join(targets)} = {text}", nodes[0])
        found = []
        for target, axes, piece in zip(targets, made, pieces, strict=True):
            found.append(_split(w, Value(target, (*front, "*")), axes, piece))
    for piece, value in zip(pieces, found, strict=True):
        name = piece.node.name
        if not value.text.isidentifier() and not w.plan.inside(name):
            w.line(f"{value.text.split('.')[0]} = {value.text}", piece.node)
            value = replace(value, text=value.text.split(".")[0], rank=ATOM)
        w.values[name] = value


def _product(own: Sequence[object]) -> int:
    total = 1
    for size in own:
        assert isinstance(size, int)
        total *= size
    return total


# ---- contractions in general


def write_contract(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The product of all operands, summed over axes."""
    node = piece.node
    assert isinstance(node.attrs, ContractAttrs)
    summed = node.attrs.axes
    values = [w.tensor(value) for value in w.several(piece.reads)]
    values = [squeezed(value) for value in values]
    if node.dtype is not DType.FLOAT:
        return _multiplied(w, values, summed, piece)
    values = [w.cast(value, DType.FLOAT) for value in values]
    if len(values) == 2 and summed:
        return _of_two(w, values[0], values[1], summed, piece, wish)
    return _einsum(values, summed, names(node.axes), wish)


def _of_two(
    w: Writer, a: Value, b: Value, summed: tuple[str, ...], piece: Piece, wish: Layout | None
) -> Value:
    one, other = set(a.axes), set(b.axes)
    both = one & other
    if not set(summed) <= both:
        return _einsum([a, b], summed, names(piece.node.axes), wish)
    batch = [axis for axis in a.axes if axis in both and axis not in summed]
    if not batch:
        if len(one) < len(other) or (len(one) == len(other) and w.is_weight(piece.reads[0])):
            a, b = b, a
            piece = replace(piece, reads=piece.reads[::-1])
        _store(w, piece.reads[1], a)
        return linear(w, a, b, None, piece)
    rows = [axis for axis in a.axes if axis not in both]
    columns = [axis for axis in b.axes if axis not in both]
    if not rows and not columns:
        return _multiplied(w, [a, b], summed, piece)
    if len(summed) == 1 and len(rows) == 1 and len(columns) == 1:
        wished = [axis for axis in wish or () if axis in (*rows, *columns)]
        if wished == [*columns, *rows]:
            a, b, rows, columns = b, a, columns, rows
        left = permuted(a, [*batch, *rows, *summed])
        right = permuted(b, [*batch, *summed, *columns])
        text = f"{left.at(MULTIPLIED)} @ {right.at(MULTIPLIED + 1)}"
        return Value(text, (*batch, *rows, *columns), rank=MULTIPLIED)
    return _einsum([a, b], summed, [*batch, *rows, *columns], None)


def _multiplied(w: Writer, values: list[Value], summed: tuple[str, ...], piece: Piece) -> Value:
    """The product point by point, then summed."""
    node = piece.node
    layout = list(max(values, key=lambda value: len(value.axes)).axes)
    for value in values:
        layout += [axis for axis in value.axes if axis not in layout]
    parts = typed(w, "mul", [aligned(value, tuple(layout)) for value in values], node.dtype)
    text = " * ".join(value.at(MULTIPLIED + 1) for value in parts)
    whole = Value(
        text, together(parts), node.dtype, MULTIPLIED if len(parts) > 1 else parts[0].rank
    )
    if not summed:
        return whole
    places = sorted(int(place(whole, axis)) % len(whole.layout) for axis in summed)
    where = str(places[0]) if len(places) == 1 else f"({', '.join(map(str, places))})"
    if places == [len(whole.layout) - 1]:
        where = "-1"
    rest = tuple(axis for axis in whole.layout if axis not in summed)
    return whole.view(f".sum({where})", rest)


def _einsum(
    values: list[Value], summed: tuple[str, ...], order: Sequence[str], wish: Layout | None
) -> Value:
    kept = [axis for axis in order if axis not in summed]
    if wish is not None and set(kept) <= set(wish):
        kept = [axis for axis in wish if axis in kept]
    letters: dict[str, str] = {}
    spare = iter(ascii_lowercase + ascii_uppercase)
    for value in values:
        for axis in value.axes:
            if axis not in letters:
                own = axis[0] if axis.isalpha() and axis.isascii() else ""
                free = own and own not in letters.values()
                letters[axis] = own if free else ""
    taken = {letter for letter in letters.values() if letter}
    for axis, letter in letters.items():
        if not letter:
            letters[axis] = next(other for other in spare if other not in taken)
    left = ", ".join("".join(letters[axis] for axis in value.axes) for value in values)
    spec = f"{left} -> {''.join(letters[axis] for axis in kept)}"
    operands = ", ".join(value.text for value in values)
    return Value(f'torch.einsum("{spec}", {operands})', tuple(kept))
