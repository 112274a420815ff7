from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis.runtime.figures import Layout, draw
from neuraxis.runtime.figures.circuits import Edge, Place, arranged, edges_of

if TYPE_CHECKING:
    from pathlib import Path

HEADS = Layout(senders=("l", "n"), receivers=("m", "k"))
SITES = Layout(senders=("sender",), receivers=("receiver",))


def heads() -> xarray.DataArray:
    """Three layers of two heads; what a head sends is read above it."""
    values = np.random.default_rng(0).normal(size=(3, 2, 3, 2))
    for layer in range(3):
        values[layer, :, : layer + 1] = 0
    return xarray.DataArray(values, dims=("l", "n", "m", "k"), name="effect")


def sites() -> xarray.DataArray:
    senders = ["x", "layer[0].attn.z[h = 1]", "layer[1].ffn"]
    receivers = ["layer[0].attn.z[h = 1]", "layer[1].ffn", "logits"]
    return xarray.DataArray(
        [[2.0, 0, -1], [0, 3, 0], [0, 0, np.nan]],
        dims=("sender", "receiver"),
        coords={"sender": senders, "receiver": receivers},
    )


def test_the_heaviest_edges_are_shown_the_heaviest_first() -> None:
    found = edges_of(heads(), HEADS)
    assert len(found) == 2 * 2 * 3  # two heads of each of two in three pairs of layers
    weights = [abs(edge.weight) for edge in found]
    assert weights == sorted(weights, reverse=True)
    assert all(edge.source.layer < edge.target.layer for edge in found)
    few = edges_of(heads(), Layout(senders=("l", "n"), receivers=("m", "k"), most=3))
    assert few == found[:3]
    heavy = edges_of(heads(), Layout(senders=("l", "n"), receivers=("m", "k"), least=0.5))
    assert heavy == [edge for edge in found if abs(edge.weight) >= 0.5]


def test_a_weight_is_that_of_the_table() -> None:
    data = heads()
    for edge in edges_of(data, HEADS):
        (layer, n), (above, k) = edge.source.entry, edge.target.entry
        assert edge.weight == data.values[layer, n, above, k]
        assert (edge.source.name, edge.target.name) == (f"{layer}.{n}", f"{above}.{k}")
    turned = data.transpose("k", "l", "m", "n")
    assert edges_of(turned, HEADS) == edges_of(data, HEADS)


def test_senders_and_receivers_of_one_kind_are_the_same_places() -> None:
    found = edges_of(heads(), HEADS)
    sources, targets = {e.source for e in found}, {e.target for e in found}
    assert {place.name for place in sources & targets} == {"1.0", "1.1"}
    fewer = edges_of(heads()[:2], HEADS)
    assert not {e.source for e in fewer} & {e.target for e in fewer}


def test_addresses_say_their_layer() -> None:
    found = edges_of(sites(), SITES)
    places = {place for edge in found for place in (edge.source, edge.target)}
    assert {(place.level, place.name) for place in places} == {
        ("", "x"),
        ("layer 0", "attn.z[h = 1]"),
        ("layer 1", "ffn"),
        ("", "logits"),
    }
    heights = {place.name: height for place, (_, height) in arranged(found).items()}
    assert heights == {"x": 0, "attn.z[h = 1]": 1, "ffn": 2, "logits": 3}


def test_addresses_of_one_list_stand_in_its_order() -> None:
    names = ["x", "layer[0].ffn", "layer[1].ffn", "logits"]
    along = {"sender": names, "receiver": names}
    data = xarray.DataArray(np.triu(np.ones((4, 4)), 1), dims=("sender", "receiver"), coords=along)
    where = arranged(edges_of(data, SITES))
    assert [where[place][1] for place in sorted(where)] == [0, 1, 2, 3]


def test_one_axis_of_numbers_is_no_layer() -> None:
    """Features and classes stand in two rows."""
    data = xarray.DataArray(np.ones((5, 3)), dims=("f", "c"))
    where = arranged(edges_of(data, Layout(senders=("f",), receivers=("c",))))
    assert sorted(height for _, height in where.values()) == [0] * 5 + [1] * 3


@pytest.mark.parametrize(
    ("data", "layout", "message"),
    [
        (heads(), Layout(senders=("l",), receivers=("m",)), "those of the array are l, n, m, k"),
        (heads(), Layout(), "a circuit is from axes to axes"),
        (heads() * 0, HEADS, "no edge of the circuit weighs enough"),
        (heads() * np.nan, HEADS, "no edge of the circuit weighs enough"),
        (
            xarray.DataArray(np.eye(300), dims=("f", "c")),
            Layout(senders=("f",), receivers=("c",), most=300),
            "at most 200 senders and receivers can be seen: say `most`",
        ),
    ],
)
def test_what_is_no_circuit_is_said(
    tmp_path: Path, data: xarray.DataArray, layout: Layout, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draw("circuit", data, tmp_path / "x", layout)
    assert not list(tmp_path.iterdir())


def test_a_circuit_is_drawn(tmp_path: Path) -> None:
    for name, data, layout in (("heads", heads(), HEADS), ("sites", sites(), SITES)):
        draw("circuit", data, tmp_path / name, layout)
        root = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
        texts = [
            "".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")
        ]
        places = {p.name for e in edges_of(data, layout) for p in (e.source, e.target)}
        assert places <= set(texts)


def place(layer: int, at: int) -> Place:
    return Place(float(layer), 0, (layer, at), f"{layer}.{at}", f"l {layer}")


PLACES = st.builds(place, st.integers(0, 4), st.integers(0, 5))
EDGES = st.lists(
    st.builds(Edge, PLACES, PLACES, st.floats(0.1, 5).flatmap(lambda w: st.sampled_from([w, -w]))),
    min_size=1,
    max_size=12,
)


@given(EDGES)
@settings(max_examples=60)
def test_no_two_places_are_drawn_at_one(edges: list[Edge]) -> None:
    where = arranged(edges)
    assert len(set(where.values())) == len(where)
    assert where == arranged(edges)
    layers = sorted({own.layer for own in where})
    assert all(height == layers.index(own.layer) for own, (_, height) in where.items())
