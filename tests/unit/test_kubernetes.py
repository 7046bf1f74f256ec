"""The manifests: what Kubernetes and KEDA accept, and nothing named that does not exist."""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import typer
import yaml

from deploy.k8s import secret_items
from deploy.k8s.secret_items import secret_keys
from deploy.prometheus import as_kubernetes
from schemas import topics
from schemas.channels import CHANNELS, bridge_group
from schemas.environment import variable
from schemas.events import Modality
from schemas.key_grants import KEY_GRANTS
from schemas.pipeline import FEATURE_STAGES, HISTORY_STAGES, stages
from schemas.setting_types import Role
from schemas.settings import Settings, ignored_variables, roles_of
from streams.cli.application import app

ROOT = Path(__file__).parent.parent.parent
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("cpu", "gpu")
KEY_SERVICE = "../key-service"
"""Beside an overlay: the key service, for who wants one."""
EVERY = (*OVERLAYS, KEY_SERVICE)
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
POD = "10.1.2.3"


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
            yield from deepcopy(_parsed(path))


@cache
def _parsed(path: Path) -> tuple[Document, ...]:
    return tuple(yaml.safe_load_all(path.read_text()))


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


def variables(only: Document) -> dict[str, str]:
    """What a container is given, its pod's address included."""
    address = {"fieldRef": {"fieldPath": "status.podIP"}}
    assert all(one["valueFrom"] == address for one in only["env"] if "value" not in one)
    return {one["name"]: one.get("value", POD) for one in only["env"]}


def config() -> dict[str, str]:
    ((_, document),) = of("cpu", "ConfigMap").items()
    return dict(document["data"])


@pytest.mark.parametrize("overlay", EVERY)
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
    for folder in (K8S / "base", K8S / "overlays" / overlay, K8S / "key-service"):
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


