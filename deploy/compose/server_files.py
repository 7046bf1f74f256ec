"""The configurations of Kafka, Redis and PostgreSQL's clients with their passwords, as text. Pure.

Passwords hold letters, digits, `-` and `_` alone (`first_start.py` refuses others), so no format needs to escape them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from deploy.compose.soft_token import SOFTHSM, TOKEN

ADMIN = "admin"
"""Kafka's superuser: it gives the others their rights, and the broker itself acts as it."""
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


@dataclass(frozen=True, slots=True)
class KafkaAddresses:
    """Where the broker listens: for other services, for programs of this machine, and for itself."""

    inside: str = "kafka:9092"
    outside: str = "127.0.0.1:29092"
    controller: str = "127.0.0.1:9093"


def kafka_properties(
    passwords: Mapping[str, str], files: str, data: str, addresses: KafkaAddresses | None = None
) -> str:
    """`server.properties` of a broker that speaks nothing but TLS, and lets in nobody without a password.

    passwords: by user, ADMIN among them; files: folder with `server-both.pem` and `ca.pem`; data: folder of the log. A
    user has the rights that the authorizer's list gives it, and ADMIN every right.
    """
    at = addresses or KafkaAddresses()
    ports = {name: address.rpartition(":")[2] for name, address in (("INSIDE", at.inside), ("OUTSIDE", at.outside))}
    users = " ".join(f'user_{name}="{password}"' for name, password in passwords.items())
    login = f'{LOGIN} username="{ADMIN}" password="{passwords[ADMIN]}" {users};'
    return _lines(
        {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"INSIDE://:{ports['INSIDE']},OUTSIDE://:{ports['OUTSIDE']},CONTROLLER://{at.controller}",
            "advertised.listeners": f"INSIDE://{at.inside},OUTSIDE://{at.outside}",
            "listener.security.protocol.map": "INSIDE:SASL_SSL,OUTSIDE:SASL_SSL,CONTROLLER:SASL_SSL",
            "inter.broker.listener.name": "INSIDE",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@{at.controller}",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.mechanism.controller.protocol": "PLAIN",
            **{f"listener.name.{name}.plain.sasl.jaas.config": login for name in ("inside", "outside", "controller")},
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": f"{files}/server-both.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": f"{files}/ca.pem",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN}",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.dirs": data,
        }
    )


def kafka_client_properties(user: str, password: str, files: str) -> str:
    """What Kafka's own tools take as `--command-config`."""
    return _lines(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.jaas.config": f'{LOGIN} username="{user}" password="{password}";',
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": f"{files}/ca.pem",
        }
    )


def kafka_settings(bootstrap: str, user: str, password: str, ca: str) -> dict[str, str]:
    """The settings of a role that reaches that broker, by variable."""
    return {
        "KAFKA_BOOTSTRAP": bootstrap,
        "UNDERTONE_KAFKA_SECURITY": "SASL_SSL",
        "UNDERTONE_KAFKA_MECHANISM": "PLAIN",
        "UNDERTONE_KAFKA_CA": ca,
        "UNDERTONE_KAFKA_USER": user,
        "UNDERTONE_KAFKA_PASSWORD": password,
    }


def users_acl(shipped: str, passwords: Mapping[str, str]) -> str:
    """The access list of Redis: the shipped one, whose users have no password and so let in nobody, with passwords.

    A user that the shipped list does not have may look whether the server answers, and nothing else. Redis stores the
    SHA-256 of a password, which suffices for one that is long and random.
    """
    lines = shipped.splitlines()
    for user, password in passwords.items():
        allowed = f"user {user} on #{sha256(password.encode()).hexdigest()}"
        if any(line.startswith(f"user {user} on ") for line in lines):
            lines = [line.replace(f"user {user} on", allowed, 1) for line in lines]
        else:
            lines.append(f"{allowed} resetchannels -@all +ping")
    return "\n".join(lines) + "\n"


def redis_settings(address: str, user: str, password: str, ca: str) -> dict[str, str]:
    """The settings of a role that reaches Redis over TLS. address: host and port."""
    return {
        "REDIS_URL": f"rediss://{address}/0",
        "UNDERTONE_REDIS_USER": user,
        "UNDERTONE_REDIS_PASSWORD": password,
        "UNDERTONE_REDIS_CA": ca,
    }


def database_settings(address: str, password: str, ca: str) -> dict[str, str]:
    """The settings of a role that reaches PostgreSQL over TLS and checks who answers. address: host and port."""
    return {"UNDERTONE_DATABASE_URL": _postgresql("undertone", password, address, ca)}


@dataclass(frozen=True, slots=True)
class Sealed:
    """How data is sealed. seal: `on`, or `off` after that; password: of the key directory; audit_key: of the trail.

    pin: of the token that wraps the store key; None where a keyset does.
    """

    seal: str
    password: str
    audit_key: str
    pin: str | None = None


def sealing_settings(address: str, sealed: Sealed | None, keyset: str, ca: str) -> dict[str, str]:
    """The settings of a role that opens and seals; none where nothing was ever sealed.

    address: of PostgreSQL, host and port; keyset: file of the local key service, unless a token is used.
    """
    if sealed is None:
        return {}
    token = f"pkcs11:{SOFTHSM}?token={TOKEN}&key={TOKEN}&pin={sealed.pin}"
    return {
        "UNDERTONE_SEAL": sealed.seal,
        "UNDERTONE_KMS": f"local:{keyset}" if sealed.pin is None else token,
        "UNDERTONE_KEY_DIRECTORY_URL": _postgresql("undertone_keys", sealed.password, address, ca),
        "UNDERTONE_AUDIT_KEY": sealed.audit_key,
    }


def purpose_settings(address: str, sealed: Sealed | None) -> dict[str, str]:
    """The settings of a role that asks the key server for keys of its purposes. address: host and port."""
    if sealed is None:
        return {}
    return {
        "UNDERTONE_SEAL": sealed.seal,
        "UNDERTONE_KEY_SERVICE_URL": f"https://{address}",
        "UNDERTONE_AUDIT_KEY": sealed.audit_key,
    }


def certificate_settings(files: str) -> dict[str, str]:
    """The settings of whoever speaks with the key server, or is it. files: folder with the certificate `keys.pem`."""
    return {
        "UNDERTONE_KEY_SERVICE_CA": f"{files}/ca.pem",
        "UNDERTONE_KEY_SERVICE_CERTIFICATE": f"{files}/keys.pem",
        "UNDERTONE_KEY_SERVICE_KEY": f"{files}/keys-key.pem",
    }


def _postgresql(user: str, password: str, address: str, ca: str) -> str:
    """A user and its database, which has the same name."""
    return f"postgresql://{user}:{password}@{address}/{user}?sslmode=verify-full&sslrootcert={ca}"


def _lines(properties: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())
