"""What every channel that speaks to people says of an alert, in the same words."""

from schemas.events import AlertKind

_FINDINGS = {
    AlertKind.DRIFT: "scores have moved away from this person's own past",
    AlertKind.LEVEL: "most recent scores of this person lie in the high band",
    AlertKind.UNKNOWN: "a rule of a newer Undertone has fired",
}
_PAST_FINDINGS = {
    AlertKind.DRIFT: "scores had moved away from this person's own past",
    AlertKind.LEVEL: "most recent scores of this person lay in the high band",
    AlertKind.UNKNOWN: "a rule of a newer Undertone had fired",
}


def finding(kind: AlertKind) -> str:
    """What was found, of an episode that is open."""
    return _FINDINGS[kind]


def past_finding(kind: AlertKind) -> str:
    """What had been found, of an episode that is over."""
    return _PAST_FINDINGS[kind]


def caution(bundle_id: str) -> str:
    """How to read an alert of this bundle, in whole sentences."""
    compass = "A compass, never a diagnosis: look at the person, not at the number."
    if not bundle_id.startswith("demo-"):
        return compass
    return f"{compass} The demonstration model scored this: it says nothing about any person."