@pytest.mark.parametrize("overlay", EVERY)
def test_commands_and_variables_exist(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in pods(overlay).values():
        only = container(spec)
        command: Any = typer.main.get_command(app)
        context = typer.Context(command)
        words = list(only["args"])
        while hasattr(command, "get_command") and words and (found := command.get_command(context, words[0])):
            command, words = found, words[1:]
        assert command.make_context("undertone", words)
        given = {**config(), **variables(only)}
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


@pytest.mark.parametrize("overlay", EVERY)
def test_probes_ask_the_pages_that_are_served(overlay: str) -> None:
    for role, spec in pods(overlay).items():
        only = container(spec)
        if role in JOBS:
            continue
        port = only["ports"][0]
        given = variables(only)
        assert given["UNDERTONE_METRICS_PORT"] == str(port["containerPort"])
        assert given["UNDERTONE_METRICS_HOST"] == POD, (
            "the kubelet asks at the address of the pod, and so does Prometheus"
        )
        for probe, page in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert only[probe]["httpGet"] == {"path": page, "port": port["name"]}
        # A stuck process is found within half a minute.
        liveness = only["livenessProbe"]
        assert Settings.load().stuck_after_s + liveness["periodSeconds"] * liveness["failureThreshold"] <= 30


@pytest.mark.parametrize("overlay", EVERY)
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
    assert not [
        name for name, value in config().items() if name.endswith(secret) and not value.startswith("/run/secrets")
    ]
    for spec in pods(overlay).values():
        (mounted,) = [volume["secret"]["secretName"] for volume in spec["volumes"] if volume["name"] == "secrets"]
        (mount,) = [m for m in container(spec)["volumeMounts"] if m["name"] == "secrets"]
        assert {"name": "UNDERTONE_SECRETS_DIR", "value": mount["mountPath"]} in container(spec)["env"]
        assert mounted == "undertone"


def mounted_keys(overlay: str) -> dict[str, set[str]]:
    """The keys of the Secret that each pod sees."""
    found = {}
    for role, spec in pods(overlay).items():
        (secret,) = [volume["secret"] for volume in spec["volumes"] if volume["name"] == "secrets"]
        assert secret["optional"] is True, "a key that the Secret lacks must not keep a pod from starting"
        assert all(item["key"] == item["path"] for item in secret["items"])
        found[role] = {item["key"] for item in secret["items"]}
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_mounts_the_secrets_that_its_role_reads_and_no_other(overlay: str) -> None:
    keys = mounted_keys(overlay)
    assert {role: sorted(each) for role, each in keys.items()} == {role: secret_keys(role) for role in ROLES | JOBS}
    holders = {key: {role for role, its in keys.items() if key in its} for its in keys.values() for key in its}
    assert holders["UNDERTONE_REDIS_PASSWORD"] == {"agents", "dashboard"}
    assert holders["UNDERTONE_DATABASE_URL"] == {"history", "dashboard", "migrate"}
    assert holders["UNDERTONE_WEBHOOK_SECRET"] == holders["fhir-patients.csv"] == {"bridge", "dashboard"}
    assert holders["UNDERTONE_OIDC_CLIENT_SECRET"] == {"dashboard"}
    assert holders["audit-signing-key.pem"] == {"history"}
    assert holders["UNDERTONE_KAFKA_PASSWORD"] == holders["kafka-ca.pem"] == (ROLES | JOBS) - {"migrate"}
    assert holders["UNDERTONE_KMS"] == holders["UNDERTONE_KEY_DIRECTORY_URL"] == ROLES
    assert secret_items.main(["--check"]) == 0


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_role_has_the_certificate_of_its_own_keys_and_no_other(overlay: str) -> None:
    """One that all roles shared would give a bridge the keys of the agents."""
    found = {**pods(overlay), **pods(KEY_SERVICE)}
    mine = {
        role: volume["secret"]["secretName"]
        for role, spec in found.items()
        for volume in spec["volumes"]
        if volume["name"] == "key-service"
    }
    assert mine == {role: f"undertone-keys-{role}" for role in ROLES} | {"keys": "undertone-keys-server"}
    assert ROLES - {"bridge"} <= KEY_GRANTS.keys()
    assert not {key for keys in mounted_keys(overlay).values() for key in keys if key.startswith("key-service")}
    given = config()
    for role, spec in found.items():
        mounts = {m["mountPath"] for m in container(spec)["volumeMounts"] if m["name"] == "key-service"}
        assert mounts == (set() if role in JOBS else {str(Path(given["UNDERTONE_KEY_SERVICE_CA"]).parent)})


def test_the_key_service_alone_mounts_what_unwraps_keys_and_reaches_the_directory() -> None:
    ((role, keys),) = mounted_keys(KEY_SERVICE).items()
    assert sorted(keys) == secret_keys(role)
    assert {"UNDERTONE_KMS", "UNDERTONE_KEY_DIRECTORY_URL"} <= keys
    (secret,) = [v["secret"]["secretName"] for v in pods(KEY_SERVICE)[role]["volumes"] if v["name"] == "secrets"]
    assert secret == "undertone-keys"
    policies, labels = of(KEY_SERVICE, "NetworkPolicy"), of(KEY_SERVICE, "Deployment")[role]["spec"]["template"]
    own = policies["key-service"]
    assert selected(own, labels["metadata"]["labels"])
    (asking,) = own["spec"]["ingress"]
    (port,) = of(KEY_SERVICE, "Service")[role]["spec"]["ports"]
    assert [each["port"] for each in asking["ports"]] == [port["port"]]
    given = variables(container(pods(KEY_SERVICE)[role]))
    assert (given["UNDERTONE_KEY_SERVICE_HOST"], given["UNDERTONE_KEY_SERVICE_PORT"]) == (POD, str(port["port"]))
    roles = {name: d["spec"]["template"]["metadata"]["labels"] for name, d in of("cpu", "Deployment").items()}
    (peer,) = asking["from"]
    for policy in (policies["asks-keys"], {"spec": peer}):
        assert {name for name, its in roles.items() if selected(policy, its)} == ROLES
    (to,) = policies["asks-keys"]["spec"]["egress"]
    assert to["to"][0]["podSelector"]["matchLabels"].items() <= labels["metadata"]["labels"].items()


def test_every_setting_that_may_be_secret_has_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is never printed is mounted where it is read, under a name by which it is read."""
    every = {key for keys in mounted_keys("cpu").values() for key in keys}
    for name, field in Settings.model_fields.items():
        if roles_of(name) & Role.SERVICES and (not field.repr or "SecretStr" in str(field.annotation)):
            assert variable(name) in every, name
    (tmp_path / "UNDERTONE_KAFKA_PASSWORD").write_text("of the secret")
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(tmp_path))
    password = Settings.load().kafka_password
    assert password is not None
    assert password.get_secret_value() == "of the secret"
    for name in every:
        (tmp_path / name).touch()
    assert not ignored_variables()


def test_a_manifest_that_mounts_something_else_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agents.yaml"
    path.write_text((K8S / "base" / "agents.yaml").read_text().replace("key: REDIS_URL", "key: UNDERTONE_WEBHOOK_URL"))
    monkeypatch.setattr(secret_items, "HERE", tmp_path)
    assert secret_items.main(["--check"]) == 1
    assert "agents.yaml" in capsys.readouterr().err
    assert secret_items.main([]) == 0
    assert path.read_text() == (K8S / "base" / "agents.yaml").read_text()


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


def selected(policy: Document, labels: dict[str, str]) -> bool:
    """Whether a policy is about pods with these labels."""
    selector = policy["spec"].get("podSelector") or policy["spec"]["endpointSelector"]
    expressions = selector.get("matchExpressions", ())
    assert all(each["operator"] == "In" for each in expressions)
    return selector["matchLabels"].items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def reached(role: str) -> set[tuple[str, int]]:
    """The namespaces and ports that the pods of a role reach."""
    (labels,) = [
        found["spec"]["template"]["metadata"]["labels"]
        for kind in ("Deployment", "Job")
        for name, found in of("cpu", kind).items()
        if name == role
    ]
    return {
        (place["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port)
        for policy in of("cpu", "NetworkPolicy").values()
        if selected(policy, labels)
        for rule in policy["spec"].get("egress", ())
        for place in rule["to"]
        for each in rule["ports"]
        for port in range(each["port"], each.get("endPort", each["port"]) + 1)
    }


def test_each_role_reaches_only_what_it_needs() -> None:
    everybody = {("kube-system", 53), *(("kafka", port) for port in range(9092, 9099))}
    keys = {("keys", 5432)}
    redis, database = {("redis", 6379), ("redis", 6380)}, {("postgres", 5432)}
    alertmanager = {("monitoring", 9093)}
    own = {
        "agents": redis, "bridge": alertmanager, "history": database, "migrate": database,
        # It tells receivers of an erasure.
        "dashboard": redis | database | alertmanager,
    }  # fmt: skip
    for role in ROLES | JOBS:
        assert reached(role) == everybody | own.get(role, set()) | (keys if role in ROLES else set()), role
    policies = of("cpu", "NetworkPolicy")
    (ingress,) = policies[""]["spec"]["ingress"]
    assert [port["port"] for port in ingress["ports"]] == [9464]
    (pages,) = policies["dashboard"]["spec"]["ingress"]
    assert [port["port"] for port in pages["ports"]] == [8090]
    assert {name for name, policy in policies.items() if "Ingress" in policy["spec"]["policyTypes"]} == {
        "",
        "dashboard",
    }


@pytest.mark.parametrize(
    ("variable", "roles"),
    [
        ("KAFKA_BOOTSTRAP", ROLES),
        ("REDIS_URL", {"agents", "dashboard"}),
        ("UNDERTONE_ALERTMANAGER_URL", {"bridge", "dashboard"}),
    ],
)
def test_the_servers_that_the_configuration_names_are_reached(variable: str, roles: set[str]) -> None:
    address = config()[variable]
    parts = urlsplit(address if "://" in address else f"//{address}")
    assert parts.hostname is not None
    _, namespace = parts.hostname.split(".")
    for role in roles:
        assert (namespace, parts.port) in reached(role)


def test_the_examples_name_every_address_outside_and_hold_for_pods_that_there_are() -> None:
    labels = {role: d["spec"]["template"]["metadata"]["labels"] for role, d in of("cpu", "Deployment").items()}
    workers = {stage.name for stage in FEATURE_STAGES}
    about = {
        "undertone-storage": workers, "undertone-sign-in": {"dashboard"},
        "undertone-receivers": {"bridge", "dashboard"}, "undertone-key-service": ROLES,
        "undertone-anchors": {"history"},
    }  # fmt: skip
    for policy in yaml.safe_load_all((K8S / "examples" / "egress.yaml").read_text()):
        kubernetes_validate.validate(policy, VERSION, strict=True)
        assert policy["metadata"]["namespace"] == kustomization(K8S / "base")["namespace"]
        assert {role for role, own in labels.items() if selected(policy, own)} == about[policy["metadata"]["name"]]
        blocks = [place["ipBlock"]["cidr"] for rule in policy["spec"]["egress"] for place in rule["to"]]
        assert blocks
        assert all(ip_network(block).num_addresses <= 256 for block in blocks)
    for policy in yaml.safe_load_all((K8S / "examples" / "egress-by-name.yaml").read_text()):
        assert {role for role, own in labels.items() if selected(policy, own)} == about[policy["metadata"]["name"]]
        _, named = policy["spec"]["egress"]
        assert [name["matchName"] for name in named["toFQDNs"]]


def test_the_service_and_the_example_of_an_ingress_lead_to_the_pages() -> None:
    service = of("cpu", "Service")["dashboard"]
    (port,) = service["spec"]["ports"]
    deployment = of("cpu", "Deployment")["dashboard"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= deployment["metadata"]["labels"].items()
    (served,) = [each for each in container(deployment["spec"])["ports"] if each["name"] == port["targetPort"]]
    given = variables(container(deployment["spec"]))
    assert given["UNDERTONE_DASHBOARD_HOST"] == POD
    assert given["UNDERTONE_DASHBOARD_PORT"] == str(served["containerPort"])
    ingress = yaml.safe_load((K8S / "examples" / "ingress.yaml").read_text())
    kubernetes_validate.validate(ingress, VERSION, strict=True)
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
    assert ingress["metadata"]["namespace"] == kustomization(K8S / "base")["namespace"]
    limit = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(limit.removesuffix("m")) << 20 == Settings.load().audio_max_bytes


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
