"""A model of a spec: a torch module that knows its graph, its sites and its interventions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..compiler.build import build as graph_of
from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.expose import expose
from ..dsl.core import names
from ..dsl.diagnostics import Collector, Diagnostic, Slug, SpecError, nearest
from ..dsl.elaborate.sites import body_sites, regex_of
from ..dsl.elaborate.under import elaborate_under
from ..dsl.program import ResultDecl
from ..dsl.sizes import show
from ..dsl.source import GENERATED
from .module import Model, build
from .trace import Trace, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import networkx
    import torch
    from torch import nn

    from ..compiler.graph import Graph
    from ..dsl.core import Node
    from ..dsl.modules import Module
    from ..dsl.program import CheckedModel


@dataclass(frozen=True)
class Site:
    """An address with what stands there."""

    address: str
    node: Node

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of its axes."""
        return names(self.node.axes)

    def __str__(self) -> str:
        shown = [
            a.name if show(a.size) == a.name else f"{a.name}={show(a.size)}" for a in self.node.axes
        ]
        return f"{self.address}[{', '.join(shown)}]: {self.node.dtype}"


def matching_sites(checked: CheckedModel, pattern: str) -> list[Site]:
    """The addresses of a model that match; a further address of a value only if its own does not."""
    wanted = regex_of(pattern)
    table = dict(body_sites(checked.body))
    found = {a: Site(a, node) for a, node in table.items() if wanted.fullmatch(a)}
    for alias, address in checked.aliases.items():
        if address in table and wanted.fullmatch(alias) and address not in found:
            found[alias] = Site(alias, table[address])
    return list(found.values())


class SpecModel(Model):
    """A model: called with its inputs in the order in which its spec declares them."""

    checked: CheckedModel
    _module: Module
    _defaults: Mapping[str, float | None]

    @property
    def graph(self) -> networkx.MultiDiGraph:
        """The graph that is run, as networkx; each node has its record under `node`."""
        return self._graph.nx

    def sites(self, pattern: str = "*") -> list[Site]:
        """The addresses that match, such as `layer[*].attn.z`, with axes and sizes."""
        return matching_sites(self.checked, pattern)

    def under(self, name: str, **arguments: Any) -> SpecModel:
        """The same parameters with an intervention of the file in the graph. Numbers that pick no
        site, size or case, and tensors, are inputs that can be given at each call by name."""
        fixed = {key: value for key, value in arguments.items() if isinstance(value, int | float)}
        tensors = {key: value for key, value in arguments.items() if key not in fixed}
        collector = Collector()
        found = elaborate_under(self.checked, self._module, [(name, fixed)], collector)
        if found is None:
            raise SpecError(collector.diagnostics)
        checked, defaults = found
        given = {f"{name}.{key}": value for key, value in tensors.items()}
        return spec_model(
            checked,
            self._module,
            {**self._defaults, **defaults, **given},
            shared=self,
            seed=self._seed,
        )

    def trace(self, *inputs: Any, sites: Iterable[str], **named: Any) -> Trace:
        """Run, and keep the values at addresses or patterns."""
        found = [site for pattern in sites for site in self._wanted(pattern)]
        own = self.checked.aliases
        addresses = list(dict.fromkeys(own.get(site.address, site.address) for site in found))
        graph, nodes = expose(graph_of(self.checked), addresses)
        results = tuple(nodes[a] for a in addresses)
        with graph.edit() as edit:
            count = len(self.checked.results)
            edit.set_results([*graph.results[:count], *results, *graph.results[count:]])
        decls = tuple(
            ResultDecl(a, names(edit.graph.node(n).axes))
            for a, n in zip(addresses, results, strict=True)
        )
        checked = replace(
            self.checked, results=(*self.checked.results, *decls), body=edit.graph.to_body()
        )
        traced = spec_model(checked, self._module, self._defaults, shared=self, seed=self._seed)
        traced._calls = self._calls
        given = traced(*inputs, **named)
        values = given if isinstance(given, tuple) else (given,)
        table = {
            a: Value(decl.order, v)
            for a, decl, v in zip(addresses, decls, values[count:], strict=True)
        }
        return Trace(
            {s.address: table[own.get(s.address, s.address)] for s in found}, values[:count]
        )

    def _wanted(self, pattern: str) -> list[Site]:
        found = self.sites(pattern)
        if not found:
            near = nearest(pattern, [site.address for site in self.sites()])
            hint = f"did you mean {', '.join(near)}?" if near else None
            raise SpecError(
                [
                    Diagnostic(
                        Slug.UNKNOWN_SITE, f"no site matches `{pattern}`", GENERATED, hint=hint
                    )
                ]
            )
        return found

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The results, in the order of the model's `return`."""
        for name, value in self._defaults.items():
            if (
                value is not None
                and name not in named
                and len(inputs) + len(named) < len(self.checked.inputs)
            ):
                named[name] = value
        return super().forward(*inputs, **named)


def spec_model(
    checked: CheckedModel,
    module: Module,
    defaults: Mapping[str, float | torch.Tensor | None],
    *,
    shared: nn.Module | None = None,
    seed: int = 0,
) -> SpecModel:
    """Compile a checked model."""
    graph: Graph = compile_graph(graph_of(checked), Context())
    model = build(graph, checked, seed=seed, shared=shared, base=SpecModel)
    model.checked, model._module, model._defaults = checked, module, dict(defaults)
    return model
