"""Checks a person's filter before it is put together with our own, and shortens what Lance says about a bad one.

Lance reads an expression up to where it makes sense and ignores the rest: ``1=1) OR (1=1`` alone is accepted, and in
brackets it would undo the conditions beside it. So brackets are counted here.
"""

from __future__ import annotations

import re

from wxpipe.errors import UsageError

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`")
_FORBIDDEN = re.compile(r"--|/\*|\*/|;|['\"`]")
LONGEST = 4_000


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


def lance_message(error: BaseException) -> str:
    """What Lance says, without the places in its source and its own wrapping."""
    text = str(error).split(", /", 1)[0]
    for prefix in ("lance error: ", "Invalid input, ", "Invalid user input: ", "Schema error: "):
        text = text.replace(prefix, "")
    text = text.split("Valid fields are", 1)[0].replace("SELECT 1 FROM t WHERE ", "")
    return re.sub(r"\s+", " ", text).strip().rstrip(".")[:300]
