"""Score memos: from features and a personal baseline to a probability, a band, reasons and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import Poison
from schemas.events import Band, Evidence, FloatArray, MemoFeatures, Modality
from schemas.reasons import CONSENT, MISSING
from workers.scoring.bundle import Bundle
from workers.scoring.feature_space import Parts
from workers.scoring.head import Contributions, HeadInput, clipped
from workers.scoring.heads import SEQUENTIAL
from workers.scoring.personal_baseline import PersonalNormal, away, deviations, expectation, stacked

STRONGEST = 5
"""Maximum number of markers in the evidence."""
LEAST_KNOWN = 0.5
"""A memo with a smaller share of defined features has no probability."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The result of scoring a memo.

    probability: calibrated, None when it could not be computed; reasons: why the band is indeterminate, empty
    otherwise; evidence: largest contribution first, but fragile markers of the recording last; vector: (features,) for
    the user's baseline, None when the memo must not update it.
    """

    probability: float | None
    band: Band
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    vector: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """Logits of a batch. raw: uncalibrated, (memos,); calibrated: those of the probabilities, (memos,)."""

    raw: NDArray[np.floating[Any]]
    calibrated: NDArray[np.floating[Any]]

    def chosen(self, where: NDArray[np.bool_]) -> "Logits":
        """The logits of the memos where `where` is True."""
        return Logits(self.raw[where], self.calibrated[where])

    @property
    def probability(self) -> FloatArray:
        """Calibrated probabilities, (memos,)."""
        probability: FloatArray = (1 / (1 + np.exp(-self.calibrated))).astype(np.float32)
        return probability


class Scorer:
    """Scores with one bundle: one call of a head per batch, and no memo's score depends on the others."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._markers = [bundle.names.index(name) for name in bundle.markers]

    def score(self, memos: Sequence[tuple[Parts, PersonalNormal]]) -> list[Scored | Poison]:
        """One result per memo, in order.

        Each memo is given by its parts and its user's baseline before the memo. Poison `features:mismatch` for
        features that the bundle was not trained on.
        """
        results: list[Scored | Poison | None] = [_unheard(parts) for parts, _ in memos]
        heard = [index for index, result in enumerate(results) if result is None]
        vectors = {index: self._vector(memos[index][0]) for index in heard}
        good = [index for index in heard if not isinstance(vectors[index], Poison)]
        for index in heard:
            if isinstance(vector := vectors[index], Poison):
                results[index] = vector
        if good:
            batch = np.stack([np.asarray(vectors[index]) for index in good])
            normals = stacked([memos[index][1] for index in good])
            people = self.bundle.population
            # Evidence shows what is unusual for this person, so without the head's patience.
            usual = expectation(normals, replace(people, patience=1.0))
            evidence_sds = away(batch, usual)
            sds = evidence_sds if people.patience == 1 else deviations(normals, people, batch)
            own = np.where(normals.count > 0, usual.mean, np.nan)
            parts = [memos[index][0] for index in good]
            inputs = head_input(self.bundle, sds, parts)
            probabilities = logits_of(self.bundle, inputs, normals.known).probability
            added = contributions_of(self.bundle, inputs, normals.known).deviations
            # Python floats: NumPy scalars take ten times as long.
            columns = [each[:, self._markers].tolist() for each in (batch, evidence_sds, added, own)]
            evidence = [self._evidence(part, *row) for part, row in zip(parts, zip(*columns, strict=True), strict=True)]
            for row, index in enumerate(good):
                results[index] = self._scored(parts[row], batch[row], evidence[row], float(probabilities[row]))
        return [result for result in results if result is not None]

    def _vector(self, parts: Parts) -> FloatArray | Poison:
        try:
            return self.bundle.space.vector(parts)
        except Poison as poison:
            return poison

    def _scored(self, parts: Parts, vector: FloatArray, evidence: tuple[Evidence, ...], probability: float) -> Scored:
        poor = dict.fromkeys(reason for part in parts.values() for reason in part.quality.reasons)
        missing = tuple(f"{MISSING}{modality}" for modality in self.bundle.space.missing(parts))
        known = float(np.mean(np.isfinite(vector)))
        silent = "quality:no_speech" in poor
        unmarked = Modality.ACOUSTIC in parts and self._without_markers(vector)
        computed = not silent and not unmarked and (known >= LEAST_KNOWN or (bool(missing) and known > 0))
        reasons = (*poor, *missing, *(() if computed or silent or missing else ("features:undefined",)))
        band = self.bundle.bands.of(probability)
        if not reasons and band is Band.INDETERMINATE:
            reasons = ("undecided",)
        return Scored(
            probability=probability if computed else None,
            band=Band.INDETERMINATE if reasons else band,
            reasons=reasons,
            evidence=evidence if computed else (),
            vector=None if poor or missing or not computed else vector,
        )

    def _without_markers(self, vector: FloatArray) -> bool:
        """Whether the bundle has markers and the memo none of them: nothing could explain such a score."""
        return bool(self._markers) and not np.isfinite(vector[self._markers]).any()

    def _evidence(
        self, parts: Parts, values: list[float], sds: list[float], added: list[float], own: list[float]
    ) -> tuple[Evidence, ...]:
        """Evidence from the markers' values, deviations and contributions; a marker that adds nothing comes last.

        own: the user's own normal, NaN where there is none yet.
        """
        names, fragile = self.bundle.markers, _fragile(parts)
        finite = [index for index, sd in enumerate(sds) if isfinite(sd)]
        finite.sort(key=lambda index: (names[index] in fragile, -abs(added[index]), -abs(sds[index])))
        return tuple(
            Evidence(names[i], values[i], sds[i], names[i] in fragile, added[i], own[i] if isfinite(own[i]) else None)
            for i in finite[:STRONGEST]
        )


