import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, POSITIONAL, random_weights, write
from workers.wav2vec2 import checkpoint

REVISION = "22aad52d435eb6dbaf354bdad9b0da84ce7d6156"


def spelled(weights: dict[str, FloatArray], gain: str, direction: str) -> dict[str, FloatArray]:
    """The positional weight under weight norm: any direction of its own, at twice its length."""
    spread = dict(weights)
    weight = spread.pop(f"{POSITIONAL}.weight")
    spread[f"{POSITIONAL}.{gain}"] = np.linalg.norm(weight, axis=(0, 1), keepdims=True)
    spread[f"{POSITIONAL}.{direction}"] = 2 * weight
    return spread


@pytest.mark.parametrize(
    ("gain", "direction"),
    [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")],
)
@pytest.mark.parametrize("prefix", ["", "wav2vec2."])
def test_every_spelling_gives_the_same_weights(tmp_path: Path, gain: str, direction: str, prefix: str) -> None:
    weights = random_weights(GROUP)
    tensors = {
        name if name.startswith("lm_head") else prefix + name: value
        for name, value in spelled(weights, gain, direction).items()
    }

    loaded = checkpoint.load(str(write(tmp_path, GROUP, tensors)))

    assert loaded.config == GROUP
    assert loaded.has_head
    assert set(loaded.weights) == set(weights)
    for name, value in weights.items():
        np.testing.assert_allclose(loaded.weights[name], value, rtol=1e-5, atol=1e-7)


def test_shards_give_the_same_weights_as_one_file(tmp_path: Path) -> None:
    weights = random_weights(LAYER, head=False)
    whole = write(tmp_path / "whole", LAYER, weights)
    parts = write(tmp_path / "parts", LAYER, weights)
    (parts / "model.safetensors").unlink()
    names = sorted(weights)
    places = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: weights[name] for name in names if places[name] == file}, parts / file)
    (parts / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    loaded = checkpoint.load(str(parts))

    assert not loaded.has_head
    for name, value in checkpoint.load(str(whole)).weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value)

    (parts / places[names[0]]).unlink()
    with pytest.raises(ConfigurationError, match=places[names[0]]):
        checkpoint.load(str(parts))


def test_what_is_saved_loads_to_half_precision(tmp_path: Path) -> None:
    weights = random_weights(LAYER, head=False)

    checkpoint.save(tmp_path, LAYER, weights)
    loaded = checkpoint.load(str(tmp_path))

    assert loaded.config == LAYER
    assert loaded.normalise
    for name, value in weights.items():
        np.testing.assert_allclose(loaded.weights[name], value, rtol=2e-3, atol=1e-6)


def test_tensors_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, GROUP, random_weights(GROUP))
    loaded = checkpoint.load(str(folder))

    (folder / "model.safetensors").unlink()

    with pytest.raises(ConfigurationError, match=r"model\.safetensors"):
        loaded.weights["encoder.layer_norm.weight"]


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    weights = random_weights(GROUP)
    del weights["encoder.layers.1.attention.k_proj.bias"]

    with pytest.raises(ConfigurationError, match=r"lacks the tensor encoder\.layers\.1\.attention\.k_proj\.bias"):
        checkpoint.load(str(write(tmp_path, GROUP, weights)))


def test_half_of_a_weight_norm_is_named(tmp_path: Path) -> None:
    weights = spelled(random_weights(GROUP), "weight_g", "weight_v")
    del weights[f"{POSITIONAL}.weight_v"]

    with pytest.raises(ConfigurationError, match="weight_v"):
        checkpoint.load(str(write(tmp_path, GROUP, weights)))


def test_a_wrong_shape_is_named_with_both(tmp_path: Path) -> None:
    weights = random_weights(GROUP)
    weights["feature_projection.projection.weight"] = np.zeros((32, 17), np.float32)

    with pytest.raises(ConfigurationError, match=r"feature_projection\.projection\.weight.*\(32, 17\).*\(32, 16\)"):
        checkpoint.load(str(write(tmp_path, GROUP, weights)))


