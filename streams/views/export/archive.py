"""The archive: one ZIP file, whose names of files never come from data. Pure."""

import json
from collections.abc import Mapping
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from schemas.codec import Codec
from schemas.json_records import Json, to_plain
from schemas.version import version
from streams.fhir.answers import collection
from streams.fhir.elements import Element, pseudonym
from streams.fhir.flag import flag
from streams.fhir.risk_assessment import risk_assessment
from streams.views.export.holdings import Holdings
from streams.views.export.page import page
from streams.views.export.places import TOPICS
from streams.views.export.plain import as_array, plain
from streams.views.export.state import history_json, state_json, state_lines
from streams.views.export.tables import markers_csv, scores_csv
from workers.service.terminal import escaped

PAGE = "index.html"
MODE = 0o600
FILES: Mapping[str, str] = {
    PAGE: "this page",
    "export.json": "the pseudonym, the time, the version, and how many records each file has",
    **{f"records/{topic.name}.json": topic.meaning for topic in TOPICS},
    "scores.csv": "the last score of each recording, as a table",
    "markers.csv": "the measurements that moved each score, as a table",
    "fhir-bundle.json": "scores and changes as FHIR R4, which hospitals' systems read",
    "state.json": "what is stored now, for programs",
    "state.txt": "what is stored now, in words",
    "history.json": "what the database has; null where there is none",
}
"""What is in each file, by name."""


def archive(held: Holdings, codec: Codec) -> bytes:
    """The archive of one person."""
    texts = contents(held, codec)
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as file:
        for name in FILES:
            entry = ZipInfo(name, held.at.timetuple()[:6])
            entry.external_attr, entry.compress_type = MODE << 16, ZIP_DEFLATED
            file.writestr(entry, texts[name].encode(errors="backslashreplace"))
    return out.getvalue()


def contents(held: Holdings, codec: Codec) -> dict[str, str]:
    """Every file of the archive, by name."""
    return {
        PAGE: page(held, FILES),
        "export.json": _object(about(held)),
        **{
            f"records/{topic.name}.json": as_array(plain(each, codec) for each in held.records[topic.name])
            for topic in TOPICS
        },
        "scores.csv": scores_csv(held.scores),
        "markers.csv": markers_csv(held.scores),
        "fhir-bundle.json": _object(bundle(held)),
        "state.json": _object(state_json(held)),
        "state.txt": "".join(f"{name}: {escaped(says)}\n" for name, says in state_lines(held)),
        "history.json": _object(history_json(held)),
    }


def about(held: Holdings) -> dict[str, Json]:
    """Pseudonym, time and version of the archive, and its counts."""
    return {
        "user_id": held.user_id,
        "at": to_plain(held.at),
        "version": version(),
        "records": to_plain(counts(held)),
        "database": held.history is not None,
    }


def counts(held: Holdings) -> dict[str, int]:
    """Records on each topic."""
    return {topic.name: len(held.records[topic.name]) for topic in TOPICS}


def bundle(held: Holdings) -> Element:
    """Scores as RiskAssessments and the last step of each episode as a Flag."""
    subject = pseudonym(held.user_id)
    last = {step.dedup_key: step for step in held.steps}
    resources = [risk_assessment(score, subject) for score in held.scores]
    return collection([*resources, *(flag(step, subject) for step in last.values())], held.at)


def _object(value: Json) -> str:
    """Laid out for people."""
    return json.dumps(value, indent=1) + "\n"
