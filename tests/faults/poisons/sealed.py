"""Poisons in the framing of sealed values: cut, changed, moved, or sealed around what is no record."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from schemas.key_purposes import LASTING
from schemas.sealed_frame import HEADER_BYTES, NONCE_BYTES, OVERHEAD_BYTES, SEALED_MAGIC, VERSION, header
from tests.faults.poisons import avro
from tests.faults.poisons.poison import Kitchen, Letter, Nothing, Outcome, Poison, Scored, Sent, sent
from tests.faults.poisons.uploads import EVENT
from workers.privacy.envelope import seal
from workers.privacy.keyring import Keyring

UPLOADED = "memos.uploaded"
FORGED = Letter("record:forged")
KINDS = {"memos.uploaded": "MemoUploaded", "memos.features": "MemoFeatures", "risk.scored": "RiskScored"}
"""Record of each topic whose poisons become dead letters."""
READ_ONLY = {"risk.alerts": "RiskAlert", "memos.dead": "DeadLetter"}
"""And of those that are passed over."""


def sealed(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them; those that need keys, where the kitchen has some."""
    for topic in (*KINDS, *READ_ONLY):
        yield from _never_opens(topic, FORGED if topic in KINDS else Nothing())
    if kitchen.keyring is not None:
        yield from _with_keys(kitchen, kitchen.keyring)


def _never_opens(topic: str, outcome: Outcome) -> Iterator[Poison]:
    """Whatever keys there are."""
    head = header(bytes(16), LASTING + 1)
    for name, value in {
        "nothing after the mark": SEALED_MAGIC,
        "half a header": head[: HEADER_BYTES // 2],
        "no nonce": head,
        "no tag": head + bytes(OVERHEAD_BYTES - HEADER_BYTES - 1),
        "a newer version": SEALED_MAGIC + bytes([VERSION + 1]) + head[3:] + bytes(100),
        "an older version": SEALED_MAGIC + b"\0" + head[3:] + bytes(100),
    }.items():
        title = f"{topic} sealed, {name}"
        yield Poison(title, (sent(topic, title, value, outcome),))


def _with_keys(kitchen: Kitchen, keyring: Keyring) -> Iterator[Poison]:
    yield from _changed(kitchen, keyring)
    yield from _moved(kitchen, keyring)
    yield from _content(kitchen, keyring)
    yield from _erased(kitchen, keyring)


def _changed(kitchen: Kitchen, keyring: Keyring) -> Iterator[Poison]:
    for name, at in {
        "nonce": HEADER_BYTES,
        "content": HEADER_BYTES + NONCE_BYTES,
        "tag": -1,
    }.items():
        title = f"sealed, its {name} changed"
        whole = _upload(kitchen, keyring, title, FORGED)
        value = bytearray(whole.value or b"")
        value[at] ^= 1
        yield Poison(title, (replace(whole, value=bytes(value)),))
    whole = _upload(kitchen, keyring, "sealed, cut", FORGED)
    yield Poison("sealed, cut", (replace(whole, value=(whole.value or b"")[:-1]),))


def _moved(kitchen: Kitchen, keyring: Keyring) -> Iterator[Poison]:
    theirs = _upload(kitchen, keyring, "sealed, of another person", FORGED)
    mine = _upload(kitchen, keyring, "sealed, with a key of another person", FORGED)
    yield Poison("sealed, with a key of another person", (replace(theirs, key=mine.key),))
    own_name = replace(theirs, key=b"a pseudonym")
    yield Poison("sealed, with a pseudonym for a key", (own_name,))
    for topic in KINDS:
        for other in KINDS:
            if other != topic:
                title = f"sealed for {other}, on {topic}"
                content = avro.framed("memo_uploaded", avro.upload(title, "m", "file:///x"))
                yield Poison(title, (_sealed(keyring, other, title, content, FORGED, topic=topic),))


def _content(kitchen: Kitchen, keyring: Keyring) -> Iterator[Poison]:
    yield Poison("sealed as it should be", (_upload(kitchen, keyring, "sealed as it should be", Scored()),))
    twice = _upload(kitchen, keyring, "sealed and sent twice", Scored())
    yield Poison("sealed and sent twice", (twice, twice))
    contents: Mapping[str, bytes] = {
        "nothing": b"",
        "garbage": b"\xc3\x01garbage",
        "another record": avro.framed("risk_scored", avro.score("u", "m")),
        "2 MB": bytes(2 << 20),
    }
    for name, content in contents.items():
        title = f"sealed around {name}"
        yield Poison(title, (_sealed(keyring, UPLOADED, title, content, EVENT),))
    title = "sealed around a sealed one"
    inner = _sealed(keyring, UPLOADED, title, b"x", EVENT).value or b""
    yield Poison(title, (_sealed(keyring, UPLOADED, title, inner, EVENT),))


def _erased(kitchen: Kitchen, keyring: Keyring) -> Iterator[Poison]:
    title = "sealed, of somebody who was erased"
    gone = _upload(kitchen, keyring, title, Nothing())
    keyring.directory.mark_erasing(title)
    keyring.directory.destroy_keys(keyring.subject(title))
    yield Poison(title, (gone,))


def _upload(kitchen: Kitchen, keyring: Keyring, name: str, outcome: Outcome) -> Sent:
    """A good upload, sealed, of a user of this name."""
    clear = kitchen.upload(name, outcome, user_id=name)
    return replace(_sealed(keyring, UPLOADED, name, clear.value or b"", outcome), memo=clear.memo)


def _sealed(
    keyring: Keyring, of_topic: str, user: str, content: bytes, outcome: Outcome, topic: str | None = None
) -> Sent:
    """A record of a user, sealed for one topic and sent to another, or to the same."""
    keyring.warm_now([user], enrol=True)
    value = seal(keyring, of_topic, KINDS[of_topic], user, content)
    return Sent(topic or of_topic, keyring.subject(user).hex().encode(), value, (outcome,))
