"""`compose.yaml`: valid, of commands and settings that exist, and whole in itself."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from tests.deploy.checks import (
    CHECKOUT,
    DEPLOY,
    bytes_of,
    command_faults,
    documents,
    environment_faults,
    option,
    told_faults,
)
from wxpipe.config import RunSettings
from wxpipe.service.state import ASKING_THREADS

FILE = DEPLOY / "compose.yaml"
SCHEMA = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return documents(FILE)[0]


@pytest.fixture(scope="module")
def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Services of our image."""
    return {n: s for n, s in compose["services"].items() if s["image"].startswith("wxpipe:")}


def full_command(service: dict[str, Any]) -> list[str]:
    return [*service.get("entrypoint", ["tini", "--", "wxpipe"]), *service.get("command", ["--help"])]


def schema_faults(compose: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(compose)]


def test_it_is_what_the_compose_specification_says(compose: dict[str, Any]) -> None:
    assert schema_faults(compose) == []


def test_every_command_and_setting_exists(ours: dict[str, dict[str, Any]]) -> None:
    assert len(ours) == 8
    for service in ours.values():
        assert command_faults(full_command(service)) == []
        assert environment_faults(service.get("environment", {})) == []
        health = service.get("healthcheck", {}).get("test")
        assert health is None or command_faults(health[1:]) == []
    assert told_faults(FILE.read_text()) == []


def test_every_service_has_a_memory_limit_and_waits_for_the_health_of_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert "mem_limit" in service, name
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "test" in services[needed]["healthcheck"], f"{name} waits for {needed}, which tells no health"


def test_workers_are_restarted_by_their_nanny_before_the_kernel_kills_them(ours: dict[str, dict[str, Any]]) -> None:
    workers = [s for s in ours.values() if full_command(s)[2:4] == ["dask", "worker"]]
    assert len(workers) == 2
    for worker in workers:
        limit = option(full_command(worker), "--memory-limit")
        assert limit is not None
        assert bytes_of(limit) < 0.9 * bytes_of(worker["mem_limit"])


def test_addresses_name_services_and_their_ports(compose: dict[str, Any], ours: dict[str, dict[str, Any]]) -> None:
    listening = {"prefect-server": 4200, "dask-scheduler": 8786, "dask-scheduler-gpu": 8786, "s3": 8333}
    text = " ".join(re.findall(r"(?:tcp|http)://[a-z0-9-]+:\d+", FILE.read_text()))
    found = {(urlsplit(url).hostname, urlsplit(url).port) for url in text.split()}
    assert {(h, p) for h, p in found if h != "127.0.0.1"} == set(listening.items())
    for name in ("prefect-server", "dask-scheduler", "dask-scheduler-gpu"):
        assert option(full_command(ours[name]), "--port") == str(listening[name])
    assert f"-s3.port={listening['s3']}" in compose["services"]["s3"]["command"]


def test_nothing_secret_is_in_it_and_nothing_listens_to_the_world(compose: dict[str, Any]) -> None:
    names = [line.partition("=")[0] for line in (DEPLOY / "secrets.env.example").read_text().splitlines()]
    secret = {name for name in names if name and not name.startswith("#")}
    assert {"POSTGRES_PASSWORD", "PREFECT_SERVER_DATABASE_PASSWORD", "AWS_SECRET_ACCESS_KEY",
            "WXPIPE_SERVICE_TOKEN"} <= secret  # fmt: skip
    assert environment_faults(dict.fromkeys(secret)) == []
    for service in compose["services"].values():
        assert not secret & set(service.get("environment", {}))
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    ignored = subprocess.run(["git", "check-ignore", "deploy/secrets.env"], cwd=CHECKOUT, check=False).returncode
    assert ignored == 0, "git would take deploy/secrets.env"


def test_the_service_can_write_nothing_and_is_told_to_stop_in_time(compose: dict[str, Any]) -> None:
    service = compose["services"]["service"]
    assert service["read_only"]
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert int(service["stop_grace_period"].removesuffix("s")) > RunSettings().service_stop_seconds
    assert f"127.0.0.1:8750:{option(full_command(service), '--port')}" in service["ports"]
    limit = RunSettings().service_memory + ASKING_THREADS * RunSettings().sql_memory
    assert bytes_of(service["mem_limit"]) >= limit


def test_a_prefect_server_that_dies_forgets_no_slot(compose: dict[str, Any]) -> None:
    """Who holds a slot is on files in a volume, and workers do not count runs themselves (see `prefect-setup`)."""
    server = compose["services"]["prefect-server"]
    assert server["environment"]["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith(".filesystem")
    assert any(server["environment"]["PREFECT_HOME"].startswith(f"{v.split(':')[1]}/") for v in server["volumes"])
    assert "--limit" not in full_command(compose["services"]["prefect-worker"])


def test_images_are_pinned_and_ours_is_built_from_the_container_file(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        tag = service["image"].rpartition(":")[2]
        assert tag
        assert "latest" not in tag
        if service["image"].startswith("wxpipe:"):
            assert (FILE.parent / service["build"]["context"] / service["build"]["dockerfile"]).samefile(
                DEPLOY / "Containerfile"
            )
            assert service["image"].endswith("-cuda") == (service["build"].get("args") == {"DEVICE": "cuda"})


def test_these_checks_can_fail(compose: dict[str, Any]) -> None:
    assert schema_faults({**compose, "servces": {}})
    assert schema_faults({"services": {"a": {"image": 3}}})
    assert command_faults(["tini", "--", "dask", "worker", "--nworker", "2"])
    assert command_faults(["wxpipe", "backfil"])
    assert command_faults(["wxpipe", "backfill", "--archives", "x"])
    assert command_faults(["prefect", "worker", "start", "--pol", "wxpipe"])
    assert command_faults(["weed", "server"])
    assert command_faults(["python", "-c", "import ("])
    assert environment_faults({"WXPIPE_ROOTS": "", "PREFECT_API_URI": "", "DASK_DISTRIBUTED__WORKR__DAEMON": ""}) == [
        "WXPIPE_ROOTS: no such setting (wxpipe/config.py)",
        "PREFECT_API_URI: Prefect has no such setting",
        "distributed.workr.daemon: Dask has no such key",
    ]
    assert told_faults("# wxpipe embed --schedular tcp://x\n# wxpipe scan --root x") == [
        "wxpipe embed --schedular: no such option"
    ]
