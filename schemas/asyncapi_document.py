"""`docs/asyncapi.yaml`: the published contract, from the topics and the schemas. Needs PyYAML."""

import json
from importlib import resources
from typing import Any

import yaml

from schemas.codec import schema_name
from schemas.generated_page import NOTE
from schemas.headers import CONTENT_TYPE, TYPE_PREFIX
from schemas.topics import TOPICS, UPLOADED, Topic

# The first version that has all these schemas use (defaults of enums), and the newest that AsyncAPI's tools read.
AVRO_FORMAT = "application/vnd.apache.avro;version=1.9.0"
KAFKA_BINDING = "0.5.0"

INTRODUCTION = """\
Undertone listens for change. Voice memos arrive as events; workers turn each into acoustic features and Wav2Vec 2.0
embeddings; agents fuse them into a calibrated depression-risk score and follow every user's score against that user's
own past. A compass for clinicians, never a diagnosis.

**Keys.** Every record has the pseudonym of its user as its key (UTF-8), and every topic the same partition count: a
user's records keep their order from upload to alert. Dead letters have the key of the record that failed.

**Values.** Avro binary in one of two frames; the first byte shows which.
Where a schema registry is configured: `0x00`, the schema's id (4 bytes, big-endian), the body; subjects are
`<topic>-value`.
Where none is: Avro single-object encoding, that is `0xC3 0x01`, the CRC-64-AVRO fingerprint of the schema's parsing
canonical form (8 bytes, little-endian), the body.

**Delivery** is at least once. Ids are derived from what caused a record: deduplicate by id.

**Change.** Schemas change so that readers of any version read records of any other (FULL_TRANSITIVE). Symbols may be
added to enums that have a default; readers that do not know one see the default. Without a registry a reader knows
only the versions it was built with: upgrade readers before writers.
"""

HEADERS: dict[str, dict[str, object]] = {
    "ce_specversion": {"type": "string", "const": "1.0", "description": "CloudEvents version."},
    "ce_id": {"type": "string", "description": "Id of the record, unique with its source; stable across redelivery."},
    "ce_type": {"type": "string", "description": "Full name of the record's Avro schema."},
    "ce_source": {"type": "string", "format": "uri-reference", "description": "The writer: `/undertone/<stage>`."},
    "ce_time": {"type": "string", "format": "date-time", "description": "When it happened, UTC."},
    "content-type": {"type": "string", "const": CONTENT_TYPE, "description": "What the value is."},
    "traceparent": {"type": "string", "description": "W3C Trace Context; one trace from upload to alert."},
    "tracestate": {"type": "string", "description": "W3C Trace Context; as it came with the trace."},
}
OPTIONAL_HEADERS = {"tracestate"}


def asyncapi() -> dict[str, Any]:
    """The published contract as an AsyncAPI 3.0 document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Undertone",
            "version": "1.0.0",
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {_camel(topic.name): _channel(topic) for topic in TOPICS},
        "operations": {_operation_name(topic): _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {topic.record.__name__: _message(topic) for topic in TOPICS},
            "messageTraits": {"cloudEvent": {"headers": _headers()}},
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    name = topic.record.__name__
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{topic.meaning} Written by {topic.written_by}; retention {topic.how_long}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {
                    "cleanup.policy": [topic.policy],
                    "retention.ms": int(topic.retention.total_seconds() * 1000),
                    "max.message.bytes": topic.max_bytes,
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operation_name(topic: Topic) -> str:
    return f"{_action(topic)}{topic.record.__name__}"


def _action(topic: Topic) -> str:
    """What Undertone does on the topic: it receives uploads and sends the rest."""
    return "receive" if topic is UPLOADED else "send"


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{_camel(topic.name)}"
    return {
        "action": _action(topic),
        "channel": {"$ref": channel},
        "summary": topic.meaning,
        "messages": [{"$ref": f"{channel}/messages/{topic.record.__name__}"}],
    }


def _message(topic: Topic) -> dict[str, Any]:
    schema = json.loads((resources.files("schemas.avro") / f"{schema_name(topic.record)}.avsc").read_text())
    return {
        "name": TYPE_PREFIX + topic.record.__name__,
        "title": topic.record.__name__,
        "summary": schema["doc"],
        "contentType": CONTENT_TYPE,
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"schemaFormat": AVRO_FORMAT, "schema": schema},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "description": f"The {topic.key}." if " " in topic.key else _key(schema, topic.key),
                },
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _key(schema: dict[str, Any], field: str) -> str:
    return next(str(f["doc"]) for f in schema["fields"] if f["name"] == field)


def _headers() -> dict[str, Any]:
    required = [name for name in HEADERS if name not in OPTIONAL_HEADERS]
    return {"type": "object", "required": required, "properties": HEADERS}


def _camel(name: str) -> str:
    first, *rest = name.split(".")
    return first + "".join(part.capitalize() for part in rest)


def asyncapi_text() -> str:
    """The contract as YAML, with text in blocks and keys in the order of the document."""
    return f"# {NOTE}\n" + yaml.dump(asyncapi(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Long text as blocks, and no anchors: what is the same twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
