"""What all resources share."""

from datetime import datetime, timedelta, timezone

from streams.fhir.elements import instant, narrative, printable, resource_id


def test_ids_are_derived_and_fit_any_server() -> None:
    assert resource_id("Flag", "a") == resource_id("Flag", "a") != resource_id("RiskAssessment", "a")
    assert len(resource_id("Flag", "x" * 500)) == 36


def test_narrative_is_text_whatever_it_holds() -> None:
    found = str(narrative("a <b> & \x00c\ufffe", ""))
    assert "a &lt;b&gt; &amp;  c" in found
    assert found.count("<p>") == 1


def test_times_are_in_utc_and_milliseconds() -> None:
    assert instant(datetime(2026, 5, 1, 10, tzinfo=timezone(timedelta(hours=2)))) == "2026-05-01T08:00:00.000Z"
    assert printable("a\nb") == "a b"
