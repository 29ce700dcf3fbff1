"""How good an answer is: its best analog against those of other times, and what such analogs were followed by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer, Coming, Quality
from wxpipe.vectors.bands import chosen_bands
from wxpipe.vectors.happened import HOURS, OWN_HOURS, SEASON_DAYS, same_season_and_hour
from wxpipe.vectors.quality_sample import LEADS, Sample, read_sample
from wxpipe.vectors.records import Part

GOOD = 0.2
"""A best analog below this percentile is no good analog."""
LEAST = 20
"""Times that a percentile is told against: with fewer of the season and hour, those of all hours, then all."""
ROWS = 10
"""Of the reliability table, as many answers in each; fewer where that leaves less than `LEAST` of them."""


@dataclass(frozen=True)
class Reliability:
    """What came of past answers of one range of similarity.

    Attributes:
        low, high: similarity of the best analog, both inside.
        count: of past answers.
        after: by lead, what the frames that came then were like.
    """

    low: float
    high: float
    count: int
    after: tuple[Coming, ...]


def judged(root: Root, part: Part, answer: Answer) -> Answer:
    """An answer with its quality.

    It is known for searches by distance whose own day is left out; filters make it worse where they leave less, as
    they should: it is held against answers without any.
    """
    reason = _unknown(answer) or _other_bands(root, part, answer)
    if reason:
        return replace(answer, quality=Quality(why=reason))
    key = ("quality", part.model, answer.source, answer.unit, str(answer.release))
    try:
        if key not in root.memo:
            root.memo[key] = read_sample(root, part, answer.source, answer.unit)
    except DamagedError as error:  # an answer of unknown quality is worth more than none
        return replace(answer, quality=Quality(why=str(error)))
    sample: Sample | None = root.memo[key]
    if sample is None:
        return replace(answer, quality=Quality(why="nothing was measured yet; `wxpipe quality measure` does"))
    assert answer.query.start is not None
    similarity = answer.analogs[0].similarity
    assert similarity is not None
    return replace(answer, quality=quality_of(sample, int(answer.query.start.timestamp()), similarity))


def _unknown(answer: Answer) -> str:
    if answer.query.start is None:
        return "the query is a vector: it has no time, and nothing that it could be compared by"
    if answer.rerank is not None:
        return "it is measured for analogs by distance; ask without re-ranking"
    if answer.excluded_hours < OWN_HOURS:
        return f"the query's own {OWN_HOURS} hours are not left out: its neighbours in time are no analogs"
    if not answer.analogs or answer.analogs[0].similarity is None:
        return "there is no analog" if not answer.analogs else "the best analog has no histograms to compare by"
    return ""


def _other_bands(root: Root, part: Part, answer: Answer) -> str:
    query = answer.query
    usual = chosen_bands(root, root.source(answer.source), part.model, "auto", query.start, query.end)
    if usual.channels == answer.channels:
        return ""
    return f"it is measured for the bands {usual.preset}, which are compared at such a time where none are asked for"


def quality_of(sample: Sample, query: int, similarity: float) -> Quality:
    """The quality of an answer.

    Args:
        query: epoch seconds at which the query begins; answers of its own day are not counted.
        similarity: of its best analog, by the ground truth.
    """
    known = sample.take(~np.isnan(sample.similarity) & (np.abs(sample.starts - query) > OWN_HOURS * 3600))
    others, are = _comparable(known, query)
    if len(others) < LEAST:
        return Quality(why=f"only {len(others)} past answers were measured; at least {LEAST} are needed")
    below = (others.similarity < similarity).sum() + (others.similarity == similarity).sum() / 2
    percentile = float(below / len(others))
    rows = reliability(known)
    row = next((row for row in rows if similarity <= row.high), rows[-1])
    return Quality(percentile, percentile >= GOOD, len(others), are, row.after)


def _comparable(known: Sample, query: int) -> tuple[Sample, str]:
    """Answers of the season and hour; where they are few, of the season, or all."""
    of_both = same_season_and_hour(known.starts, query)
    if of_both.sum() >= LEAST:
        return known.take(of_both), f"within {SEASON_DAYS} days of the season and {HOURS} h of the time of day"
    days = [query + hours * 3600 for hours in range(0, 24, HOURS)]
    of_season = np.any([same_season_and_hour(known.starts, moment) for moment in days], axis=0)
    if of_season.sum() >= LEAST:
        return known.take(of_season), f"within {SEASON_DAYS} days of the season"
    return known, "of all times"


def reliability(sample: Sample, rows: int = ROWS) -> list[Reliability]:
    """What came of past answers by the similarity of their best analog, the worst first."""
    known = sample.take(~np.isnan(sample.similarity))
    known = known.take(np.argsort(known.similarity, kind="stable"))
    parts = np.array_split(np.arange(len(known)), max(1, min(rows, len(known) // LEAST)))
    return [_row(known.take(places)) for places in parts if len(places)]


def _row(part: Sample) -> Reliability:
    after = tuple(_coming(lead, part.after[:, n], part.by_chance[:, n]) for n, lead in enumerate(LEADS))
    return Reliability(float(part.similarity[0]), float(part.similarity[-1]), len(part), after)


def _coming(lead: int, after: npt.NDArray[np.float64], by_chance: npt.NDArray[np.float64]) -> Coming:
    there, drawn = after[~np.isnan(after)], by_chance[~np.isnan(by_chance)]
    if not len(there):
        return Coming(lead, None, None, None, None)
    low, high = (float(value) for value in np.quantile(there, (0.1, 0.9)))
    return Coming(lead, float(there.mean()), low, high, float(drawn.mean()) if len(drawn) else None)


def table_document(rows: list[Reliability]) -> list[dict[str, Any]]:
    """A reliability table as JSON values."""
    return [
        {"low": row.low, "high": row.high, "count": row.count, "after": [coming.document() for coming in row.after]}
        for row in rows
    ]
