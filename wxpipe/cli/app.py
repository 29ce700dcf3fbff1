"""The `wxpipe` command: puts the verbs together and turns errors into plain words and exit codes."""

from __future__ import annotations

import os
import sys

import typer

from wxpipe.cli import (
    backfill,
    cancel,
    cases,
    cells,
    digest,
    embed,
    evaluate,
    events,
    extend,
    gc,
    graph,
    metrics,
    migrate,
    pairs,
    plan,
    quality,
    release,
    reprocess,
    retry,
    scan,
    search,
    serve,
    similarity,
    sql,
    status,
    synth,
    train,
    update,
    validate,
)
from wxpipe.errors import Cancelled, UsageError, WxpipeError

app = typer.Typer(
    name="wxpipe",
    help="Which past weather looked like this, and what came next? Analog search over satellite archives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    *(backfill, update, reprocess, retry, cancel, extend, migrate),
    *(scan, plan, status, metrics, validate, gc, digest),
    *(search, serve, similarity, sql, train, embed, evaluate, synth),
)
for verb in VERBS:
    app.command(verb.__name__.rsplit(".", 1)[-1])(verb.command)
app.add_typer(pairs.app, name="pairs")
app.add_typer(release.app, name="release")
app.add_typer(events.app, name="events")
app.add_typer(cases.app, name="cases")
app.add_typer(graph.app, name="graph")
app.add_typer(cells.app, name="cells")
app.add_typer(quality.app, name="quality")


def main() -> None:
    """Runs a command. Exit codes: 0 clean, 1 failed, 2 usage, 3 done and something was quarantined or differs."""
    try:
        app()
    except UsageError as error:
        _say(error, 2)
    except Cancelled as error:
        _say(f"{error}; what was done is recorded, and the same command goes on from there", 130)
    except WxpipeError as error:
        _say(error, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _say(error, 1)
    except KeyboardInterrupt:
        _say("stopped; what was done is recorded, and the same command goes on from there", 130)


def _say(error: object, code: int) -> None:
    print(f"wxpipe: {error}", file=sys.stderr)
    sys.exit(code)
