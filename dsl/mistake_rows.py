"""The table of known mistakes. Its order matters: the special stands before the general.

`before` and `after` are searched in the statement up to the token at which the parser stopped and
from it on, `line` in both together. A group named `at` says where the caret goes. A `fix` turns
the line into the hint.
"""

from __future__ import annotations

from .foreign_words import FOREIGN, Row

HEADERS = "block|model|repeat|share|bank|scan|if|elif|else|intervention|weights|experiment|sweep"
KEYWORDS = (
    "use|block|model|param|fixed|draw|state|carry|return|repeat|share|bank|scan|if|elif|else|"
    "intervention|gain|freeze|keep|during|backward|data|weights|experiment|run|measure|sweep|"
    "attribute|plot|show|expect|train|using|schedule|only|group|until|every|update|phase"
)
OPERATOR = r"(?:\*|//?|%|\^|\+|-|==|!=|<=|>=|<|>|\band|\bor|\bin|\bnot)"

ROWS = (
    *FOREIGN,
    # ---- words in the wrong place
    Row(
        "inner-block",
        "`{at}` stands at the top of a file, not inside of something",
        before=r"^(?P<at>use|block|model|intervention|experiment|train|data|weights)$",
        after=r"^\w",
        accepts="EQUAL",
    ),
    Row(
        "not-in-a-block",
        "`{at}` stands in a block, not here",
        before=r"^(?P<at>param|fixed|state|return|repeat|bank|if)$",
        after=r"^\w",
        accepts="EQUAL",
    ),
    Row(
        "not-in-a-block-or-an-experiment",
        "`{at}` stands in a block or an experiment, not here",
        before=r"^(?P<at>draw|carry|scan)$",
        after=r"^\w",
        accepts="EQUAL",
    ),
    Row(
        "not-in-an-experiment",
        "`{at}` stands in an experiment, not here",
        before=r"^(?P<at>run|sweep|attribute)$",
        after=r"^\w",
        accepts="EQUAL",
    ),
    Row(
        "not-inside-an-experiment",
        "`{at}` stands in an experiment itself, not here",
        before=r"^(?P<at>measure|plot|show|expect)$",
        after=r"^\w",
        accepts="EQUAL",
    ),
    Row(
        "not-in-training",
        "`{at}` stands in `train`, not here",
        before=r"^(?P<at>using|schedule|only|group|until|every|update|phase|freeze)$",
        after=r"^\w",
        accepts="EQUAL",
    ),
    Row(
        "not-in-an-intervention",
        "`{at}` stands in an intervention, not here",
        before=r"^(?P<at>gain|keep|during)$",
        after=r"^\w",
        accepts="EQUAL",
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
        "`{op}=` changes a site, in an intervention; in a block every name is assigned once",
        before=r"^(?P<name>\w+)$",
        after=r"^(?P<at>(?P<op>[-+*/])=)\s*(?P<value>.+)",
        accepts="EQUAL",
        hint="{name}_new = {name} {op} {value}",
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
        before=r"^(?P<name>[A-Za-z_][\w.]*)$",
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
        "a line does not start with `{found_}`; only in brackets does it go on from above",
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
        before=r"(?<![\w.])(?P<at>(?P<number>\d+)\.)( ?\*)?$",
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
