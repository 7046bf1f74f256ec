import json
import re
from pathlib import Path
from typing import Any

import yaml

from schemas.asyncapi_document import asyncapi
from schemas.generate_docs import DOCS
from schemas.headers import headers_of
from schemas.topics import TOPICS
from tests.unit.schemas.records import EXAMPLES

AVRO = Path(DOCS).parent / "schemas" / "avro"


def resolve(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [v for k, v in node.items() if k == "$ref"] + [r for v in node.values() for r in references(v)]
    return [r for v in node for r in references(v)] if isinstance(node, list) else []


def test_the_contract_in_the_tree_names_every_topic_with_its_released_schema() -> None:
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
    assert document["asyncapi"] == "3.0.0"
    channels = {channel["address"]: channel for channel in document["channels"].values()}
    assert list(channels) == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        channel = channels[topic.name]
        config = channel["bindings"]["kafka"]["topicConfiguration"]
        assert config["max.message.bytes"] == topic.max_bytes
        assert config["retention.ms"] == topic.retention.total_seconds() * 1000
        (reference,) = [message["$ref"] for message in channel["messages"].values()]
        message = resolve(document, reference)
        stem = re.sub(r"(?<!^)(?=[A-Z])", "_", topic.record.__name__).lower()
        assert message["payload"]["schema"] == json.loads((AVRO / f"{stem}.avsc").read_text())
        assert message["bindings"]["kafka"]["key"]["type"] == "string"


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi()
    found = references(document)
    assert len(found) >= 4 * len(TOPICS)
    assert all(resolve(document, reference) for reference in found)


def test_operations_say_who_acts_as_undertone_sees_it() -> None:
    actions = {
        resolve(asyncapi(), operation["channel"]["$ref"])["address"]: operation["action"]
        for operation in asyncapi()["operations"].values()
    }
    assert actions.pop("memos.uploaded") == "receive"
    assert set(actions.values()) == {"send"}


def test_the_headers_described_are_the_headers_sent() -> None:
    described = asyncapi()["components"]["messageTraits"]["cloudEvent"]["headers"]
    for record in EXAMPLES:
        sent = dict(headers_of(record, "stage", None))
        assert set(sent) == set(described["required"])
        for name, value in sent.items():
            assert described["properties"][name].get("const", value.decode()) == value.decode()
        assert sent["ce_type"].decode() in {m["name"] for m in asyncapi()["components"]["messages"].values()}
