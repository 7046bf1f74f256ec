"""`docs/state.md`: every key in Redis with its owner, lifetime, encoding and whether it holds personal data."""

from schemas.generated_page import page, table
from schemas.state_keys import NEWER, PREFIX, STATE_KEYS, Kind, StateKey

INTRODUCTION = f"""\
Everything that Undertone keeps in Redis. Each key begins with `{PREFIX}`, which the patterns leave out; braces keep all
keys of a user in one slot of a Redis cluster. A lifetime counts from the last write.

A value is 8 bytes of BLAKE2b over its content, then the content, so that agents can compare and set. The first byte
of the content is the version of the encoding. Older versions in the table are read, and replaced at the next write;
of a baseline both are current.
An agent of an older Undertone that meets a newer version exits with its batch uncommitted; an upgraded agent
reprocesses it. A rolling upgrade loses nothing, but roll agents forward quickly. A version is newer when it is one to
{NEWER} above those in the table and the digest matches.

Any other value that cannot be read, and a key of another type, is moved to `quarantine:<key>` and its user or list
restarts; [the runbook](runbook.md#undertonestateunreadable) says how to look at it and restore it. In keys, `}}` in a
name is written `%7D`.

With `UNDERTONE_SEAL=on` a user's key has the subject in place of the user id and `~` after the brace, as in
`drift:{{<32 digits>}}~`, names after it are sealed, and so is the content: a nonce of 12 bytes, then AES-256-GCM, bound
to the key. Members of sets name subjects as well, those of `silence:due` after a tab; entries of `mutes` about a user
are sealed one by one. A value in clear is read as well and sealed by the next write, as a sealed one is read and
written in clear after `off`. Keys that are of no user stay as they are."""


def state_page() -> str:
    """The keys as a page."""
    return page(
        "State in Redis",
        INTRODUCTION,
        table(
            (
                "key",
                "kind",
                "meaning",
                "written by",
                "read by",
                "lifetime",
                "personal data",
                "erasure",
                "versions",
                "encoding",
            ),
            map(_row, STATE_KEYS),
        ),
    )


def _row(row: StateKey) -> tuple[str, ...]:
    versions = ", ".join(map(str, row.versions)) if row.kind is Kind.VALUE else ""
    readers = row.readers or "its writers"
    personal = "yes" if row.personal else "no"
    return (
        f"`{row.pattern}`", row.kind, row.meaning, row.owner, readers, row.lifetime, personal,
        row.marks.erased.partition(":")[0], versions, row.encoding,
    )  # fmt: skip
