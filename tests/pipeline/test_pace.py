"""When a stage will be through: foretold by measured seconds, and only where that means something."""

from __future__ import annotations

from wxpipe.pipeline.pace import LEAST_DONE, Pace, told


def pace_of(partitions: dict[str, int], came: list[tuple[str, float]], workers: int = 1) -> tuple[Pace, float]:
    """A pace after some partitions came, one after another on each worker; and the time then."""
    pace, now = Pace(0.0), 0.0
    pace.more(partitions)
    for source, seconds in came:
        now += seconds / workers
        pace.came(source, seconds)
    return pace, now


def test_nothing_is_foretold_before_enough_has_come() -> None:
    few, now = pace_of({"coms-ea": 100}, [("coms-ea", 60.0)] * (LEAST_DONE - 1))
    assert few.left(now) is None
    soon, now = pace_of({"coms-ea": 100}, [("coms-ea", 0.1)] * LEAST_DONE)
    assert soon.left(now) is None
    assert told(None) == ""


def test_even_work_takes_what_it_took() -> None:
    pace, now = pace_of({"coms-ea": 100}, [("coms-ea", 10.0)] * 20)
    assert pace.left(now) == (800.0, 800.0)
    assert told(pace.left(now)) == "about 13 min left"


def test_workers_beside_each_other_halve_it() -> None:
    pace, now = pace_of({"coms-ea": 100}, [("coms-ea", 10.0)] * 20, workers=2)
    assert pace.left(now) == (400.0, 400.0)


def test_what_is_left_is_weighed_by_its_source_and_not_counted() -> None:
    came = [("coms-ea", 10.0)] * 10 + [("gk2a-ko", 40.0)] * 10
    pace, now = pace_of({"coms-ea": 10, "gk2a-ko": 60}, came)
    assert pace.left(now) == (2000.0, 2000.0), "fifty days of sixteen channels; by counts it would be 1250"


def test_of_sources_that_nobody_has_measured_nothing_is_foretold() -> None:
    pace, now = pace_of({"coms-ea": 20, "gk2a-ko": 60}, [("coms-ea", 10.0)] * 20)
    assert pace.left(now) is None
    mostly, now = pace_of({"coms-ea": 100, "gk2a-ko": 10}, [("coms-ea", 10.0)] * 20)
    assert mostly.left(now) == (900.0, 900.0)


def test_a_pace_that_changes_is_a_range_and_one_that_jumps_is_silence() -> None:
    slower, now = pace_of({"coms-ea": 300}, [("coms-ea", 10.0)] * 60 + [("coms-ea", 20.0)] * 40)
    left = slower.left(now)
    assert left is not None
    assert left[0] < left[1]
    assert told(left) == "47 min to 67 min left"
    jumps, now = pace_of({"coms-ea": 300}, [("coms-ea", 0.1)] * 160 + [("coms-ea", 60.0)] * 40)
    assert jumps.left(now) is None


def test_partitions_that_fail_are_not_awaited_any_more_and_tell_no_time() -> None:
    pace, now = pace_of({"coms-ea": 30}, [("coms-ea", 10.0)] * 10)
    for _ in range(10):
        pace.came("coms-ea", 0.0)
    assert pace.left(now) == (100.0, 100.0)


def test_the_end_is_no_longer_foretold() -> None:
    pace, now = pace_of({"coms-ea": 10}, [("coms-ea", 10.0)] * 10)
    assert pace.left(now) is None
