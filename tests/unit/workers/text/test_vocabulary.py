import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from tests.unit.workers.text.vocabularies import TOKENS, write_vocabulary
from workers.text.vocabulary import load_vocabulary


def test_the_tokenizer_says_what_every_output_is(tmp_path: Path) -> None:
    vocabulary = load_vocabulary(write_vocabulary(tmp_path), 32)
    assert vocabulary.tokens == TOKENS
    assert (vocabulary.blank, vocabulary.delimiter, vocabulary.special) == (0, 4, frozenset({1, 2, 3}))


def test_the_configuration_of_the_tokenizer_names_another_blank_and_delimiter(tmp_path: Path) -> None:
    write_vocabulary(tmp_path, ("a", "b", "_", "[UNK]", "[PAD]"))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "word_delimiter_token": "_", "bos_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    vocabulary = load_vocabulary(tmp_path, 5)
    assert (vocabulary.blank, vocabulary.delimiter) == (4, 2)


def test_tokens_that_the_head_has_no_output_for_are_left_out(tmp_path: Path) -> None:
    # Fine-tuned checkpoints often add <s> and </s> after the outputs of their head.
    write_vocabulary(tmp_path, ("<pad>", "<unk>", "|", "a", "b"))
    vocabulary = load_vocabulary(tmp_path, 5)
    assert vocabulary.tokens == ("<pad>", "<unk>", "|", "a", "b")
    assert vocabulary.special >= {1}


def faults(folder: Path) -> dict[str, tuple[int, str]]:
    write_vocabulary(folder / "small", TOKENS[:20])
    write_vocabulary(folder / "phonemes", ("<pad>", "<s>", "</s>", "<unk>", "ə", "t"))
    for name, content in (("broken", "{"), ("listed", "[]"), ("nested", '{"eng": {"a": 0}}')):
        (folder / name).mkdir()
        (folder / name / "vocab.json").write_text(content)
    (folder / "empty").mkdir()
    return {
        "small": (32, "does not name all of the 32 outputs"),
        "phonemes": (6, "no delimiter of words"),
        "broken": (32, "cannot be read"),
        "listed": (32, "is no object"),
        "nested": (32, "several languages"),
        "empty": (32, r"has no vocab\.json"),
    }


@pytest.mark.parametrize("name", ["small", "phonemes", "broken", "listed", "nested", "empty"])
def test_a_checkpoint_whose_words_cannot_be_written_is_refused_by_name(tmp_path: Path, name: str) -> None:
    outputs, message = faults(tmp_path)[name]
    with pytest.raises(ConfigurationError, match=message):
        load_vocabulary(tmp_path / name, outputs)


def test_loading_a_tokenizer_says_nothing_of_libraries_that_it_does_without(tmp_path: Path) -> None:
    code = "import pathlib, sys, workers.text.vocabulary as it; it.load_vocabulary(pathlib.Path(sys.argv[1]), 32)"
    command = [sys.executable, "-c", code, str(write_vocabulary(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tokenizer_is_loaded_only_with_a_checkpoint() -> None:
    code = "import sys, workers.text.transcript; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
