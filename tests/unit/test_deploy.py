"""Images and compose name only what exists: variables, commands, ports, paths, versions."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft7Validator

from deploy.compose.first_start import INSIDE, KEYSET, KEYSET_MOUNTED, MACHINE, READERS, SERVERS
from deploy.compose.first_start import OURS as MOUNTED
from deploy.compose.soft_token import CONFIGURED, VARIABLE
from deploy.kafka.server import version
from schemas.channels import CHANNELS
from schemas.environment import PLAIN
from schemas.pipeline import FEATURE_STAGES, FeatureStage
from schemas.settings import Settings
from streams.cli.application import app

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILES = sorted((ROOT / "deploy").glob("Dockerfile.*"))
OURS = (
    "topics", *(stage.name for stage in FEATURE_STAGES), "embedding-gpu", "agents", "migrate", "history", "dashboard",
    "bridge", "key-server",
)  # fmt: skip
JOBS = {"topics", "migrate"}
SCRIPTS = ("secrets", "rights", "keys")
"""Run once before the roles, from the folder `deploy`."""
HERE = {"dashboard"}
"""In the network of the machine: it listens at the loopback, and reaches what the others publish there."""
GROUPS = {"topics", "bridge", "keys"}
"""Commands that have commands of their own."""
# Read by compose itself, to choose folders, images and addresses.
COMPOSES_OWN = {
    *("UNDERTONE_AUDIO", "UNDERTONE_MODELS", "UNDERTONE_SECRETS", "UNDERTONE_CHANNEL", "KARAPACE_IMAGE"),
    *("DASHBOARD_KAFKA_BOOTSTRAP", "DASHBOARD_REDIS_URL", "UNDERTONE_SUBNET", "UNDERTONE_GATEWAY"),
    "UNDERTONE_KEY_SERVICE",
}


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return document


def by_default(text: str) -> str:
    """What compose makes of a value when no variable is set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text)


def port_of(address: str) -> int:
    """Of `host:port`, or of a URL."""
    return int(re.search(r":(\d+)(?:/|$)", address)[1])  # type: ignore[index]


def services(*names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    every = compose()["services"]
    for name in names or every:
        yield name, every[name]


def known_variables() -> set[str]:
    return {*PLAIN, "UNDERTONE_SECRETS_DIR"} | {f"UNDERTONE_{name.upper()}" for name in Settings.model_fields}


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Keyword and argument of every instruction, continued lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(keyword, argument.strip()) for keyword, _, argument in parts]


def test_every_variable_is_a_setting() -> None:
    for name, service in services(*OURS):
        assert set(service["environment"]) <= known_variables() | {"SSL_CERT_FILE", VARIABLE}, name
    for dockerfile in DOCKERFILES:
        named = set(re.findall(r"UNDERTONE_[A-Z_]+", dockerfile.read_text()))
        assert named <= known_variables()
    assert set(re.findall(r"\$\{(\w+)", COMPOSE.read_text())) <= known_variables() | COMPOSES_OWN


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_a_role_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ((_, service),) = services(name)
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, by_default(value))
    folder = service["environment"]["UNDERTONE_SECRETS_DIR"]
    own = "embedding" if name == "embedding-gpu" else name
    assert [volume for volume in service["volumes"] if folder in volume] == [
        f"${{UNDERTONE_SECRETS:-./secrets}}/{own}:{folder}:ro"
    ]
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(tmp_path))
    settings = Settings.load()
    # Their addresses are files, beside the passwords: tests/unit/test_first_start.py.
    assert (settings.kafka_bootstrap, settings.redis_url, settings.schema_registry_url) == (None, None, None)
    assert settings.audio_prefixes == ("file:///audio/",)
    assert float(service["stop_grace_period"].removesuffix("s")) > settings.stop_deadline_s


@pytest.mark.parametrize("stage", FEATURE_STAGES, ids=lambda stage: stage.name)
def test_every_feature_stage_has_its_worker(stage: FeatureStage) -> None:
    ((_, service),) = services(stage.name)
    assert service["command"] == ["worker", stage.name]


