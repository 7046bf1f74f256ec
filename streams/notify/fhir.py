"""Scores and episodes to a FHIR R4 server: a RiskAssessment of every memo, a Flag of every episode.

Every resource is a conditional update, `PUT [base]/Flag?identifier=SYSTEM|VALUE`: the server creates it or replaces the
one with that identifier, so a repetition changes nothing and a resolved episode ends the Flag that it had opened. The
order of steps is that of the topic.

    200, 201                                     stored
    400, 412, 422 and others of `http_client`    refused: the resource, or two that have the identifier → Poison
    404, 405                                     another address, or a server without conditional updates → Transient
    409                                          somebody else changed it at this moment → Transient
    401, 403, 429, 5xx, no response              → Transient

Who a pseudonym is stays in a file that only this process reads; a pseudonym without a row is skipped.
"""

import json
import logging
import time
from collections.abc import Callable
from urllib.parse import quote

from schemas.channels import FHIR
from schemas.environment import variable
from schemas.errors import ConfigurationError
from schemas.events import RiskAlert, RiskScored
from schemas.settings import Settings
from streams.fhir.answers import FHIR_JSON
from streams.fhir.elements import Element, identity, patient
from streams.fhir.flag import flag
from streams.fhir.patients import Patients
from streams.fhir.risk_assessment import risk_assessment
from streams.notify.http_client import REFUSALS, checked_url, post
from streams.notify.http_receiver import HttpReceiver
from streams.notify.receivers import Receiver, Skipped

log = logging.getLogger(__name__)

NO_PATIENT = "receiver:no_patient"
"""Why a record was skipped: its pseudonym has no row in the table of patients."""
PATIENTS = variable("fhir_patients")
REFUSED = (REFUSALS - {409}) | {412}


class Fhir(HttpReceiver):
    """One server. `async with Fhir(settings) as receiver`. Raises ConfigurationError without address or table.

    clock: Unix time.
    """

    name = FHIR.name

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        super().__init__(settings.bridge_timeout_s, settings.fhir_give_up_s, clock)
        self._url = checked_url(settings.fhir_url, FHIR.variable)
        if settings.fhir_patients is None:
            raise ConfigurationError(f"{PATIENTS} is not set: set it to the CSV file of pseudonyms and patients")
        try:
            self._patients = Patients(settings.fhir_patients)
        except ConfigurationError as error:
            raise ConfigurationError(f"{PATIENTS}: {error}") from None
        self._reported = ""
        self._wants_scores = settings.fhir_scores
        self._headers = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON, "Prefer": "return=minimal"}
        if settings.fhir_token:
            self._headers["Authorization"] = f"Bearer {settings.fhir_token}"

    async def send(self, partition: int, alert: RiskAlert) -> None:
        """Store one step of an episode. Raises Poison and Transient by the table above, Skipped without a patient."""
        await self._put(flag(alert, self._subject(alert.user_id)))

    async def deliver_score(self, partition: int, score: RiskScored) -> None:
        """Store one score. Raises as `deliver`."""
        if self._wants_scores:
            await self._within_time(partition, score.score_id, lambda: self._put_score(score))

    async def _put_score(self, score: RiskScored) -> None:
        await self._put(risk_assessment(score, self._subject(score.user_id)))

    def _subject(self, user_id: str) -> Element:
        reference = self._patients.reference(user_id)
        if self._patients.problem != self._reported:
            self._reported = self._patients.problem
            if self._reported:
                log.error("%s cannot be read, its former content still counts: %s", PATIENTS, self._reported)
        if reference is None:
            raise Skipped(NO_PATIENT, "no patient of this pseudonym is known")
        return patient(reference)

    async def _put(self, resource: Element) -> None:
        url, body = conditional_update(self._url, resource)
        await post(self._client, url, body, self._headers, is_refusal, setting=FHIR.variable, method="PUT")


def make_receiver(settings: Settings) -> Receiver:
    """The receiver of this channel."""
    return Fhir(settings)


def is_refusal(status: int, answer: str) -> bool:
    """Whether a response means that this resource can never be stored."""
    return status in REFUSED


def conditional_update(base: str, resource: Element) -> tuple[str, bytes]:
    """Address and body of the update of the resource with this identifier. The server chooses the id."""
    system, value = identity(resource)
    query = quote(f"{system}|{_escaped(value)}", safe="")
    body = {name: part for name, part in resource.items() if name != "id"}
    return f"{base}/{resource['resourceType']}?identifier={query}", json.dumps(body).encode()


def _escaped(value: str) -> str:
    """A value in a search, where some characters have a meaning (https://hl7.org/fhir/R4/search.html#escaping)."""
    for mark in ("\\", "$", ",", "|"):
        value = value.replace(mark, f"\\{mark}")
    return value
