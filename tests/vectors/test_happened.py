"""What happened after an answer's analogs: events of the root, after the right moments, against the right times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.vectors.tiny_root import TinyRoot, copy_of
from wxpipe.errors import UsageError
from wxpipe.vectors.answers import Answer, SearchRequest
from wxpipe.vectors.event_import import import_events
from wxpipe.vectors.happened import event_kinds, same_season_and_hour, what_happened
from wxpipe.vectors.search import search

At = Callable[..., datetime]
HEADER = "start,end,type,region,value,source\n"


@pytest.fixture
def eventful(served: TinyRoot, tmp_path: Path) -> TinyRoot:
    """A served root with rain after noon of 4 March, gales in two regions, and a first of March and a last."""
    return copy_of(Path(served.root.url), tmp_path / "root")


def bring(tiny: TinyRoot, folder: Path, *lines: str, covers: tuple[int, int] | None = None) -> None:
    file = folder / "events.csv"
    file.write_text(HEADER + "\n".join(lines))
    assert not import_events(tiny.root, file, covers=covers).made.quarantined


def march(*days: int) -> tuple[int, int]:
    first, last = (int(datetime(2011, 3, day, tzinfo=UTC).timestamp()) for day in days)
    return first, last


@pytest.fixture
def answer(served: TinyRoot, at: At) -> Answer:
    """Analogs of 08:00 on 3 March; the root has clips that begin from 06:00 to 13:00 on 3, 4 and 6 March."""
    return search(served.root, SearchRequest("tiny", at(3, 8), k=40, episodes=False))


def test_clips_count_from_their_end_and_frames_from_their_time(
    eventful: TinyRoot, tmp_path: Path, at: At, answer: Answer
) -> None:
    bring(eventful, tmp_path, "2011-03-04T15:00Z,,rain,,,KMA", covers=march(1, 9))
    (told,) = what_happened(eventful.root, answer, 2)
    ends = [analog.end for analog in answer.analogs]
    expected = [n for n, end in enumerate(ends, 1) if end and at(4, 13) <= end < at(4, 15)]
    assert expected
    assert list(told.ranks) == expected
    assert (told.analogs, told.unknown) == (40, 0)
    frames = search(eventful.root, SearchRequest("tiny", at(3, 8), unit="frame", k=90, episodes=False))
    (told,) = what_happened(eventful.root, frames, 2)
    expected = [a.rank for a in frames.analogs if at(4, 13) <= a.start < at(4, 15)]
    assert expected
    assert list(told.ranks) == expected


def test_climatology_is_of_season_and_hour_without_the_querys_own_day(
    eventful: TinyRoot, tmp_path: Path, at: At, answer: Answer
) -> None:
    bring(eventful, tmp_path, "2011-03-06T13:00Z,2011-03-06T14:00Z,rain,,,KMA", covers=march(1, 9))
    (told,) = what_happened(eventful.root, answer, 3)
    # Clips that begin from 06:00 to 11:00 (3 h around 08:00) of 4 and 6 March; 4 March's own before 08:15 are left out.
    assert told.comparable == (21 - 9) + 21
    ends = [at(6, 12) + timedelta(minutes=15 * n) for n in range(21)]
    hits = sum(end < at(6, 14) and end + timedelta(hours=3) >= at(6, 13) for end in ends)
    assert told.climatology == pytest.approx(hits / told.comparable)
    assert told.comparable_are == "clips within 45 days of the season and 3 h of the time of day"
    bare = search(eventful.root, SearchRequest("tiny", vector=[0.0] * 8, k=3))
    (told,) = what_happened(eventful.root, bare, 3)
    assert (told.comparable, told.comparable_are) == (87, "all clips")


def test_a_type_is_unknown_where_it_is_not_recorded(eventful: TinyRoot, tmp_path: Path, answer: Answer) -> None:
    """By the file's own first and last event of the type, unless it says for which days it is complete."""
    lines = ("2011-03-01T00:00Z,,fog,,,KMA", "2011-03-05T00:00Z,,fog,,,KMA", "2011-03-20T00:00Z,,snow,,,KMA")
    bring(eventful, tmp_path, *lines)
    told = {one.type: one for one in what_happened(eventful.root, answer, 6)}
    days = [analog.start.day for analog in answer.analogs]
    assert told["fog"].analogs == sum(
        analog.end is not None and analog.end <= datetime(2011, 3, 4, 18, tzinfo=UTC) for analog in answer.analogs
    )
    assert told["fog"].unknown >= days.count(6)
    assert (told["snow"].analogs, told["snow"].interval) == (0, None)
    bring(eventful, tmp_path, *lines, covers=march(1, 9))
    assert {one.unknown for one in what_happened(eventful.root, answer, 6)} == {0}


