"""The judge: how well a model's vectors rank held-out clips as the ground truth does, beside rows that keep it honest.

`Evaluation.document` is what is stored of a judgement; `page` shows it to a person. Nothing is written into the root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe import __version__
from wxpipe.archive.truth import TRUTH_FILE, Truth, read_truth
from wxpipe.embedding.cards import ModelCard
from wxpipe.embedding.train_stage import current_model, read_model_card
from wxpipe.errors import NotFoundError, RefusedError, UsageError
from wxpipe.evaluation.bootstrap import FEW_EVENTS, FEWEST_EVENTS, Estimate, Gain, estimate, gain, multiplicities
from wxpipe.evaluation.events import OWN_SECONDS, Events, apart, distant, events_of
from wxpipe.evaluation.figures import NEIGHBOURS, Figure, Task
from wxpipe.evaluation.frame_reader import FrameReader, common_channels
from wxpipe.evaluation.judged import JUDGED_SPLITS, HeldOut, JudgedClips, JudgedSplit, draw_clips, held_out
from wxpipe.evaluation.rows import TRAINED, UNTRAINED, Bench, Row, ground_truth, judged_rows
from wxpipe.satellites.catalog import Source
from wxpipe.store.root import Root
from wxpipe.store.stage import fingerprint_of

FORMAT = 1
"""Version of `Evaluation.document`; fields may be added, not changed."""
QUERIES_AT_ONCE = 256
TRUTH = "ground truth"
"""What progress calls the part before the rows."""

Tell = Callable[[str, int, int], None]
"""Is told the row that is being made, how much of it is done, and of how much."""
Distances = npt.NDArray[np.float32]


def tell_nobody(row: str, done: int, of: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is judged, and how.

    Attributes:
        model: string of a model, ``<name>-<fingerprint>``; empty for the one that is current for the source.
        clips: at most so many are judged.
        seed: of every draw: clips, random vectors, resamples.
        split: whose clips.
        resamples: of the events, for the intervals.
    """

    model: str = ""
    clips: int = 1000
    seed: int = 1
    split: JudgedSplit = "test"
    resamples: int = 200

    def __post_init__(self) -> None:
        if self.split not in JUDGED_SPLITS:
            raise UsageError(f"split is {self.split!r}; choose one of {', '.join(JUDGED_SPLITS)}")
        if self.resamples < 1:
            raise UsageError(f"{self.resamples} resamples; an interval takes at least 1, e.g. 200")


