"""What rules ask, what does it here, and the test that shows it; and who could do what. Tables of `docs/privacy.md`.

A test that is named here exists: `tests/unit/streams/reference/test_privacy_rules.py`.
"""

from typing import NamedTuple


class Rule(NamedTuple):
    """One requirement. test: path and function, empty where there is nothing to run."""

    rule: str
    asks: str
    mechanism: str
    test: str


class Threat(NamedTuple):
    """Somebody with an access. gets: what that shows or allows; prevented: what does not work, and why."""

    who: str
    gets: str
    prevented: str
    test: str


SEALED_TOPICS = (
    "tests/integration/test_sealed_pipeline.py::test_sealed_outcomes_are_those_in_clear_and_no_topic_names_anybody"
)
EXPORTED = (
    "tests/integration/test_export.py::test_everything_of_one_person_and_nothing_of_another_is_in_a_file_of_its_owner"
)
ERASED = "tests/integration/test_erasure.py::test_one_person_is_erased_though_it_is_killed_at_every_step"
EVERY_ROUTE = "tests/integration/test_roles_and_routes.py::test_every_role_on_every_route"
UNRECORDED = "tests/unit/streams/access/test_guard.py::test_a_look_that_kafka_does_not_take_shows_nothing"
FORGED = "tests/unit/workers/privacy/test_envelope.py::test_any_changed_bit_and_any_cut_is_found"
RESTORED = "tests/integration/test_restored_copies.py::test_copies_from_before_an_erasure_open_nothing_of_the_person"

RULES: tuple[Rule, ...] = (
    Rule(
        "45 CFR 164.312(a)(1)",
        "access control",
        "one table of routes and permissions; one of permissions on Kafka by role; key purposes",
        EVERY_ROUTE,
    ),
    Rule(
        "164.312(a)(2)(i)",
        "unique identification of staff",
        "OpenID Connect: the subject of the identity provider",
        "tests/integration/test_sign_in.py::test_a_sign_in_makes_a_session_and_leads_to_the_page_that_was_wanted",
    ),
    Rule("164.312(a)(2)(ii)", "emergency access", "yours: at the identity provider", ""),
    Rule(
        "164.312(a)(2)(iii)",
        "automatic logoff",
        "`UNDERTONE_SESSION_IDLE_S`, `UNDERTONE_SESSION_MAX_S`",
        "tests/unit/streams/access/test_sessions.py::test_a_session_that_is_not_used_ends",
    ),
    Rule(
        "164.312(a)(2)(iv)",
        "encryption at rest",
        "a key of each person; `UNDERTONE_SEAL`",
        SEALED_TOPICS,
    ),
    Rule("164.312(b)", "audit controls", "`audit.events`, before anything is shown", UNRECORDED),
    Rule("164.312(c)(1)", "integrity", "AES-GCM with topic, kind, subject and month as associated data", FORGED),
    Rule(
        "164.312(c)(2)",
        "authentication of data",
        "events of the audit trail are chained by hash",
        "tests/unit/streams/audit/test_trail.py::test_events_one_after_another_are_one_chain",
    ),
    Rule(
        "164.312(d)",
        "authentication of people and processes",
        "OpenID Connect, client certificates or passwords of Kafka and Redis",
        "tests/integration/test_access.py::test_who_is_not_let_in_is_told_why_and_no_secret",
    ),
    Rule(
        "164.312(e)(1)",
        "transmission security",
        "TLS to Kafka, Redis, PostgreSQL and key services, by their settings",
        "tests/integration/test_access.py::test_who_is_not_let_in_is_told_why_and_no_secret",
    ),
    Rule(
        "GDPR Art. 5(1)(c), 25",
        "data minimisation, protection by design",
        "pseudonyms inside, subjects at rest; no audio, id or content in logs",
        "tests/unit/workers/service/test_logs.py::test_without_a_key_no_user_or_memo_is_named",
    ),
    Rule(
        "Art. 5(1)(e)",
        "storage limitation",
        "a retention by kind of data; `undertone history` destroys the keys of old months, also in backups",
        "tests/integration/test_restored_copies.py::"
        "test_a_record_older_than_retention_is_unreadable_though_it_is_on_disk",
    ),
    Rule(
        "Art. 15, 20",
        "access, portability",
        "`undertone export`: all records, state and rows of a person as JSON, CSV and FHIR, and a page for people",
        EXPORTED,
    ),
    Rule("Art. 17", "erasure", "`undertone erase`, with a certificate", ERASED),
    Rule(
        "Art. 17, in a system that runs",
        "the same while memos are on their way",
        "steps that are recorded; a long test, which is run by hand",
        "tests/integration/test_erasure_in_flow.py::test_one_of_twenty_is_erased_in_mid_flow_and_killed_at_every_step",
    ),
    Rule(
        "Art. 7(3), 18, 21",
        "withdrawal of consent, restriction, objection",
        "`undertone consent`: a memo of somebody who paused or withdrew is neither fetched nor opened",
        "tests/integration/test_worker.py::"
        "test_nothing_is_read_of_somebody_who_paused_and_the_memo_is_settled_without_a_dead_letter",
    ),
    Rule("Art. 19", "notification of recipients", "the certificate lists who is outside: tell them", ""),
    Rule("Art. 30", "records of processing", "the data map above", ""),
    Rule("Art. 32(1)(a)", "pseudonymisation and encryption", "as 164.312(a)(2)(iv)", SEALED_TOPICS),
    Rule(
        "Art. 32(1)(b)",
        "resilience",
        "keys that do not answer delay data and lose none",
        "tests/integration/test_sealed_pipeline.py::"
        "test_keys_away_for_ten_minutes_lose_nothing_and_let_nothing_out_in_clear",
    ),
)

