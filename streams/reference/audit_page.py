"""`docs/audit.md`, with the tables of routes and commands: `python -m streams.reference.audit_page [--check]`.

`--check` writes nothing and fails when the page is out of date.
"""

import sys
from pathlib import Path

from schemas.event_enums import AuditAction
from schemas.generated_page import page, table
from streams.access.permissions import ROUTES
from streams.audit.commands import COMMANDS, CommandEvent, Unaudited
from streams.roles.start_events import RECORDED

PAGE = Path(__file__).parent.parent.parent / "docs" / "audit.md"
INTRODUCTION = """\
Every look at a person's data and every change is a record of the topic `audit.events`, acknowledged by every in-sync
replica *before* anything is shown or done: who, proved by what, in which role, what, whose, when, and why if it was
said. **A look that cannot be recorded is not shown**: the dashboard answers 503, a command ends with 69. Scoring and
alerts do not wait for it.

**Who** is never typed in. On the dashboard it is the subject of the identity provider. For a command it is the subject
of the access token in `UNDERTONE_OIDC_TOKEN_FILE`, which the provider's keys must have signed; without one the client
certificate that Kafka accepts, else the user of SASL, else the user of the machine. `via` names user and machine in
every case, since a certificate may be that of a role.

**People** are named by pseudonym, or with `UNDERTONE_AUDIT_KEY` by a keyed hash (HMAC-SHA256): `undertone audit list
--user` finds them by pseudonym either way, and what is left after an erasure leads to no person."""
CHAINS = """\
Each process that writes events has chains of its own, as many as it writes events at once. An event of a chain has
its number (`seq`, from 1), the hash of the one before (`prev`) and its own (`hash`): the SHA-256 of its canonical
form, which is JSON in UTF-8, an object of the fields but `hash` and `mac` whose value is not the field's default,
sorted by name, without white space, times as milliseconds since 1970. With `UNDERTONE_AUDIT_KEY` it also has `mac`,
the HMAC-SHA256 of `hash`, so that no one without the key can invent an event.

A chain ends with an event that Kafka did not acknowledge in time, whether it arrived or not, and another one begins:
an outage leaves no gap that looks like a removed event. No process needs to know of another."""
HEADS = """\
Chains alone do not show that a whole chain, or the end of one, is missing. So `undertone history`, to which no person
signs in, signs a **head** every `UNDERTONE_AUDIT_HEAD_S` (Ed25519): per partition the next offset, a running SHA-256
over offset, key and value of every record, and the first eight bytes of each new record's digest, by which a change
is named. Each head has the digest of the one before. It goes to all of `UNDERTONE_AUDIT_ANCHORS`, which take each
number once:

* `file:///PATH`: one line a head, only appended to (`chattr +a`), best on another machine's disk;
* `s3://BUCKET/PREFIX`: a bucket with object lock, which keeps each head for `UNDERTONE_AUDIT_ANCHOR_LOCK_DAYS` from
  everybody, its owner included;
* with `UNDERTONE_AUDIT_TIMESTAMPS_URL` a time stamping authority (RFC 3161) witnesses each head; `openssl ts -verify`
  checks its stamp without Undertone.

```sh not-run: makes a key
openssl genpkey -algorithm ed25519 -out audit.pem && chmod 600 audit.pem    # UNDERTONE_AUDIT_SIGNING_KEY
openssl pkey -in audit.pem -pubout -out audit.pub                           # UNDERTONE_AUDIT_PUBLIC_KEY, for auditors
```

Where the history role is not trusted with the key, run `undertone audit anchor` from a timer instead, on a machine
that the administrators of Kafka do not reach. Two signers do no harm: an anchor refuses the second head of a number."""
VERIFYING = """\
`undertone audit verify` reads the whole topic and all heads. It names the first event that was changed, removed,
swapped, invented, replayed, forked or cut, and the last head up to which everything is as it was signed; it ends with
1 if there is any. `undertone audit export` prints records and heads as JSON lines, for whoever wants to verify them
by other means.

| what somebody does | found by |
|---|---|
| changes, removes, swaps, moves or inserts an event that a head covers | the heads |
| cuts the topic before the last head, deletes it, or lets it expire early | the heads |
| changes, replays or forks a newer event, or removes one from the middle of a chain | the chains |
| invents a newer event | `mac`, with `UNDERTONE_AUDIT_KEY`; of starts of workers and bridges **nothing** |
| changes or replaces heads | the signatures |
| removes the last heads and what they cover | another anchor |
| cuts off events that are newer than the last head | **nothing**: at most those of `UNDERTONE_AUDIT_HEAD_S` |
| has the signing key and every anchor | **nothing**, but for a time stamp of before |

Events are kept for six years (45 CFR 164.316(b)(2)). What expires by then is no finding, since heads say when it was
signed. The embedded broker of `undertone up` keeps events in memory, so heads are for a Kafka that lasts."""

STARTS = f"""\
Each start of {", ".join(f"`undertone {name.replace('.', ' ')}`" for name in RECORDED)} leaves an event with action
`configured`: version, digest of the settings that the role reads, id of the model bundle. Processes with the same
settings have the same digest. With `UNDERTONE_AUDIT_KEY` it covers passwords and keys as well. `undertone audit list
--changes` shows the starts that differ from the one before. No role waits for its event; one that Kafka does not take
is in the log.

Feature workers and bridges read what others send, or speak to the outside, and so get no key of the trail. Their starts
have no `mac`, and their digests leave passwords and keys out. `undertone audit verify` takes an event without `mac`
for nothing but such a start, about no person: whoever may write to the topic can invent one until a head covers it."""


def audit_page() -> str:
    """The page."""
    return page(
        "Audit trail",
        INTRODUCTION,
        "## Chains",
        CHAINS,
        "## Signed heads and anchors",
        HEADS,
        "## Verifying",
        VERIFYING,
        "## Routes",
        "An answer of these that is no error leaves exactly one event, of this action, or it is withheld; a refusal "
        "leaves one of the action `refused`.",
        table(("route", "permission", "event", "why there is none"), _routes()),
        "## Starts",
        STARTS,
        "## Commands",
        "The event is written before the command does anything; its `resource` is the command with dots.",
        table(("command", "event", "whose, or why there is none"), _commands()),
    )


def _routes() -> list[tuple[str, ...]]:
    return [(f"`{method} {path}`", row.permission.value, *_event(row.event)) for (method, path), row in ROUTES.items()]


def _event(event: AuditAction | Unaudited) -> tuple[str, str]:
    return ("none", event.why) if isinstance(event, Unaudited) else (event.value, "")


def _commands() -> list[tuple[str, str, str]]:
    return [(f"`{path}`", *_cells(row)) for path, row in COMMANDS.items()]


def _cells(row: CommandEvent | Unaudited) -> tuple[str, str]:
    if isinstance(row, Unaudited):
        return "none", row.why
    return row.action.value, f"of the user of `{row.people[0]}`" if row.people else "of whoever is in it"


def main(arguments: list[str], path: Path = PAGE) -> int:
    """The command: writes the page, or with `--check` says that it is out of date and returns 1."""
    if "--check" not in arguments:
        path.write_text(audit_page())
        return 0
    if path.is_file() and path.read_text() == audit_page():
        return 0
    sys.stderr.write(f"docs/{path.name} is out of date: run `make schemas`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