@dataclass(frozen=True, eq=False)
class JudgedRow:
    """What a row came to.

    Attributes:
        figures: by the names of `COLUMNS`.
        recall: recall@k for k of 1 on, float64 (k,).
        distances: float32 (n, n), for plots.
    """

    name: str
    summary: str
    figures: Mapping[str, Estimate]
    recall: npt.NDArray[np.float64]
    distances: Distances


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A judgement, and all that it depends on.

    Attributes:
        gains: what the trained model has over its untrained self, by the names of `COLUMNS`; empty where nothing was
            trained.
        by_chance: recall@k of answers drawn at random, for k of 1 on.
        truth_file: path and SHA-256, where one was given.
        channels: names of those that were compared.
        notes: what a reader must know besides the figures.
    """

    root: str
    source: str
    model: str
    card: ModelCard
    settings: EvaluationSettings
    histograms: str
    clips: JudgedClips
    held: HeldOut
    events: Events
    truth_file: tuple[str, str] | None
    channels: tuple[str, ...]
    rows: Mapping[str, JudgedRow]
    gains: Mapping[str, Gain]
    by_chance: npt.NDArray[np.float64]
    pairs: Mapping[str, int]
    queries: int
    truth: Distances = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def model_row(self) -> str:
        """The name of the row that is the model's."""
        return TRAINED if self.card.trained else self.card.name

    def document(self) -> dict[str, Any]:
        """The judgement as JSON values; two judgements of the same thing are equal.

        ::

            {"format": 1, "root": "...", "source": "coms-ea", "split": "test", "seen_in_training": "no|yes|unknown",
             "model": {"model": "channel-linear-0123456789ab", "kind": "channel-linear", "trained": true},
             "clips": {"judged": 1000, "of": 3360, "days": 35, "days_left_out": 0, "first": "...Z", "last": "...Z"},
             "events": {"count": 24, "by": "visit|UTC day"}, "pairs": {"all": 499500, "distant": 470000},
             "queries": 1000,
             "rows": {"oracle": {"summary": "...", "recall": [1.0, ...],
                                 "figures": {"pearson_all": {"value": 1.0, "low": 1.0, "high": 1.0}, ...}}, ...},
             "recall_by_chance": [0.001, ...],
             "gain": {"of": "trained", "over": "untrained",
                      "figures": {"pearson_all": {"value": 0.1, "low": 0.05, "high": 0.15, "verdict": "better"}}},
             "notes": ["..."],
             "depends_on": {"settings": {...}, "histograms": "24x20-exact", "channels": ["ir"], "own_hours": 24,
                            "clips": "<digest of the judged clips and their frames>", "weights": "<SHA-256>",
                            "truth_file": {"path": "...", "sha256": "..."}, "code_version": "0.1.0"},
             "fingerprint": "<digest of depends_on and the model>"}

        A figure has ``null`` where nothing can be told, ``recall`` is recall@1, @2 and so on, and ``gain`` is ``null``
        where the model is not trained, as is ``truth_file`` where none was given.
        """
        first, last = (_minute(int(self.clips.starts[n])) for n in (0, -1))
        depends = self._depends()
        return {
            "format": FORMAT,
            "root": self.root,
            "source": self.source,
            "split": self.settings.split,
            "seen_in_training": self.held.seen,
            "model": {"model": self.model, "kind": self.card.kind, "trained": self.card.trained},
            "clips": {"judged": len(self.clips), "of": self.clips.of, "days": self.clips.days,
                      "days_left_out": self.held.left_out, "first": first, "last": last},
            "events": {"count": self.events.count, "by": self.events.by},
            "pairs": dict(self.pairs),
            "queries": self.queries,
            "rows": {name: {"summary": row.summary, "recall": row.recall.tolist(),
                            "figures": {key: figure.document() for key, figure in row.figures.items()}}
                     for name, row in self.rows.items()},
            "recall_by_chance": self.by_chance.tolist(),
            "gain": {"of": TRAINED, "over": UNTRAINED,
                     "figures": {key: figure.document() for key, figure in self.gains.items()}}
            if self.gains else None,
            "notes": list(self.notes),
            "depends_on": depends,
            "fingerprint": fingerprint_of(format=FORMAT, source=self.source, model=self.model, **depends),
        }  # fmt: skip

    def _depends(self) -> dict[str, Any]:
        file = self.truth_file
        return {
            "settings": asdict(replace(self.settings, model=self.model)),
            "histograms": self.histograms,
            "channels": list(self.channels),
            "own_hours": OWN_SECONDS // 3600,
            "clips": self.clips.digest(),
            "weights": self.card.weights,
            "truth_file": {"path": file[0], "sha256": file[1]} if file else None,
            "code_version": __version__,
        }


def evaluate(
    root: Root,
    source: Source,
    settings: EvaluationSettings | None = None,
    truth_file: Path | None = None,
    tell: Tell = tell_nobody,
) -> Evaluation:
    """Judges a model.

    Args:
        truth_file: of a synthetic archive, or the folder that it lies in: with it events are visits of regimes, and
            pairs of one regime are not distant.
        tell: progress.

    Raises:
        NotFoundError: the source has no model, no clips, or no such model or truth file.
        RefusedError: nothing is held out, or what is held out has no distant events to judge by.
        UsageError: the model or the truth file is of another source.
    """
    settings = settings or EvaluationSettings()
    model, card = _model(root, source, settings.model)
    truth, digest = _truth(truth_file)
    held = held_out(root, source, settings.split, card)
    clips = draw_clips(root, source, held.days, settings.clips, settings.seed)
    events = events_of(clips.starts, source.id, truth)
    _refuse_one_time(source, clips, settings.split)
    slots = np.unique(clips.slots)
    frames = FrameReader(root, source, slots, common_channels(root, source, slots))
    distances = ground_truth(clips, frames, lambda done, of: tell(TRUTH, done, of))
    task = Task(distances, events, apart(clips.starts), distant(clips.starts, events))
    weights = multiplicities(events.count, settings.resamples if events.count >= FEWEST_EVENTS else 0, settings.seed)
    bench = Bench(root, source, clips, frames, distances, model, card, settings.seed)
    rows, figures = _judge(bench, task, weights, tell)
    gains = {name: gain(figures[TRAINED][name], figures[UNTRAINED][name], weights) for name in figures[TRAINED]} \
        if card.trained else {}  # fmt: skip
    return Evaluation(
        root.url, source.id, model, card, settings, root.settings.histograms[0], clips, held, events,
        (str(truth_file), digest) if truth_file else None, frames.names, rows, gains, task.by_chance,
        {name: len(pairs) for name, pairs in task.pairs.items()}, len(task.queries), task.truth,
        notes_on(source, card, held, events, settings, frames.channels),
    )  # fmt: skip


