"""`wxpipe extend`: lengthens a satellite's slot axis to a later last day."""

from __future__ import annotations

from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, DryRun, Root, parse_day


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Annotated[str, typer.Option("--satellite", help="The satellite, e.g. gk2a.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The new last UTC day.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Lengthen a satellite's slot axis, in place and in seconds. Nothing is due because of it.

    Readers go on; runs must have ended.
    """
    from wxpipe.cli.show import console
    from wxpipe.errors import UsageError
    from wxpipe.pipeline.runs import refuse_while_running
    from wxpipe.store.extend import extend, plan_extension
    from wxpipe.store.root import require_root

    day = parse_day(last, "--to")
    if not satellite or day is None:
        raise UsageError("extend needs --satellite and --to")
    opened = require_root(root)
    if dry_run:
        planned = plan_extension(opened, satellite, day)
    else:
        refuse_while_running(opened, "extend")
        planned = extend(opened, satellite, day)
    (before, after), (old, new) = planned.slots, planned.last_day
    console.print(
        f"{satellite}: {old} to {new}, {before:,} to {after:,} slots, {len(planned.arrays)} arrays"
        + (" would be lengthened" if dry_run else " lengthened")
    )
