"""Whether Kafka is reached: addresses, names, ports, encryption, authentication, and what its brokers advertise."""

import asyncio
import socket

from aiokafka.errors import KafkaError

from schemas.errors import BrokerRefused
from schemas.settings import Settings
from schemas.topics import TOPICS
from streams.doctor.environment import unreached
from streams.doctor.examination import Patient, in_thread
from streams.doctor.finding import Finding, Status, failed, ok, skipped, together, warning
from streams.doctor.kafka.requests import BrokerConnection, Cluster
from workers.kafka.authorization_errors import refusal
from workers.kafka.broker_probe import addresses

ANSWER_S = 4.0
CONNECTION, CLUSTER = "kafka connection", "kafka cluster"
"""What the checks leave in `Patient.known`."""


async def address(patient: Patient) -> Finding:
    """Whether KAFKA_BOOTSTRAP is a list of `host:port`, as the settings judge."""
    given = patient.settings.kafka_bootstrap
    if fault := patient.fault_of("KAFKA_BOOTSTRAP"):
        return failed(fault, "write host:port, comma-separated, without a scheme such as kafka://")
    if given is None:
        return skipped(
            "no broker: KAFKA_BOOTSTRAP is not set and no `undertone up` runs",
            "set KAFKA_BOOTSTRAP, or start `undertone up` for an embedded one",
        )
    return ok(f"{given}{' (embedded)' if patient.embedded else ''}")


async def connection(patient: Patient) -> Finding:
    """Every address: its name, its port, its protocol. The first that answers serves the other checks."""
    bootstrap = patient.settings.kafka_bootstrap or ""
    found = await asyncio.gather(*(_reached(patient, *place) for place in addresses(bootstrap)))
    good = [each for each in found if each.status is Status.OK]
    if good and len(good) < len(found):
        bad = together(each for each in found if each.status is not Status.OK)
        return warning(f"{bad.text}; {len(good)} of {len(found)} addresses answer", bad.fix)
    return together(found)


async def _reached(patient: Patient, host: str, port: int) -> Finding:
    if unreachable := await unreached(host, port, "KAFKA_BOOTSTRAP"):
        return unreachable
    return await _answers(patient, host, port)


async def _answers(patient: Patient, host: str, port: int) -> Finding:
    where, broker = f"{host}:{port}", BrokerConnection(patient.settings, host, port)
    try:
        await broker.open()
        cluster = await broker.describe(topic.name for topic in TOPICS)
    except TimeoutError:
        await broker.close()
        return failed(
            f"{where} accepts connections and never answers", "look whether it is Kafka, and whether it is frozen"
        )
    except (KafkaError, OSError) as error:
        await broker.close()
        return _refused(where, error, patient.settings)
    if CONNECTION in patient.known:
        await broker.close()
    else:
        patient.known |= {CONNECTION: broker, CLUSTER: cluster}
        patient.exits.push_async_callback(broker.close)
    if not cluster.brokers and patient.settings.kafka_mechanism == "OAUTHBEARER":
        return failed(f"{where} rejects the token", "check its issuer, audience and expiry")
    return ok(f"{where} answers ({patient.settings.kafka_security})")


def _refused(where: str, error: BaseException, settings: Settings) -> Finding:
    found: BrokerRefused | None = refusal(error)
    if found is not None:
        text, _, fix = str(found).partition(": ")
        return failed(f"{where}: {text}", fix)
    return failed(
        f"{where} ends the connection ({type(error).__name__}); UNDERTONE_KAFKA_SECURITY is {settings.kafka_security}",
        "set UNDERTONE_KAFKA_SECURITY and certificates as this listener wants them; look whether this is Kafka",
    )


async def advertised(patient: Patient) -> Finding:
    """Whether the addresses that the brokers give to clients are reached from here."""
    cluster: Cluster = patient.known[CLUSTER]
    found = await asyncio.gather(*(_advertises(node, *place) for node, place in sorted(cluster.brokers.items())))
    if not found:
        return failed("the cluster names no broker", "look at the log of the brokers")
    return together(found)


async def _advertises(node: int, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(2 * ANSWER_S):
            await in_thread(lambda: socket.create_connection((host, port), ANSWER_S).close())
    except (OSError, UnicodeError, TimeoutError):
        return failed(
            f"broker {node} sends clients to {host}:{port}, which is not reached from here",
            "set advertised.listeners of that broker to an address that clients reach",
        )
    return ok(f"broker {node} at {host}:{port}")