def test_regions_stand_beside_the_whole(eventful: TinyRoot, tmp_path: Path) -> None:
    lines = ["gale,Yellow Sea", "gale,East Sea", "gale,East Sea", "fog,Seoul", "snow,", "hail,", "hail,Busan"]
    bring(eventful, tmp_path, *(f"2011-03-0{n + 1}T00:00Z,,{line},,KMA" for n, line in enumerate(lines)))
    found = [(kind.type, kind.region, len(kind.begins)) for kind in event_kinds(eventful.root)]
    assert sorted(found, key=str) == [
        ("fog", "Seoul", 1), ("gale", "East Sea", 2), ("gale", "Yellow Sea", 1), ("gale", None, 3),
        ("hail", "Busan", 1), ("hail", None, 2), ("snow", None, 1),
    ]  # fmt: skip


def test_a_filter_says_what_counts_as_an_event(eventful: TinyRoot, tmp_path: Path, answer: Answer) -> None:
    """Observations come at every hour: a threshold makes events of them, and the record stays that of all."""
    hours = [f"2011-03-{1 + n // 24:02d}T{n % 24:02d}:00Z,,mm,Seoul,{40 if n == 87 else 1},KMA" for n in range(24 * 8)]
    bring(eventful, tmp_path, *hours)
    (every,) = what_happened(eventful.root, answer, 2)
    assert every.occurred == every.analogs == 40
    (heavy,) = what_happened(eventful.root, answer, 2, "value >= 30")
    assert heavy.analogs == 40
    assert 0 < heavy.occurred < 10
    assert what_happened(eventful.root, answer, 2, "value > 100") == ()
    for wrong in ("valu > 3", "1=1) OR (1=1", "value > (SELECT 1 FROM nobody)"):
        with pytest.raises(UsageError, match="events where"):
            what_happened(eventful.root, answer, 2, wrong)


def test_analogs_an_hour_apart_are_not_ten(eventful: TinyRoot, tmp_path: Path, answer: Answer, at: At) -> None:
    bring(eventful, tmp_path, "2011-03-04T15:00Z,,rain,,,KMA", covers=march(1, 9))
    (told,) = what_happened(eventful.root, answer, 12)
    assert not told.distinct
    assert told.effective < 5
    episodes = search(eventful.root, SearchRequest("tiny", at(3, 8), k=2, where="hour = 8"))
    (apart,) = what_happened(eventful.root, episodes, 12)
    assert apart.distinct


def test_an_answer_without_events_and_a_window_without_length(eventful: TinyRoot, answer: Answer) -> None:
    assert what_happened(eventful.root, answer, 12) == ()
    for hours in (0, -1, float("nan"), 1e6):
        with pytest.raises(UsageError, match="events within"):
            what_happened(eventful.root, answer, hours)
    document = replace(answer, happened=()).document()
    assert document["happened"] == []
    assert "happened" not in answer.document()


def test_seasons_meet_at_new_year_and_hours_at_midnight() -> None:
    def epoch(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())

    query = epoch("2015-01-05T23:30")
    times = {
        "2003-12-01T23:30": True, "2019-02-15T01:00": True, "2014-12-25T20:45": True,
        "2012-11-15T23:30": False, "2016-02-25T23:30": False, "2015-07-05T23:30": False,
        "2015-01-10T12:00": False, "2015-01-10T03:00": False,
    }  # fmt: skip
    found = same_season_and_hour(np.array([epoch(time) for time in times]), query)
    assert found.tolist() == list(times.values())
