"""The case book: searches that people keep, with notes, and what they think of each analog.

Cases and verdicts are numbered objects under ``cases/``, taken by put-if-absent and never changed: any number of people
write at once, and who changes a mind adds a verdict. A case that is removed stays on record, and is shown no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from wxpipe.errors import DamagedError, NotFoundError, UsageError
from wxpipe.store.requests import now, whoami
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer, SearchRequest, iso
from wxpipe.vectors.examples import Example
from wxpipe.vectors.times import TimeFilter

FOLDER = "cases"
LONGEST_NAME, LONGEST_NOTES = 200, 20_000


@dataclass(frozen=True)
class KeptAnalog:
    """An analog as it was found; times as answers spell them."""

    rank: int
    id: str
    start: str
    distance: float
    similarity: float | None


@dataclass(frozen=True)
class Case:
    """A search that somebody keeps, and what it found.

    Attributes:
        request: what was asked: the fields of `SearchRequest` that differ from its defaults, as JSON values.
        query: id of the clip or frame that was asked for; None for a vector.
        release, model: that answered.
    """

    name: str
    notes: str
    request: Mapping[str, Any]
    query: str | None
    release: int
    model: str
    analogs: tuple[KeptAnalog, ...]
    number: int = 0
    who: str = ""
    when: str = ""

    def search_request(self) -> SearchRequest:
        """What was asked, to be asked again of the current release.

        Raises:
            UsageError: a later version of wxpipe kept it, with fields that this one does not know.
        """
        values = dict(self.request)
        unknown = sorted(set(values) - {field.name for field in fields(SearchRequest)})
        if unknown:
            raise UsageError(f"case {self.number}: this version cannot ask for {', '.join(unknown)}; use a later one")
        if "at" in values:
            values["at"] = datetime.fromisoformat(values["at"])
        if "more" in values:
            more = values["more"]
            values["more"] = tuple(Example(datetime.fromisoformat(one["at"]), one["weight"]) for one in more)
        if "times" in values:
            times: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in values["times"].items()
            }
            values["times"] = TimeFilter(**times)
        return SearchRequest(**values)


@dataclass(frozen=True)
class Verdict:
    """What somebody thinks of an analog of a case.

    Attributes:
        number: within the case, in the order in which they were given.
        release: that served then.
    """

    case: int
    analog: str
    useful: bool
    note: str
    release: int
    number: int = 0
    who: str = ""
    when: str = ""


def add_case(root: Root, name: str, request: SearchRequest, answer: Answer, notes: str = "") -> Case:
    """Keeps a search and its answer under the next number.

    Raises:
        UsageError: no name, or texts that are too long.
    """
    if not name.strip() or len(name) > LONGEST_NAME:
        raise UsageError(f"a case needs a name of 1 to {LONGEST_NAME} characters; {len(name)} were given")
    kept = tuple(KeptAnalog(a.rank, a.id, iso(a.start), a.distance, a.similarity) for a in answer.analogs)
    case = Case(name.strip(), _notes(notes), _asked(request), answer.query.id, answer.release, answer.model, kept)
    for number in _numbers_from(root, FOLDER):
        numbered = replace(case, number=number, who=whoami(), when=now())
        if root.objects.put_if_absent(f"{FOLDER}/{number:08d}/case.json", _json(numbered)):
            return numbered
    raise AssertionError("numbers do not end")


def get_case(root: Root, number: int) -> Case:
    """A case by number.

    Raises:
        NotFoundError: there is none, or it was removed; names those that there are.
    """
    for case in list_cases(root):
        if case.number == number:
            return case
    known = ", ".join(str(case.number) for case in list_cases(root)) or "none"
    raise NotFoundError(f"{root.url} has no case {number}; cases: {known}")


def list_cases(root: Root) -> list[Case]:
    """Every case that was not removed, the oldest first.

    Raises:
        DamagedError: a case cannot be read.
    """
    folders = [f"{FOLDER}/{name}" for name in root.objects.names(FOLDER)]
    found = zip(folders, root.objects.get_many(f"{folder}/case.json" for folder in folders), strict=True)
    removed = root.objects.get_many(f"{folder}/removed.json" for folder in folders)
    return [
        _case(f"{folder}/case.json", data)
        for (folder, data), gone in zip(found, removed, strict=True)
        if data is not None and gone is None
    ]


def remove_case(root: Root, number: int) -> Case:
    """Shows a case no more; its number is not used again.

    Raises:
        NotFoundError: there is none.
    """
    case = get_case(root, number)
    root.objects.put_if_absent(
        f"{FOLDER}/{number:08d}/removed.json", json.dumps({"who": whoami(), "when": now()}).encode()
    )
    return case


def give_verdict(root: Root, case: Case, analog: str, useful: bool, note: str = "", release: int = 0) -> Verdict:
    """Adds what somebody thinks of an analog; of each person the latest verdict on it stands.

    Args:
        analog: an id; that of what the case found when it was kept, or of what it finds now.
        release: that showed it; by default the case's own.
    """
    folder = f"{FOLDER}/{case.number:08d}/verdicts"
    verdict = Verdict(case.number, analog, useful, _notes(note), release or case.release)
    for number in _numbers_from(root, folder):
        numbered = replace(verdict, number=number, who=whoami(), when=now())
        if root.objects.put_if_absent(f"{folder}/{number:08d}.json", _json(numbered)):
            return numbered
    raise AssertionError("numbers do not end")


def list_verdicts(root: Root, case: int | None = None) -> list[Verdict]:
    """Verdicts on the cases that are shown, or on one of them, by case and then in the order that they were given in.

    Raises:
        DamagedError: a verdict cannot be read.
    """
    cases = [one.number for one in list_cases(root)] if case is None else [case]
    folders = [f"{FOLDER}/{number:08d}/verdicts" for number in cases]
    keys = [f"{folder}/{name}" for folder in folders for name in root.objects.names(folder)]
    found = zip(keys, root.objects.get_many(keys), strict=True)
    return [_verdict(key, data) for key, data in found if data is not None]


def standing(verdicts: list[Verdict]) -> list[Verdict]:
    """The latest of each person on each analog of each case."""
    return list({(one.case, one.analog, one.who): one for one in verdicts}.values())


def _numbers_from(root: Root, folder: str) -> Iterator[int]:
    """The number after the highest, and those after it: whoever finds one taken tries the next."""
    taken = [name.partition(".")[0] for name in root.objects.names(folder)]
    number = max((int(name) for name in taken if name.isdigit()), default=0)
    while True:
        number += 1
        yield number


def _asked(request: SearchRequest) -> dict[str, Any]:
    """The fields that differ from their defaults, as JSON values; the release is not asked for again."""
    if request.like is not None:
        raise UsageError("a case is asked again, and fresh pictures are not kept; keep it once they are in the archive")
    asked: dict[str, Any] = {"source": request.source}
    for field in fields(request):
        value = getattr(request, field.name)
        if field.name not in ("source", "release", "times", "more") and value != field.default:
            asked[field.name] = value
    if request.times.asks:
        asked["times"] = asdict(request.times)
    if request.more:
        asked["more"] = [{"at": one.at.isoformat(), "weight": one.weight} for one in request.more]
    if request.at is not None:
        asked["at"] = request.at.isoformat()
    if request.vector is not None:
        asked["vector"] = [float(number) for number in request.vector]
    return asked


def _notes(text: str) -> str:
    if len(text) > LONGEST_NOTES:
        raise UsageError(f"notes of {len(text):,} characters; at most {LONGEST_NOTES:,} are taken")
    return text.strip()


def _json(value: Case | Verdict) -> bytes:
    return json.dumps(asdict(value), indent=1, ensure_ascii=False).encode()


def _case(key: str, data: bytes) -> Case:
    try:
        values: dict[str, Any] = json.loads(data)
        return Case(**{**values, "analogs": tuple(KeptAnalog(**one) for one in values["analogs"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(f"{key}: not a case ({error!r}); put it back, or delete it") from error


def _verdict(key: str, data: bytes) -> Verdict:
    try:
        return Verdict(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise DamagedError(f"{key}: not a verdict ({error!r}); put it back, or delete it") from error
