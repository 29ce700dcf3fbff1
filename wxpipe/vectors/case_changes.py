"""A kept case asked again: what the current release answers, against what was found then."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Analog, Answer
from wxpipe.vectors.cases import Case
from wxpipe.vectors.search import search

Fate = Literal["kept", "new", "gone", "same weather"]
"""``same weather``: another clip of the same episode stands for it now."""


@dataclass(frozen=True)
class Change:
    """What became of one analog.

    Attributes:
        rank, rank_then: in the answer now, and in the one that was kept; None where it is not among them.
        stands_for: of ``same weather``, the analog of then.
    """

    id: str
    fate: Fate
    rank: int | None
    rank_then: int | None
    distance: float | None
    distance_then: float | None
    stands_for: str | None = None


@dataclass(frozen=True)
class Again:
    """The answer of now (None where there is none: ``trouble`` says why), and every analog of now and then."""

    answer: Answer | None
    changes: tuple[Change, ...]
    trouble: str = ""

    @property
    def same(self) -> bool:
        """Whether the same analogs are found, in the same order."""
        return self.answer is not None and all(c.fate == "kept" and c.rank == c.rank_then for c in self.changes)

    def sentence(self, case: Case) -> str:
        if self.answer is None:
            return f"release {case.release} answered it; now: {self.trouble}"
        now, then = self.answer, case
        model = "the same model" if now.model == then.model else f"model {now.model} instead of {then.model}"
        said = f"release {now.release} against {then.release}, {model}: "
        if self.same:
            return said + "the same analogs in the same order"
        counts = {fate: sum(change.fate == fate for change in self.changes) for fate in get_args(Fate)}
        return said + ", ".join(f"{count} {fate}" for fate, count in counts.items() if count)

    def document(self, case: Case) -> dict[str, Any]:
        answer = None if self.answer is None else self.answer.document()
        changes = [asdict(change) for change in self.changes]
        return {"answer": answer, "changes": changes, "same": self.same, "sentence": self.sentence(case)}


def ask_again(root: Root, case: Case) -> Again:
    """Runs a case's search on the current release.

    A search that cannot be run any more is an answer, too: what was found then is told all the same.
    """
    try:
        answer = search(root, case.search_request())
    except (NotFoundError, UsageError) as error:
        gone = (Change(a.id, "gone", None, a.rank, None, a.distance) for a in case.analogs)
        return Again(None, tuple(gone), str(error))
    return Again(answer, changes(case, answer))


def changes(case: Case, answer: Answer) -> tuple[Change, ...]:
    """Every analog of an answer in order of rank, then those of the case that it no longer has."""
    then = {analog.id: analog for analog in case.analogs}
    now = {analog.id for analog in answer.analogs}
    found, replaced = [], set[str]()
    for analog in answer.analogs:
        old = then.get(analog.id) or next((then[i] for i in _others(analog) if i in then and i not in now), None)
        if old is not None and old.id in replaced:
            old = None
        fate: Fate = "new" if old is None else "kept" if old.id == analog.id else "same weather"
        rank_then, distance_then = (old.rank, old.distance) if old is not None else (None, None)
        stands_for = old.id if old is not None and fate == "same weather" else None
        replaced |= {old.id} if old is not None else set()
        found.append(Change(analog.id, fate, analog.rank, rank_then, analog.distance, distance_then, stands_for))
    lost = (old for old in case.analogs if old.id not in replaced)
    return (*found, *(Change(old.id, "gone", None, old.rank, None, old.distance) for old in lost))


def _others(analog: Analog) -> list[str]:
    return [name for name in analog.episode if name != analog.id]


def shown_by(root: Root, case: Case, analog: str) -> tuple[str, int]:
    """The id of an analog, and the release that shows it: of the case as it was kept, or as it answers now.

    Args:
        analog: an id, or a rank of the answer that was kept.

    Raises:
        UsageError: the case shows no such analog; lists those that it does.
    """
    for old in case.analogs:
        if analog in (old.id, str(old.rank)):
            return old.id, case.release
    again = ask_again(root, case)
    if again.answer is not None and analog in {found.id for found in again.answer.analogs}:
        return analog, again.answer.release
    known = ", ".join(f"{old.rank} {old.id}" for old in case.analogs) or "none"
    raise UsageError(f"case {case.number} shows no analog {analog!r}; its analogs: {known}")
