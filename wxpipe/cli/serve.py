"""`wxpipe serve`: search, pictures and numbers of a root over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root


def command(
    root: Root = DEFAULT_ROOT,
    address: Annotated[
        str, typer.Option("--address", help="Where it listens; beyond this machine it needs a token. [127.0.0.1]")
    ] = "",
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Its port; 0: any that is free. [8750]")
    ] = None,
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE", help="Holds the token, instead of WXPIPE_SERVICE_TOKEN.")
    ] = "",
) -> None:
    """Answer requests over HTTP: search, clips, pictures, animations, SQL, releases, coverage, events, metrics.

    /v1/openapi.json says what can be asked. Clients say `Authorization: Bearer TOKEN` where there is a token; without
    one the service listens on 127.0.0.1 alone. TLS is for a proxy in front of it. Limits are settings,
    WXPIPE_SERVICE_*, and the log is WXPIPE_LOG. SIGTERM ends it when what is under way has been answered.
    """
    from wxpipe.config import RunSettings
    from wxpipe.service.server import serve
    from wxpipe.store.root import require_root

    given = {"service_address": address or None, "service_port": port, "service_token_file": token_file or None}
    settings = RunSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    serve(require_root(root), settings)