def _unheard(parts: Parts) -> Scored | None:
    """The result of a memo that a worker did not read for lack of consent: it has no features; None for any other."""
    reasons = (reason for part in parts.values() for reason in part.quality.reasons if reason.startswith(CONSENT))
    found = tuple(dict.fromkeys(reasons))
    return Scored(None, Band.INDETERMINATE, found, ()) if found else None


def _fragile(parts: Parts) -> frozenset[str]:
    """Fragile markers of any part's recording."""
    return frozenset(name for part in parts.values() for name in part.quality.fragile)


def logits(bundle: Bundle, sds: FloatArray, parts: Sequence[Parts], known: NDArray[np.bool_]) -> Logits:
    """Logits of a batch from the bundle's heads: `bundle.first`, if present, scores users without a baseline.

    sds: (memos, features), deviations; known: (memos,), whether the user has a baseline.
    """
    return logits_of(bundle, head_input(bundle, sds, parts), known)


def logits_of(bundle: Bundle, inputs: HeadInput, known: NDArray[np.bool_]) -> Logits:
    """As `logits`, from the input of the heads."""
    if bundle.first is None or known.all():
        raw = bundle.head.logits(inputs)
        return Logits(raw, bundle.calibration.logit(raw))
    first = bundle.first.head.logits(inputs)
    alone = Logits(first, bundle.first.calibration.logit(first))
    if not known.any():
        return alone
    raw = bundle.head.logits(inputs)
    return Logits(np.where(known, raw, alone.raw), np.where(known, bundle.calibration.logit(raw), alone.calibrated))


def contributions_of(bundle: Bundle, inputs: HeadInput, known: NDArray[np.bool_]) -> Contributions:
    """What makes up the raw logits of `logits_of`, by the same heads: deviations are from what each head expects.

    Users without a baseline deviate from the population; the reference is each head's logit of a memo as expected.
    """
    if bundle.first is None or known.all():
        return bundle.head.contributions(inputs)
    first = bundle.first.head.contributions(inputs)
    if not known.any():
        return first
    own = bundle.head.contributions(inputs)
    return Contributions(
        np.where(known[:, None], own.deviations, first.deviations),
        np.where(known, own.windows, first.windows),
        np.where(known, own.reference, first.reference),
    )


def head_input(bundle: Bundle, sds: FloatArray, parts: Sequence[Parts]) -> HeadInput:
    """The input of the bundle's head. sds: (memos, features), the result of `deviations`."""
    summary = clipped(np.where(np.isin(bundle.names, bundle.silent), np.nan, sds))
    if bundle.head.kind not in SEQUENTIAL:
        return HeadInput(summary, np.zeros((len(sds), 0, 0), np.float32), np.zeros((len(sds), 0), bool))
    rows = [memo_windows(part, bundle.modalities, len(bundle.window_mean)) for part in parts]
    windows = np.zeros((len(rows), max(map(len, rows), default=0) or 1, len(bundle.window_mean)), np.float32)
    mask = np.zeros(windows.shape[:2], bool)
    for index, row in enumerate(rows):
        windows[index, : len(row)] = clipped((row - bundle.window_mean) / bundle.window_sd)
        mask[index, : len(row)] = True
    return HeadInput(summary, windows, mask)


def memo_windows(parts: Parts, modalities: Sequence[Modality], width: int) -> FloatArray:
    """(n, width): the windows of all modalities, concatenated, NaN where one has fewer windows or is missing."""
    found: list[MemoFeatures | None] = [parts.get(modality) for modality in modalities]
    count = max((len(part.windows) for part in found if part is not None), default=0)
    rows = np.full((count, width), np.nan, np.float32)
    known = sum(part.windows.shape[1] for part in found if part is not None)
    at = 0
    for part in found:
        wide = width - known if part is None else part.windows.shape[1]
        if part is not None:
            rows[: len(part.windows), at : at + wide] = part.windows
        at += wide
    return rows
