"""`docs/privacy.md`, from the tables: `python -m streams.reference.privacy_page [--check]`.

`--check` writes nothing and fails when the page is out of date. The data map is every row of every table of places:
topics, keys in Redis, tables of SQL, files.
"""

import sys
from pathlib import Path

from schemas.generated_page import page, table
from schemas.privacy_marks import Erased, Marks, Sealed
from schemas.state_keys import STATE_KEYS
from schemas.stored_files import STORED_FILES
from schemas.topics import TOPICS
from streams.history.tables import MARKS, METADATA
from streams.privacy.steps import Step
from streams.reference.privacy_rules import OUTSIDE, RULES, THREATS

PAGE = Path(__file__).parent.parent.parent / "docs" / "privacy.md"
INTRODUCTION = """\
Where data of a person comes to rest, how long it stays, by what it is sealed, and how an erasure reaches it. *A person*
is somebody who records memos; staff who sign in are not meant. A *pseudonym* is the `user_id` that your platform gives.

Every topic, key, table and file has both marks in the table that it is made from, so a new one without them does not
pass the tests."""
SEALED = """\
What is said to seal a place holds while `UNDERTONE_SEAL` is `on`. Where it is not set, `undertone up` and `undertone
demo` seal, with `keys.db` and `keyset.json` in `UNDERTONE_HOME`: nothing asks for a password, so whoever may read this
folder may read everything. With a Kafka, Redis, PostgreSQL or key directory of your own nothing is sealed unless you
set it, and then all of this is in clear, for whoever can read the disks. `undertone doctor` says which holds."""
ERASURE = """\
```sh not-run: erases somebody; tests/integration/test_erasure.py runs it on real servers
undertone erase --user PSEUDONYM --reason "asked in writing" --by TICKET --certificate erased.json
undertone erase verify erased.json --user PSEUDONYM
```

A log cannot be rewritten for one person on every replica, mirror and backup. So each person has keys, and an erasure
destroys them. Run it with the environment of the agents and the right to read every topic (`doctor`, in
[the table of permissions](../deploy/kafka/acls.md)). Its steps are recorded in the key directory, and whatever
interrupts it, the same command goes on with the first that is not done, and a dashboard with what it was asked for:"""
ERASURE_STEPS = {
    Step.REFUSE: "Who asks the key directory gets no key of the person any more, and a memo of the person is refused.",
    Step.TELL: "Receivers whose addresses are set (`UNDERTONE_WEBHOOK_URL`, `UNDERTONE_SLACK_URL`, …) get the end of "
    "each open episode, and webhooks [`person.erased`](subscribing.md#when-a-person-is-erased); the platform at "
    "`UNDERTONE_PLATFORM_URL` also gets the addresses of the recordings. One that does not answer is tried again for "
    "`UNDERTONE_ERASURE_TELL_S`, and the certificate says who was informed and who was not.",
    Step.DESTROY: "The person's keys and sealed pseudonym are deleted from the key directory; a tombstone stays, so "
    "that no process makes new keys for what is on its way: that is skipped and counted "
    "(`undertone_records_erased_total`), and is no dead letter.",
    Step.ROTATE: "The store key is replaced, everybody else's keys are wrapped with the new one, and the key service "
    "destroys the old one: backups of the key directory open nothing.",
    Step.FORGET: "Every process with keys in memory notes in the key directory that it dropped the person's; it looks "
    "every 5 seconds. One that was killed, or does not reach the directory, is waited for as long as it may use a key, "
    "`UNDERTONE_KEY_CACHE_S`: give all processes, and this command, the same value. The certificate says how many "
    "processes there were, how many acknowledged, and which of both ended the step.",
    Step.DELETE: "What is deleted: everything that the data map marks so.",
    Step.REWRITE: "Redis rewrites its append-only file and SQLite its database: both keep deleted names until then. "
    "PostgreSQL rewrites tables, statistics and log where rows in clear were deleted since the last time, of this "
    "person or whoever has none left; what its user has no right to is on the certificate.",
    Step.TRY: "Every record of every topic, every value of Redis, every row of SQL and every file of the home is read "
    "with every permission. If anything of the person opens, or the pseudonym is anywhere, there is no certificate.",
    Step.CERTIFY: "What was done and tried is signed.",
}
CERTIFICATE = """\
**The certificate** is canonical JSON with an Ed25519 signature: a keyed hash of the pseudonym, the subject, reason and
ticket, the months whose keys were destroyed, when each older store key was or will be gone, what was deleted by place,
what was tried, and what is outside. It names no one. `undertone erase verify` checks signature and signer, and reads
everything again; a changed byte fails. The signing key lives in the key directory, under Undertone's own row, and
follows every rotation. Who sends memos after an erasure is a new person with a new subject.

**On the dashboard** an auditor does the same on the page of erasures or by [its API](dashboard.md#erasures), follows
the steps, and takes and verifies certificates.

**What an erasure needs from you:** tell everybody who is on the certificate's list and was not informed by it; delete
backups of Redis and of `keyset.json`; keep the certificate for six years."""
CEREMONY = """\
1. Choose the key service (`UNDERTONE_KMS`): hardware (PKCS#11) or a cloud's in production, a file for one machine. Two
   people create the key, with the right to wrap and unwrap for the roles, and the right to rotate and destroy for
   whoever erases. The key of the service never leaves it.
2. Make the key directory's database, separate from the history's, with `secure_delete` (SQLite) or without an archive
   of its log that outlives a rotation (PostgreSQL). `undertone keys init` makes the tables and the first store key.
3. Set `UNDERTONE_SEAL=on` for all processes, agents and workers first. Older data stays readable, and sealed data stays
   readable after `off`.
4. Back the key directory up daily. Who loses it has erased everybody; who restores one that is older than the last
   rotation gets an error, and nothing opens.
5. `undertone keys rotate` once a quarter, and after somebody with access leaves. Set `UNDERTONE_KEYS_RETENTION_S` as
   your retention says, and let `undertone history` make and destroy versions of the key.
6. Write down who was present, the versions and the receipts."""
DATA_MAP = "How long data stays counts from its last write; in topics from each record."


