"""Whether a dead letter may be redriven: what shows that it holds the record that failed. Pure.

Whoever may write to `memos.dead` may write a dead letter of anything. So it counts for nothing by itself: either the
original record still exists and is the same, or the value is a memo for `memos.uploaded`, where all producers write.
"""

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import DeadLetter, MemoUploaded
from schemas.ids import dead_letter_id
from schemas.pipeline import STAGES
from schemas.redrive_headers import REDRIVES_MOST, redrives_of
from schemas.sealed_frame import is_sealed
from schemas.trimmed_letters import is_trimmed
from streams.recovery.originals import Original

READS = {stage.name: stage.reads.name for stage in STAGES if topics.DEAD in stage.writes}
"""The topic that each stage reads, of the stages that write dead letters."""


def refusal(letter: DeadLetter) -> str | None:
    """Why the dead letter cannot be redriven, whatever is on its topic; None when it may be."""
    if READS.get(letter.stage) != letter.topic:
        return f"no stage {letter.stage} that reads {letter.topic} writes dead letters"
    if letter.dead_letter_id != dead_letter_id(letter.stage, letter.topic, letter.partition, letter.offset):
        return "its id is not that of its stage, topic, partition and offset"
    if is_trimmed(letter):
        return f"it was too large to be kept whole; its record is at {_place(letter)} until its retention ends"
    if redrives_of(letter.headers) >= REDRIVES_MOST:
        return f"its record was redriven {REDRIVES_MOST} times"
    return None


def doubt(letter: DeadLetter, original: Original | None, codec: Codec) -> str | None:
    """Why the dead letter is not believed; None when it is. original: the record at its place, if it still exists.

    Raises Transient and ConfigurationError, from the codec's registry.
    """
    if original is not None and original.unknown:
        return f"the record at {_place(letter)} does not open: its key is still unknown, or it was changed"
    if original is not None and is_sealed(letter.value):
        return None if original.raw == letter.value else f"the record at {_place(letter)} is another one"
    if original is not None:
        same = (original.key, original.value) == (letter.key, letter.value)
        return None if same else f"the record at {_place(letter)} is another one"
    if letter.topic != topics.UPLOADED.name:
        return f"no record at {_place(letter)} shows that it is genuine"
    try:
        memo = codec.decode(letter.value, MemoUploaded)
    except DecodeError:
        return f"no record exists at {_place(letter)}, and its value is not a memo"
    return (
        None if letter.key == memo.user_id.encode() else f"no record exists at {_place(letter)}, and its key is wrong"
    )


def _place(letter: DeadLetter) -> str:
    return f"{letter.topic} {letter.partition}:{letter.offset}"
