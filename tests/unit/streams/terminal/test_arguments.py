"""What arguments may be, and the sentences that refuse the others."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from schemas.bundle_manifest import MANIFEST
from schemas.events import Modality
from schemas.pipeline import MODALITIES
from schemas.settings import SHIPPED_BUNDLE
from streams.terminal import arguments


def refusal(parse: Callable[[Any], object], text: object) -> str:
    with pytest.raises(typer.BadParameter) as refused:
        parse(text)
    return str(refused.value.message)


def test_pseudonyms_are_those_of_the_records() -> None:
    assert arguments.pseudonym("user-1") == "user-1"
    for text in ("", "u" * 129, "two\nlines"):
        assert "1 to 128" in refusal(arguments.pseudonym, text)


def test_a_modality_is_one_that_a_worker_extracts() -> None:
    assert [arguments.modality(name) for name in MODALITIES] == [*MODALITIES]
    assert "acoustic, embedding" in refusal(arguments.modality, Modality.UNKNOWN)
    assert Modality.UNKNOWN not in arguments.EXTRACTED


def test_audio_is_refused_only_where_none_can_be_read(tmp_path: Path) -> None:
    memo, empty, nowhere = tmp_path / "memo.wav", tmp_path / "empty", tmp_path / "nowhere.wav"
    memo.write_bytes(b"RIFF")
    empty.mkdir()
    assert arguments.audio_paths([nowhere, memo]) == [nowhere, memo]
    assert arguments.audio_paths([tmp_path]) == [tmp_path]
    assert arguments.audio_paths([]) == []
    assert f"{nowhere} does not exist" in refusal(arguments.audio_paths, [nowhere])
    assert f"{empty} holds no audio" in refusal(arguments.audio_paths, [empty, nowhere])
    assert "no regular file" in refusal(arguments.audio_paths, [Path(os.devnull)])
    assert "empty path" in refusal(arguments.some_path, "")


def test_input_is_there_and_of_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert (arguments.input_file(str(file)), arguments.input_folder(str(tmp_path))) == (file, tmp_path)
    assert "no regular file" in refusal(arguments.input_file, str(tmp_path))
    assert "is no folder" in refusal(arguments.input_folder, str(file))
    assert "does not exist" in refusal(arguments.input_folder, str(tmp_path / "nowhere"))


def test_a_bundle_has_its_manifest_and_the_files_that_it_lists(tmp_path: Path) -> None:
    assert arguments.bundle_folder(str(SHIPPED_BUNDLE)) == SHIPPED_BUNDLE
    assert "cannot be read" in refusal(arguments.bundle_folder, str(tmp_path))
    for content in ("[]", "{", '{"files": 3}'):
        (tmp_path / MANIFEST).write_text(content)
        assert "not the manifest" in refusal(arguments.bundle_folder, str(tmp_path))
    (tmp_path / MANIFEST).write_text(json.dumps({"files": {"head.safetensors": "00"}}))
    assert "head.safetensors is missing" in refusal(arguments.bundle_folder, str(tmp_path))
    assert arguments.bundle_fault(tmp_path / MANIFEST) == "it is no folder"
    assert arguments.bundle_fault(tmp_path / "nowhere") == "there is no such folder"


def test_output_goes_into_a_folder_that_exists_under_the_ending_that_is_written(tmp_path: Path) -> None:
    parse = arguments.output_file(".npz")
    assert parse(str(tmp_path / "x.npz")) == tmp_path / "x.npz"
    assert parse(str(tmp_path / "x")) == tmp_path / "x.npz"
    assert "does not end in .npz" in refusal(parse, str(tmp_path / "x.csv"))
    assert "create it" in refusal(parse, str(tmp_path / "nowhere" / "x.npz"))
    assert "name a file in it" in refusal(parse, str(tmp_path))
    assert "cannot be written to" in refusal(parse, "/proc/x.npz")
    assert [*tmp_path.iterdir()] == [], "the check leaves nothing"


def test_folders_of_plots_and_bundles_are_created_later(tmp_path: Path) -> None:
    assert arguments.plot_file(str(tmp_path / "a" / "b" / "x.png")) == tmp_path / "a" / "b" / "x.png"
    assert arguments.output_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    (tmp_path / "file").touch()
    assert "is a file" in refusal(arguments.output_folder, str(tmp_path / "file"))
    assert "is no folder" in refusal(arguments.plot_file, str(tmp_path / "file" / "x.png"))
    assert "does not end in .png" in refusal(arguments.plot_file, str(tmp_path / "x.docx"))


@pytest.mark.parametrize("name", ["facebook/wav2vec2-base", "wav2vec2", "a/b@v1.0", str(SHIPPED_BUNDLE / "encoder")])
def test_an_encoder_is_a_checkpoint_or_a_name_on_the_hub(name: str) -> None:
    assert arguments.encoder_source(name) == name


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b/c", "/no/such", "./x", "~/x", "https://hub/x", "a/", str(SHIPPED_BUNDLE)]
)
def test_anything_else_is_no_encoder(name: str) -> None:
    assert "hub" in refusal(arguments.encoder_source, name)


def test_an_address_is_of_the_web_and_is_not_repeated() -> None:
    for url in ("http://a", "https://a:9093/x?y=z", "http://a:9093,http://b:9093"):
        assert arguments.http_address(url) == url
    for url in (
        "",
        "hooks.example/secret",
        "ftp://secret",
        "http://",
        "http://a:secret",
        "http://a:0",
        "http://a,secret",
    ):
        assert "secret" not in refusal(arguments.http_address, url)


def test_numbers_are_finite_and_above_zero() -> None:
    assert arguments.positive("0.5") == 0.5
    for text in ("0", "-1", "nan", "inf", "x", ""):
        refusal(arguments.positive, text)


def test_times_are_past_but_for_a_clock_that_is_ahead() -> None:
    soon = datetime.now(UTC) + timedelta(hours=12)
    assert arguments.past_moment(soon.isoformat()) == soon
    assert arguments.past_since_moment("3d") < datetime.now(UTC)
    assert "in the future" in refusal(arguments.past_since_moment, "2150-01-01")
    assert "before 1970" in refusal(arguments.past_moment, "1969-12-31T23:59:59Z")


def test_an_id_is_not_the_beginning_of_all() -> None:
    assert arguments.identifier("0a") == "0a"
    assert "empty" in refusal(arguments.identifier, " ")


def test_a_new_file_is_not_there_yet_not_even_as_a_link(tmp_path: Path) -> None:
    parse = arguments.new_file(".zip")
    assert parse(str(tmp_path / "data")) == tmp_path / "data.zip"
    (tmp_path / "data.zip").touch()
    (tmp_path / "link.zip").symlink_to(tmp_path / "nowhere")
    for name in ("data", "data.zip", "link.zip"):
        assert "nothing is overwritten" in refusal(parse, str(tmp_path / name))
    assert "does not end in .zip" in refusal(parse, str(tmp_path / "data.tar"))
    assert "is no folder" in refusal(parse, str(tmp_path / "none" / "data.zip"))