def test_every_command_exists() -> None:
    commands = [list(map(by_default, service["command"])) for _, service in services(*OURS)]
    commands.extend(["bridge", channel.name] for channel in CHANNELS)
    for dockerfile in DOCKERFILES:
        keywords = dict(instructions(dockerfile))
        assert keywords["ENTRYPOINT"] == '["undertone"]'
        commands.append(yaml.safe_load(keywords["CMD"]))
    for first, *rest in commands:
        command = typer.main.get_command(app)
        context = typer.Context(command)
        found = command.get_command(context, first)  # type: ignore[attr-defined]
        assert found is not None, first
        if first in GROUPS:
            found = found.get_command(context, rest.pop(0))
            assert found is not None
        assert found.make_context("undertone", list(rest))


def test_ports_are_those_that_are_served() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (discovery,) = scraped[0]["dns_sd_configs"]
    assert set(discovery["names"]) == set(OURS) - JOBS - HERE
    port = str(discovery["port"])
    (beside,) = scraped[0]["static_configs"]
    assert beside["targets"] == [f"{name}:{port}" for name in HERE]
    ((_, prometheus),) = services("prometheus")
    (gateway,) = {service["environment"]["UNDERTONE_METRICS_HOST"] for _, service in services(*HERE)}
    assert prometheus["extra_hosts"] == [f"{name}:{gateway}" for name in HERE]
    (network,) = compose()["networks"]["machine"]["ipam"]["config"]
    assert network["gateway"] == gateway
    assert ip_address(by_default(gateway)) in ip_network(by_default(network["subnet"]))
    assert {service["environment"]["UNDERTONE_METRICS_PORT"] for _, service in services(*OURS)} == {port}
    for dockerfile in DOCKERFILES:
        assert f"UNDERTONE_METRICS_PORT={port}" in dockerfile.read_text()
        assert dict(instructions(dockerfile))["EXPOSE"] == port


def test_what_shares_the_network_of_the_machine_listens_at_its_loopback_and_reaches_what_is_published() -> None:
    assert {name for name, service in services() if service.get("network_mode") == "host"} == HERE
    ((_, dashboard),) = services("dashboard")
    given = {name: by_default(value) for name, value in dashboard["environment"].items()}
    assert given["UNDERTONE_DASHBOARD_HOST"] == "127.0.0.1"
    for server, address in MACHINE.items():
        name = {"database": "postgres", "keys": "postgres"}.get(server, server)
        ((_, service),) = services(name)
        assert service["ports"] == [f"{address}:{port_of(INSIDE[server])}".replace(":29092:9092", ":29092:29092")]


