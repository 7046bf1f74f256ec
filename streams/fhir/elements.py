"""What all our FHIR resources share: identifiers, references, narrative, and the mark of a demonstration. Pure.

FHIR R4 (4.0.1), https://hl7.org/fhir/R4. Codes come from HL7's own code systems only. No resource has a code for a
disorder: another system would file it as a diagnosis.
"""

from datetime import UTC, datetime
from html import escape

from schemas.ids import derived_id
from schemas.json_records import Json
from streams.reasons.phrases import caution

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
NAMESPACE = "urn:x-undertone"
MEMO, EPISODE, BUNDLE, PSEUDONYM, KIND = (
    f"{NAMESPACE}:{name}" for name in ("memo", "episode", "bundle", "pseudonym", "alert-kind")
)
"""Systems of our identifiers and codes."""
XHTML = "http://www.w3.org/1999/xhtml"
PATIENT = "Patient"

Element = dict[str, Json]


def resource_id(kind: str, *causes: str) -> str:
    """Id of the resource that these causes lead to, always the same: a UUID, so any FHIR server accepts it."""
    return derived_id(f"fhir {kind}", *causes)


def identifier(system: str, value: str) -> Element:
    """An identifier in one of our systems."""
    return {"system": system, "value": value}


def identity(resource: Element) -> tuple[str, str]:
    """System and value of a resource's first identifier. Every resource of ours has one."""
    identifiers = resource["identifier"]
    assert isinstance(identifiers, list)
    first = identifiers[0]
    assert isinstance(first, dict)
    return str(first["system"]), str(first["value"])


def patient(reference: str) -> Element:
    """A reference to a Patient: `Patient/ID`, or its address on another server."""
    return {"reference": reference, "type": PATIENT}


def pseudonym(user_id: str) -> Element:
    """A reference to the patient by the pseudonym alone: who that is stays outside of Undertone."""
    return {"type": PATIENT, "identifier": identifier(PSEUDONYM, user_id)}


def device(bundle_id: str) -> Element:
    """A reference to the program and the model that scored."""
    display = f"Undertone, model {printable(bundle_id)}"
    return {"type": "Device", "identifier": identifier(BUNDLE, bundle_id), "display": display}


def coding(system: str, code: str, display: str) -> Element:
    """One code with its meaning."""
    return {"system": system, "code": code, "display": display}


def concept(text: str, *codings: Element) -> Element:
    """A concept in words, and in codes where there are any."""
    return {"coding": list(codings), "text": text} if codings else {"text": text}


def narrative(*sentences: str) -> Element:
    """The resource for people: one paragraph a sentence."""
    paragraphs = "".join(f"<p>{escape(printable(each))}</p>" for each in sentences if each)
    return {"status": "generated", "div": f'<div xmlns="{XHTML}">{paragraphs}</div>'}


def meta(bundle_id: str) -> Element:
    """Metadata: resources of the demonstration model carry HL7's label for test data."""
    if not is_demonstration(bundle_id):
        return {}
    return {"meta": {"security": [coding(f"{TERMINOLOGY}/v3-ActReason", "HTEST", "test health data")]}}


def is_demonstration(bundle_id: str) -> bool:
    """Whether the shipped demonstration model scored."""
    return bundle_id.startswith("demo-")


def notes(bundle_id: str, *more: str) -> list[Json]:
    """How to interpret the resource, and what else is to be said."""
    return [{"text": text} for text in (caution(bundle_id), *more) if text]


def instant(moment: datetime) -> str:
    """A time with its zone, in milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    """A record's text in one line, without what XHTML does not allow."""
    return "".join(each if each.isprintable() else " " for each in text)
