"""What happened after analogs, as people see it: a table of odds beside climatology, and what to make of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wxpipe.vectors.event_odds import EventOdds

MOST_SHOWN = 30


def show_happened(console: Console, happened: Sequence[EventOdds]) -> None:
    """Prints the odds, the least likely by climatology first, and the caveats that apply to them."""
    if not happened:
        console.print("no events that are imported count; `wxpipe events import` brings some", highlight=False)
        return
    first = happened[0]
    table = Table(
        *("event", "region", "after analogs", "95 % interval", "climatology", "ratio", "p", "after ranks"),
        title=f"what happened within {first.within_hours:g} h",
    )
    for one in happened[:MOST_SHOWN]:
        table.add_row(*_row(one))
    console.print(table)
    if len(happened) > MOST_SHOWN:
        console.print(f"and {len(happened) - MOST_SHOWN} more kinds of event; --json has them", highlight=False)
    for note in _notes(happened):
        console.print(f"[yellow]note[/] {escape(note)}", highlight=False)


def _row(one: EventOdds) -> list[str]:
    unknown = f" ({one.unknown} unknown)" if one.unknown else ""
    interval = "-" if one.interval is None else f"{one.interval[0]:.0%} to {one.interval[1]:.0%}"
    climatology = "-" if one.climatology is None else f"{one.climatology * one.analogs:.2g} of {one.analogs}"
    star = " *" if one.p_adjusted is not None and one.p_adjusted < 0.05 else ""
    p = "-" if one.p_value is None else f"{one.p_value:.2g}{star}"
    ranks = ", ".join(map(str, one.ranks[:12])) + (" ..." if len(one.ranks) > 12 else "")
    return [
        escape(one.type),
        escape(one.region or "anywhere"),
        f"{one.occurred} of {one.analogs}{unknown}",
        interval,
        climatology,
        "-" if one.ratio is None else f"{one.ratio:.1f}",
        p,
        ranks,
    ]


def _notes(happened: Sequence[EventOdds]) -> list[str]:
    notes = [f"climatology: {happened[0].comparable_are}, where the record covers them"]
    if len(happened) > 1:
        notes.append(f"*: unlikely by climatology even for {len(happened)} kinds of event looked at together (p < .05)")
    if any(one.unknown for one in happened):
        notes.append("unknown: outside the time for which events of the type are recorded; they count neither way")
    shared = [one for one in happened if one.analogs and not one.distinct]
    if shared:
        worst = min(shared, key=lambda one: one.effective / one.analogs)
        notes.append(
            f"analogs near in time see the same events: the {worst.analogs} analogs are worth {worst.effective:.1f} "
            f"independent ones for {worst.type}, and interval and p are those of so many"
        )
    return notes
