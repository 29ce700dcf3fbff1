"""A judgement as one page of HTML that needs nothing else: no network, no fonts, no scripts."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from wxpipe.embedding.curves import draw_curves
from wxpipe.errors import NotFoundError
from wxpipe.evaluation.bootstrap import Estimate, Gain
from wxpipe.evaluation.events import OWN_SECONDS
from wxpipe.evaluation.figures import COLUMNS
from wxpipe.evaluation.judge import Evaluation
from wxpipe.evaluation.judge_plots import draw_figures, draw_recall, draw_scatter
from wxpipe.evaluation.judge_words import SHARE, SIGN, interval, number, what_training_gained, what_was_judged
from wxpipe.evaluation.rows import TRAINED, UNTRAINED
from wxpipe.pages import document, table
from wxpipe.plots import VARIABLES, svg
from wxpipe.store.root import Root

OWN_STYLE = """
td small { display: block; color: var(--soft); } .better { color: var(--full); font-weight: 600; }
.worse { color: var(--alarm); font-weight: 600; } .key { font-size: 1.1rem; } img { max-width: 100%; }
pre { font: .8rem/1.4 ui-monospace, monospace; overflow-x: auto; background: var(--pale); padding: .7rem; }
"""


def page(root: Root, judged: Evaluation) -> str:
    """The whole page; the curve of the training is read from the root, where the model has one."""
    title = f"How well {judged.model} ranks weather"
    return document(
        title,
        [
            "<p>A vector of a clip, six hours of pictures, should lie near those of clips that look alike. What looks "
            "alike is told by the ground truth, which compares the pictures' grid histograms and is far too slow to "
            "search with. Here the two are compared on clips that the model has never seen; where that is not so, it "
            "is said below.</p>",
            f'<p class="soft">{html.escape(what_was_judged(judged))}</p>',
            *(f'<p class="out">{html.escape(note)}</p>' for note in judged.notes),
            *_gain(judged),
            *_all_figures(judged),
            *_plots(judged),
            *_training(root, judged),
            *_words(judged),
            *_dependence(judged),
        ],
        OWN_STYLE,
    )


def _gain(judged: Evaluation) -> Iterator[str]:
    yield "<h2>What training gained</h2>"
    yield f'<p class="key">{html.escape(what_training_gained(judged))}</p>'
    if not judged.gains:
        return
    yield (
        f'<p class="soft">The trained encoder less the same encoder untrained. Under each figure, where {SHARE} of '
        f"{judged.settings.resamples} resamples of the events lie, the same ones for both; where they reach over 0, "
        "nothing was measurably gained.</p>"
    )
    rows = [
        [column.head, *(_cell(judged.rows[name].figures[column.name]) for name in (UNTRAINED, TRAINED)),
         _cell(found, signed=True), _verdict(found)]
        for column in COLUMNS for found in [judged.gains[column.name]]
    ]  # fmt: skip
    yield table(["figure", "untrained", "trained", "difference", "verdict"], rows)


def _all_figures(judged: Evaluation) -> Iterator[str]:
    yield "<h2>All rows</h2>"
    yield f'<p class="soft">{html.escape(SIGN)}</p>'
    rows = [
        [html.escape(row.name), *(_cell(row.figures[column.name]) for column in COLUMNS)]
        for row in judged.rows.values()
    ]
    yield table(["row", *(column.head.replace(", ", ",<br>") for column in COLUMNS)], rows)
    yield f"<figure>{svg(draw_figures(judged, VARIABLES))}</figure>"


def _plots(judged: Evaluation) -> Iterator[str]:
    if judged.pairs["distant"]:
        yield "<h2>Distances against the truth's</h2>"
        yield (
            '<p class="soft">Each pair of clips of distant events; darker where there are more. A perfect encoder '
            "draws a line.</p>"
        )
        yield f"<figure>{svg(draw_scatter(judged, VARIABLES))}</figure>"
    yield "<h2>Recall by how many are asked for</h2>"
    yield (
        '<p class="soft">How many of the k clips that the ground truth calls nearest are among the k nearest of a row; '
        f"the query's own {OWN_SECONDS // 3600} hours are left out. The oracle is at 1.</p>"
    )
    yield f"<figure>{svg(draw_recall(judged, VARIABLES))}</figure>"


def _training(root: Root, judged: Evaluation) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        try:
            draw_curves(root, judged.model, Path(folder) / "curves.png")
        except NotFoundError:
            return
        data = base64.b64encode((Path(folder) / "curves.png").read_bytes()).decode()
    yield "<h2>How it was trained</h2>"
    yield f'<figure><img alt="losses by epoch" src="data:image/png;base64,{data}"></figure>'


def _words(judged: Evaluation) -> Iterator[str]:
    yield "<h2>The rows and the figures</h2><dl>"
    for row in judged.rows.values():
        yield f"<dt>{html.escape(row.name)}</dt><dd>{html.escape(row.summary)}</dd>"
    for column in COLUMNS:
        yield f"<dt>{column.head}</dt><dd>{column.meaning}</dd>"
    regimes = ", and are of different regimes" if judged.events.regimes is not None else ""
    yield f"<dt>distant events</dt><dd>clips that begin {OWN_SECONDS // 3600} hours or more apart{regimes}</dd>"
    yield (
        "<dt>event</dt><dd>the clips of one "
        + ("visit of a weather regime" if judged.events.by == "visit" else "UTC day")
        + "; intervals come from resampling events, since clips of one event are nearly copies of each other</dd>"
    )
    yield (
        "<dt>resample</dt><dd>as many events as there are, drawn with replacement; copies of one event make no pairs "
        "with each other; ranks are those of the full sample; the clips that answer a query stay what they are</dd>"
    )
    yield "<dt>ties</dt><dd>of equally near clips the earlier comes first</dd></dl>"


def _dependence(judged: Evaluation) -> Iterator[str]:
    text = json.dumps(judged.document(), indent=1, ensure_ascii=False)
    yield "<h2>What this depends on</h2>"
    yield f"<p>Made from {html.escape(judged.root)}; the same command makes the same figures.</p>"
    yield f"<details><summary>The judgement as JSON</summary><pre>{html.escape(text)}</pre></details>"


def _cell(found: Estimate, signed: bool = False) -> str:
    text = interval(found)
    return number(found.value, signed) + (f"<small>{text}</small>" if text else "")


def _verdict(found: Gain) -> str:
    return f'<span class="{found.verdict.partition(" ")[0]}">{found.verdict}</span>'
