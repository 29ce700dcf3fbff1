"""The container file: its base, its steps and what it copies; its installation resolves with the tested versions."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser

from tests.deploy.checks import CHECKOUT, DEPLOY, command_faults, environment_faults, told_faults

TEXT = (DEPLOY / "Containerfile").read_text()


def steps(text: str = TEXT) -> list[tuple[str, str]]:
    """(instruction, value) in order, without comments."""
    parser = DockerfileParser(fileobj=BytesIO(text.encode()))
    return [(s["instruction"], s["value"]) for s in parser.structure if s["instruction"] != "COMMENT"]


def values(name: str) -> list[str]:
    return [value for instruction, value in steps() if instruction == name]


def lint(text: str) -> list[str]:
    """The rules of container files that matter here: pinned bases, pinned installs, nothing left, not root."""
    faults, last_user, found = [], "root", steps(text)
    for instruction, value in found:
        if instruction == "ARG" and value.startswith("BASE=") and not re.search(r":[\w.-]*\d[\w.-]*$", value):
            faults.append(f"{value}: a base without a version")
        if instruction == "FROM" and not value.startswith("${BASE}"):
            faults.append(f"FROM {value}: not the base that is pinned above")
        if instruction == "ADD":
            faults.append("ADD: use COPY")
        if instruction == "USER":
            last_user = value
        if instruction in ("CMD", "ENTRYPOINT") and not value.startswith("["):
            faults.append(f"{instruction}: a shell stands between the program and its signals")
        if instruction == "RUN" and "apt-get install" in value:
            wanted = ("apt-get update", "--no-install-recommends", "rm -rf /var/lib/apt/lists")
            faults += [f"apt-get without {word}" for word in wanted if word not in value]
        if instruction == "RUN" and "pip install" in value and "constraints.txt" not in value:
            faults.append("pip install without the tested versions")
        if instruction == "RUN" and re.search(r"\bsudo\b|curl [^|]*\|", value):
            faults.append("sudo, or a download that goes into a shell")
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", last_user):
        faults.append(f"USER {last_user}: a number other than 0, so that Kubernetes can tell it is not root")
    return faults


def test_it_keeps_the_rules() -> None:
    assert lint(TEXT) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("python:3.11-slim-bookworm", "python:latest"),
        ("USER 10001:10001", "USER root"),
        ("--no-install-recommends ", ""),
        ('ENTRYPOINT ["tini", "--", "wxpipe"]', "ENTRYPOINT wxpipe"),
        ("--constraint deploy/constraints.txt", ""),
    ],
)
def test_the_rules_can_be_broken(old: str, new: str) -> None:
    assert old in TEXT
    assert len(lint(TEXT.replace(old, new))) == 1


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    ignored = [line for line in (CHECKOUT / ".containerignore").read_text().splitlines() if line and line[0] != "#"]
    copied = [source for value in values("COPY") if "--from" not in value for source in value.split()[:-1]]
    assert copied
    for source in copied:
        assert (CHECKOUT / source).exists(), source
        assert f"!{source.split('/')[0]}" in ignored, f"{source} does not reach the builder"
        assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored if pattern[0] != "!" and pattern != "*")
    assert "deploy/secrets.env" in ignored
    assert (CHECKOUT / ".dockerignore").read_text() == (CHECKOUT / ".containerignore").read_text()


def test_its_settings_and_commands_exist() -> None:
    assert environment_faults(DockerfileParser(fileobj=BytesIO(TEXT.encode())).envs) == []
    for name in ("ENTRYPOINT", "HEALTHCHECK"):
        (value,) = values(name)
        words = json.loads(value[value.index("[") :])
        assert command_faults([*words, "--help"] if name == "ENTRYPOINT" else words) == []
    assert told_faults(TEXT) == []


def test_extras_and_python_are_those_of_the_package() -> None:
    project: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = next(value.partition("=")[2] for value in values("ARG") if value.startswith("EXTRAS="))
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    (base,) = [value for value in values("ARG") if value.startswith("BASE=")]
    version = re.search(r"python:(\d+)\.(\d+)", base)
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (3, 11)
    assert f"wxpipe:{project['version']} ." in TEXT


def test_an_unknown_device_is_refused() -> None:
    script = next(value for value in values("RUN") if "DEVICE" in value)
    tpu = {**os.environ, "DEVICE": "tpu"}
    ran = subprocess.run(["bash", "-c", script], cwd=CHECKOUT, env=tpu, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "DEVICE is cpu or cuda, not tpu" in ran.stderr


@pytest.mark.slow
def test_its_installation_resolves_with_the_tested_versions(tmp_path: Path) -> None:
    """The RUN steps of the build, in an environment of its own; pip resolves everything and installs nothing.

    Without a container engine neither the base image nor apt's part can be run. The CPU index of PyTorch is replaced
    by the one that this machine has.
    """
    prefix, build = tmp_path / "wxpipe", tmp_path / "build"
    build.mkdir()
    for source in ("deploy", "wxpipe", "flows"):
        shutil.copytree(CHECKOUT / source, build / source, ignore=shutil.ignore_patterns("__pycache__"))
    for source in ("pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / source, build)
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    scripts = [value for value in values("RUN") if "apt-get" not in value]
    assert len(scripts) == 3
    for script in scripts:
        here = script.replace("/opt/wxpipe", str(prefix)).replace("pip install", "pip install --dry-run")
        arguments = {"DEVICE": "cpu", "EXTRAS": "kubernetes,slurm"}
        arguments["CPU_INDEX"] = index or "https://pypi.org/simple"
        subprocess.run(["bash", "-eo", "pipefail", "-c", here], cwd=build, env={**os.environ, **arguments}, check=True)