def privacy_page() -> str:
    """The page."""
    steps = "\n".join(f"{number}. **{step}.** {ERASURE_STEPS[step]}" for number, step in enumerate(Step, 1))
    return page(
        "Privacy",
        INTRODUCTION,
        SEALED,
        "## Data map",
        DATA_MAP,
        *_data_map(),
        "## Erase a person",
        ERASURE,
        steps,
        CERTIFICATE,
        "## Key ceremony",
        CEREMONY,
        "## Rules",
        table(("rule", "asks for", "mechanism", "shown by"), [(*row[:3], _test(row.test)) for row in RULES]),
        "## Threats",
        table(("who", "gets", "does not get", "shown by"), [(*row[:3], _test(row.test)) for row in THREATS]),
        "## Outside",
        table(("what", "why, and what to do"), OUTSIDE),
    )


def _data_map() -> tuple[str, ...]:
    topics = [(f"`{topic.name}`", topic.meaning, topic.how_long, *_cells(topic.marks)) for topic in TOPICS]
    keys = [(f"`{row.pattern}`", row.meaning, row.lifetime, *_cells(row.marks)) for row in STATE_KEYS]
    tables = [(f"`{each.name}`", *_cells(each.info[MARKS])) for each in METADATA.sorted_tables]
    files = [(row.name, row.path, row.holds, row.lifetime, *_cells(row.marks)) for row in STORED_FILES]
    marks = ("sealed by", "erasure")
    return (
        "### Topics of Kafka",
        table(("topic", "holds", "how long", *marks), topics),
        "### Keys in Redis",
        table(("key", "holds", "how long", *marks), keys),
        "### Tables of SQL",
        "As long as the topics that they are made from; rebuilding the history starts them from the topics again.",
        table(("table", *marks), sorted(tables)),
        "### Files",
        table(("file", "where", "holds", "how long", *marks), files),
    )


def _test(node: str) -> str:
    """A test as a link to its file."""
    path, _, name = node.partition("::")
    return f"[`{name}`](../{path})" if node else ""


def _cells(marks: Marks) -> tuple[Sealed, Erased]:
    return marks.sealed, marks.erased


def main(arguments: list[str], path: Path = PAGE) -> int:
    """The command: writes the page, or with `--check` says that it is out of date and returns 1."""
    if "--check" not in arguments:
        path.write_text(privacy_page())
        return 0
    if path.is_file() and path.read_text() == privacy_page():
        return 0
    sys.stderr.write(f"docs/{path.name} is out of date: run `make schemas`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
