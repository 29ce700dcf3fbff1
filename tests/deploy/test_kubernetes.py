"""The Kubernetes manifests and the base job template: valid by their schemas, and whole in themselves."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from uuid import uuid4

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.checks import DEPLOY, bytes_of, command_faults, documents, environment_faults, option, told_faults
from wxpipe.config import RunSettings
from wxpipe.service.state import ASKING_THREADS

FOLDER = DEPLOY / "kubernetes"
VERSION = "1.37"
CRDS = files("dask_kubernetes") / "operator/deployment/helm/dask-kubernetes-operator/crds"
TEMPLATE = json.loads((FOLDER / "base-job-template.json").read_text())
KUSTOMIZATION = documents(FOLDER / "kustomization.yaml")[0]
MANIFESTS = [d for name in KUSTOMIZATION["resources"] for d in documents(FOLDER / name)]
OUTSIDE = {"wxpipe-postgres", "wxpipe-s3", "wxpipe-service"}
"""Secrets that a person makes."""


def manifest_faults(document: dict[str, Any]) -> list[str]:
    """What the API server would say: by Kubernetes' own schema, or by that of the Dask operator's resources."""
    if document["apiVersion"].startswith("kubernetes.dask.org/"):
        crd = yaml.safe_load((CRDS / f"{document['kind'].lower()}.yaml").read_text())
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        faults = [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(document)]
        unknown = set(document["spec"]) - set(schema["properties"]["spec"]["properties"])
        faults += [f"{name}: unknown" for name in unknown]
        for spec in pods(document):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
            faults += manifest_faults(pod)
        return faults
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.InvalidSchemaError) as error:
        return [str(error)]
    return []


def pods(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Pod specs of a workload, a Dask cluster, or a job."""
    spec = document.get("spec", {})
    if document["kind"] == "DaskCluster":
        yield from (spec[role]["spec"] for role in ("worker", "scheduler") if role in spec)
    elif document["kind"] in ("Deployment", "Job"):
        yield spec["template"]["spec"]


def job() -> dict[str, Any]:
    """What the worker makes of the template for a training on a GPU."""
    from prefect.client.schemas.objects import FlowRun
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    made = KubernetesWorkerJobConfiguration.from_template_and_values(TEMPLATE, {"gpus": "1"}, client=object())  # type: ignore[call-arg]
    configuration = asyncio.run(made)
    configuration.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="train"))
    manifest: dict[str, Any] = configuration.job_manifest
    return manifest


EVERY_POD = [(d["metadata"]["name"], pod) for d in MANIFESTS for pod in pods(d)]


@pytest.mark.parametrize("document", MANIFESTS, ids=lambda d: f"{d['kind']} {d['metadata']['name']}")
def test_a_manifest_is_what_its_schema_says(document: dict[str, Any]) -> None:
    assert manifest_faults(document) == []
    assert document["metadata"].get("namespace", KUSTOMIZATION["namespace"]) == KUSTOMIZATION["namespace"]


def test_every_file_is_in_the_kustomization() -> None:
    there = {file.name for file in FOLDER.iterdir()} - {"kustomization.yaml"}
    assert there == {*KUSTOMIZATION["resources"], *KUSTOMIZATION["configMapGenerator"][0]["files"]}