def test_what_is_published_is_published_to_this_machine_only() -> None:
    published = [port for _, service in services() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_a_role_shows_its_metrics_in_its_network_under_its_own_name() -> None:
    for name, service in services(*OURS):
        if name not in JOBS | HERE:
            assert service["hostname"] == service["environment"]["UNDERTONE_METRICS_HOST"] == name


def test_nothing_listens_everywhere_and_no_password_is_shipped() -> None:
    files = [path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix not in {".pyc", ".txt"}]
    for path in (COMPOSE, *files):
        text = path.read_text()
        assert "0.0.0.0" not in text, path
        assert "change me" not in text, path
    for name, service in services():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|DATABASE_URL", variable):
                assert value.startswith("/run/secrets"), f"{name}: {variable}"


def test_workers_and_agents_reach_only_the_services() -> None:
    networks = compose()["networks"]
    outward = {name for name, network in networks.items() if not network.get("internal")}
    assert outward == {"machine"}
    joined = {name: set(service.get("networks", ())) for name, service in services()}
    out = {name for name, its in joined.items() if its & outward}
    assert out == {"kafka", "redis", "postgres", "registry", "prometheus", "alertmanager", "grafana"}
    assert out == {name for name, service in services() if service.get("ports")}
    assert {name for name in OURS if joined[name] != {"inside"}} == {"bridge", *HERE}
    # Alerts name people: of the roles only a bridge reaches who is told of them.
    assert {name for name, its in joined.items() if "alerts" in its} == {"bridge", "alertmanager", "prometheus"}


def test_every_service_has_the_folder_that_the_first_start_makes_for_it() -> None:
    made = {*READERS, *SERVERS} - {"operator"}
    given = {}
    for name, service in services():
        for volume in service.get("volumes", ()):
            source, _, target = volume.removesuffix(":ro").rpartition(":")
            folder = source.removeprefix("${UNDERTONE_SECRETS:-./secrets}")
            if folder == f"/{KEYSET}":
                assert target == KEYSET_MOUNTED
            elif folder != source and name != "secrets":
                assert volume.endswith(":ro")
                assert target == (MOUNTED if folder[1:] in READERS else f"/run/secrets{folder}")
                given[name] = folder[1:]
    assert set(given.values()) == made
    assert {name for name, folder in given.items() if name != folder} == {"embedding-gpu"}
    assert set(given) == {name for name, _ in services()} - {"secrets"}


def test_the_keyset_is_mounted_where_keys_are_read_and_written_by_whoever_makes_or_replaces_it_alone() -> None:
    mount = f"${{UNDERTONE_SECRETS:-./secrets}}/{KEYSET}:{KEYSET_MOUNTED}"
    seen = {name: each for name, service in services() for each in service.get("volumes", ()) if each.startswith(mount)}
    readers = {name for name, reader in READERS.items() if "keys" in reader.reaches} - {"operator"}
    assert set(seen) == readers == {"keys", "key-server", "dashboard"}, "whoever has it opens everything"
    assert {name for name, each in seen.items() if not each.endswith(":ro")} == {"keys", "key-server"}
    ((_, server),) = services("key-server")
    assert "UNDERTONE_KEYS_RETENTION_S" in server["environment"], "by which it replaces the store key"
    # Whoever reads the key directory waits for it; whoever asks the key server tries again until it is there.
    waiting = {name for name, service in services(*OURS) if "keys" in service.get("depends_on", ())}
    assert waiting == set(seen) - {"keys"}


def test_whoever_reads_keys_finds_the_token_that_an_image_has_the_library_for() -> None:
    for name, service in services(*OURS):
        assert service["environment"][VARIABLE] == f"{MOUNTED}/{CONFIGURED}", name
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text()
        runs = text[text.rindex("FROM python:") :]
        assert "apt-get install --yes --no-install-recommends 'libsofthsm2=" in runs, "in what runs, not in what builds"


def test_secrets_are_made_before_everything_by_a_root_that_can_do_nothing_else() -> None:
    ((_, service),) = services("secrets")
    assert (service["network_mode"], service["read_only"], service["restart"]) == ("none", True, "no")
    assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["CHOWN", "DAC_OVERRIDE", "FOWNER"])
    assert set(service["profiles"]) == {profile for _, each in services() for profile in each["profiles"]}
    for name, other in services(*SERVERS):
        assert other["depends_on"]["secrets"]["condition"] == "service_completed_successfully", name


def test_the_scripts_that_run_before_the_roles_exist() -> None:
    for _, service in services(*SCRIPTS):
        python, flag, module = service["entrypoint"]
        assert (python, flag) == ("python", "-m")
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
        assert "./deploy:/undertone/deploy:ro" in service["volumes"]
        assert service["environment"]["PYTHONPATH"] == "/undertone"


def test_mounted_and_copied_paths_exist() -> None:
    mounts = [volume for _, service in services() for volume in service.get("volumes", ())]
    for source in (mount.split(":")[0] for mount in mounts if mount.startswith("./")):
        assert (ROOT / source).exists(), source
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    for dockerfile in DOCKERFILES:
        copied = [a.split()[:-1] for k, a in instructions(dockerfile) if k == "COPY" and not a.startswith("--from")]
        for source in {source for sources in copied for source in sources}:
            assert (ROOT / source).exists(), source
            assert any(f"!{part}" in ignore for part in (source, str(Path(source).parent))), source
    for _, service in services(*OURS):
        assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_targets_and_stages_exist() -> None:
    stages = {path.name: set(re.findall(r" AS (\S+)", path.read_text())) for path in DOCKERFILES}
    for _, service in services(*OURS):
        build = service["build"]
        assert build.get("target", "") in stages[Path(build["dockerfile"]).name] | {""}
    for path in DOCKERFILES:
        used = set(re.findall(r"(?:--from=|,from=)([\w-]+)", path.read_text()))
        assert used <= stages[path.name]


def test_images_have_exact_versions() -> None:
    bases = [argument.split()[0] for path in DOCKERFILES for k, argument in instructions(path) if k == "FROM"]
    stages = {stage for path in DOCKERFILES for stage in re.findall(r" AS (\S+)", path.read_text())}
    named = [service["image"] for _, service in services() if "build" not in service]
    for image in [*(base for base in bases if base not in stages), *named]:
        # PostgreSQL's versions have two parts.
        assert re.search(r"(:v?\d+\.\d+|^postgres:\d+)\.\d+[\w.-]*\}?$", image), image
    ((_, kafka),) = services("kafka")
    assert kafka["image"] == f"apache/kafka:{version()}"


