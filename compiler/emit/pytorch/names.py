"""Python names for values: those of the spec where they are free."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED = frozenset(
    [
        "Cache",
        "WithRule",
        "with_rule",
        "from_rows",
        "in_one_piece",
        "is_compiling",
        "laid_out",
        "masked_log_softmax",
        "masked_softmax",
        "quantile_of",
        "rows",
        "torch",
        "nn",
        "F",
        "self",
        "Part",
        "super",
        "range",
        "zip",
        "len",
        "list",
        "tuple",
        "int",
        "float",
        "bool",
        "max",
        "min",
        "sum",
        "abs",
        "pow",
        "all",
        "any",
        "reversed",
        "slice",
        "round",
        "map",
        "filter",
        "type",
        "id",
        "input",
        "iter",
        "next",
        "hash",
        "set",
        "dict",
        "str",
        "print",
    ]
)


TAKEN = frozenset(  # what a module already means by a name
    [
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
        "T_destination",
        "lay_out",
        "graph",
        "sites",
        "under",
        "trace",
    ]
)


def plain(name: str) -> bool:
    """Whether a name may be an attribute of a module."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and name not in TAKEN
        and not name.startswith("_")
    )


def identifier(text: str) -> str:
    """The text as a Python name."""
    name = re.sub(r"\W+", "_", text).strip("_") or "value"
    if name[0].isdigit():
        name = f"value_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


def called(site: str) -> str:
    """What a value is called by its address: the last name in it, and a number after that."""
    parts = re.sub(r"\[\d+\]", "", site).split(".")
    last = parts[-1]
    if last.isdigit() and len(parts) > 1:
        return f"{parts[-2]}_{last}"
    return last


class Names:
    """Which names are taken in one place."""

    def __init__(self, taken: Iterable[str] = (), between: str = "_") -> None:
        self.taken, self.between = set(taken), between

    def take(self, wanted: str) -> str:
        """A name like the wanted one; from now on it is taken."""
        base = name = identifier(wanted)
        count = 2
        while name in self.taken:
            name = f"{base}{self.between}{count}"
            count += 1
        self.taken.add(name)
        return name


def camel(text: str) -> str:
    """`cross_attn` as the name of a class."""
    return "".join(part[:1].upper() + part[1:] for part in identifier(text).split("_") if part)
