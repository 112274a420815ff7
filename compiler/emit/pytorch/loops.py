"""Writes calls of functions: one after another, or as a loop over equal ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .expressions import literal
from .layout import ATOM, Layout, Value, permuted, squeezed
from .parameters import reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..functions import Call, Function, Path
    from .program import Method, Program
    from .writer import Writer


def runs(items: Sequence[str | Call]) -> list[str | list[Call]]:
    """The items, with calls that may become one loop together."""
    found: list[str | list[Call]] = []
    for item in items:
        if isinstance(item, str):
            found.append(item)
            continue
        last = found[-1] if found else None
        if isinstance(last, list) and _follows(last, item):
            last.append(item)
        else:
            found.append([item])
    return found


def _follows(run: Sequence[Call], call: Call) -> bool:
    """Whether a call goes on where a run ends: the function on the next module, or the same."""
    first, last = run[0], run[-1]
    if call.function is not first.function or (call.home is None) != (first.home is None):
        return False
    if call.home is None or last.home is None or first.home is None:
        return True
    if call.home == last.home:
        return first.home == last.home
    numbers = call.home[-1].isdigit() and last.home[-1].isdigit()
    return (
        numbers
        and call.home[:-1] == last.home[:-1]
        and int(call.home[-1]) == int(last.home[-1]) + 1
        and (len(run) == 1 or first.home != last.home)
    )


@dataclass(frozen=True, slots=True)
class Carried:
    """The place of a result of the call before, or of an operand that it took."""

    at: int
    taken: bool = False


class Loop:
    """One run of calls, as seen from the function that it stands in."""

    def __init__(
        self, program: Program, w: Writer, run: Sequence[Call], home: Path, caller: Function
    ) -> None:
        self.program, self.w, self.run, self.home, self.caller = program, w, run, home, caller
        self.function = run[0].function
        self.borrowed = program.plans[id(self.function)].borrowed
        self.carried = self._carried()

    def _taken(self, call: Call) -> tuple[str, ...]:
        return (*call.takes, *self.borrowed)

    def _carried(self) -> dict[int, Carried]:
        """Operands that each call has from the one before: a result of it, or an operand."""
        found: dict[int, Carried] = {}
        pairs = list(zip(self.run, self.run[1:], strict=False))
        for slot in range(len(self.run[0].takes)):
            if all(b.takes[slot] == a.takes[slot] for a, b in pairs):
                continue
            for place in range(len(self.run[0].gives)):
                if all(b.takes[slot] == a.gives[place] for a, b in pairs):
                    found[slot] = Carried(place)
                    break
            else:
                for other in range(len(self.run[0].takes)):
                    if all(b.takes[slot] == a.takes[other] for a, b in pairs):
                        found[slot] = Carried(other, taken=True)
                        break
        return found

    def write(self) -> None:
        """The statements, and the values that they make."""
        made = {name for call in self.run for name in call.gives}
        inside = {call.takes[slot] for call in self.run[1:] for slot in self._varying()}
        if inside & made:  # the calls need each other in another way
            for call in self.run:
                Loop(self.program, self.w, [call], self.home, self.caller).write()
            return
        w = self.w
        given = [w.need(name) for name in self.run[0].takes]
        given += [w.need(name, self.program.wish(self.function, name)) for name in self.borrowed]
        for call in self.run[1:]:
            for slot, name in enumerate(self._taken(call)):
                if slot in self.carried:
                    w.left[name] -= 1
        given = [squeezed(value) for value in given]
        wanted = {own.at: given[slot].axes for slot, own in self.carried.items() if not own.taken}
        method = self.program.method(self.function, given, wanted)
        given = [
            value if value.plain else permuted(value, method.layouts[slot])
            for slot, value in enumerate(given)
        ]
        if len(self.run) == 1:
            self._single(method, given)
        else:
            self._several(method, given)

    def _varying(self) -> list[int]:
        """Operands that are another one in each call, and not from the call before."""
        return [
            slot
            for slot in range(len(self.run[0].takes))
            if slot not in self.carried and len({call.takes[slot] for call in self.run}) > 1
        ]

    # ---- one call

    def _single(self, method: Method, given: list[Value]) -> None:
        w, call = self.w, self.run[0]
        numbers = [literal(number).text for number in call.numbers]
        operands = [value.text for value in given] + numbers
        text = self._call(method, self._module(call), operands)
        nodes = [w.flow.nodes[name] for name in call.gives]
        if len(nodes) == 1:
            value = replace(method.results[0], text=text, rank=ATOM)
            w.values[call.gives[0]] = w.assign(value, w.label(nodes[0], "value"), nodes[0])
            return
        targets = [w.target(node, "value") for node in nodes]
        w.line(f"{', '.join(targets)} = {text}" if targets else text, None)
        self._bind(call.gives, targets, method)

    def _bind(self, gives: Sequence[str], texts: Sequence[str], method: Method) -> None:
        for name, text, result in zip(gives, texts, method.results, strict=True):
            self.w.values[name] = replace(result, text=text, rank=ATOM)

    def _module(self, call: Call) -> str:
        return "" if call.home is None else reference(call.home[len(self.home) :])

    def _call(self, method: Method, module: str, operands: Sequence[str]) -> str:
        sizes = [self.w.size(size) for size in method.sizes]
        listed = ", ".join([*operands, *sizes])
        if not module:
            return f"{method.name}({listed})"
        return (
            f"{module}({listed})"
            if method.name == "forward"
            else f"{module}.{method.name}({listed})"
        )

    # ---- a loop

    def _several(self, method: Method, given: list[Value]) -> None:
        w = self.w
        operands: list[str] = []
        varying: list[tuple[str, str]] = []
        variables: dict[int, str] = {}
        for slot, value in enumerate(given):
            if slot in self.carried:
                variables[slot] = self._variable(slot, value)
                operands.append(variables[slot])
            elif len({self._taken(call)[slot] for call in self.run}) == 1:
                operands.append(value.text)
                for call in self.run[1:]:
                    w.left[self._taken(call)[slot]] -= 1
            else:
                others = [squeezed(w.need(self._taken(call)[slot])) for call in self.run[1:]]
                texts = [value.text, *(permuted(v, value.axes).text for v in others)]
                name = w.names.take(w.label(w.flow.nodes[self._taken(self.run[0])[slot]], "each"))
                varying.append((name, f"({', '.join(texts)})"))
                operands.append(name)
        for at in range(len(self.run[0].numbers)):
            name = w.names.take("number")
            listed = ", ".join(literal(call.numbers[at]).text for call in self.run)
            varying.append((name, f"({listed})"))
            operands.append(name)
        self._loop(method, operands, varying, variables)

    def _variable(self, slot: int, value: Value) -> str:
        """The variable that goes through the loop; the operand's own if nobody else reads that."""
        w = self.w
        name = self.run[0].takes[slot]
        if value.text.isidentifier() and w.left[name] <= 0 and value.text not in w.arguments:
            return value.text
        if value.text in w.arguments and w.left[name] <= 0:
            return value.text
        own = self.carried[slot]
        last = self.run[-1].takes[own.at] if own.taken else self.run[-1].gives[own.at]
        target = w.target(w.flow.nodes[last], "value")
        w.line(f"{target} = {value.text}")
        return target

    def _loop(
        self,
        method: Method,
        operands: list[str],
        varying: list[tuple[str, str]],
        variables: dict[int, str],
    ) -> None:
        w, first, last = self.w, self.run[0], self.run[-1]
        places: dict[int, str] = {}
        before: list[tuple[str, str]] = []  # variables that get what another was before the call
        after: list[tuple[str, str]] = []
        for slot, own in self.carried.items():
            if own.taken:
                before.append((variables[slot], operands[own.at]))
                w.values[last.takes[own.at]] = replace(
                    Value(variables[slot], method.layouts[slot]),
                    dtype=w.flow.nodes[last.takes[own.at]].dtype,
                )
            elif own.at in places:
                after.append((variables[slot], places[own.at]))
            else:
                places[own.at] = variables[slot]
        targets, lists = [], {}
        for place in range(len(first.gives)):
            inner = [call.gives[place] for call in self.run]
            needed = [name for name in inner[:-1] if w.left[name] > 0 and name not in w.values]
            target = places.get(place) or w.target(w.flow.nodes[inner[-1]], "value")
            targets.append(target)
            if needed:
                lists[place] = w.names.take(f"{target}_turns")
                w.line(f"{lists[place]} = []")
        module, head = self._head(varying)
        w.line(head, None)
        w.lines.depth += 1
        left = [", ".join(targets)] if targets else []
        if len(targets) > 1 and before:
            left = [f"({left[0]})"]
        left += [name for name, _ in before]
        right = [self._call(method, module, operands), *(source for _, source in before)]
        w.line(f"{', '.join(left)} = {', '.join(right)}" if left else right[0])
        for name, source in after:
            w.line(f"{name} = {source}")
        for place, name in lists.items():
            w.line(f"{name}.append({targets[place]})")
        w.lines.depth -= 1
        self._bind(last.gives, targets, method)
        for place, name in lists.items():
            for at, call in enumerate(self.run[:-1]):
                if call.gives[place] not in w.values:
                    value = replace(method.results[place], text=f"{name}[{at}]")
                    w.values[call.gives[place]] = value

    def _head(self, varying: list[tuple[str, str]]) -> tuple[str, str]:
        """How the module is called in the loop, and the loop's head."""
        w, first, count = self.w, self.run[0], len(self.run)
        targets = [name for name, _ in varying]
        sources = [text for _, text in varying]
        module = self._module(first)
        if first.home is not None and first.home != self.run[-1].home:
            whole = reference(first.home[len(self.home) : -1])
            start = int(first.home[-1])
            total = self.program.length(first.home[:-1])
            module = w.names.take(first.home[-2])
            w.names.taken.discard(module)
            if start == 0 and total == count:
                targets, sources = [module, *targets], [whole, *sources]
            else:
                index = w.names.take("i")
                w.names.taken.discard(index)
                module = f"{whole}[{index}]"
                scope = f"range({count})" if start == 0 else f"range({start}, {start + count})"
                targets, sources = [index, *targets], [scope, *sources]
        if not targets:
            return module, f"for _ in range({count}):"
        if len(targets) == 1:
            return module, f"for {targets[0]} in {sources[0]}:"
        return module, f"for {', '.join(targets)} in zip({', '.join(sources)}):"


def unified(results: Sequence[Value], wanted: Mapping[int, Layout]) -> list[Value]:
    """Results with the layouts that a loop wants."""
    found = []
    for place, value in enumerate(results):
        value = squeezed(value)
        order = wanted.get(place)
        own = [axis for axis in order or () if axis is not None]
        found.append(
            permuted(value, own) if order is not None and set(own) == set(value.axes) else value
        )
    return found