def _judge(
    bench: Bench, task: Task, weights: npt.NDArray[np.float64], tell: Tell
) -> tuple[dict[str, JudgedRow], dict[str, dict[str, Figure]]]:
    rows, figures = {}, {}
    for name, kind in judged_rows(bench.card).items():
        tell(name, 0, 1)
        made = kind.make(replace(bench, tell=_of_row(tell, name)))
        distances = all_distances(made, len(bench.clips))
        figures[name] = task.figures(distances)
        estimates = {key: estimate(figure, weights) for key, figure in figures[name].items()}
        rows[name] = JudgedRow(name, kind.summary, estimates, task.recall_curve(distances), distances)
        tell(name, 1, 1)
    return rows, figures


def _of_row(tell: Tell, name: str) -> Callable[[int, int], None]:
    return lambda done, of: tell(name, done, of + 1)  # one more: the figures, which follow


def all_distances(row: Row, clips: int) -> Distances:
    """A row's distances of all clips, float32 (n, n), asked for in blocks of queries."""
    found = np.empty((clips, clips), np.float32)
    for at in range(0, clips, QUERIES_AT_ONCE):
        found[at : at + QUERIES_AT_ONCE] = row.distances(np.arange(at, min(at + QUERIES_AT_ONCE, clips)))
    return found


def notes_on(
    source: Source, card: ModelCard, held: HeldOut, events: Events, settings: EvaluationSettings,
    channels: tuple[int, ...],
) -> tuple[str, ...]:  # fmt: skip
    """What a reader must know besides the figures, in sentences."""
    notes = []
    if not card.trained:
        notes.append(f"The model, {card.name}, is not trained: it is a random projection, and nothing was gained.")
    if held.seen == "yes":
        notes.append(
            f"These clips are of --split {settings.split}, which the model was trained or chosen by: the figures say "
            "how well it fits them, and nothing of weather that it has not seen."
        )
    if held.seen == "unknown":
        notes.append(
            "The triples that the model learned from are there no more, so it may have learned from some of these "
            "clips: the figures may flatter it."
        )
    if held.left_out:
        notes.append(f"{held.left_out} days of the split were left out, since the model learned from them or near.")
    if events.count < FEWEST_EVENTS:
        notes.append(f"There are {events.count} events, too few for intervals, which take {FEWEST_EVENTS}.")
    elif events.count < FEW_EVENTS:
        notes.append(f"There are {events.count} events; from fewer than {FEW_EVENTS}, intervals are rather too narrow.")
    every = source.satellite.channel_names
    absent = [name for n, name in enumerate(every) if n not in channels]
    if absent:
        notes.append(f"Channels that some of the frames lack are not compared: {', '.join(absent)}.")
    return tuple(notes)


def _model(root: Root, source: Source, wanted: str) -> tuple[str, ModelCard]:
    model = wanted or current_model(root, source.id)
    if not model:
        raise NotFoundError(f"{root.url} has no model of {source.id} to judge; `wxpipe train` makes one")
    try:
        card = read_model_card(root, model)
    except NotFoundError as error:
        raise NotFoundError(
            f"{root.url} has no model {model!r}; expected <name>-<fingerprint>, as under {root.url}/models"
        ) from error
    if card.source != source.id:
        raise UsageError(f"model {model} is of {card.source}; expected one of {source.id}")
    return model, card


def _truth(file: Path | None) -> tuple[Truth | None, str]:
    """A truth file and its SHA-256."""
    if file is None:
        return None, ""
    truth = read_truth(file)
    path = file / TRUTH_FILE if file.is_dir() else file
    return truth, hashlib.sha256(path.read_bytes()).hexdigest()


def _refuse_one_time(source: Source, clips: JudgedClips, split: str) -> None:
    """Refuses clips that have nothing to be told apart from.

    Raises:
        RefusedError: no clip has enough others that begin 24 hours from it.
    """
    others = apart(clips.starts).sum(axis=1).max(initial=0)
    if others < NEIGHBOURS:
        span = (int(clips.starts[-1]) - int(clips.starts[0])) / 3600 if len(clips) else 0.0
        raise RefusedError(
            f"{source.id}: the {len(clips)} clips of the split {split} begin within {span:.0f} h, and none has "
            f"{NEIGHBOURS} others that begin 24 h or more from it: there is nothing to tell apart; ingest more days, "
            "or judge with --split all, which says nothing of weather that the model has not seen"
        )


def _minute(epoch: int) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%MZ}"
