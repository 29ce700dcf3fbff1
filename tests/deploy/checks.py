"""What the files of deploy/ must agree with: this code's verbs and settings, Dask's and Prefect's, and each other.

Each check returns what it finds wrong, as sentences.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import dask.config
import typer
import yaml

from wxpipe.config import RunSettings

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "deploy"
FOREIGN = {"pg_isready", "wget", "weed", "sh", "server"}
"""Commands of images that are not ours."""


def documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def command_faults(command: Sequence[str]) -> list[str]:
    """A command of our image: the program is there, and takes these options."""
    words = list(command[2:] if list(command[:2]) == ["tini", "--"] else command)
    program, arguments = words[0], words[1:]
    try:
        if program == "wxpipe":
            _parse_click(_wxpipe(), arguments)
        elif program == "dask":
            _parse_click(_dask(arguments[0]), arguments[1:])
        elif program == "prefect":
            _parse_prefect(arguments)
        elif program == "python":
            if arguments[0] != "-c" and not Path(arguments[0]).exists():
                return [f"python {arguments[0]}: no such file"]
            if arguments[0] == "-c":
                compile(arguments[1], "-c", "exec")
        else:
            return [f"{program}: not a program of the image"]
    except Exception as error:
        return [f"{shlex.join(words)}: {error}"]
    return []


def _wxpipe() -> click.Command:
    from wxpipe.cli.app import app

    return typer.main.get_command(app)  # type: ignore[no-any-return]


def _dask(name: str) -> click.Command:
    from distributed.cli.dask_scheduler import main as scheduler
    from distributed.cli.dask_worker import main as worker

    return {"scheduler": scheduler, "worker": worker}[name]  # type: ignore[no-any-return]


def _parse_click(command: Any, arguments: Sequence[str]) -> None:
    """Goes down to the verb and lets it read its options, without running anything."""
    rest = list(arguments)
    while hasattr(command, "commands"):
        if rest == ["--help"]:
            return
        name = rest.pop(0)
        if name not in command.commands:
            raise ValueError(f"no verb {name!r}; there are {', '.join(command.commands)}")
        command = command.commands[name]
    command.make_context(command.name, rest, resilient_parsing=False)


def _parse_prefect(arguments: Sequence[str]) -> None:
    from prefect.cli._app import _app

    _app.parse_args(list(arguments), exit_on_error=False, print_error=False)


def environment_faults(environment: Mapping[str, object]) -> list[str]:
    """Names of variables that a container of ours is given."""
    faults = []
    for name in environment:
        if name.startswith("WXPIPE_") and name.removeprefix("WXPIPE_").lower() not in RunSettings.model_fields:
            faults.append(f"{name}: no such setting (wxpipe/config.py)")
        if name.startswith("PREFECT_") and name not in _prefect_settings():
            faults.append(f"{name}: Prefect has no such setting")
        if name.startswith("DASK_") and name not in ("DASK_CONFIG", "DASK_WORKER_NAME"):
            faults += dask_key_faults([name.removeprefix("DASK_").lower().replace("__", ".")])
    return faults


def dask_key_faults(keys: Iterable[str]) -> list[str]:
    """Keys of Dask's configuration that are not among its defaults."""
    import distributed  # noqa: F401 - brings its defaults

    known = set(_keys(dask.config.merge(*dask.config.defaults)))
    return [f"{key}: Dask has no such key" for key in keys if key.replace("_", "-") not in known]


def _keys(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in tree.items():
        key = f"{above}{name}".replace("_", "-")
        yield key
        if isinstance(value, Mapping):
            yield from _keys(value, f"{key}.")


def _prefect_settings() -> set[str]:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    return {name for name in _get_settings_fields(Settings) if name.isupper()}


def told_commands(text: str) -> list[list[str]]:
    """Commands of ours that comments tell a person to run: verbs and options, whatever their values."""
    found = []
    text = re.sub(r"\\\n#?\s*", " ", text)
    for line in re.findall(r"wxpipe(?::[\w.-]+)? ((?:backfill|embed|train|scan|update|status)\b[^`\n]*)", text):
        verb, *rest = line.split()
        found.append([verb, *(word.split("=")[0] for word in rest if word.startswith("--"))])
    return found


def told_faults(text: str) -> list[str]:
    """Verbs and options in comments that do not exist."""
    faults = []
    for verb, *options in told_commands(text):
        command = getattr(_wxpipe(), "commands", {}).get(verb)
        known = {name for parameter in command.params for name in parameter.opts} if command else set()
        faults += [f"wxpipe {verb} {option}: no such option" for option in options if option not in known]
        faults += [f"wxpipe {verb}: no such verb"] if command is None else []
    return faults


def bytes_of(text: str) -> int:
    """``3GiB``, ``4g`` (as compose has it) and ``3Gi`` (as Kubernetes) as bytes."""
    number, unit = re.fullmatch(r"(\d+)\s*([kmgt])(?:i?b?)", text.lower()).groups()  # type: ignore[union-attr]
    return int(number) << {"k": 10, "m": 20, "g": 30, "t": 40}[unit]


def option(command: Sequence[str], name: str) -> str | None:
    """Value of an option, with a blank or ``=`` before it."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None
