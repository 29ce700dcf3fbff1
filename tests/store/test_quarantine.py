"""What was put aside stays readable with its reason, whatever the file was called."""

from __future__ import annotations

import random
import tempfile
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.store.objects import LocalObjects, Objects
from wxpipe.store.quarantine import QuarantineStore, Record
from wxpipe.store.stage import fingerprint_of

DAY = date(2011, 3, 3)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
RECORDS = st.builds(
    Record,
    path=ANY_TEXT,
    reason=ANY_TEXT,
    expected=ANY_TEXT,
    found=ANY_TEXT,
    kind=st.sampled_from(["quarantined", "suspect", "duplicate"]),
    channel=st.text(max_size=5),
    slot=st.integers(-1, 10**6),
    digest=st.text("0123456789abcdef"),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(RECORDS, max_size=6))
def test_records_come_back_sorted_whatever_their_order(records: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = QuarantineStore(LocalObjects(folder))
        store.replace("ingest", "coms-ea", DAY, records)
        first = list(LocalObjects(folder).walk())
        assert store.get("ingest", "coms-ea", DAY) == sorted(records)
        data = LocalObjects(folder).get(first[0].key) if first else b""
        random.Random(1).shuffle(records)
        store.replace("ingest", "coms-ea", DAY, records)
        assert not first or LocalObjects(folder).get(first[0].key) == data


def test_a_file_name_that_is_no_text_is_kept_and_fingerprinted(objects: Objects) -> None:
    """A name in Latin-1, say, that a listing gives as Python gives it: with a lone surrogate."""
    name = b"donn\xe9es/coms.png".decode("utf-8", "surrogateescape")
    store = QuarantineStore(objects)
    store.replace("ingest", "coms-ea", DAY, [Record(name, "truncated")])
    assert store.get("ingest", "coms-ea", DAY) == [Record(name, "truncated")]
    assert fingerprint_of(files=[name]) != fingerprint_of(files=["donnees/coms.png"])


def test_a_day_that_was_mended_has_nothing_left(objects: Objects) -> None:
    store = QuarantineStore(objects)
    store.replace("ingest", "coms-ea", DAY, [])
    store.replace("ingest", "coms-ea", DAY, [Record("a.png", "truncated")])
    store.replace("ingest", "coms-ea", DAY, [])
    assert store.get("ingest", "coms-ea", DAY) == []
    assert list(objects.walk()) == []


def test_everything_put_aside_is_listed_in_order_or_by_source(objects: Objects) -> None:
    store = QuarantineStore(objects)
    for stage, source, day in [("scan", "coms-ea", 2), ("ingest", "gk2a-ea", 1), ("ingest", "coms-ea", 3),
                               ("ingest", "coms-ea", 1)]:  # fmt: skip
        records = [Record(f"{stage}-{source}-{day}-{n}", "why") for n in (1, 0)]
        store.replace(stage, source, date(2011, 3, day), records)
    paths = [record.path for *_, record in store.all()]
    assert paths == [
        "ingest-coms-ea-1-0", "ingest-coms-ea-1-1", "ingest-coms-ea-3-0", "ingest-coms-ea-3-1",
        "ingest-gk2a-ea-1-0", "ingest-gk2a-ea-1-1", "scan-coms-ea-2-0", "scan-coms-ea-2-1",
    ]  # fmt: skip
    assert {source for _, source, _, _ in store.all("gk2a-ea")} == {"gk2a-ea"}
    assert [(stage, day) for stage, _, day, _ in store.all("gk2a-ea")] == [("ingest", date(2011, 3, 1))] * 2
    assert list(store.all("nothing")) == []
