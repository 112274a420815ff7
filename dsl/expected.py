"""What the parser would have taken, in the user's words: for errors that nothing better fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lark.lexer import PatternStr

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lark.lexer import TerminalDef

# what is said in place of all of these, when the parser would take every one of them
GROUPS = (
    ({"USE", "BLOCK", "INTERVENTION"}, "a statement such as `block` or `use`"),
    ({"RETURN", "CARRY", "PARAM"}, "a step such as `x = ...` or `return`"),
    ({"MEASURE", "SWEEP", "EXPECT"}, "a step such as `run`, `measure` or `expect`"),
    ({"USING", "SCHEDULE", "EXPECT"}, "a step such as `loss = ...` or `using`"),
    ({"GAIN", "KEEP", "DURING"}, "a write such as `layer[0].x = 0`"),
    ({"NAME", "INT", "STRING"}, "a value"),
    ({"ADD", "CIRCUMFLEX", "MUL"}, "an operator"),
)
# what then need not be said any more
COVERED = {
    "a value": {
        *("NAME", "INT", "FLOAT", "STRING", "ADD", "NOT"),
        *("LPAR", "LSQB", "LBRACE", "AT", "VBAR", "STAR"),
    },
    "an operator": {
        *("ADD", "CIRCUMFLEX", "MUL", "STAR", "COMPARE", "AND"),
        *("OR", "IN", "LPAR", "LSQB", "DOT"),
    },
}
SAID = {
    "NAME": "a name",
    "INT": "a number",
    "STRING": "a text",
    "COMPARE": "a comparison",
    "UPDATE": "`+=`",
    "_NL": "the end of the line",
    "_INDENT": "an indented line",
}
GOING_ON = {"LPAR", "LSQB", "DOT"}  # what may always follow a value, and is seldom meant
UNSAID = {"_DEDENT", "$END", "DOC", "FLOAT"}
MOST = 5


def spellings(terminals: Iterable[TerminalDef]) -> dict[str, str]:
    """How each terminal with one spelling is written."""
    return {
        terminal.name: terminal.pattern.value
        for terminal in terminals
        if isinstance(terminal.pattern, PatternStr)
    }


def expected(accepts: Collection[str], spelling: dict[str, str]) -> str:
    """`an operator, `,` or `)`"`: everything that could stand there."""
    left, said = set(accepts) - UNSAID, []
    for members, phrase in GROUPS:
        if members <= left:
            said.append(phrase)
            covered = COVERED.get(phrase)
            if covered is None:  # the start of a line: nothing else says more
                return phrase
            left -= covered
    if left - GOING_ON:
        left -= GOING_ON
    words = {name: f"`{text}`" for name, text in spelling.items()} | SAID
    said += sorted(words[name] for name in left if name in words)
    if not said:
        return "the end of the file"
    shown = said[:MOST]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
