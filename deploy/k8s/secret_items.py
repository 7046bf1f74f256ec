"""Which keys of its Secret each pod mounts: `python -m deploy.k8s.secret_items [--check]`.

A pod sees what its role reads, by the table of settings, and of that only what is secret: passwords, keys, accounts,
and addresses that may hold any of them. All else belongs into the ConfigMap. `--check` writes nothing and fails when a
manifest says otherwise.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from schemas.environment import variable
from schemas.setting_types import File, Role
from schemas.settings import Settings, is_secret, roles_of

HERE = Path(__file__).parent
ACCOUNTS = ("_user", "_client_id")
"""Ends of the names of settings that stand beside a password."""
BY_ROLE = "key_service_"
"""How settings begin whose files differ by role, as a certificate: each role has a Secret and a volume for them."""
RENEWED = "kafka_token_file"
"""A token that the platform renews: it has a volume of its own."""
VOLUME = re.compile(
    r"^        - \{name: secrets, secret: .*\}\n|^        - name: secrets\n          secret:\n(?:            .*\n)+",
    re.MULTILINE,
)
COMPONENT = re.compile(r"app\.kubernetes\.io/component: (\w+)")


class Reader(NamedTuple):
    """A component of the manifests. begins: how the settings begin that its command reads, of those of the role.

    secret: name of its Secret.
    """

    role: Role
    begins: tuple[str, ...] = ("",)
    secret: str = "undertone"


READERS = {
    "acoustic": Reader(Role.WORKER),
    "embedding": Reader(Role.WORKER),
    "agents": Reader(Role.AGENTS),
    "bridge": Reader(Role.BRIDGE),
    "history": Reader(Role.HISTORY),
    "dashboard": Reader(Role.DASHBOARD),
    # What unwraps keys is in a Secret that no other pod mounts.
    "keys": Reader(Role.KEYS, secret="undertone-keys"),
    "topics": Reader(Role.COMMAND_LINE, ("kafka_", "schema_registry_")),
    "migrate": Reader(Role.HISTORY, ("database_",)),
}


def secret_keys(component: str) -> list[str]:
    """The keys of the Secret that a component mounts, each a file of this name.

    A setting has the name of its variable. A file that a setting names has the setting's: `kafka-ca.pem` for
    UNDERTONE_KAFKA_CA, which the ConfigMap says is /run/secrets/undertone/kafka-ca.pem.
    """
    reader = READERS[component]
    read = (name for name in Settings.model_fields if roles_of(name) & reader.role)
    return sorted(key for name in read if name.startswith(reader.begins) for key in _keys(name))


def _keys(name: str) -> Iterator[str]:
    if File in get_args(Settings.model_fields[name].annotation) and name != RENEWED:
        if not name.startswith(BY_ROLE):
            yield f"{name.replace('_', '-')}.{'csv' if name == 'fhir_patients' else 'pem'}"
    elif is_secret(name) or name.endswith(ACCOUNTS):
        yield variable(name)


def volume(component: str) -> str:
    """The volume of a pod, as its manifest has it. A key that the Secret lacks is left out (`optional`)."""
    items = "".join(f"              - {{key: {key}, path: {key}}}\n" for key in secret_keys(component))
    return (
        "        - name: secrets\n"
        "          secret:\n"
        f"            secretName: {READERS[component].secret}\n"
        "            defaultMode: 288\n"
        "            optional: true\n"
        "            # By the table of settings: `make schemas`.\n"
        f"            items:\n{items}"
    )


def manifests() -> list[Path]:
    """The manifests with a volume of secrets."""
    return [path for path in sorted(HERE.rglob("*.yaml")) if VOLUME.search(path.read_text())]


def text(path: Path) -> str:
    """A manifest as it must be."""
    found = path.read_text()
    component = COMPONENT.search(found)
    if component is None:
        raise ValueError(f"{path.name} names no component")
    return VOLUME.sub(lambda _: volume(component[1]), found)


def main(arguments: Sequence[str]) -> int:
    """The command."""
    wrong = [path for path in manifests() if path.read_text() != text(path)]
    if "--check" not in arguments:
        for path in wrong:
            path.write_text(text(path))
    elif wrong:
        print(f"{wrong[0].name} does not mount what its role reads: run `make schemas`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
