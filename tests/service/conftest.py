"""Fixtures of the service's tests: a small real root, and servers in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.running import Running, running
from tests.vectors.tiny_root import DAYS, TinyRoot, make_root
from wxpipe.vectors.event_import import import_events
from wxpipe.vectors.release import build, promote

EVENTS = """start,end,type,region,value,source
2011-03-04T15:00Z,2011-03-04T18:00Z,heavy rain,Seoul,31.5,KMA
2011-03-06T02:00Z,,gale,Yellow Sea,,KMA
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRoot:
    """Three days, a promoted release, two events; to be read only."""
    folder = tmp_path_factory.mktemp("service")
    made = make_root(folder / "root")
    (folder / "warnings.csv").write_text(EVENTS)
    march = (1298937600, 1301616000)
    import_events(made.root, folder / "warnings.csv", covers=march)
    files = {"files": 98, "files_stored": 96, "files_quarantined": 2, "files_duplicate": 0, "files_vanished": 0}
    for day in DAYS:
        made.done("ingest", day, "pictures", files)
    build(made.root)
    promote(made.root)
    return made


@pytest.fixture(scope="session")
def service(tiny: TinyRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of that root, whose limits nobody reaches; tests of one worker share it."""
    log = tmp_path_factory.mktemp("log") / "service.log"
    with running(Path(tiny.root.url), WXPIPE_LOG=str(log), WXPIPE_SERVICE_RATE="100000",
                 WXPIPE_SERVICE_BURST="100000", WXPIPE_SERVICE_SECONDS="600") as found:  # fmt: skip
        found.log = log
        yield found
