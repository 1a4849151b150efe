"""The files of `deploy/` against the schemas of who reads them, and against the settings, ports and limits of PKS."""

import json
import re
import shlex
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from pydantic import SecretStr

from connectors.shm.layout import SLOT_SIZE
from schemas.topics import TOPICS
from tests.deploy_support import (
    BASE,
    FOLDER,
    OVERLAYS,
    ROOT,
    base_manifests,
    built,
    compose,
    generated_settings,
    instructions,
    of_kind,
    services,
    size,
)
from topology.cluster.supervisor import STOP_SECONDS
from topology.settings import Settings

KUBERNETES = ("1.30", "1.34", "1.37")
FIELD_OF = {f"PKS_{name.upper()}": name for name in Settings.model_fields}


SECRETS = {
    f"PKS_{name.upper()}" for name, field in Settings.model_fields.items() if field.annotation is SecretStr
}


def overlays() -> list[tuple[str, list[dict[str, Any]]]]:
    found = [(folder.name, built(folder)) for folder in OVERLAYS]
    return [(name, manifests) for name, manifests in found if manifests is not None]


EVERY = [("base", base_manifests()), *overlays()]


def workers(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = of_kind(manifests, "StatefulSet")
    return found


def container(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = workers(manifests)["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize(("name", "manifests"), EVERY)
def test_every_manifest_fits_the_schema_of_kubernetes(
    version: str, name: str, manifests: list[dict[str, Any]]
):
    assert manifests
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_an_installation_builds_where_kustomize_is():
    if built(OVERLAYS[0]) is None:
        pytest.skip("expected kustomize or kubectl to build the overlays, found neither")
    assert [name for name, _ in EVERY] == ["base", *(folder.name for folder in OVERLAYS)]
    for _, manifests in EVERY[1:]:
        (settings,) = of_kind(manifests, "ConfigMap")
        read = container(manifests)["envFrom"][0]["configMapRef"]["name"]
        assert read == settings["metadata"]["name"]
        assert settings["data"].keys() >= generated_settings(BASE).keys()


def test_the_compose_file_fits_the_schema_of_compose():
    # Located, not imported: the package's own command line is for another version of click.
    package = distribution("check-jsonschema")
    schema = package.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    jsonschema.validate(compose(), json.loads(Path(str(schema)).read_text(encoding="utf-8")))


def environments() -> dict[str, dict[str, str]]:
    found = {"base": generated_settings(BASE)}
    for folder in OVERLAYS:
        found[folder.name] = generated_settings(BASE) | generated_settings(folder)
    for name, service in services("worker").items():
        found[name] = service["environment"]
    image = [part for one in instructions() if one.name == "ENV" for part in shlex.split(one.text)]
    found["image"] = dict(part.split("=", 1) for part in image if part.startswith("PKS_"))
    return found


@pytest.mark.parametrize(("name", "environment"), environments().items())
def test_every_variable_is_a_setting_and_every_value_is_taken(name: str, environment: dict[str, str]):
    assert environment.keys() <= FIELD_OF.keys()
    Settings(**{FIELD_OF[variable]: value for variable, value in environment.items()})  # type: ignore[arg-type]


def test_what_a_pod_says_of_itself_is_a_setting():
    one = container(base_manifests())
    fields = {entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"] for entry in one["env"]}
    assert fields == {"PKS_WORKER_NAME": "metadata.name", "PKS_WEB_HOST": "status.podIP"}
    assert fields.keys() <= FIELD_OF.keys()
    # Or the service pks-web would set PKS_WEB_PORT to an address.
    assert workers(base_manifests())["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize(("name", "manifests"), EVERY)
def test_secrets_come_from_secrets_only(name: str, manifests: list[dict[str, Any]]):
    assert SECRETS
    for one in of_kind(manifests, "ConfigMap"):
        assert not SECRETS & one["data"].keys()
    secret = {entry["name"]: entry["valueFrom"] for entry in container(manifests)["env"]}
    for entry in SECRETS & secret.keys():
        assert "secretKeyRef" in secret[entry]
    assert secret.keys() <= FIELD_OF.keys()
    volumes = {v["name"]: v for v in workers(manifests)["spec"]["template"]["spec"]["volumes"]}
    for mount in container(manifests)["volumeMounts"]:
        kept = volumes.get(mount["name"], {}).get("secret")
        if kept is not None:
            names = {f"{mount['mountPath']}/{item['path']}" for item in kept["items"]}
            assert names <= set(environments()[name].values()) and mount["readOnly"]


@pytest.mark.parametrize(("name", "manifests"), EVERY)
def test_ports_selectors_and_volumes_belong_together(name: str, manifests: list[dict[str, Any]]):
    spec, one = workers(manifests)["spec"], container(manifests)
    port = int(generated_settings(BASE)["PKS_WEB_PORT"])
    assert {entry["containerPort"] for entry in one["ports"]} == {port}
    labels = spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() <= labels
    for service in of_kind(manifests, "Service"):
        assert service["spec"]["selector"].items() <= labels
        assert {(entry["port"], entry["targetPort"]) for entry in service["spec"]["ports"]} == {(port, "web")}
    headless = [s for s in of_kind(manifests, "Service") if s["spec"].get("clusterIP") == "None"]
    assert [s["metadata"]["name"] for s in headless] == [spec["serviceName"]]
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels
    for policy in of_kind(manifests, "NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
        broker = environments()[name]["PKS_TRANSPORT"].rpartition(":")[2]
        assert int(broker) in {
            entry["port"] for rule in policy["spec"]["egress"] for entry in rule.get("ports", ())
        }
    mounted = {entry["name"] for entry in one["volumeMounts"]}
    volumes = {entry["name"] for entry in spec["template"]["spec"]["volumes"]}
    assert mounted == volumes | {entry["metadata"]["name"] for entry in spec["volumeClaimTemplates"]}
    assert generated_settings(BASE)["PKS_DATA"] in {entry["mountPath"] for entry in one["volumeMounts"]}


@pytest.mark.parametrize(("name", "manifests"), EVERY)
def test_a_pod_has_no_rights_and_writes_to_its_volumes_only(name: str, manifests: list[dict[str, Any]]):
    pod, one = workers(manifests)["spec"]["template"]["spec"], container(manifests)
    user = next(one.text for one in instructions() if one.name == "USER")
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == user
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False


def shared_memory_bytes(environment: dict[str, str]) -> int:
    """The first segment and two that it may grow to, each twice as large."""
    slots = Settings(
        **{FIELD_OF[name]: value for name, value in environment.items()}  # type: ignore[arg-type]
    ).shared_memory_slots
    return 7 * slots * SLOT_SIZE


@pytest.mark.parametrize(("name", "manifests"), EVERY)
def test_limits_of_a_pod_fit(name: str, manifests: list[dict[str, Any]]):
    pod, one = workers(manifests)["spec"]["template"]["spec"], container(manifests)
    limit, request = (size(one["resources"][kind]["memory"]) for kind in ("limits", "requests"))
    (memory,) = (v["emptyDir"] for v in pod["volumes"] if v.get("emptyDir", {}).get("medium") == "Memory")
    assert request <= limit
    # Shared memory counts against the limit, and half of that must be left.
    assert shared_memory_bytes(generated_settings(BASE)) <= size(memory["sizeLimit"]) <= limit // 2
    assert pod["terminationGracePeriodSeconds"] >= 2 * STOP_SECONDS


def test_limits_of_a_compose_service_fit():
    for service in services("worker").values():
        limit = size(service["deploy"]["resources"]["limits"]["memory"])
        assert shared_memory_bytes(service["environment"]) <= size(service["shm_size"]) <= limit // 2
        assert float(service["stop_grace_period"].rstrip("s")) >= 2 * STOP_SECONDS
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"] == ["/tmp"]
    for service in services("kafka").values():
        heap = re.search(r"-Xmx(\w+)", service["environment"]["KAFKA_HEAP_OPTS"])
        assert heap is not None
        assert 2 * size(heap[1]) <= size(service["deploy"]["resources"]["limits"]["memory"])


def test_brokers_and_workers_of_the_compose_file_belong_together():
    brokers = services("kafka")
    addresses = {b["environment"]["KAFKA_ADVERTISED_LISTENERS"].partition("://")[2] for b in brokers.values()}
    voters = ",".join(f"{b['environment']['KAFKA_NODE_ID']}@{name}:9093" for name, b in brokers.items())
    for name, broker in brokers.items():
        told = broker["environment"]
        assert broker["hostname"] == name and told["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert broker["volumes"] == [f"{name}:{told['KAFKA_LOG_DIRS']}"]
        assert int(told["KAFKA_DEFAULT_REPLICATION_FACTOR"]) == len(brokers)
    names, ports = set(), set()
    for name, worker in services("worker").items():
        told = worker["environment"]
        assert set(told["PKS_TRANSPORT"].removeprefix("kafka://").split(",")) == addresses
        assert int(told["PKS_REPLICAS"]) == len(brokers) > int(told["PKS_IN_SYNC_REPLICAS_MIN"]) > 1
        assert worker["hostname"] == told["PKS_WEB_HOST"] == name
        assert worker["depends_on"].keys() == brokers.keys()
        (published,) = worker["ports"]
        assert published.rpartition(":")[2] == told["PKS_WEB_PORT"]
        names.add(told["PKS_WORKER_NAME"])
        ports.add(published)
        assert worker["volumes"] == [f"{name}:/var/lib/pks"]
    assert len(names) == len(ports) == len(services("worker"))
    assert compose()["volumes"].keys() == {*brokers, *services("worker")}


def test_the_image_is_made_of_what_there_is_and_runs_without_rights():
    found = list(instructions())
    stages = [number for number, one in enumerate(found) if one.name == "FROM"]
    assert len(stages) == 2
    allowed = {
        line.removeprefix("!")
        for line in (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = set()
    for one in found:
        if one.name == "COPY" and "--from" not in one.text:
            copied.update(shlex.split(one.text)[:-1])
    assert copied == allowed and all((ROOT / name).exists() for name in copied)
    last = found[stages[-1] :]
    assert [one.text for one in last if one.name == "USER"] == ["10001:10001"]
    entry = next(json.loads(one.text) for one in last if one.name == "ENTRYPOINT")
    arguments = next(json.loads(one.text) for one in last if one.name == "CMD")
    assert (entry, arguments) == (["pks"], container(base_manifests())["args"])
    assert all(worker["command"] == arguments for worker in services("worker").values())
    exposed = next(one.text for one in last if one.name == "EXPOSE")
    assert exposed == generated_settings(BASE)["PKS_WEB_PORT"]
    assert next(one.text for one in last if one.name == "VOLUME") == generated_settings(BASE)["PKS_DATA"]


def test_the_image_installs_versions_of_the_lock():
    """And nothing that only developing needs."""

    def pins(path: Any) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+==[^ ;]+)", path.read_text(encoding="utf-8"), re.MULTILINE))

    image, whole = pins(FOLDER / "requirements.lock"), pins(ROOT / "requirements.lock")
    assert image < whole
    assert not {
        name for name in ("pytest", "mypy", "hypothesis") if any(p.startswith(f"{name}==") for p in image)
    }
    assert "http" not in re.sub(r"(aiohttp|http)[a-z-]*==", "", (FOLDER / "requirements.lock").read_text())


def test_copies_of_topics_fit_the_brokers_that_are_asked_for():
    assert len([topic for topic in TOPICS if topic.partitioned]) > 3
    for environment in environments().values():
        if "PKS_REPLICAS" in environment:
            assert 1 < int(environment["PKS_IN_SYNC_REPLICAS_MIN"]) < int(environment["PKS_REPLICAS"])
