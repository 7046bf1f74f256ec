"""What the outputs of a CTC head stand for, by the tokenizer of the checkpoint."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigurationError

VOCABULARY = "vocab.json"
FILES = (VOCABULARY, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""What `load_vocabulary` reads of a checkpoint; the first is needed."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The outputs of a CTC head.

    tokens: text of each output; blank: the output for no new character; delimiter: that between words; special: outputs
    that are no text, such as the beginning of a sentence. All three are positions in `tokens`.
    """

    tokens: tuple[str, ...]
    blank: int
    delimiter: int
    special: frozenset[int] = frozenset()


def load_vocabulary(folder: Path, outputs: int) -> Vocabulary:
    """The vocabulary of a checkpoint in a folder.

    outputs: number of outputs of its CTC head. Raises ConfigurationError for a checkpoint without a vocabulary, or with
    one of another kind or size.
    """
    _check_file(folder / VOCABULARY)
    logging.getLogger("transformers").addFilter(_not_of_models)
    from transformers import Wav2Vec2CTCTokenizer

    try:
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"the checkpoint's tokenizer cannot be loaded ({type(error).__name__}); check its {VOCABULARY} and "
            "tokenizer_config.json"
        ) from error
    known = tokenizer.get_vocab()
    # transformers 5.17 keeps a delimiter of tokenizer_config.json here only, and "|" in the property of that name.
    separator = tokenizer.special_tokens_map.get("word_delimiter_token") or tokenizer.word_delimiter_token
    blank, delimiter = known.get(tokenizer.pad_token), known.get(separator)
    positions = set(known.values())
    if not all(position in positions for position in range(outputs)):
        raise ConfigurationError(
            f"the checkpoint's {VOCABULARY} does not name all of the {outputs} outputs of its CTC head; it is another's"
        )
    if blank is None or blank >= outputs or delimiter is None or delimiter >= outputs:
        raise ConfigurationError(
            f"the checkpoint's {VOCABULARY} has no blank ({tokenizer.pad_token}) or no delimiter of words "
            f"({separator}) among the outputs of its CTC head; name a checkpoint that writes words"
        )
    return Vocabulary(
        tokens=tuple(tokenizer.convert_ids_to_tokens(list(range(outputs)))),
        blank=blank,
        delimiter=delimiter,
        special=frozenset(tokenizer.all_special_ids) - {blank, delimiter},
    )


def _not_of_models(record: logging.LogRecord) -> bool:
    """False for the advice at import that PyTorch is missing: nothing here takes a model from transformers."""
    return "PyTorch was not found" not in record.getMessage()


def _check_file(path: Path) -> None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"the checkpoint has no {VOCABULARY}, so the outputs of its CTC head have no names; copy it from the "
            "checkpoint on the hub, or name another checkpoint"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{VOCABULARY} of the checkpoint cannot be read: {type(error).__name__}") from error
    if not isinstance(values, dict) or not all(type(position) is int for position in values.values()):
        raise ConfigurationError(
            f"{VOCABULARY} of the checkpoint is no object of tokens and their positions; one for several languages "
            "is not supported"
        )
