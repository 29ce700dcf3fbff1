"""Searches by region and cells over HTTP: the words that are taken, and what is answered where they mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.service.running import Running
from tests.vectors.cells_root import make_cells_root, sky
from wxpipe.errors import UsageError
from wxpipe.service.opened import Opened
from wxpipe.service.words import SearchBody, SearchWords
from wxpipe.store.root import Root
from wxpipe.vectors.records import require_current
from wxpipe.vectors.release import build, promote


@pytest.mark.parametrize(
    ("words", "status", "fault"),
    [
        ({"region": "atlantis"}, 422, "no region is called 'atlantis'"),
        ({"cells": "24.0"}, 422, "rows and columns are 0 to 23"),
        ({"cells": "'; DROP"}, 422, "expected row.column"),
        ({"cells": "1.1", "shift": "3"}, 422, "shift"),
        ({"shift": "1"}, 422, "name a region, or cells"),
        ({"cells": "1.1", "region": "atlantis"}, 422, "one of the two"),
        ({"cells": "0.0-23.23"}, 422, "at most 144"),
        ({"cells": "1.1 " * 65}, 422, "cells"),
        ({"cells": "1.1"}, 404, "wxpipe cells build"),
    ],
)
def test_what_is_no_region_and_no_cells_is_refused(
    service: Running, words: dict[str, str], status: int, fault: str
) -> None:
    asked = {"satellite": "tiny", "at": "2011-03-03T08:00Z", **words}
    answers = [service.client.get("/v1/search", params=asked)]
    if "shift" not in words:  # a body has numbers
        answers.append(service.client.post("/v1/search", json=asked))
    for answer in answers:
        assert answer.status_code // 100 == 4
        assert (answer.status_code == 404) == (status == 404)
        assert fault in answer.text


def test_a_search_by_region_is_answered_with_its_shifts(tmp_path: Path) -> None:
    from tests.vectors.cells_root import DAYS

    tiny = make_cells_root(tmp_path / "root", {DAYS[1]: sky(1, moved=(1, 0)), DAYS[-1]: sky(1)})
    tiny.copy()
    build(tiny.root)
    promote(tiny.root)
    root = Root(tiny.root.url)
    opened = Opened(root, require_current(root))
    words = SearchWords(satellite="tiny", at="2011-03-07T08:00Z", region="bay", shift=1, k=1)
    found = opened.search(words.request(opened)).document()
    assert (found["region"], found["cells"], found["index"]) == ("bay", 4, "exact")
    assert (found["analogs"][0]["start"], found["analogs"][0]["shift"]) == ("2011-02-28T08:00:00Z", [1, 0])


def test_a_vector_has_no_region() -> None:
    with pytest.raises(UsageError, match="by its time"):
        SearchBody(satellite="tiny", vector=[1.0], region="bay").request(None)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        SearchWords(satellite="tiny", at="2011-03-07T08:00Z", cells="1" * 300)