THREATS: tuple[Threat, ...] = (
    Threat(
        "administrator of Kafka",
        "all records, their times, sizes and subjects; may delete records",
        "reading content or pseudonyms; changing a record, or moving it to another person: a dead letter "
        "`record:forged`",
        FORGED,
    ),
    Threat(
        "administrator of Redis",
        "keys with subjects; may delete state, which then counts as lost",
        "exchanging the states of two people, or of two keys of one",
        "tests/unit/workers/privacy/test_envelope.py::test_equal_states_are_equal_bytes_in_their_place_only",
    ),
    Threat(
        "administrator of the history's database",
        "the columns that are not sealed: times, bands, cohorts",
        "taking over a session from its table",
        "tests/unit/streams/access/test_sessions.py::test_who_reads_the_table_cannot_take_a_session_over",
    ),
    Threat(
        "administrator of the key directory",
        "how many people there are; may delete rows, which erases people",
        "a key or a pseudonym, without the key service; exchanging rows",
        "tests/contract/test_key_directory.py::test_exchanged_rows_open_nothing",
    ),
    Threat(
        "whoever has all backups",
        "all of the above, of their day",
        "anything of somebody who was erased since: the store key of that day was destroyed",
        RESTORED,
    ),
    Threat(
        "operator with the environment of a role",
        "everything: this environment opens data",
        "doing so unseen on the dashboard; acting for another person there",
        UNRECORDED,
    ),
    Threat(
        "whoever takes over a role that has a key server",
        "what that role may open: a bridge has keys of alerts alone",
        "opening anything else, enrolling or looking people up beyond the role's row of the table",
        "tests/integration/test_key_service.py::test_a_bridge_opens_alerts_and_nothing_else",
    ),
    Threat(
        "clinician",
        "people of the own cohorts",
        "seeing whether somebody of another cohort exists",
        "tests/integration/test_roles_and_routes.py::test_a_clinician_cannot_tell_a_person_of_another_cohort_from_none",
    ),
    Threat(
        "subscriber to `risk.alerts`",
        "alerts, where the topic is clear or the subscriber has keys",
        "opening another topic's records as alerts",
        "tests/unit/workers/privacy/test_envelope.py::test_moved_to_another_topic_or_kind_it_is_forged",
    ),
    Threat(
        "another user of this machine",
        "nothing of a home: folders 0700, files 0600",
        "reading the keyset; a keyset that others may read is refused",
        "tests/unit/workers/privacy/key_services/test_local_keyset.py::test_a_file_that_others_may_read_is_refused",
    ),
)

OUTSIDE: tuple[tuple[str, str], ...] = (
    ("dumps of memory, swap, core files", "a process has keys of the last `UNDERTONE_KEY_CACHE_S` in memory: switch "
     "swap and core files off, or encrypt them"),
    ("receivers", "alerts that a webhook, Slack, Alertmanager or a FHIR server was sent: ask for their deletion"),
    ("the platform", "its recordings and its own copy of `memos.uploaded`; it sends the last memos in clear unless it "
     "seals them itself: keep that topic's retention short"),
    ("records in clear", "of before sealing, and of `UNDERTONE_SEAL_CLEAR_TOPICS`: until their retention ends "
     "there is no certificate, and the command says so"),
    ("PostgreSQL's log elsewhere", "an archive, a replication slot or a base backup keeps rows that were stored in "
     "clear: delete what is from before sealing"),
    ("key services that keep versions", "a cloud key service destroys a version days after it was asked: the "
     "certificate states when; backups of a file `keyset.json` open what the old versions open: make none of it that "
     "outlive a rotation, or keep it in hardware"),
    ("exports and plots", "files that staff made: they know where"),
    ("sizes and times", "how many memos a subject sends, and when, can be seen by whoever reads a topic"),
    ("the rare pseudonym in free text", "notes and reasons that staff type are sealed with the person they are about; "
     "another person's name in them is not found"),
)  # fmt: skip
