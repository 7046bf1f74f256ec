"""Which audit event each command leaves before it does anything: one table; a test fails for one without a row."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.channels import CHANNELS
from schemas.event_enums import AuditAction


@dataclass(frozen=True, slots=True)
class CommandEvent:
    """The event of one command. people: parameters that name people by pseudonym, None or missing for all.

    prefix: parameter that is set where `people` are prefixes of a cohort; unless: parameter with which the command
    reads a file and no server; only_with: parameter without which it shows no person's data.
    """

    action: AuditAction
    people: tuple[str, ...] = ()
    prefix: str = ""
    unless: str = ""
    only_with: str = ""


@dataclass(frozen=True, slots=True)
class Unaudited:
    """A command that leaves no event, and why."""

    why: str


FILES = Unaudited("reads files of whoever runs it, and no server")
A_ROLE = Unaudited("starts a role, which shows nothing by itself")
COUNTS = Unaudited("shows counts and settings, of no person")

COMMANDS: Mapping[str, CommandEvent | Unaudited] = {
    "demo": Unaudited("runs a system of its own with simulated users"),
    "up": A_ROLE,
    "submit": CommandEvent(AuditAction.UPLOADED, ("user",)),
    "scores": CommandEvent(AuditAction.LISTED, ("of",)),
    "user": CommandEvent(AuditAction.VIEWED, ("user_id",)),
    "alerts": CommandEvent(AuditAction.LISTED),
    "alerts mute": CommandEvent(AuditAction.ACTED, ("name",), prefix="cohort"),
    "alerts unmute": CommandEvent(AuditAction.ACTED, ("name",), prefix="cohort"),
    "alerts mutes": CommandEvent(AuditAction.LISTED),
    "score": FILES,
    "features": FILES,
    "transcribe": FILES,
    "bundle verify-equivalent": FILES,
    "train": FILES,
    "evaluate": FILES,
    "drift calibrate": COUNTS,
    "drift replay": FILES,
    "drift plot": CommandEvent(AuditAction.EXPORTED, ("user",), unless="scores"),
    "worker": A_ROLE,
    "agents": A_ROLE,
    "dashboard": A_ROLE,
    "history": A_ROLE,
    **{f"bridge {channel.name}": A_ROLE for channel in CHANNELS},
    "topics create": COUNTS,
    "topics schemas": COUNTS,
    "topics describe": COUNTS,
    "history migrate": Unaudited("changes tables, and shows none of their rows"),
    "history rebuild": CommandEvent(AuditAction.ACTED),
    "history cohorts": CommandEvent(AuditAction.ACTED),
    "keys serve": A_ROLE,
    "keys init": Unaudited("makes an empty key directory, before there is a trail"),
    "keys status": COUNTS,
    "keys rotate": CommandEvent(AuditAction.CONFIGURED),
    "keys grant": CommandEvent(AuditAction.EXPORTED),
    "keys destroy-epochs": CommandEvent(AuditAction.ERASED),
    "consent": CommandEvent(AuditAction.ACTED, ("user",)),
    "export": CommandEvent(AuditAction.EXPORTED, ("user",)),
    "erase": CommandEvent(AuditAction.ERASED, ("user",)),
    "erase verify": CommandEvent(AuditAction.VIEWED, ("user",)),
    "dead-letters list": CommandEvent(AuditAction.LISTED),
    "dead-letters show": CommandEvent(AuditAction.VIEWED),
    "dead-letters redrive": CommandEvent(AuditAction.ACTED),
    "rescore": CommandEvent(AuditAction.ACTED),
    "doctor": CommandEvent(AuditAction.ACTED, only_with="send_memo"),
    "audit verify": Unaudited("shows whether the trail is whole, and no event of it"),
    "audit list": CommandEvent(AuditAction.LISTED, ("user",)),
    "audit export": CommandEvent(AuditAction.EXPORTED),
    "audit anchor": Unaudited("signs the trail, and shows no event of it"),
}
"""By the words after `undertone`."""
UNLISTED = CommandEvent(AuditAction.ACTED)
"""A command without a row, if there ever is one, leaves an event all the same."""
