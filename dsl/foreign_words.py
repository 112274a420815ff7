"""Known mistakes: words and operators of other languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A mistake: how it is known, the sentence, and what to write instead."""

    name: str  # its sample is tests/dsl/bad/syntax-<name>.nax
    message: str
    line: str | None = None
    before: str | None = None
    after: str | None = None
    accepts: str | None = None  # a terminal that would have been right
    bracket: str | None = None  # the innermost open bracket
    hint: str | None = None
    fix: tuple[str, str] | None = None


FOREIGN = (
    # ---- words of other languages
    Row(
        "def",
        "there is no `{at}` here: a function of tensors is a `block`",
        line=r"^(?P<at>def|fn|func|function)\s+(?P<name>\w+)",
        hint="block {name}(x[t, d]) -> [t, d]:",
    ),
    Row(
        "class",
        "there is no `{at}` here: a network is a `model`, its parts are `block`s",
        line=r"^(?P<at>class|module|struct)\s+(?P<name>\w+)",
        hint="model {name}(x[t, d]) -> [t, d]:",
    ),
    Row(
        "import",
        "there is no `import` here: blocks come from other files by `use`",
        line=r"^(?P<at>import|from)\s+(?P<path>[\w.]+)(\s+import\s+(?P<name>\w+))?",
        hint="use {path}: {name}",
    ),
    Row(
        "for",
        "there is no `for` here: `repeat` stacks layers, `scan` goes along an axis",
        line=r"^(?P<at>for)\s+(?P<name>\w+)\b.*:",
        hint="repeat {name} * 4:",
    ),
    Row(
        "while",
        "there is no `while` here: `repeat` and `scan` say how often they run",
        line=r"^(?P<at>while)\s+[^=\s]",
        hint="scan t:",
    ),
    Row(
        "select",
        "there is no `select` here: what is chosen is a table of truths, or a number",
        line=r"^(?P<at>select)\s+\w",
        hint="best = rank[l, n](effect) < 3",
    ),
    Row(
        "else-if",
        "`{at}` is written `elif`",
        line=r"^(?P<at>else\s+if|elseif|elsif)\b",
        fix=(r"^(else\s+if|elseif|elsif)", "elif"),
    ),
    Row(
        "else",
        "this `{at}` has no `if` in front of it",
        before=r"^(?P<at>else|elif)$",
        accepts="EQUAL",
    ),
    Row(
        "let",
        "a name is assigned without `{at}`",
        line=r"^(?P<at>let|var|const|val)\s+\w+\s*(:\s*\w+\s*)?=",
        fix=(r"^\w+\s+", ""),
    ),
    Row(
        "lambda",
        "there is no `lambda` here: a block has a name",
        line=r"(?P<at>\blambda\b)[\w\s,]*:",
    ),
    Row(
        "pass",
        "there is no `{at}` here: leave out what does nothing",
        line=r"^(?P<at>pass|continue|break)$",
    ),
    Row(
        "assert",
        "what must hold is said by `expect`, in an experiment",
        line=r"^(?P<at>assert)\s+[^=\s]",
        fix=(r"^assert", "expect"),
    ),
    Row("decorator", "there is no `@` in front of a block", line=r"^(?P<at>@)\w"),
    Row(
        "comment",
        "a comment starts with `#`",
        line=r"^(?P<at>//|/\*)",
        fix=(r"^(//|/\*)\s*", "# "),
    ),
    # ---- operators of other languages
    Row(
        "power",
        "a power is written `^`",
        before=r"(?P<at>\*)$",
        after=r"^\*",
        fix=(r"\s*\*\*\s*", " ^ "),
    ),
    Row(
        "or",
        "`or` is written as a word",
        line=r"(?P<at>\|\|?)",
        after=r"^\|",
        accepts="OR",
        fix=(r"\s*\|\|?\s*", " or "),
    ),
    Row(
        "strict-equality",
        "equality is written `==`",
        before=r"==$",
        after=r"^=",
        fix=(r"\s*===\s*", " == "),
    ),
    Row(
        "fat-arrow",
        "an arrow is written `->`",
        before=r"(?P<at>=)$",
        after=r"^>",
        fix=(r"\s*=>\s*", " -> "),
    ),
    Row(
        "walrus",
        "a name is assigned with `=`",
        line=r"(?P<at>:\s?=)",
        after=r"^(:\s?)?=",
        fix=(r"\s*:\s?=\s*", " = "),
    ),
    Row(
        "left-arrow",
        "a name is assigned with `=`",
        line=r"^[^=(]*?(?P<at><-)",
        after=r"^<",
        accepts="EQUAL",
        fix=(r"\s*<-\s*", " = "),
    ),
    Row(
        "is",
        "equality is written `==`",
        after=r"^(?P<at>is)\b(?! not)",
        accepts="COMPARE",
        fix=(r"\bis\b", "=="),
    ),
    Row(
        "not-in",
        "`not` stands in front of what it denies",
        after=r"^(?P<at>not\s+in)\b",
        accepts="IN",
        hint="not x in {{1, 5}}",
    ),
    Row(
        "ternary",
        "a choice between two values is made by `where(condition, this, that)`",
        before=r"(?P<start>^|=\s|return\s|[(,]\s?)(?P<this>[^=,]+)$",
        after=r"^(?P<at>if)\s+(?P<condition>.+?)\s+else\s+(?P<that>[^),]+)",
        hint="where({condition}, {this}, {that})",
    ),
    Row(
        "equality",
        "`=` assigns; whether two things are equal is asked with `==`",
        before=r"^(expect|if|elif)\b",
        after=r"^=",
        fix=(r"(?<![=!<>])\s*=\s*(?!=)", " == "),
    ),
    Row(
        "double-equals",
        "`==` compares; a name is assigned with `=`",
        after=r"^==",
        accepts="EQUAL",
        fix=(r"\s*==\s*", " = "),
    ),
    Row(
        "chained",
        "comparisons are not chained: join two of them with `and`",
        before=r"(?P<a>[^\s(,]+)\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<b>[^\s(,]+)$",
        after=r"^(?P<next><=|>=|==|!=|<|>)\s*(?P<c>[^\s),:]+)",
        hint="{a} {op} {b} and {b} {next} {c}",
    ),
)
