from schemas.codec import Codec
from schemas.events import MemoFeatures, Modality
from tests.unit.schemas.records import UPLOADED
from workers.consumer.unheard import Unheard


def test_each_modality_says_why_and_holds_nothing_of_the_voice() -> None:
    codec, unheard = Codec(), Unheard(UPLOADED, "consent:paused")
    records = unheard.features((Modality.ACOUSTIC, Modality.EMBEDDING))
    assert [codec.decode(codec.encode(record), MemoFeatures) for record in records] == records
    for record in records:
        assert (record.user_id, record.memo_id) == (UPLOADED.user_id, UPLOADED.memo_id)
        assert record.quality.reasons == ("consent:paused",)
        assert record.windows.size == record.summary.size == 0
    assert [record.modality for record in records] == [Modality.ACOUSTIC, Modality.EMBEDDING]
