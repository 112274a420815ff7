from __future__ import annotations

from neuraxis.compiler.build import addresses, build
from neuraxis.compiler.verify import verify
from neuraxis.dsl.check import check_text


def test_a_model_is_found_at_its_addresses() -> None:
    model = check_text(
        "test.nax",
        "block double(x[d]) -> [d]:\n    y = 2 * x\n    return y\n\n"
        "model m(x[t, d]) -> [t, d]:\n    z = double(x)\n    return z\n",
    ).models["m"]
    graph = build(model)
    verify(graph, "build")
    found = addresses(model, graph)
    assert set(found.values()) <= set(graph.in_order())
    assert set(graph.sites()) | set(model.aliases) == set(found)
    assert graph.node(found["x"]).op.name == "input"
    assert found["z"] == graph.results[0] or "z" in found
