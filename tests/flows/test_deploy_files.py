"""What deploy/ tells Prefect of the flows: entry points that are there, forms that can be filled in, automations."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.events.schemas.automations import AutomationCore
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from wxpipe.pipeline.stages import NAMES

DEPLOY = Path(__file__).parents[2] / "deploy"
DEPLOYMENTS, AUTOMATIONS = DEPLOY / "prefect.yaml", DEPLOY / "automations"


def test_parameters_are_described_for_the_form() -> None:
    """Prefect shows a form of them: each has a type and a sentence, in the order in which a person thinks of them."""
    for flow in every_flow():
        schema = parameter_schema(flow)
        assert schema.properties, flow.name
        for name, form in schema.properties.items():
            assert form.get("description", "").endswith("."), f"{flow.name} {name}"
            assert "type" in form or "anyOf" in form, f"{flow.name} {name}"
            assert name in schema.required or "default" in form, f"{flow.name} {name}"
        assert [form["position"] for form in schema.properties.values()] == list(range(len(schema.properties)))


def test_the_form_knows_what_may_be_chosen() -> None:
    forms = {flow.name: parameter_schema(flow) for flow in every_flow()}
    assert forms["backfill"].required == ["archive", "root"]
    assert forms["reprocess"].required == ["archive", "root", "reason"]
    stages = forms["reprocess"].properties["stages"]
    assert stages["items"]["enum"] == list(NAMES)
    assert forms["backfill"].properties["first"]["anyOf"][0] == {"type": "string", "format": "date"}
    assert forms["update"].properties["listing"]["enum"] == ["recent", "all"]
    assert forms["update"].properties["listing"]["default"] == "recent"
    assert forms["train"].properties["epochs"]["minimum"] == 0


def test_what_a_form_sends_is_what_a_flow_takes() -> None:
    """As JSON it comes, and typed it is handed on."""
    sent = {"archive": "/a", "root": "/r", "reason": "x", "first": "2011-03-01", "satellites": ["coms"], "epochs": 3}
    for flow in every_flow():
        known = {name: value for name, value in sent.items() if name in flow.parameters.properties}
        taken = flow.validate_parameters(known)
        assert taken["root"] == "/r"
        assert taken.get("first", date(2011, 3, 1)) == date(2011, 3, 1)
        assert taken.get("satellites", ("coms",)) == ("coms",)


def every_flow() -> list[Flow[..., Any]]:
    """The flow of every deployment, by its entry point."""
    deployments = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    return [load_flow_from_entrypoint(deployment["entrypoint"]) for deployment in deployments]


def test_every_deployment_passes_parameters_that_its_flow_has() -> None:
    deployments = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    for deployment, flow in zip(deployments, every_flow(), strict=True):
        assert deployment["name"] == flow.name
        assert set(deployment["parameters"]) <= set(flow.parameters.properties), flow.name
        assert "wxpipe" in deployment["tags"]


def test_crons_never_meet() -> None:
    deployments = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    crons = {d["name"]: d["schedules"][0] for d in deployments if "schedules" in d}
    assert set(crons) == {"update", "validate", "maintain"}
    assert all(schedule["timezone"] == "UTC" and schedule["active"] is False for schedule in crons.values())
    minutes = [minute for schedule in crons.values() for minute in schedule["cron"].split()[0].split(",")]
    assert len(minutes) == len(set(minutes))


@pytest.mark.parametrize("file", sorted(AUTOMATIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_automations_are_what_prefect_takes(file: Path) -> None:
    automation = AutomationCore.model_validate(yaml.safe_load(file.read_text()))
    assert automation.name.startswith("wxpipe ")
    assert automation.description
    tags = {f"prefect.tag.{tag}" for d in yaml.safe_load(DEPLOYMENTS.read_text())["deployments"] for tag in d["tags"]}
    related = yaml.safe_load(file.read_text())["trigger"].get("match_related", {})
    assert related.get("prefect.resource.name", "update") in {flow.name for flow in every_flow()}
    assert related.get("prefect.resource.id", "prefect.tag.wxpipe") in tags
