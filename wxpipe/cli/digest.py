"""`wxpipe digest`: one name for a root's content."""

from __future__ import annotations

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json


def command(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """Read a root through and print the digest of its content: equal for equal content, however it was made."""
    from wxpipe.cli.show import console
    from wxpipe.pipeline.digest import root_digest
    from wxpipe.store.root import require_root

    with console.status("reading the root") as status:
        document = root_digest(require_root(root), lambda part: status.update(f"read {part}"))
    if as_json:
        print_json(document)
    else:
        for name, digest in document["parts"].items():
            print(f"{digest}  {name}")
        print(document["digest"])
