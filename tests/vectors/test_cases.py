"""The case book: kept as asked, judged by several people at once, and asked again when releases change."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.vectors.tiny_root import DAYS, MODEL, TinyRoot
from wxpipe.errors import DamagedError, NotFoundError, UsageError
from wxpipe.store.root import Root
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.case_changes import ask_again, changes, shown_by
from wxpipe.vectors.cases import (
    Case,
    add_case,
    get_case,
    give_verdict,
    list_cases,
    list_verdicts,
    remove_case,
    standing,
)
from wxpipe.vectors.release import build, promote
from wxpipe.vectors.search import search
from wxpipe.vectors.sql import run_sql
from wxpipe.vectors.times import TimeFilter

At = Callable[..., datetime]


@pytest.fixture
def serving(tiny: TinyRoot) -> TinyRoot:
    build(tiny.root)
    promote(tiny.root)
    return tiny


def keep(tiny: TinyRoot, request: SearchRequest, name: str = "front of March") -> Case:
    return add_case(tiny.root, name, request, search(tiny.root, request), "rain came early")


def sql(tiny: TinyRoot, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run_sql(tiny.root, query).to_pylist()]


def test_a_case_asks_what_was_asked(serving: TinyRoot, at: At) -> None:
    asked = [
        SearchRequest("tiny", at(3, 8), k=3, where="hour < 12", exclude_hours=3),
        SearchRequest("tiny-ea", at(4, 9, 15), unit="frame", episodes=False, rerank="ground-truth", k=5),
        SearchRequest("tiny", vector=[0.5] * 8, k=2, times=TimeFilter(season=(3, 4), years=(2010, 2012))),
    ]
    for number, request in enumerate(asked, 1):
        assert keep(serving, request).number == number
        case = get_case(serving.root, number)
        assert case.search_request() == request
        assert ask_again(serving.root, case).same
    assert sql(serving, "SELECT number, name, release, model, query, len(analogs) FROM cases") == [
        (1, "front of March", 1, MODEL, "tiny-ea/20110303T0800Z/6h20", len(get_case(serving.root, 1).analogs)),
        (2, "front of March", 1, MODEL, "tiny-ea/20110304T0915Z", 5),
        (3, "front of March", 1, MODEL, None, 2),
    ]


def test_people_write_at_once_and_nothing_is_lost(serving: TinyRoot, at: At) -> None:
    request = SearchRequest("tiny", at(3, 8), k=2)
    answer = search(serving.root, request)

    def add(n: int) -> int:
        return add_case(Root(serving.root.url), f"case {n}", request, answer).number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(add, range(8))) == list(range(1, 9))
    assert {case.name for case in list_cases(serving.root)} == {f"case {n}" for n in range(8)}
    case = get_case(serving.root, 1)

    def judge(n: int) -> int:
        return give_verdict(Root(serving.root.url), case, case.analogs[0].id, n % 2 == 0).number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(judge, range(8))) == list(range(1, 9))
    assert len(list_verdicts(serving.root, 1)) == 8


def test_a_mind_that_changed_is_one_verdict_and_both_are_kept(
    serving: TinyRoot, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = keep(serving, SearchRequest("tiny", at(3, 8), k=2))
    first = case.analogs[0].id
    give_verdict(serving.root, case, first, True, "same front")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    give_verdict(serving.root, case, first, True)
    monkeypatch.undo()
    give_verdict(serving.root, case, first, False, "on second thoughts, no")
    query = "SELECT number, useful, standing FROM verdicts WHERE case_number = 1 ORDER BY number"
    assert sql(serving, query) == [(1, True, False), (2, True, True), (3, False, True)]
    assert sql(serving, "SELECT avg(useful::INT) FROM verdicts JOIN clips ON clip_id = analog WHERE standing") == [
        (0.5,)
    ]
    assert len(standing(list_verdicts(serving.root))) == 2


def test_what_was_removed_is_shown_no_more_and_its_number_stays_taken(serving: TinyRoot, at: At) -> None:
    request = SearchRequest("tiny", at(3, 8), k=2)
    keep(serving, request)
    case = keep(serving, request, "second")
    give_verdict(serving.root, case, case.analogs[0].id, True)
    remove_case(serving.root, 2)
    assert [one.number for one in list_cases(serving.root)] == [1]
    assert sql(serving, "SELECT count(*) FROM verdicts") == [(0,)]
    assert keep(serving, request, "third").number == 3
    for number in (2, 9):
        with pytest.raises(NotFoundError, match=f"no case {number}; cases: 1, 3"):
            remove_case(serving.root, number)
    assert serving.root.objects.exists("cases/00000002/case.json")


def test_a_new_release_is_told_apart(serving: TinyRoot, at: At) -> None:
    """A day whose vectors changed and a day that went: what is new, what is gone, what moved, by which release."""
    case = keep(serving, SearchRequest("tiny", at(3, 8), k=3, episodes=False, where="hour = 9"))
    serving.write_vectors(DAYS[1], seed=5)
    serving.remove_day(DAYS[2])
    build(serving.root)
    promote(serving.root)
    again = ask_again(serving.root, case)
    assert again.answer is not None
    assert not again.same
    then, now = {a.id for a in case.analogs}, {a.id for a in again.answer.analogs}
    fates = {change.id: change.fate for change in again.changes}
    assert {name for name, fate in fates.items() if fate == "gone"} == then - now
    assert {name for name, fate in fates.items() if fate == "new"} == now - then
    assert {name for name, fate in fates.items() if fate == "kept"} == now & then
    assert again.sentence(case).startswith("release 2 against 1, the same model: ")
    gone = next(iter(then - now))
    assert shown_by(serving.root, case, gone) == (gone, 1)


def test_another_clip_of_the_same_episode_is_the_same_weather(serving: TinyRoot, at: At) -> None:
    request = SearchRequest("tiny", at(3, 8), k=2)
    answer = search(serving.root, request)
    case = add_case(serving.root, "front", request, answer)
    first, second = answer.analogs
    other = next(name for name in first.episode if name != first.id)
    moved = replace(answer, analogs=(replace(second, rank=1), replace(first, rank=2, id=other)))
    assert [(c.id, c.fate, c.rank, c.rank_then, c.stands_for) for c in changes(case, moved)] == [
        (second.id, "kept", 1, 2, None),
        (other, "same weather", 2, 1, first.id),
    ]
    alone = replace(answer, analogs=(replace(first, id="another", episode=("another",)),))
    assert [(c.id, c.fate) for c in changes(case, alone)] == [
        ("another", "new"), (first.id, "gone"), (second.id, "gone")
    ]  # fmt: skip


def test_a_query_that_is_gone_is_told_and_what_it_found_is_shown(serving: TinyRoot, at: At) -> None:
    case = keep(serving, SearchRequest("tiny", at(3, 8), k=3))
    serving.remove_day(DAYS[0])
    build(serving.root)
    promote(serving.root)
    again = ask_again(serving.root, case)
    assert again.answer is None
    assert "no clip of tiny-ea begins at 2011-03-03T08:00:00Z" in again.sentence(case)
    assert [change.fate for change in again.changes] == ["gone"] * len(case.analogs)


def test_an_analog_that_no_answer_shows_is_refused(serving: TinyRoot, at: At) -> None:
    case = keep(serving, SearchRequest("tiny", at(3, 8), k=2))
    assert shown_by(serving.root, case, "1") == (case.analogs[0].id, 1)
    with pytest.raises(UsageError, match=r"case 1 shows no analog '7'; its analogs: 1 tiny-ea/"):
        shown_by(serving.root, case, "7")


def test_what_cannot_be_kept_or_read_is_told(serving: TinyRoot, at: At) -> None:
    request = SearchRequest("tiny", at(3, 8), k=1)
    for name in ("", " ", "x" * 201):
        with pytest.raises(UsageError, match="needs a name"):
            keep(serving, request, name)
    case = keep(serving, request)
    with pytest.raises(UsageError, match="notes of 20,001"):
        give_verdict(serving.root, case, case.analogs[0].id, True, "x" * 20_001)
    later = serving.root.objects.get("cases/00000001/case.json").replace(b'"k"', b'"wind"')
    serving.root.objects.put("cases/00000001/case.json", later)
    with pytest.raises(UsageError, match="this version cannot ask for wind"):
        get_case(serving.root, 1).search_request()
    serving.root.objects.put("cases/00000001/case.json", b"{")
    with pytest.raises(DamagedError, match=r"cases/00000001/case\.json"):
        list_cases(serving.root)
