"""The table of known mistakes. Its order matters: the special stands before the general.

`before` and `after` are searched in the statement up to the token at which the parser stopped and
from it on, `line` in both together. A group named `at` says where the caret goes. A `fix` turns
the line into the hint.
"""

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


HEADERS = "block|model|repeat|share|bank|scan|if|elif|else|intervention|weights|experiment|sweep"
KEYWORDS = (
    "use|block|model|param|fixed|draw|state|carry|return|repeat|share|bank|scan|if|elif|else|"
    "intervention|gain|freeze|keep|during|backward|data|weights|experiment|run|measure|sweep|"
    "attribute|plot|show|expect|train|using|schedule|only|group|until|every|update|phase"
)
OPERATOR = r"(?:\*|//?|%|\^|\+|-|==|!=|<=|>=|<|>|\band|\bor|\bin|\bnot)"

ROWS = (
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
        line=r"^(?P<at>while)\b",
        hint="scan t:",
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
        line=r"^(?P<at>else|elif)\b",
        accepts="NAME",
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
        line=r"(?P<at>\blambda\b)[^\"]*:",
    ),
    Row(
        "pass",
        "there is no `{at}` here: leave out what does nothing",
        line=r"^(?P<at>pass|continue|break)$",
    ),
    Row(
        "assert",
        "what must hold is said by `expect`, in an experiment",
        line=r"^(?P<at>assert)\b",
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
    Row("or", "`or` is written as a word", line=r"(?P<at>\|\|?)", after=r"^\|", accepts="OR",
        fix=(r"\s*\|\|?\s*", " or ")),
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
    # ---- assignments
    Row(
        "keyword",
        "`{at}` starts a statement here, so it names no value",
        before=rf"^(?P<at>{KEYWORDS})$",
        after=r"^([-+*/]?=|,)",
        fix=(r"^(\w+)", r"\1_"),
    ),
    Row(
        "update",
        "`{op}` changes a site, in an intervention; in a block every name is assigned once",
        before=r"^(?P<name>\w+)$",
        after=r"^(?P<at>(?P<op>[-+*/]=))\s*(?P<value>.+)",
        accepts="EQUAL",
        hint="changed = {name} ...",
    ),
    Row(
        "annotation",
        "only a header says of what kind a value is",
        before=r"^\w+$",
        after=r"^:\s*\w+\s*=",
        accepts="EQUAL",
        fix=(r"\s*:\s*\w+\s*=", " ="),
    ),
    Row(
        "no-value",
        "`{name}` is named here, but nothing is assigned to it",
        before=r"^(?P<name>[\w.]+)$",
        after=r"^$",
        accepts="EQUAL",
        hint="{name} = ...",
    ),
    # ---- headers
    Row(
        "no-name",
        "this `{at}` has no name",
        before=r"^(?P<at>block|model|intervention|experiment|train|data|run|measure|sweep)$",
        accepts="NAME",
    ),
    Row(
        "no-parentheses",
        "a block has parentheses, also when it takes nothing",
        before=r"^(block|model)\b",
        after=r"^(->|:)",
        accepts="LPAR",
        fix=(r"\s*(->|:)", r"() \1"),
    ),
    Row(
        "no-arrow",
        "a block says which axes its result has, after `->`",
        before=r"^(block|model)\b[^>]*\)$",
        after=r"^(?P<what>[:=]|$)",
        hint="-> [t, d]:",
    ),
    Row(
        "no-result",
        "the axes of the result are missing after `->`",
        before=r"^(block|model)\b.*->$",
        after=r"^(:|$)",
        hint="-> [t, d]:",
    ),
    Row(
        "bare-result",
        "the axes of a result stand in brackets",
        before=r"^(block|model)\b.*->$",
        after=r"^\(?(?P<at>\w[\w, ]*)",
        hint="-> [{at}]:",
    ),
    Row(
        "no-count",
        "`{kind}` says how often, after a name for the turn",
        before=r"^(?P<kind>repeat|bank|share)\s+(?P<name>\w+)$",
        after=r"^(:|in\b)",
        hint="{kind} layer * {name}:",
    ),
    Row(
        "no-model",
        "an intervention says on which model it is",
        before=r"^intervention\b",
        after=r"^:",
        accepts="ON",
        fix=(r"\s*:", " on gpt:"),
    ),
    Row(
        "no-in",
        "`in` is missing: a sweep goes over a name in a range",
        before=r"^(sweep|attribute)\b.*\b(?P<name>\w+)$",
        after=r"^(?P<range>[\w.]+)",
        accepts="IN",
        hint="{name} in {range}",
    ),
    Row(
        "no-colon",
        "`:` is missing at the end of this line",
        line=rf"^({HEADERS}|train|calibrate|verify)\b",
        after=r"^$",
        accepts="COLON",
        fix=(r"$", ":"),
    ),
    Row(
        "wildcard",
        "`use` takes names one by one: there is no `*`",
        before=r"^use\b.*:$",
        after=r"^\*",
    ),
    Row(
        "use-names",
        "`use` says which names it takes from the file",
        before=r"^use\s+(?P<path>[\w.]*?)(?P<name>\w+)$",
        after=r"^(?P<at>$|as\b)",
        accepts="COLON",
        hint="use {path}{name}: {name}",
    ),
    # ---- steps
    Row(
        "return",
        "`return` says what the block gives",
        before=r"^(?P<at>return)$",
        after=r"^$",
        hint="return x",
    ),
    Row(
        "carry",
        "a carry says what it starts from",
        before=r"^carry\b",
        after=r"^$",
        accepts="EQUAL",
        fix=(r"$", " = 0"),
    ),
    Row(
        "draw",
        "what is drawn comes from a distribution, after `~`",
        before=r"^draw\b",
        after=r"^=",
        hint="~ normal(0, 1)",
    ),
    Row(
        "param",
        "a parameter says how it starts: drawn with `~`, or from a value with `=`",
        before=r"^(param|fixed|state|draw)\b",
        after=r"^$",
        accepts="TILDE",
        fix=(r"$", " ~ normal(0, 0.02)"),
    ),
    Row(
        "setting",
        "a setting of `using` is a name and a value, without `=`",
        before=r"^using\b.*\b\w+$",
        after=r"^=",
        fix=(r"(\w+)\s*=\s*([\w.]+)$", r"\1 \2"),
    ),
    Row(
        "sweep-result",
        "a sweep ends with the value that it is about",
        accepts="RUN",
        before=r"^$",
        after=r"^$",
    ),
    # ---- brackets
    Row(
        "slice",
        "a range is written with `..`",
        before=r"[\[=,]\s*[\w|-]*$",
        after=r"^:",
        bracket="[",
        fix=(r"([\w|]+)\s*:\s*(-?[\w|]*)(?=[^\[]*\])", r"\1..\2"),
    ),
    Row(
        "ellipsis",
        "`...` is not needed: axes that are not named ride along",
        before=r"(?P<at>\.\.)$",
        after=r"^(\.|,|\])",
        bracket="[",
    ),
    Row(
        "named-colon",
        "an argument is named with `=`",
        before=r"[(,]\s*(?P<name>\w+)$",
        after=r"^:\s*(?P<value>[^,)]+)",
        bracket="(",
        accepts="EQUAL",
        hint="{name} = {value}",
    ),
    Row(
        "table",
        "braces hold a list of values, not names with values",
        after=r"^[:=]",
        bracket="{",
        hint="{{1, 5}}",
    ),
    Row(
        "extra-comma",
        "a value is missing in front of this `,`",
        before=r"[(\[{,]$",
        after=r"^,",
    ),
    # ---- expressions
    Row(
        "trailing",
        "nothing follows `{op}`; a line goes on only inside brackets",
        before=rf"(?P<at>(?P<op>{OPERATOR}))$",
        after=r"^$",
    ),
    Row(
        "leading",
        "a line does not start with `{found_}`; it goes on from the line above only inside brackets",
        before=r"^$",
        after=rf"^(?P<at>(?P<found_>{OPERATOR}))",
    ),
    Row(
        "half-operation",
        "nothing follows `{op}`",
        before=rf"(?P<at>(?P<op>{OPERATOR}))$",
        after=r"^[)\],}]",
    ),
    Row(
        "point-number",
        "a number starts with a digit",
        after=r"^(?P<at>\.(?P<digits>\d+))",
        hint="0.{digits}",
    ),
    Row(
        "number-point",
        "a digit is missing after the point",
        before=r"(?<![\w.])(?P<number>\d+)$",
        after=r"^\.(?!\.)",
        hint="{number}.0",
    ),
    Row(
        "underscore",
        "a number has no `_` in it",
        before=r"(?<!\w)(?P<a>\d+)$",
        after=r"^(?P<at>_(?P<b>\d+))",
        hint="{a}{b}",
    ),
    Row(
        "product",
        "an operator is missing between `{a}` and `{b}`",
        before=r"(?<![\w.])(?P<a>\d+(\.\d+)?)$",
        after=r"^(?P<at>(?P<b>[A-Za-z]\w*))",
        accepts="MUL",
        hint="{a} * {b}",
    ),
    Row(
        "no-comma",
        "a comma or an operator is missing between `{a}` and `{b}`",
        before=r"(?<!\w)(?P<a>[\w\])\"]+)$",
        after=r"^(?P<at>(?P<b>\w+|\"[^\"]*\"))",
        accepts="COMMA",
        bracket="(",
        hint="{a}, {b}",
    ),
    Row(
        "no-comma-axes",
        "a comma is missing between `{a}` and `{b}`",
        before=r"(?<!\w)(?P<a>\w+)$",
        after=r"^(?P<at>(?P<b>\w+))",
        accepts="COMMA",
        bracket="[",
        hint="{a}, {b}",
    ),
    Row(
        "outside",
        "{found} stands outside of every block; a file holds `block`, `model`, `data`, "
        "`intervention`, `experiment`, `train` and `use`",
        before=r"^$",
        accepts="BLOCK",
    ),
)
