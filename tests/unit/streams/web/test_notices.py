"""What pages say about the system itself."""

from streams.web.languages import languages
from streams.web.notices import notices


def test_a_demonstration_model_is_marked_and_another_is_not() -> None:
    (said,) = notices("demo-2026-01", languages()["de"])
    assert said.kind == "demo"
    assert "demo-2026-01" in said.text
    assert notices("clinic-7", languages()["de"]) == []
    assert notices(None, languages()["de"]) == []
