"""Requests: numbered once whoever races, never changed, and covering just what they say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxpipe.errors import WxpipeError
from wxpipe.store.objects import LocalObjects
from wxpipe.store.requests import Request, Requests

DAY = date(2020, 3, 1)
DAYS = st.integers(0, 20).map(lambda n: DAY + timedelta(days=n))
STAGES, SOURCES = ("ingest", "histograms", "train"), ("coms-ea", "mini-t")


def test_what_is_recorded_comes_back_with_who_and_when(tmp_path):
    requests = Requests(LocalObjects(tmp_path))
    asked = Request("reprocess", "a better mask: größer", ("ingest",), ("coms-ea",), DAY, DAY + timedelta(days=3))
    made = requests.record(asked)
    assert made.number == 1
    assert "@" in made.who
    assert made.when.startswith("20")
    assert list(Requests(LocalObjects(tmp_path)).all()) == [made]


def test_racing_requests_all_have_numbers_of_their_own(tmp_path):
    def ask(n: int) -> int:
        return Requests(LocalObjects(tmp_path)).record(Request("retry", str(n))).number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(ask, range(40)))
    assert sorted(numbers) == list(range(1, 41))
    assert {r.why for r in Requests(LocalObjects(tmp_path)).all()} == {str(n) for n in range(40)}


@given(
    st.lists(st.sampled_from(STAGES), max_size=2), st.lists(st.sampled_from(SOURCES), max_size=1),
    st.none() | DAYS, st.none() | DAYS, st.sampled_from(STAGES), st.sampled_from(SOURCES), DAYS,
)  # fmt: skip
def test_a_request_covers_its_stages_sources_and_days(stages, sources, first, last, stage, source, day):
    request = Request("reprocess", "", tuple(stages), tuple(sources), first, last)
    within = (first is None or first <= day) and (last is None or day <= last)
    expected = (not stages or stage in stages) and (not sources or source in sources) and within
    assert request.covers(stage, source, day, f"{source}/{day}") == expected


def test_named_partitions_are_covered_and_no_others(tmp_path):
    requests = Requests(LocalObjects(tmp_path))
    requests.record(Request("repair", "bit flip", ("ingest",), partitions=(f"coms-ea/{DAY}",)))
    requests.record(Request("reprocess", "all", ("train",), ("coms-ea",)))
    assert requests.latest("ingest", "coms-ea", DAY, f"coms-ea/{DAY}") == 1
    assert requests.latest("ingest", "coms-ea", DAY + timedelta(days=1), f"coms-ea/{DAY + timedelta(days=1)}") == 0
    assert requests.latest("train", "", None, "coms-ea") == 2
    assert requests.latest("train", "", None, "mini-t") == 0


def test_a_damaged_request_is_named(tmp_path):
    objects = LocalObjects(tmp_path)
    objects.put("requests/00000001.json", b"{}")
    with pytest.raises(WxpipeError, match=r"requests/00000001.json: not a request"):
        Requests(objects).all()
