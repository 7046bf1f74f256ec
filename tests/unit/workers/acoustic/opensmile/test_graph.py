"""Graphs of small configurations, and of the one that runs."""

import pytest

from workers.acoustic.opensmile.graph import Component, changed, configuration, needed, parse, taken_out, unjoined
from workers.acoustic.opensmile_configuration import CONFIGURATION, packaged

SMALL = r"""
[componentInstances:cComponentManager]
instance[memory].type = cDataMemory
\{\cm[source{?}:a file]}
[componentInstances:cComponentManager]
instance[loudness].type = cLoudness
instance[unread].type=cPitch
instance[both].type = cVectorConcat
instance[sink].type = cExternalSink
; a comment
// another
/* [loudness:cLoudness]
reader.dmLevel = nothing */
[loudness:cLoudness]
reader.dmLevel = wave
writer.dmLevel=loud
[unread:cPitch]
reader.dmLevel = wave
writer.dmLevel = pitch
[both:cVectorConcat]
reader.dmLevel = loud;wave
writer.dmLevel = joined
[sink:cExternalSink]
reader.dmLevel = joined
"""
FILES = {
    "source": r"""
[componentInstances:cComponentManager]
instance[audio].type = cSource
[audio:cSource]
writer.dmLevel = wave
sampleRate = \cm[sampleRate{8000}:in Hz]
nBits = \cm[nBits{16}:of a sample]
"""
}


def test_a_configuration_is_read_with_what_it_includes() -> None:
    graph = parse(SMALL, FILES, {"sampleRate": 16000})
    assert list(graph) == ["memory", "audio", "loudness", "unread", "both", "sink"]
    assert graph["audio"] == Component("cSource", {"writer.dmLevel": "wave", "sampleRate": "16000", "nBits": "16"})
    assert graph["both"].reads == ("loud", "wave")
    assert graph["sink"].writes is None


def test_what_no_sink_reads_is_left_out() -> None:
    graph = parse(SMALL, FILES, {})
    assert list(needed(graph, "sink")) == ["memory", "audio", "loudness", "both", "sink"]
    assert list(needed(unjoined(graph, "sink"), "sink")) == ["memory", "audio", "loudness", "sink"]
    assert unjoined(graph, "sink")["sink"].reads == ("loud", "wave")


def test_a_component_makes_way_for_a_sink_and_a_source() -> None:
    graph = taken_out(parse(SMALL, FILES, {}), "loudness", "out", {"period": "0.01"})
    assert list(graph) == ["memory", "audio", "out", "loudness", "unread", "both", "sink"]
    assert graph["out"] == Component("cExternalSink", {"reader.dmLevel": "wave", "blocksize": "1"})
    assert graph["loudness"] == Component("cExternalSource", {"writer.dmLevel": "loud", "period": "0.01"})
    assert list(needed(graph, "sink", "out")) == ["memory", "audio", "out", "loudness", "both", "sink"]


def test_what_is_written_reads_the_same() -> None:
    graph = changed(parse(SMALL, FILES, {}), "sink", {"blocksize": "1"})
    assert parse(configuration(graph), {}, {}) == graph


def test_a_text_that_is_no_configuration_is_an_error() -> None:
    with pytest.raises(ValueError, match="unpack"):
        parse("[a:b]\nno field", {}, {})
    with pytest.raises(KeyError, match="source"):
        parse(SMALL, {}, {})


def test_our_configuration_runs_without_the_older_feature_set() -> None:
    files = {option: path.read_text() for option, path in packaged().items()}
    graph = parse(CONFIGURATION.read_text(), files, {})
    left_out = graph.keys() - needed(graph, "framesSink", "functionalsSink").keys()
    assert len(left_out) == 14
    assert {name.split("_")[0] for name in left_out} == {"gemapsv01b"}
