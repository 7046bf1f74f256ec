"""Greedy CTC against the reference decoding of transformers."""

from pathlib import Path

import numpy as np
import pytest
from transformers import Wav2Vec2CTCTokenizer

from schemas.events import FloatArray
from tests.unit.workers.text.vocabularies import TOKENS, write_vocabulary
from workers.text.transcript import Transcript, decode, frame_begins_s
from workers.text.vocabulary import Vocabulary, load_vocabulary
from workers.wav2vec2.config import EncoderConfig

STEP_S = EncoderConfig().hop / 16000
VOCABULARY = Vocabulary(TOKENS, blank=0, delimiter=4, special=frozenset({1, 2, 3}))


def decoded(logits: FloatArray, vocabulary: Vocabulary = VOCABULARY) -> Transcript:
    return decode(logits, vocabulary, np.arange(len(logits)) * STEP_S, STEP_S)


def spelled(text: str, sure: float = 20.0) -> FloatArray:
    """Logits whose best path is this text, a frame a character; _ is the blank, ^ the beginning of a sentence."""
    tokens = [{"_": "<pad>", "^": "<s>", " ": "|"}.get(letter, letter) for letter in text]
    return (np.eye(len(TOKENS), dtype=np.float32) * sure)[[TOKENS.index(token) for token in tokens]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Wav2Vec2CTCTokenizer:
    folder = write_vocabulary(tmp_path_factory.mktemp("checkpoint"))
    assert load_vocabulary(folder, len(TOKENS)) == VOCABULARY
    return Wav2Vec2CTCTokenizer.from_pretrained(str(folder))


def assert_as_reference(logits: FloatArray, tokenizer: Wav2Vec2CTCTokenizer) -> int:
    """Words and times as the reference has them; how many words. It writes special outputs out, as <s>."""
    reference = tokenizer.decode(logits.argmax(axis=1).tolist(), output_word_offsets=True)
    ours = decoded(logits)
    plain = reference.text
    for token in ("<s>", "</s>", "<unk>"):
        plain = plain.replace(token, "")
    assert ours.texts == plain.split()
    whole = [each for each in reference.word_offsets if "<" not in each["word"]]
    found = {(round(each.begin_s / STEP_S), round(each.end_s / STEP_S), each.text) for each in ours.words}
    assert {(each["start_offset"], each["end_offset"], each["word"]) for each in whole} <= found
    return len(whole)


@pytest.mark.parametrize("special", [True, False])
def test_random_logits_are_decoded_as_the_reference_does(tokenizer: Wav2Vec2CTCTokenizer, special: bool) -> None:
    random = np.random.default_rng(1)
    words = 0
    for frames in [0, 1, 2, 3, *random.integers(4, 400, 60).tolist()]:
        logits = random.normal(size=(frames, len(TOKENS))).astype(np.float32)
        logits[:, 0] += 1.5  # as blanks are frequent
        logits[:, 4] += 1.5
        logits[1::2] = logits[: frames // 2 * 2 : 2]  # as neighbours are alike
        if not special:
            logits[:, 1:4] = -9.0
        words += assert_as_reference(logits, tokenizer)
    assert words > 500


@pytest.mark.shared
def test_golden_logits_are_decoded_as_the_reference_does(tokenizer: Wav2Vec2CTCTokenizer, shared: Path) -> None:
    golden = np.load(shared / "encoder-golden" / "group-norm-ctc" / "golden.npz")
    for clip in "abcd":
        logits = golden[f"{clip}.logits"]
        assert_as_reference(logits, tokenizer)
        # The golden encoder is small and untrained: its best outputs are few. A permutation of outputs has others.
        for shift in range(1, len(TOKENS)):
            assert_as_reference(np.roll(logits, shift, axis=1), tokenizer)


def test_repeats_are_joined_and_a_blank_keeps_a_double_letter() -> None:
    assert decoded(spelled("HHEL_LLO__  WE  _")).texts == ["HELLO", "WE"]


def test_a_special_output_is_no_letter_and_separates_nothing_but_repeats() -> None:
    assert decoded(spelled("^A^A ^ B")).texts == ["AA", "B"]


def test_a_word_begins_and_ends_with_its_letters_within_a_frame() -> None:
    (first, second) = decoded(spelled("___HI___ __A_")).words
    assert (first.begin_s, first.end_s) == pytest.approx((3 * STEP_S, 5 * STEP_S))
    assert (second.begin_s, second.end_s) == pytest.approx((11 * STEP_S, 12 * STEP_S))


def test_the_log_probability_is_that_of_the_frames_with_letters() -> None:
    logits = np.log(np.full((3, len(TOKENS)), 0.5 / 31))
    logits[0, 5] = logits[1, 4] = np.log(0.5)
    logits[2] = np.log(0.75 / 31)
    logits[2, 6] = np.log(0.25)
    transcript = decoded(logits.astype(np.float32))
    assert [each.log_probability for each in transcript.words] == pytest.approx(np.log([0.5, 0.25]))
    assert transcript.log_probability == pytest.approx(np.mean(np.log([0.5, 0.25])))


def test_large_logits_do_not_overflow() -> None:
    assert decoded(spelled("HI", sure=3e4)).log_probability == pytest.approx(0.0)


def test_silence_has_no_words_and_no_probability() -> None:
    for logits in (spelled("____"), np.zeros((0, len(TOKENS)), np.float32)):
        transcript = decoded(logits)
        assert transcript.words == ()
        assert np.isnan(transcript.log_probability)


def test_no_repr_shows_a_word() -> None:
    transcript = decoded(spelled("CANARY SINGS"))
    assert transcript.texts == ["CANARY", "SINGS"]
    for shown in (repr(transcript), str(transcript), repr(transcript.words[0]), f"{transcript.words}"):
        assert "CANARY" not in shown.upper()
        assert "SINGS" not in shown.upper()


def test_frames_after_a_cut_keep_the_time_of_the_recording() -> None:
    begins = frame_begins_s([(16000, 32000), (64000, 80000)], np.array([0, 15999, 16000, 31999]), 16000)
    assert begins.tolist() == pytest.approx([1.0, 31999 / 16000, 4.0, 79999 / 16000])
