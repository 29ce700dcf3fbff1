"""The whole pipeline with root and archive in buckets: through faults, killed, two at once, it comes to one content."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mini import (
    SOURCE,
    UP_TO_CLIPS,
    Archive,
    Undisturbed,
    check_up_to_clips,
    check_whole,
    end,
    kill_group,
    start,
    wxpipe,
)
from tests.s3 import KEY, SECRET, credentials, faulty, make_bucket, upload
from wxpipe.store.objects import open_objects

SHARE = 0.05
IMPATIENT = {"WXPIPE_S3_TIMEOUT_SECONDS": "3"}
"""So that a hanging request does not hold a test up; long enough for an endpoint on a busy machine."""


@dataclass(frozen=True)
class Buckets:
    """A bucket for one test, with raw pictures in it."""

    url: str
    port: int
    site: Path

    @property
    def root(self) -> str:
        return f"{self.url}/a root"

    @property
    def archive(self) -> str:
        return f"{self.url}/archive"

    def backfill(self, *options: str) -> tuple[str, ...]:
        """Arguments of a backfill without Prefect."""
        archive = ("--archive", self.archive, "--satellites", str(self.site))
        return ("backfill", *archive, "--root", self.root, "--direct", *options)


@pytest.fixture
def buckets(
    s3_port: int, two_days: Archive, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Buckets:
    """Two days of raw pictures in a bucket, and the environment that leads to it."""
    for name, value in credentials(s3_port).items():
        monkeypatch.setenv(name, value)
    made = Buckets(make_bucket(s3_port, request.node.nodeid), s3_port, two_days.site)
    upload(two_days.pictures, made.archive)
    return made


AT, CLIP, OTHER = "2020-03-01T08:00Z", f"{SOURCE}/20200301T0800Z/6h20", f"{SOURCE}/20200302T0300Z/6h20"
OFTEN: dict[tuple[str, ...], str] = {
    ("search", "--satellite", "mini", "--at", AT, "--exclude-hours", "6", "--json"): '"analogs"',
    ("sql", "SELECT count(*) AS n FROM pictures WHERE status = 'good'"): "382",
}
SELDOM: dict[tuple[str, ...], str] = {
    ("plan",): "",
    ("status", "--json"): '"reconciled": true',
    ("validate",): "",
    ("similarity", CLIP, OTHER, "--json"): '"similarity"',
    ("release", "list"): "yes",
    ("release", "build"): "newest release: 1",
    ("release", "maintain"): "",
    ("digest",): "sha256:",
}


@pytest.mark.slow
@pytest.mark.parametrize("verbs", [OFTEN, {**OFTEN, **SELDOM}])
def test_the_verbs_work_on_a_bucket_and_nothing_secret_is_said_or_written(
    verbs: dict[tuple[str, ...], str], buckets: Buckets, first_run: Undisturbed
) -> None:
    """A root in a bucket, of an archive in a bucket, has the digest of a local root of the same pictures."""
    status, said = wxpipe(*buckets.backfill())
    assert status == 0, said
    check_whole(buckets.root, first_run)
    told = [said]
    for arguments, expected in verbs.items():
        status, said = wxpipe(*arguments, "--root", buckets.root)
        assert status == 0, f"{arguments}: {said}"
        assert expected in said
        told.append(said)
    objects = open_objects(buckets.url)
    written = objects.get_many([info.key for info in objects.walk() if not info.key.startswith("archive/")])
    for secret in (KEY, SECRET):
        assert secret not in "".join(told)
        assert not any(secret.encode() in (data or b"") for data in written)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_faults_of_one_request_in_twenty_change_nothing(
    seed: int, buckets: Buckets, first_run: Undisturbed, tmp_path: Path
) -> None:
    log = tmp_path / "requests"
    with faulty(buckets.port, SHARE, seed, log) as endpoint:
        status, said = wxpipe(*buckets.backfill(), AWS_ENDPOINT_URL=endpoint, **IMPATIENT)
    assert status == 0, said
    assert len({line.split()[1] for line in log.read_text().splitlines()}) == 9, "not every kind of fault came up"
    check_whole(buckets.root, first_run)


def test_killed_in_a_store_with_faults_and_gone_on_with_by_two_at_once(
    buckets: Buckets, first_run: Undisturbed, tmp_path: Path
) -> None:
    """Of one request in twenty something goes wrong, and nothing of it shows."""
    log = tmp_path / "requests"
    with faulty(buckets.port, SHARE, 1, log) as endpoint:
        there = {"AWS_ENDPOINT_URL": endpoint, **IMPATIENT}
        at = "2 after put ledger/ingest/"  # the first one announces that it begins
        status, said = wxpipe(*buckets.backfill(), WXPIPE_KILL_AT=f"{at}:{tmp_path / 'killed'}", **there)
        assert status == -signal.SIGKILL, said
        check_two_at_once(buckets, 10, there)
    assert len({line.split()[1] for line in log.read_text().splitlines()}) == 9, "not every kind of fault came up"
    check_whole(buckets.root, first_run)


def check_two_at_once(buckets: Buckets, partitions: int, there: dict[str, str]) -> None:
    """Two runs of one range that both end well, and do everything once between them."""
    runs = [start(*buckets.backfill(), **there) for _ in range(2)]
    try:
        ended = [end(run) for run in runs]
    finally:
        for run in runs:
            kill_group(run)
    assert [status for status, _ in ended] == [0, 0], "\n".join(said for _, said in ended)
    done = [int(count) for _, said in ended for count in re.findall(r"(\d+) partitions done", said)]
    assert sum(done) == partitions, "a partition was done twice, or by nobody"


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "after put-if-absent leases/scan/",
        "before put-if-absent wxpipe.toml",
        f"after put frames/{SOURCE}.zarr/picture/",
        "after put models/",
        "before put vectors/",
        "after create clips-",
        "after add frames-",
        "after tag clips-",
        "before put-if-absent promotions/",
    ],
)
def test_killed_in_a_store_with_faults_and_started_again(
    point: str, buckets: Buckets, first_run: Undisturbed, tmp_path: Path
) -> None:
    seed = len(point)
    with faulty(buckets.port, SHARE, seed, tmp_path / "requests") as endpoint:
        there = {"AWS_ENDPOINT_URL": endpoint, **IMPATIENT}
        status, said = wxpipe(*buckets.backfill(), WXPIPE_KILL_AT=f"1 {point}:{tmp_path / 'killed'}", **there)
        assert status == -signal.SIGKILL, said
        status, said = wxpipe(*buckets.backfill(), **there)
    assert status == 0, said
    check_whole(buckets.root, first_run)


@pytest.mark.slow
def test_two_at_once_from_the_beginning(buckets: Buckets, first_run: Undisturbed, tmp_path: Path) -> None:
    with faulty(buckets.port, SHARE, 77, tmp_path / "requests") as endpoint:
        check_two_at_once(buckets, 11, {"AWS_ENDPOINT_URL": endpoint, **IMPATIENT})
    check_whole(buckets.root, first_run)


@pytest.mark.slow
def test_dask_workers_write_to_a_bucket_with_faults(buckets: Buckets, first_run: Undisturbed, tmp_path: Path) -> None:
    with faulty(buckets.port, SHARE, 5, tmp_path / "requests") as endpoint:
        status, said = wxpipe(*buckets.backfill("--workers", "2"), AWS_ENDPOINT_URL=endpoint, **IMPATIENT)
    assert status == 0, said
    check_whole(buckets.root, first_run)


@pytest.mark.slow
def test_uploaded_again_with_the_same_bytes_is_nothing_new_and_with_others_its_day_is(
    buckets: Buckets, two_days: Archive, first_run: Undisturbed
) -> None:
    """An ETag names content: unlike a file that is touched, a picture that is uploaded again has changed in nothing."""
    status, said = wxpipe(*buckets.backfill(*UP_TO_CLIPS))
    assert status == 0, said
    check_up_to_clips(buckets.root, first_run)
    upload(two_days.pictures, buckets.archive)
    status, said = wxpipe(*buckets.backfill(*UP_TO_CLIPS))
    assert (status, "nothing to do" in said) == (0, True), said
    one = sorted(two_days.pictures.rglob("*202003021200.png"))[0]
    other = sorted(two_days.pictures.rglob(f"{one.name.rpartition('_')[0]}_202003021215.png"))[0]
    objects, key = open_objects(buckets.archive), one.relative_to(two_days.pictures).as_posix()
    objects.put(key, other.read_bytes())
    status, said = wxpipe(*buckets.backfill(*UP_TO_CLIPS))
    assert status == 3, said  # a stale copy is put aside, or doubted
    assert "nothing to do" not in said
    upload(two_days.pictures, buckets.archive)
    status, said = wxpipe(*buckets.backfill(*UP_TO_CLIPS))
    assert status == 0, said
    check_up_to_clips(buckets.root, first_run)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "is the store up, and is this its address?"),
        ({"bucket": "s3://there-is-none"}, "no such bucket; make it, or check its name"),
        ({"bucket": f"s3://{KEY}:{SECRET}@bucket"}, "give them in the environment"),
    ],
)
def test_what_leads_nowhere_is_told_in_one_line_and_soon(
    wrong: dict[str, str], expected: str, buckets: Buckets
) -> None:
    environment = {name: value for name, value in wrong.items() if name != "bucket"}
    root = f"{wrong.get('bucket', buckets.url)}/root"
    for arguments in (
        ("status", "--root", root),
        ("backfill", "--archive", root, "--root", f"{buckets.url}/new", "--direct"),
    ):
        status, said = end(start(*arguments, **environment), seconds=60)
        assert status in (1, 2), said
        assert expected in " ".join(said.split())
        assert SECRET not in said
        assert "Traceback" not in said
    if "@" in root:
        assert open_objects(f"{buckets.url}/new").names() == [], "a root was made for an archive that is refused"
