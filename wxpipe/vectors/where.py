"""Checks a person's filter before it is put together with our own, and shortens what Lance says about a bad one.

Lance reads an expression up to where it makes sense and ignores the rest: ``1=1) OR (1=1`` alone is accepted, and in
brackets it would undo the conditions beside it. So brackets are counted here. And it works a condition out in the
process that asks: a function that makes a large value of a small one (``repeat('a', 2000000000)``) would take all its
memory, and brackets in brackets all of its stack. So functions are those of a list, and nesting has an end.
"""

from __future__ import annotations

import re

from wxpipe.errors import UsageError

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`")
_FORBIDDEN = re.compile(r"--|/\*|\*/|;|['\"`$?]")  # $1 and ? are parameters, of which Lance's planner panics
_CALL = re.compile(r"([\w'\"`]+)\s*\(")
LONGEST = 4_000
DEEPEST = 32
MOST_OPERATORS = 400
_OPERATOR = re.compile(r"\b(?:and|or|not|case|between|is)\b|[-+*/%<>=!|&^~]+", re.IGNORECASE)
_KEYWORDS = """in and or not between like ilike similar to is when then else case on where from all any"""
_FUNCTIONS = """
    abs acos asin atan atan2 btrim cast ceil character_length char_length coalesce contains cos date_bin date_part
    date_trunc datepart datetrunc decimal ends_with exp extract floor greatest ifnull initcap instr isnan least left
    length ln log log10 log2 lower ltrim mod nullif nvl octet_length position power regexp_like regexp_match
    regexp_matches right round rtrim signum sin sqrt starts_with strpos substr substring tan timestamp to_date
    to_timestamp to_timestamp_micros to_timestamp_millis to_timestamp_seconds trim trunc try_cast upper
"""
KEYWORDS, FUNCTIONS = frozenset(_KEYWORDS.split()), frozenset(_FUNCTIONS.split())
"""What a condition may call: nothing here makes a value that is much larger than what it is given."""


def checked_where(text: str) -> str:
    """A filter that stays within the brackets that it is put in.

    Raises:
        UsageError: brackets that do not match, comments, a second statement, an open quote, or too long.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise UsageError(f"--where has {len(text)} characters; at most {LONGEST} are taken")
    bare = _QUOTED.sub("''", text).replace("''", "")
    forbidden = _FORBIDDEN.search(bare)
    if forbidden is not None:
        raise UsageError(f"--where {text!r}: {forbidden[0]!r} is not allowed; expected one condition over the columns")
    depth = 0
    for letter in bare:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            break
    if depth:
        raise UsageError(f"--where {text!r}: the brackets do not match")
    return text


def checked_condition_text(text: str) -> str:
    """As `checked_where`, for a condition that is worked out in this process, by Lance.

    Raises:
        UsageError: besides, brackets in brackets in brackets, or a function that is not offered.
    """
    text = checked_where(text)
    bare = _QUOTED.sub("''", text)
    depth = deepest = 0
    for letter in bare:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise UsageError(f"--where: brackets are {deepest} deep; at most {DEEPEST} are taken")
    operators = len(_OPERATOR.findall(bare))
    if operators > MOST_OPERATORS:
        raise UsageError(f"--where has {operators} operators; at most {MOST_OPERATORS} are taken: IN has many values")
    for name in _CALL.findall(bare):
        if name.lower() not in KEYWORDS | FUNCTIONS:
            raise UsageError(
                f"--where {text!r}: the function {name} is not offered; expected a condition over the columns, such as "
                f"month IN (6, 7) or date_part('doy', start) < 60. Functions: {', '.join(sorted(FUNCTIONS))}"
            )
    return text


def lance_message(error: BaseException) -> str:
    """What Lance says, without the places in its source and its own wrapping."""
    text = str(error).split(", /", 1)[0]
    for prefix in ("lance error: ", "Invalid input, ", "Invalid user input: ", "Schema error: "):
        text = text.replace(prefix, "")
    text = text.split("Valid fields are", 1)[0].replace("SELECT 1 FROM t WHERE ", "")
    return re.sub(r"\s+", " ", text).strip().rstrip(".")[:300]
