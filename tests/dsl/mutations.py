"""Specs with something changed: what the checker must answer with a message, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from neuraxis import specs
from neuraxis.dsl.diagnostics import Collector
from neuraxis.dsl.parser import parse
from neuraxis.dsl.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

HERE = Path(__file__).parent
CLEAN = HERE / "clean"
GOOD = HERE / "good"

# names, numbers, texts, operators; what stands between them is kept
TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*\'*|\d+\.\d+|\d+|->|\.\.|[+\-*/<>=!]=|\s+|.')
NAME = re.compile(r"[A-Za-z_]\w*'*")
NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "64",
    "1000",
    "65536",
    "100000000",
    "999999999999999999",
    "-1",
    "-3",
    "0.0",
    "0.5",
    "1.5",
    "-0.5",
    "1e-300",
    "1e300",
    "inf",
    "-inf",
    "nan",
    "true",
    "false",
    "2^62",
    "9^9^9",
    "1/0",
    "|t|",
    "|d|",
    "-|d|",
    "t",
    "d",
]
WORDS = [
    "x",
    "y",
    "t",
    "d",
    "n'",
    "it",
    "base",
    "before",
    "prev",
    "S",
    "layer",
    "out",
    "in",
    "true",
    "training",
    "block",
    "sum[t](x)",
    "softmax[d](x)",
    "linear[d",
    "->",
    "d](x)",
    "x[t",
    "=",
    "-1]",
    "x[d",
    "->",
    "(a,",
    "c)]",
    "x[t",
    "=",
    "t",
    "-",
    "1]",
    "x[d",
    "->",
    "d']",
    "layer[*].x",
    "@last",
    "inf",
    "layer[0].attn",
    "mlp(x)",
    "attention",
    "gpt",
    "tiny",
    "words",
    "|d|",
    "[1,2]",
    "{1,2}",
    "file",
    '"text"',
    "quantile[d](x,0.5)",
    "grad(x,x)",
    "topk[d->j=2](x)",
    "concat[d](x,x)",
    "stack[g](x,x)",
    "x[t=0..2]",
    "where(x>0,x,0)",
    "rope(x,t)",
    "lstm(x)",
    "gru",
    "moe(x)",
    "x[x=x]",
    "conv2d[d->d](x)",
    "shift[t](x,3)",
]
OPERATORS = [
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "^",
    "==",
    "!=",
    "<=",
    ">=",
    "<",
    ">",
    "and",
    "or",
    "in",
    "=",
    "->",
    ".",
    "..",
    ",",
    ":",
    "(",
    ")",
    "[",
    "]",
]
LINES = (
    "x = x + 1", "y = x", "return x", "repeat layer * 9999999:", "repeat turn * 40:", "bank e * 3:",
    "share layer * 2:", "scan t:", "scan t reversed:", "scan t * 7:", "carry S[d] = 0",
    "S = S + x", "param w[d] ~ normal(0, 1)", "param w[d, t] = 1", "state m[d] = 0",
    "draw e like x ~ normal(0, 1)", "fixed u[d] ~ bernoulli(0.5)", "share f = mlp", "x, y = x",
    "if training:", "elif |d| > 3:", "else:", "layer[*].x = 0", "layer[0] = identity",
    "run again = tiny", "run again = gpt with layer[0].x *= 2", "expect 1 > 0", "show base",
    "sweep s over l in layer, p in t:", "sweep s over l in 0..1000000000:", "measure m(r) = m(r)",
    "loss = 0", "freeze layer[*]", "until step 5: layer[0].x = 0", "plot line(x)",
    'use model: tiny', 'use std.norm: layernorm as mine', "data d = digits()",
    "block x(x) -> []:", "model m(x[b]) -> [b]:", "intervention i on tiny:", "experiment e:",
)  # fmt: skip


def texts() -> list[str]:
    """What is changed: the shipped specs and those of the tests, whole and in parts."""
    shipped = [specs.read(name) for name in specs.names()]
    own = [
        path.read_text(encoding="utf-8")
        for folder in (CLEAN, GOOD)
        for path in sorted(folder.glob("*.nax"))
        if path.stem != "rest"  # hangs together in no way: nothing in it gets far
    ]
    # a small text is changed where it matters more often than a large one
    parts = [part for text in [*shipped, *own] for part in statements(text)]
    return [*shipped, *own * 6, *(part for part in parts if part.startswith(("block", "model")))]


def folder_of(text: str) -> Path:
    """Where a text finds what it imports."""
    return CLEAN if "use model" in text else GOOD


def statements(text: str) -> list[str]:
    """The statements of a file, each with the comments in front of it."""
    starts = [found.start() for found in re.finditer(r"^(?=[a-z])", text, re.MULTILINE)]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def mutated(random: Random, originals: Sequence[str]) -> str:
    """One text, changed in one to four ways; most still read, so that more than the parser is
    tried."""
    text = random.choice(originals)
    lenient = random.random() < 0.2
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        for _ in range(8):
            new = random.choice(WAYS)(random, text, originals)
            if lenient or reads(new):
                text = new
                break
    return text


def reads(text: str) -> bool:
    """Whether a text has no mistake of syntax."""
    return parse(Source("any.nax", text), Collector()) is not None


def random_text(random: Random, originals: Sequence[str]) -> str:
    """Lines of many specs, at indentations that may or may not fit."""
    lines = []
    depth = 0
    for _ in range(random.randint(1, 25)):
        if random.random() < 0.5:
            line = random.choice(LINES)
        else:
            line = random.choice(random.choice(originals).split("\n")).strip()
        if random.random() < 0.2:
            depth = random.randint(0, 3)
        lines.append("    " * depth + line)
        if line.endswith(":"):
            depth += 1
        elif line.startswith("return"):
            depth = 0
    return "\n".join(lines) + "\n"


def _tokens(text: str) -> list[str]:
    return TOKEN.findall(text)


def _place(random: Random, tokens: list[str]) -> int:
    """A token that is not blank, or the first if all are."""
    places = [place for place, token in enumerate(tokens) if token.strip()]
    return random.choice(places) if places else 0


def delete_token(random: Random, text: str, _: Sequence[str]) -> str:
    tokens = _tokens(text) or [""]
    del tokens[_place(random, tokens)]
    return "".join(tokens)


def double_token(random: Random, text: str, _: Sequence[str]) -> str:
    tokens = _tokens(text) or [""]
    place = _place(random, tokens)
    return "".join([*tokens[: place + 1], random.choice(["", " "]), *tokens[place:]])


def swap_tokens(random: Random, text: str, _: Sequence[str]) -> str:
    tokens = _tokens(text) or [""]
    a, b = _place(random, tokens), _place(random, tokens)
    tokens[a], tokens[b] = tokens[b], tokens[a]
    return "".join(tokens)


def swap_names(random: Random, text: str, _: Sequence[str]) -> str:
    tokens = _tokens(text)
    places = [place for place, token in enumerate(tokens) if NAME.fullmatch(token)]
    if len(places) > 1:
        a, b = random.sample(places, 2)
        tokens[a], tokens[b] = tokens[b], tokens[a]
    return "".join(tokens)


def rename(random: Random, text: str, _: Sequence[str]) -> str:
    """One name, at one place or at all, becomes another of the file."""
    names = NAME.findall(text) or ["x"]
    old, new = random.choice(names), random.choice(names)
    places = [found.span() for found in NAME.finditer(text) if found.group() == old]
    if not places or random.random() < 0.2:
        return re.sub(rf"\b{re.escape(old)}\b", new, text)
    start, end = random.choice(places)
    return text[:start] + new + text[end:]


def renumber(random: Random, text: str, _: Sequence[str]) -> str:
    return _replaced(random, text, r"\d+\.\d+|\d+", random.choice(NUMBERS))


def reword(random: Random, text: str, _: Sequence[str]) -> str:
    """A name becomes another expression."""
    return _replaced(random, text, NAME.pattern, random.choice(WORDS))


def operate(random: Random, text: str, _: Sequence[str]) -> str:
    pattern = r" (?:[-+*/^%<>]|[=!<>]=|and|or|in|->) "
    return _replaced(random, text, pattern, f" {random.choice(OPERATORS)} ")


def _replaced(random: Random, text: str, pattern: str, new: str) -> str:
    places = [found.span() for found in re.finditer(pattern, text)]
    if not places:
        return text
    start, end = random.choice(places)
    return text[:start] + new + text[end:]


def delete_line(random: Random, text: str, _: Sequence[str]) -> str:
    lines = text.split("\n")
    del lines[random.randrange(len(lines))]
    return "\n".join(lines)


def move_line(random: Random, text: str, _: Sequence[str]) -> str:
    lines = text.split("\n")
    line = lines.pop(random.randrange(len(lines)))
    lines.insert(random.randint(0, len(lines)), line)
    return "\n".join(lines)


def double_line(random: Random, text: str, _: Sequence[str]) -> str:
    lines = text.split("\n")
    place = random.randrange(len(lines))
    return "\n".join([*lines[: place + 1], *lines[place:]])


def indent_line(random: Random, text: str, _: Sequence[str]) -> str:
    lines = text.split("\n")
    place = random.randrange(len(lines))
    if random.random() < 0.5:
        lines[place] = "    " + lines[place]
    else:
        lines[place] = lines[place].removeprefix("    ")
    return "\n".join(lines)


def splice_line(random: Random, text: str, originals: Sequence[str]) -> str:
    """A line of another spec, as deep as the one that it follows."""
    lines = text.split("\n")
    place = random.randrange(len(lines))
    if random.random() < 0.5:
        line = random.choice(random.choice(originals).split("\n")).strip()
    else:
        line = random.choice(LINES)
    margin = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    lines.insert(place + 1, margin + line)
    if line.endswith(":"):
        lines.insert(place + 2, f"{margin}    {random.choice(LINES)}")
    return "\n".join(lines)


def append_statement(random: Random, text: str, originals: Sequence[str]) -> str:
    """A statement of another spec at the end, or in front."""
    other = random.choice(statements(random.choice(originals)) or [""])
    return f"{text}\n{other}" if random.random() < 0.7 else f"{other}\n{text}"


def nest_loops(random: Random, text: str, _: Sequence[str]) -> str:
    """A line that is done again and again and again."""
    lines = text.split("\n")
    steps = [place for place, line in enumerate(lines) if line.startswith("    ")]
    if not steps:
        return text
    place = random.choice(steps)
    margin = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    body = lines[place].strip()
    made = []
    for turn in range(random.randint(1, 6)):
        word = random.choice(["repeat", "repeat", "share", "bank", "scan"])
        count = random.choice(["2", "9", "50", "1000", "100000", "99999999", "|d|"])
        made.append(f"{margin}{'    ' * turn}{word} i{turn} * {count}:")
    made.append(f"{margin}{'    ' * len(made)}{body}")
    return "\n".join([*lines[:place], *made, *lines[place + 1 :]])


def wrap_call(random: Random, text: str, _: Sequence[str]) -> str:
    """An expression inside itself, again and again."""
    places = [found.span() for found in re.finditer(r"\b[a-z]\w*\([a-z]\w*\)", text)]
    if not places:
        return text
    start, end = random.choice(places)
    call = text[start:end]
    function, inside = call[:-1].split("(")
    made = inside
    for _ in range(random.choice((2, 5, 30, 140))):
        made = f"{function}({made})"
    return text[:start] + made + text[end:]


# those that leave a text which still reads, more often
WAYS: tuple[Callable[[Random, str, Sequence[str]], str], ...] = (
    delete_token, double_token, swap_tokens, swap_names, swap_names, rename, rename, rename, rename,
    renumber, renumber, renumber, reword, reword, reword, reword, operate, operate, delete_line,
    delete_line, move_line, double_line, indent_line, splice_line, splice_line, append_statement,
    nest_loops, wrap_call,
)  # fmt: skip
