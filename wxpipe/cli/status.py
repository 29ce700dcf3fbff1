"""`wxpipe status`: what a root holds."""

from __future__ import annotations

from typing import Any

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json


def command(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """Show slots, pictures, clips and stages of every source, the current release, and what does not reconcile."""
    from wxpipe.pipeline.status import root_status
    from wxpipe.store.root import require_root

    document = root_status(require_root(root))
    if as_json:
        print_json(document)
    else:
        _show(document)


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("source", "days", "good frames", "missing slots", "pictures", "clips", "due")
    for name, source in document["sources"].items():
        pictures = ", ".join(f"{count:,} {kind}" for kind, count in source["pictures"].items() if count)
        stages = source["stages"].items()
        due = ", ".join(f"{stage} {sum(c.values()) - c['done']}" for stage, c in stages if sum(c.values()) > c["done"])
        slots = source["slots"]
        table.add_row(
            name, f"{source['days']:,}", f"{slots['good']:,}", f"{slots['missing']:,}", pictures,
            f"{source['clips']:,}", due or "nothing",
        )  # fmt: skip
    console.print(table)
    console.print(f"release {document['release'] or 'none'} · {document['quarantined']} files in quarantine")
    for difference in document["differences"]:
        console.print(f"[red]does not reconcile[/] {difference}")
