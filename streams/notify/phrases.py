"""The sentences about an alert, shared by all channels."""

from schemas.events import AlertKind

_FINDINGS = {
    AlertKind.DRIFT: "scores have moved away from this person's own past",
    AlertKind.LEVEL: "most recent scores of this person are in the high band",
    AlertKind.SILENCE: "no memo for longer than is usual for this person",
    AlertKind.UNKNOWN: "a rule of a newer Undertone has fired",
}
_PAST_FINDINGS = {
    AlertKind.DRIFT: "scores had moved away from this person's own past",
    AlertKind.LEVEL: "most recent scores of this person were in the high band",
    AlertKind.SILENCE: "there had been no memo for longer than is usual for this person",
    AlertKind.UNKNOWN: "a rule of a newer Undertone had fired",
}


def finding(kind: AlertKind) -> str:
    """The finding of an open episode."""
    return _FINDINGS[kind]


def past_finding(kind: AlertKind) -> str:
    """The finding of a resolved episode."""
    return _PAST_FINDINGS[kind]


def caution(bundle_id: str) -> str:
    """How to interpret an alert of this bundle, in whole sentences."""
    compass = "A compass, never a diagnosis: look at the person, not at the number."
    if not bundle_id.startswith("demo-"):
        return compass
    return f"{compass} The demonstration model scored this: it says nothing about any person."
