"""The analysis of an archive as one page of HTML that needs nothing else: no network, no fonts, no scripts."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime

from wxpipe.archive.analysis import Figures
from wxpipe.archive.analysis_capacity import (
    CDF_RATIO,
    EMBED_SECONDS,
    HISTOGRAM_SECONDS,
    INGEST_SECONDS,
    PICTURE_BYTES_A_PIXEL,
    Capacity,
    capacity_of,
    total,
)
from wxpipe.archive.analysis_listing import Listing
from wxpipe.archive.analysis_plots import PLOTS
from wxpipe.archive.analysis_words import Remark, bytes_text, days_text, percent, remarks, stands_out
from wxpipe.pages import document, table
from wxpipe.plots import VARIABLES, svg

GROUPS_SHOWN = 25

WORDS = (
    ("source", "a satellite and the part of the Earth that its pictures show, e.g. coms-ea"),
    ("slot", "a nominal observation time of the satellite, e.g. every 15 minutes"),
    ("scheduled", "expected by the satellite's dated schedule, between the source's first and last file"),
    ("frame", "a slot with a file of every required channel; whether the files can be read is not known from names"),
    ("window, clip", "a stretch of time (6 hours) that begins at a frame; one with enough frames (20) is a clip"),
)


def page(listing: Listing, every: Sequence[Figures], when: datetime) -> str:
    """The whole page. It depends on nothing but its arguments."""
    title = f"What {listing.url} holds"
    sections = [section for figures in every for section in _source(figures)]
    return document(
        title,
        [
            f'<p class="soft">By names and sizes alone, no picture was opened; listed {_minute(when)} by scan.</p>',
            *_overview(listing, every),
            *_capacity(every),
            *sections,
            *_unread(listing),
            *_glossary(),
        ],
    )


def _overview(listing: Listing, every: Sequence[Figures]) -> list[str]:
    rows = [
        [
            f'<a href="#{figures.source.id}">{_text(figures.source.id)}</a>',
            days_text(figures.first_day, figures.last_day),
            f"{figures.files:,}",
            bytes_text(figures.bytes),
            f"{int(figures.frames.sum()):,}",
            percent(figures.coverage),
            f"{figures.clips:,}" if figures.satellite.clip else "frames only",
            percent(figures.clip_share) if figures.satellite.clip else "–",
        ]
        for figures in every
    ]
    head = ["source", "days", "files", "bytes", "frames", "of those scheduled", "clips", "of the windows"]
    recorded = sum(figures.files for figures in every)
    counted = (
        f"{listing.listed:,} files: {recorded:,} pictures by name, {listing.count('unparsed'):,} unparsed, "
        f"{listing.count('unconfigured'):,} of unconfigured areas."
    )
    if listing.count("unlistable"):
        counted += f" {listing.count('unlistable'):,} files or folders could not be listed."
    remarkable = [f"<strong>{figures.source.id}</strong>: {_text(words)}" for figures in every
                  for words in stands_out(figures)]  # fmt: skip
    found = [f'<p class="out">{words}</p>' for words in remarkable] or ['<p class="calm">Nothing.</p>']
    return [f"<p>{counted}</p>", table(head, rows), "<h3>What stands out</h3>", *found]


def _source(figures: Figures) -> list[str]:
    of, satellite = remarks(figures), figures.satellite
    first, last = figures.scheduled.nonzero()[0][[0, -1]] if figures.scheduled.any() else (0, len(figures.counts) - 1)
    times = [f"{satellite.axis.time(figures.first_slot + slot):%Y-%m-%d %H:%M}" for slot in (first, last)]
    described = (
        f"{satellite.title}, {figures.source.area.name}: {figures.files:,} files of {len(satellite.channels)} "
        f"channels, {bytes_text(figures.bytes)}; scheduled slots from {times[0]} to {times[1]} UTC."
    )
    parts = [f'<h2 id="{figures.source.id}">{_text(figures.source.id)}</h2>', f"<p>{_text(described)}</p>"]
    for name, title, draw in PLOTS:
        if name == "windows" and satellite.clip is None:
            continue
        parts += [f"<h3>{title}</h3>", *_remark(of[name]), f"<figure>{svg(draw(figures, VARIABLES))}</figure>"]
        if name == "channels":
            parts.append(_channel_table(figures))
    return [*parts, "<h3>Several files of one picture</h3>", *_remark(of["doubles"])]


def _remark(remark: Remark) -> list[str]:
    return [
        f'<p class="soft">Normal: {_text(remark.normal)}</p>',
        *(f'<p class="out">{_text(words)}</p>' for words in remark.stands_out),
        *(f'<p class="calm">{_text(words)}</p>' for words in remark.plain),
    ]


def _channel_table(figures: Figures) -> str:
    shares, files = figures.channel_coverage(), (figures.counts > 0).sum(axis=0)
    channels = figures.satellite.channels.items()
    rows = [
        [_text(name), channel.band, "yes" if channel.required else "no", f"{int(count):,}", percent(share)]
        for (name, channel), count, share in zip(channels, files, shares, strict=True)
    ]
    return table(["channel", "band", "required", "pictures", "of the scheduled slots"], rows)


def _capacity(every: Sequence[Figures]) -> list[str]:
    if not every:
        return []
    capacities = [(figures.source.id, capacity_of(figures)) for figures in every]
    if len(capacities) > 1:
        capacities.append(("all", total(capacity for _, capacity in capacities)))
    head = ["source", "pictures", "bytes now", "store", "picture", "reduced", "cdf", "vectors", "inventory",
            "frames", "clips", "vectors (number)", "core-hours"]  # fmt: skip
    return [
        "<h2>What a store of it would take</h2>",
        table(head, [[_text(name), *_estimate(capacity)] for name, capacity in capacities]),
        f'<p class="soft">Estimated from the counts above and the sizes in the satellites\' TOML: '
        f"{PICTURE_BYTES_A_PIXEL} bytes a pixel as kept (measured on COMS: 0.98 MB a picture), reduced pictures "
        f"raw, one grid CDF packed {CDF_RATIO} times, vectors of frames and clips twice (Parquet and Lance). Core-"
        f"hours at {INGEST_SECONDS} s a picture of 1300 x 1500 for ingest, {HISTOGRAM_SECONDS} for histograms and "
        f"{EMBED_SECONDS} for embedding, on one core; reading from a slow archive is not in them.</p>",
    ]


def _estimate(capacity: Capacity) -> list[str]:
    sizes = (capacity.store, capacity.store_picture, capacity.store_reduced, capacity.store_cdf,
             capacity.store_vectors, capacity.store_inventory)  # fmt: skip
    counts = (capacity.frames, capacity.clips, capacity.vectors)
    hours = f"{capacity.hours:,.1f}" if capacity.hours < 100 else f"{capacity.hours:,.0f}"
    return [f"{capacity.pictures:,}", bytes_text(capacity.archive), *map(bytes_text, sizes),
            *(f"{count:,}" for count in counts), hours]  # fmt: skip


def _unread(listing: Listing) -> list[str]:
    groups = listing.common()
    if not groups:
        return ["<h2>Files in no source</h2>", '<p class="calm">None: every name was read.</p>']
    rows = [
        [
            f"{group.kind}: {_text(group.reason)}",
            f"{group.files:,}",
            bytes_text(group.bytes),
            f'<span class="path">{_text(group.form)}</span>',
            f'<span class="path">{"<br>".join(_text(path) for path in group.examples)}</span>',
        ]
        for group in groups[:GROUPS_SHOWN]
    ]
    more = len(groups) - GROUPS_SHOWN
    note = [f'<p class="soft">And {more:,} more forms of names.</p>'] if more > 0 else []
    return [
        "<h2>Files in no source</h2>",
        '<p class="soft">Normal: few, and none that should be a picture. A name that should be read needs a grammar, '
        "an area or a channel in a satellite's TOML; # stands for digits.</p>",
        table(["why", "files", "bytes", "form of the name", "examples"], rows),
        *note,
    ]


def _glossary() -> list[str]:
    return ["<h2>The words</h2><dl>", *(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in WORDS), "</dl>"]


def _minute(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _text(words: str) -> str:
    return html.escape(words)