def test_our_containers_have_no_powers_and_write_nowhere() -> None:
    for name, service in services(*OURS, "rights", "keys"):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        writable = [volume for volume in service.get("volumes", ()) if not volume.endswith(":ro")]
        # What browsers upload, and the key service's file.
        own = {"dashboard": ["/audio"], "keys": [KEYSET_MOUNTED], "key-server": [KEYSET_MOUNTED]}
        assert [volume.rpartition(":")[2] for volume in writable] == own.get(name, [])
    for dockerfile in DOCKERFILES:
        users = [argument for keyword, argument in instructions(dockerfile) if keyword == "USER"]
        assert users
        assert set(users) == {"10001:10001"}
        assert "HEALTHCHECK" in dict(instructions(dockerfile))


def test_who_waits_for_whom_can_be_waited_for() -> None:
    every = compose()["services"]
    for name, service in services():
        for other, condition in service.get("depends_on", {}).items():
            assert set(service["profiles"]) <= set(every[other]["profiles"]), f"{name} waits for {other}"
            if condition["condition"] == "service_healthy":
                assert "test" in every[other]["healthcheck"]
            else:
                assert every[other]["restart"] in {"on-failure", "no"}


def test_the_file_is_what_the_compose_specification_allows() -> None:
    """Against its JSON schema, which the package check-jsonschema carries."""
    package = find_spec("check_jsonschema")
    assert package is not None
    assert package.origin is not None
    vendored = Path(package.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    validator = Draft7Validator(json.loads(vendored.read_text()))
    assert [error.message for error in validator.iter_errors(compose())] == []
    wrong = {"services": {"kafka": {"image": "x", "port": ["1:1"]}}}
    assert list(validator.iter_errors(wrong))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, dockerfile], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_healthy_when_its_process_is_alive(dockerfile: Path) -> None:
    assert "/healthz" in dict(instructions(dockerfile))["HEALTHCHECK"]


def configured(*arguments: str, **variables: str) -> dict[str, Any]:
    """What compose itself reads from its files."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("no docker-compose here: install Debian's package of that name")
    command = [program, "--project-directory", str(ROOT), *arguments, "config"]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = yaml.safe_load(done.stdout)
    return document


@pytest.mark.parametrize("profile", ["core", "gpu", "monitoring", "registry"])
def test_compose_itself_accepts_the_file(profile: str) -> None:
    assert configured("--profile", profile)["services"]


def test_compose_runs_the_bridge_of_any_channel_and_of_several_as_the_page_shows(tmp_path: Path) -> None:
    for channel in CHANNELS:
        chosen = configured("--profile", "monitoring", UNDERTONE_CHANNEL=channel.name)["services"]["bridge"]
        assert chosen["command"] == ["bridge", channel.name]
    page = (ROOT / "docs" / "subscribing.md").read_text()
    (override,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "override.yml").write_text(override.replace("docker-compose.yml", str(COMPOSE)))
    files = ("-f", str(COMPOSE), "-f", str(tmp_path / "override.yml"))
    both = configured(*files, "--profile", "monitoring")["services"]
    (added,) = set(both) - set(configured("--profile", "monitoring")["services"])
    assert both[added]["command"][0] == "bridge"
    assert both[added]["command"][1] in {channel.name for channel in CHANNELS}
    assert both[added]["read_only"] is True
    # Prometheus looks for the name of the service, which the added one has as well.
    assert both[added]["networks"]["inside"]["aliases"] == ["bridge"]
    assert "machine" in both[added]["networks"], "the example posts to the internet"


@pytest.mark.parametrize(
    ("program", "command", "file"),
    [
        ("promtool", ("check", "config"), "prometheus/prometheus.yml"),
        ("amtool", ("check-config",), "alertmanager/alertmanager.yml"),
    ],
)
def test_their_own_tools_accept_the_configurations(program: str, command: tuple[str, ...], file: str) -> None:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} here: install Debian's prometheus and prometheus-alertmanager")
    done = subprocess.run([found, *command, ROOT / "deploy" / file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
