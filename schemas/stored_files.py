"""Every file that Undertone, or a server it writes to, leaves on a disk: one table.

A path below `HOME` is one of `UNDERTONE_HOME`, below `TMPDIR` one of the folder for temporary files of the process.
"""

from dataclasses import dataclass

from schemas.privacy_marks import NOT_PERSONAL, Erased, Marks, Sealed


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file, or files of one kind. lifetime: how long it stays; marks: by what it is sealed, how it is erased."""

    name: str
    path: str
    holds: str
    lifetime: str
    marks: Marks

    @property
    def names(self) -> tuple[str, ...]:
        """Paths below HOME, with those that SQLite keeps next to a database; none for a file elsewhere."""
        below = self.path.removeprefix("HOME/")
        if below == self.path:
            return ()
        return (below, f"{below}-wal", f"{below}-shm") if below.endswith(".db") else (below,)


_OUTSIDE = Marks(Sealed.ELSEWHERE, Erased.OUTSIDE)

AUDIO = StoredFile(
    "copies of audio",
    "HOME/audio",
    "submitted and uploaded recordings, until their memos have their outcome",
    "`UNDERTONE_AUDIO_RETENTION_S` after the outcome",
    Marks(Sealed.MONTH, Erased.DELETED),
)
JOURNAL = StoredFile(
    "journal",
    "HOME/journal.db",
    "unfinished uploads, what people said to being listened to, and which copies of audio are needed",
    "until the next start after the outcome",
    Marks(Sealed.MONTH, Erased.ENTRIES),
)
HISTORY = StoredFile(
    "history, SQLite",
    "HOME/history.db",
    "the SQL tables below, on a laptop",
    "as the topics it is made from",
    Marks(Sealed.LASTING, Erased.REWRITTEN),
)
KEYS = StoredFile(
    "key directory",
    "HOME/keys.db",
    "wrapped keys, subjects, sealed pseudonyms, and the steps of erasures",
    "of an erased person the subject stays, marked as erased",
    Marks(Sealed.STORE_KEY, Erased.DELETED),
)
KEYSET = StoredFile(
    "local keyset",
    "HOME/keyset.json",
    "versions of the key that wraps the store key of the key directory; nothing of a person",
    "a version until the next rotation",
    NOT_PERSONAL,
)
STORE = StoredFile(
    "append-only file of the embedded store",
    "HOME/store",
    "every value of `docs/state.md`, and those that it replaced",
    "until the server rewrites it",
    Marks(Sealed.LASTING, Erased.REWRITTEN),
)

STORED_FILES: tuple[StoredFile, ...] = (
    AUDIO,
    JOURNAL,
    HISTORY,
    KEYS,
    KEYSET,
    STORE,
    StoredFile(
        "compiled programs of the encoder", "HOME/programs", "no data of a person", "until it is deleted", NOT_PERSONAL
    ),
    StoredFile(
        "addresses of a running system", "HOME/up.json", "addresses of Kafka and Redis", "while it runs", NOT_PERSONAL
    ),
    StoredFile(
        "passwords of the roles",
        "HOME/role-secrets",
        "what each role reads of the folder of secrets, no data of a person",
        "while it runs",
        NOT_PERSONAL,
    ),
    StoredFile(
        "key of the audit trail",
        "HOME/audit.key",
        "a key, where `UNDERTONE_AUDIT_KEY` is not set",
        "ever",
        NOT_PERSONAL,
    ),
    StoredFile("lock of a running system", "HOME/lock", "nothing", "until it is deleted", NOT_PERSONAL),
    StoredFile(
        "uploaded recordings",
        "UNDERTONE_UPLOAD_STORE",
        "recordings that the dashboard took, in a bucket or folder of your own; in clear those from before sealing",
        "by rules of the bucket or folder: Undertone deletes none",
        Marks(Sealed.MONTH, Erased.KEYS),
    ),
    StoredFile(
        "spooled uploads",
        "TMPDIR",
        "a recording while it is received, where `UNDERTONE_UPLOAD_STORE` is a bucket",
        "seconds",
        Marks(Sealed.MODE, Erased.BRIEF),
    ),
    StoredFile(
        "plots of a tried memo",
        "TMPDIR/undertone-plot-*",
        "a recording and its plot, while the dashboard draws it",
        "at most 90 seconds",
        Marks(Sealed.MODE, Erased.BRIEF),
    ),
    StoredFile(
        "home of a demo", "TMPDIR/undertone-demo-*", "simulated voices alone", "while the demo runs", NOT_PERSONAL
    ),
    StoredFile(
        "configuration of openSMILE", "TMPDIR/undertone-acoustics-*", "nothing", "while it is read", NOT_PERSONAL
    ),
    StoredFile("socket of the embedded store", "TMPDIR/undertone-*", "nothing", "while the store runs", NOT_PERSONAL),
    StoredFile(
        "profile of a browser",
        "TMPDIR/undertone-browser-*",
        "pages of a demo, while a screenshot is made",
        "seconds",
        NOT_PERSONAL,
    ),
    StoredFile(
        "ended processes", "TMPDIR/undertone-ended-*", "names of processes", "until the machine restarts", NOT_PERSONAL
    ),
    StoredFile(
        "logs",
        "standard error of every process",
        "users as keyed hashes (`UNDERTONE_LOG_KEY`), trace ids; no pseudonym, path or content",
        "by whoever collects them",
        Marks(Sealed.HASH, Erased.HASHED),
    ),
    StoredFile(
        "segments of Kafka's log",
        "log.dirs of the brokers",
        "the topics above, with copies on every replica",
        "retention of the topic, and until the segment rolls",
        Marks(Sealed.MONTH, Erased.KEYS),
    ),
    StoredFile(
        "append-only file and dump of Redis",
        "dir of the server",
        "the keys above, and values that were replaced or deleted",
        "until the server rewrites it",
        Marks(Sealed.LASTING, Erased.REWRITTEN),
    ),
    StoredFile(
        "data and write-ahead log of PostgreSQL",
        "data directory of the server",
        "the SQL tables below, and versions of rows that vacuum has not freed",
        "in clear until an erasure rewrites it, sealed until it is used again; an archive of the log as you keep it",
        Marks(Sealed.LASTING, Erased.REWRITTEN),
    ),
    StoredFile(
        "certificates of erasure",
        "where `--certificate` says",
        "a keyed hash of the pseudonym, the subject, counts and times",
        "six years, by whoever keeps it",
        Marks(Sealed.HASH, Erased.HASHED),
    ),
    StoredFile(
        "exports and plots",
        "where `--out`, `--output` or `--plot` of a command says",
        "everything of a person (`undertone export`), or scores, markers and plots, for whoever asked",
        "by whoever asked",
        _OUTSIDE,
    ),
    StoredFile("backups", "where an operator keeps them", "copies of all above", "by the operator", _OUTSIDE),
    StoredFile(
        "audio of the platform",
        "where `audio_uri` of each memo says",
        "the original recordings",
        "by the platform",
        _OUTSIDE,
    ),
    StoredFile(
        "what receivers were sent",
        "webhooks, Slack, FHIR servers, Alertmanager",
        "alerts with the pseudonym, or the patient that a server knows",
        "by the receiver",
        _OUTSIDE,
    ),
)
