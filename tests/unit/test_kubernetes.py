"""The manifests: what Kubernetes and KEDA accept, and nothing named that does not exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from deploy.prometheus import as_kubernetes
from schemas import topics
from schemas.channels import CHANNELS, bridge_group
from schemas.events import Modality
from schemas.pipeline import FEATURE_STAGES, HISTORY_STAGES, stages
from schemas.settings import Settings
from streams.cli.application import app

ROOT = Path(__file__).parent.parent.parent
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("cpu", "gpu")
VERSION = "1.34"
OTHERS = {
    "ScaledObject": "keda.sh/v1alpha1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}
"""Kinds that operators bring; their schemas are not Kubernetes' own."""
CONSUMERS = {*(stage.name for stage in FEATURE_STAGES), "agents", "history", "bridge"}
"""Roles that read topics as a group, and of which there are more while it has lag."""
ROLES = {*CONSUMERS, "dashboard"}
JOBS = {"topics", "migrate"}
SCALER = {
    "bootstrapServersFromEnv",
    "consumerGroup",
    "topic",
    "lagThreshold",
    "activationLagThreshold",
    "offsetResetPolicy",
    "allowIdleConsumers",
}
"""Parameters of KEDA's Kafka scaler that are used here."""

Document = dict[str, Any]


def kustomization(folder: Path) -> Document:
    document: Document = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return document


def documents(folder: Path) -> Iterator[Document]:
    """Everything that a folder's kustomization brings. Overlays only add files, so no program is needed to see it."""
    named = kustomization(folder)
    assert set(named) <= {"apiVersion", "kind", "namespace", "resources", "images"}
    for resource in named["resources"]:
        path = (folder / resource).resolve()
        if path.is_dir():
            yield from documents(path)
        else:
            yield from yaml.safe_load_all(path.read_text())


def of(overlay: str, kind: str) -> dict[str, Document]:
    """The documents of one kind, by role."""
    found = [d for d in documents(K8S / "overlays" / overlay) if d["kind"] == kind]
    return {d["metadata"]["name"].removeprefix("undertone").lstrip("-"): d for d in found}


def pods(overlay: str) -> dict[str, Document]:
    """Specifications of pods, by role; the topics job is one of them."""
    return {role: d["spec"]["template"]["spec"] for k in ("Deployment", "Job") for role, d in of(overlay, k).items()}


def container(spec: Document) -> Document:
    (only,) = spec["containers"]
    return dict(only)