@pytest.mark.parametrize("pod", [pod for _, pod in EVERY_POD], ids=[name for name, _ in EVERY_POD])
def test_a_pod_runs_commands_and_settings_that_exist_as_nobody_in_particular(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    for container in pod["containers"]:
        assert command_faults([*container["command"], *container["args"]]) == []
        assert environment_faults({item["name"]: "" for item in container.get("env", [])}) == []
        assert "memory" in container["resources"]["limits"]
        assert container["image"] in {image["name"] for image in KUSTOMIZATION["images"]}
        limit = option(container["args"], "--memory-limit")
        if limit:
            assert bytes_of(limit) < 0.9 * bytes_of(container["resources"]["limits"]["memory"])


def test_what_pods_refer_to_is_there() -> None:
    named = {(d["kind"], d["metadata"]["name"]) for d in MANIFESTS}
    named |= {("ConfigMap", m["name"]) for m in KUSTOMIZATION["configMapGenerator"]}
    for _, pod in [*EVERY_POD, ("job", job()["spec"]["template"]["spec"])]:
        assert ("ServiceAccount", pod.get("serviceAccountName")) in named or "serviceAccountName" not in pod
        text = json.dumps(pod)
        assert {
            ("ConfigMap", n) for n in re.findall(r'"(?:configMapRef|configMap)": {"name": "([^"]+)"', text)
        } <= named
        assert set(re.findall(r'"(?:secretRef|secretKeyRef)": {"name": "([^"]+)"', text)) <= OUTSIDE
        mounted = {mount["name"] for c in pod["containers"] for mount in c.get("volumeMounts", [])}
        assert mounted <= {volume["name"] for volume in pod.get("volumes", [])}
    told = (FOLDER / "kustomization.yaml").read_text()
    assert all(f"create secret generic {name} " in told for name in OUTSIDE)
    assert "Secret" not in {kind for kind, _ in named}


def test_settings_exist_and_addresses_name_services() -> None:
    settings = next(d["data"] for d in MANIFESTS if d["kind"] == "ConfigMap")
    assert environment_faults(settings) == []
    services = {d["metadata"]["name"]: d["spec"]["ports"][0]["port"] for d in MANIFESTS if d["kind"] == "Service"}
    services |= {
        f"{d['metadata']['name']}-scheduler": d["spec"]["scheduler"]["service"]["ports"][0]["port"]
        for d in MANIFESTS
        if d["kind"] == "DaskCluster"
    }
    text = "\n".join(file.read_text() for file in FOLDER.iterdir())
    found = set(re.findall(r"(?:http|tcp)://([a-z0-9-]+):(\d+)", text))
    assert found == {(name, str(port)) for name, port in services.items()}
    assert told_faults(text) == []


def test_selectors_and_autoscalers_find_what_they_are_for() -> None:
    clusters = {d["metadata"]["name"]: d for d in MANIFESTS if d["kind"] == "DaskCluster"}
    for name, cluster in clusters.items():
        selector = cluster["spec"]["scheduler"]["service"]["selector"]
        assert selector == {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
        assert cluster["spec"]["worker"]["replicas"] == 0
    scaled = {d["spec"]["cluster"]: d["spec"] for d in MANIFESTS if d["kind"] == "DaskAutoscaler"}
    assert scaled.keys() == clusters.keys()
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in MANIFESTS if d["kind"] == "Deployment"]
    labels.append({"dask.org/cluster-name": "wxpipe", "dask.org/component": "scheduler"})  # as the operator gives them
    budgets = [d["spec"]["selector"]["matchLabels"] for d in MANIFESTS if d["kind"] == "PodDisruptionBudget"]
    assert all(any(budget.items() <= label.items() for label in labels) for budget in budgets)


def test_the_service_has_its_token_by_reference_and_is_told_to_stop_in_time() -> None:
    (deployment,) = [d for d in MANIFESTS if d["kind"] == "Deployment" and d["metadata"]["name"] == "service"]
    (pod,) = pods(deployment)
    (container,) = pod["containers"]
    token = next(item for item in container["env"] if item["name"] == "WXPIPE_SERVICE_TOKEN")
    assert token["valueFrom"]["secretKeyRef"]["name"] in OUTSIDE
    assert pod["terminationGracePeriodSeconds"] > RunSettings().service_stop_seconds
    port = option(container["args"], "--port")
    assert [str(item["containerPort"]) for item in container["ports"]] == [port]
    limit = RunSettings().service_memory + ASKING_THREADS * RunSettings().sql_memory
    assert bytes_of(container["resources"]["limits"]["memory"]) >= limit


def test_gpus_are_asked_for_where_their_nodes_are() -> None:
    (gpu,) = [d for d in MANIFESTS if d["metadata"]["name"] == "wxpipe-gpu" and d["kind"] == "DaskCluster"]
    worker = gpu["spec"]["worker"]["spec"]
    assert worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["containers"][0]["image"] == "wxpipe-cuda"
    assert worker["nodeSelector"]
    assert worker["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_the_job_template_is_one_that_prefect_takes() -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect_kubernetes.worker import KubernetesWorker

    WorkPoolCreate(name="wxpipe", type=KubernetesWorker.type, base_job_template=TEMPLATE)
    jsonschema.Draft202012Validator.check_schema(TEMPLATE["variables"])
    ours, theirs = TEMPLATE["variables"]["properties"], KubernetesWorker.get_default_base_job_template()["variables"]
    assert theirs["properties"].keys() <= ours.keys(), "the worker has variables that the template lacks"
    assert ours.keys() - theirs["properties"].keys() == {"gpus", "node_selector", "tolerations"}
    used = set(re.findall(r"{{ ?(\w+) ?}}", json.dumps(TEMPLATE["job_configuration"])))
    assert used <= ours.keys()
    for name, variable in ours.items():
        if variable.get("default") is not None:
            schema = {**variable, "definitions": TEMPLATE["variables"].get("definitions", {})}
            jsonschema.validate(variable["default"], schema), name
    assert environment_faults(ours["env"]["default"]) == []


def test_the_job_that_a_worker_makes_of_it_is_one_that_kubernetes_takes() -> None:
    made = job()
    assert manifest_faults(made) == []
    pod = made["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert [*container["command"], *container["args"]] == ["tini", "--", "prefect", "flow-run", "execute"]
    image = KUSTOMIZATION["images"][0]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"
    assert pod["serviceAccountName"] == "wxpipe"


def test_these_checks_can_fail() -> None:
    deployment = next(d for d in MANIFESTS if d["kind"] == "Deployment")
    assert manifest_faults({**deployment, "spec": {**deployment["spec"], "replica": 2}})
    cluster = next(d for d in MANIFESTS if d["kind"] == "DaskCluster")
    spec = cluster["spec"]
    assert manifest_faults({**cluster, "spec": {**spec, "workers": 3}})
    assert manifest_faults({**cluster, "spec": {"worker": spec["worker"]}})
    typo = {**spec["worker"], "spec": {**spec["worker"]["spec"], "nodeSelectr": {}}}
    assert manifest_faults({**cluster, "spec": {**spec, "worker": typo}})