def test_a_weight_that_is_not_finite_is_named(tmp_path: Path) -> None:
    weights = random_weights(GROUP)
    weights["encoder.layer_norm.weight"][3] = np.nan

    with pytest.raises(ConfigurationError, match=r"encoder\.layer_norm\.weight"):
        checkpoint.load(str(write(tmp_path, GROUP, weights)))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, GROUP, random_weights(GROUP))
    whole = (folder / "model.safetensors").read_bytes()

    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"model\.safetensors"):
        checkpoint.load(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="safetensors"):
        checkpoint.load(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        checkpoint.load(str(folder))


def test_another_sampling_rate_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, GROUP, random_weights(GROUP))
    (folder / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')

    with pytest.raises(ConfigurationError, match="16000 Hz"):
        checkpoint.load(str(folder))


@pytest.mark.parametrize("normalises", [True, False])
def test_a_processor_file_alone_says_whether_signals_are_normalised(tmp_path: Path, *, normalises: bool) -> None:
    folder = write(tmp_path, GROUP, random_weights(GROUP))
    (folder / "preprocessor_config.json").unlink()
    nested = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": normalises}
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": nested}))

    assert checkpoint.load(str(folder)).normalise is normalises


@pytest.mark.parametrize(
    ("nested", "named"),
    [
        ({"do_normalize": False}, "disagree on do_normalize"),
        ({"do_normalize": "no"}, r"do_normalize in processor_config\.json"),
        ({"feature_extractor_type": "SeamlessM4TFeatureExtractor"}, "SeamlessM4TFeatureExtractor"),
        ({"sampling_rate": 8000}, "16000 Hz"),
        ([], r"feature_extractor in processor_config\.json"),
    ],
)
def test_a_processor_that_cannot_be_followed_is_refused(tmp_path: Path, nested: object, named: str) -> None:
    folder = write(tmp_path, GROUP, random_weights(GROUP))
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": nested}))

    with pytest.raises(ConfigurationError, match=named):
        checkpoint.load(str(folder))


def test_a_processor_without_a_feature_extractor_says_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, GROUP, random_weights(GROUP))
    (folder / "processor_config.json").write_text('{"processor_class": "Wav2Vec2Processor"}')

    assert checkpoint.load(str(folder)).normalise


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, GROUP, random_weights(GROUP))
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')

    with pytest.raises(ConfigurationError, match=r"adapter_config\.json.*merge"):
        checkpoint.load(str(folder))


def test_two_spellings_of_one_weight_are_refused(tmp_path: Path) -> None:
    weights = random_weights(GROUP)
    both = weights | spelled(weights, "weight_g", "weight_v")

    with pytest.raises(ConfigurationError, match=r"conv\.weight and .*weight_g"):
        checkpoint.load(str(write(tmp_path, GROUP, both)))


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with one model at one revision, and no network."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "models--someone--wav2vec2-tiny"
    write(model / "snapshots" / REVISION, GROUP, random_weights(GROUP))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(REVISION)
    return model


@pytest.mark.parametrize("source", ["someone/wav2vec2-tiny", f"someone/wav2vec2-tiny@{REVISION}"])
def test_a_cached_model_loads_offline_at_its_revision(hub_cache: Path, source: str) -> None:
    assert checkpoint.load(source).config == GROUP


def test_a_hub_name_is_pinned_to_the_revision_that_was_found_and_a_folder_stays(hub_cache: Path) -> None:
    assert checkpoint.pinned("someone/wav2vec2-tiny") == f"someone/wav2vec2-tiny@{REVISION}"
    assert checkpoint.pinned("someone/wav2vec2-tiny@main") == f"someone/wav2vec2-tiny@{REVISION}"
    assert checkpoint.pinned(str(hub_cache)) == str(hub_cache)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("someone/wav2vec2-tiny@0123456789abcdef0123456789abcdef01234567", "at revision 0123456789"),
        ("someone/absent", "someone/absent"),
        ("no/such/folder", "neither a folder nor a hub name"),
        ("bad name!", "neither a folder nor a hub name"),
    ],
)
def test_what_is_nowhere_is_named(hub_cache: Path, source: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        checkpoint.load(source)


def test_the_hash_follows_the_weights(tmp_path: Path) -> None:
    one = write(tmp_path / "one", GROUP, random_weights(GROUP))
    same = Path(shutil.copytree(one, tmp_path / "same"))
    weights = random_weights(GROUP)
    weights["encoder.layer_norm.bias"][0] += 1e-3
    other = write(tmp_path / "other", GROUP, weights)

    hashes = [checkpoint.load(str(folder)).weights_hash for folder in (one, same, other)]

    assert hashes[0] == hashes[1] != hashes[2]