def config() -> dict[str, str]:
    ((_, document),) = of("cpu", "ConfigMap").items()
    return dict(document["data"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_accepts_every_document(overlay: str) -> None:
    every = list(documents(K8S / "overlays" / overlay))
    assert len({(d["kind"], d["metadata"]["name"]) for d in every}) == len(every)
    for document in every:
        if document["kind"] in OTHERS:
            assert document["apiVersion"] == OTHERS[document["kind"]]
        else:
            kubernetes_validate.validate(document, VERSION, strict=True)


def test_a_document_with_a_fault_would_be_refused() -> None:
    document = of("cpu", "Deployment")["agents"]
    document["spec"]["template"]["spec"]["containers"][0]["port"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_file_is_used(overlay: str) -> None:
    for folder in (K8S / "base", K8S / "overlays" / overlay):
        listed = {name for name in kustomization(folder)["resources"] if name.endswith(".yaml")}
        assert listed == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_deployment_a_budget_and_a_scaler_for_every_role(overlay: str) -> None:
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert set(of(overlay, kind)) == ROLES
    scalers = {**of(overlay, "ScaledObject"), **of(overlay, "HorizontalPodAutoscaler")}
    assert set(scalers) == ROLES
    assert set(of(overlay, "ScaledObject")) == CONSUMERS
    for role, deployment in of(overlay, "Deployment").items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == role
        for selector in (deployment["spec"]["selector"], of(overlay, "PodDisruptionBudget")[role]["spec"]["selector"]):
            assert selector["matchLabels"].items() <= labels.items()
        # The number of processes is the scaler's.
        assert "replicas" not in deployment["spec"]
        assert scalers[role]["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_commands_and_variables_exist(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in pods(overlay).values():
        only = container(spec)
        command: Any = typer.main.get_command(app)
        context = typer.Context(command)
        words = list(only["args"])
        while hasattr(command, "get_command") and words and (found := command.get_command(context, words[0])):
            command, words = found, words[1:]
        assert command.make_context("undertone", words)
        given = {**config(), **{one["name"]: one["value"] for one in only["env"]}}
        given.pop("UNDERTONE_SECRETS_DIR")
        known = {f"UNDERTONE_{name.upper()}" for name in Settings.model_fields}
        assert set(given) <= known | {"KAFKA_BOOTSTRAP", "REDIS_URL", "LOG_LEVEL"}
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            settings = Settings.load()
        assert spec.get("terminationGracePeriodSeconds", 30) > settings.stop_deadline_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_scalers_follow_the_groups_that_read_and_stop_at_the_partitions(overlay: str) -> None:
    settings = Settings.load()
    read = {(stage.group, stage.reads.name) for stage in (*stages(settings.modalities), *HISTORY_STAGES)}
    _, channel = container(pods(overlay)["bridge"])["args"]
    assert channel in {one.name for one in CHANNELS}
    read.add((bridge_group(channel), topics.ALERTS.name))
    followed = set()
    for scaler in of(overlay, "ScaledObject").values():
        spec = scaler["spec"]
        assert spec["maxReplicaCount"] == int(config()["UNDERTONE_PARTITIONS"])
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]
        for trigger in spec["triggers"]:
            metadata = trigger["metadata"]
            assert trigger["type"] == "kafka"
            assert set(metadata) <= SCALER
            assert all(isinstance(value, str) for value in metadata.values())
            assert metadata["bootstrapServersFromEnv"] in config()
            followed.add((metadata["consumerGroup"], metadata["topic"]))
    assert followed == read


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_the_pages_that_are_served(overlay: str) -> None:
    for role, spec in pods(overlay).items():
        only = container(spec)
        if role in JOBS:
            continue
        port = only["ports"][0]
        assert {"name": "UNDERTONE_METRICS_PORT", "value": str(port["containerPort"])} in only["env"]
        for probe, page in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert only[probe]["httpGet"] == {"path": page, "port": port["name"]}
        # A stuck process is found within half a minute.
        liveness = only["livenessProbe"]
        assert Settings.load().stuck_after_s + liveness["periodSeconds"] * liveness["failureThreshold"] <= 30


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_have_no_powers_and_write_nowhere(overlay: str) -> None:
    for spec in pods(overlay).values():
        only = container(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= set(only["resources"])
        assert "memory" in only["resources"]["limits"]
        writable = {mount["mountPath"] for mount in only["volumeMounts"] if not mount.get("readOnly")}
        assert writable == {"/tmp"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_referred_to_and_never_written_down(overlay: str) -> None:
    assert of(overlay, "Secret") == {}
    secret = ("PASSWORD", "SECRET", "TOKEN", "KEY")
    assert not [name for name in config() if name.endswith(secret)]
    for spec in pods(overlay).values():
        (mounted,) = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        (mount,) = [m for m in container(spec)["volumeMounts"] if m["name"] == "secrets"]
        assert {"name": "UNDERTONE_SECRETS_DIR", "value": mount["mountPath"]} in container(spec)["env"]
        assert mounted == "undertone"


def test_only_the_gpu_overlay_asks_for_a_device() -> None:
    for overlay in OVERLAYS:
        asked = {r for r, spec in pods(overlay).items() if "nvidia.com/gpu" in str(container(spec)["resources"])}
        assert asked == ({str(Modality.EMBEDDING)} if overlay == "gpu" else set())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_those_that_are_built(overlay: str) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    built = {service["image"] for service in compose.values() if "build" in service}
    used = {container(spec)["image"] for spec in pods(overlay).values()}
    assert used <= built
    assert {image["name"] for image in kustomization(K8S / "overlays" / overlay)["images"]} == used


def test_each_role_reaches_only_what_it_needs() -> None:
    def ports(policy: Document) -> set[int]:
        rules = policy["spec"].get("egress", ())
        return {
            port for rule in rules for p in rule["ports"] for port in range(p["port"], p.get("endPort", p["port"]) + 1)
        }

    policies = of("cpu", "NetworkPolicy")
    assert {name for name, policy in policies.items() if 6379 in ports(policy)} == {"agents", "dashboard"}
    assert {name for name, policy in policies.items() if 5432 in ports(policy)} == {"database"}
    (reached,) = policies["database"]["spec"]["podSelector"]["matchExpressions"]
    assert set(reached["values"]) == {"history", "dashboard", "migrate"}
    assert 9092 in ports(policies[""])
    assert ports(policies["bridge"]) == {9093}
    assert ports(policies["workers"]) == {443}
    (ingress,) = policies[""]["spec"]["ingress"]
    assert [port["port"] for port in ingress["ports"]] == [9464]
    (pages,) = policies["dashboard"]["spec"]["ingress"]
    assert [port["port"] for port in pages["ports"]] == [8090]
    assert {name for name, policy in policies.items() if "Ingress" in policy["spec"]["policyTypes"]} == {
        "",
        "dashboard",
    }


def test_the_service_and_the_example_of_an_ingress_lead_to_the_pages() -> None:
    service = of("cpu", "Service")["dashboard"]
    (port,) = service["spec"]["ports"]
    deployment = of("cpu", "Deployment")["dashboard"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= deployment["metadata"]["labels"].items()
    (served,) = [each for each in container(deployment["spec"])["ports"] if each["name"] == port["targetPort"]]
    given = {each["name"]: each["value"] for each in container(deployment["spec"])["env"]}
    assert given["UNDERTONE_DASHBOARD_PORT"] == str(served["containerPort"])
    ingress = yaml.safe_load((K8S / "examples" / "ingress.yaml").read_text())
    kubernetes_validate.validate(ingress, VERSION, strict=True)
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
    assert ingress["metadata"]["namespace"] == kustomization(K8S / "base")["namespace"]
    limit = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(limit.removesuffix("m")) << 20 == Settings.load().audio_max_bytes


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_storage_is_reached_by_every_worker_and_by_nothing_else(overlay: str) -> None:
    chosen = of(overlay, "NetworkPolicy")["workers"]["spec"]["podSelector"]["matchLabels"].items()
    labels = {role: d["spec"]["template"]["metadata"]["labels"] for role, d in of(overlay, "Deployment").items()}
    assert {role for role, own in labels.items() if chosen <= own.items()} == {stage.name for stage in FEATURE_STAGES}


def test_the_rules_are_those_that_promtool_has_tested() -> None:
    ((_, manifest),) = of("cpu", "PrometheusRule").items()
    assert manifest["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/rules/undertone.yml").read_text())
    assert as_kubernetes.main(["--check"]) == 0


def test_prometheus_finds_the_roles_under_the_job_of_the_rules() -> None:
    ((_, monitor),) = of("cpu", "ServiceMonitor").items()
    service = of("cpu", "Service")[""]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert {"targetLabel": "job", "replacement": "undertone"} in endpoint["relabelings"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
