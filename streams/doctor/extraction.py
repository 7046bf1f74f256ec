"""Whether memos can be decoded and measured on this machine. Run in child processes."""

import io

import numpy as np

from schemas.events import FloatArray
from schemas.settings import Settings
from streams.doctor.finding import Finding, failed, ok

RATE = 16000
AGAIN = "install Undertone again for this machine: `make setup`"


def tone(seconds: float = 1.0) -> FloatArray:
    """A voice-like tone: (samples,) float32, mono, 16 kHz."""
    time_s = np.arange(round(RATE * seconds)) / RATE
    harmonics = sum(np.sin(2 * np.pi * 120.0 * k * time_s) / k for k in range(1, 11))
    return (0.1 * np.asarray(harmonics)).astype(np.float32)


def opensmile(settings: Settings) -> Finding:
    """Run openSMILE on two seconds of tone, as the acoustic worker runs it."""
    from workers.acoustic.extraction import extract

    found = extract(tone(2.0), settings.window_s)
    values = np.asarray(found.summary)
    if not np.isfinite(values).any():
        return failed("openSMILE gives no number for a tone", AGAIN)
    return ok(f"{values.size} features of two seconds of tone")


def decoding(settings: Settings) -> Finding:
    """A recording as phones make it, written with PyAV and read as a worker reads it."""
    import av

    from workers.audio.decode import decode

    for container, codec in (("mp4", "aac"), ("ogg", "libopus"), ("wav", "pcm_s16le")):
        if codec not in av.codecs_available:
            continue
        decoded = decode(_encoded(container, codec), max_s=settings.audio_max_s, min_s=settings.audio_min_s)
        if float(np.sqrt(np.mean(np.square(decoded.signal)))) < 0.01:
            return failed(f"{codec} in {container} comes out silent", AGAIN)
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return ok(f"PyAV {av.__version__}, libavcodec {version}: AAC, Opus and WAV are read")


def _encoded(container: str, codec: str) -> bytes:
    import av

    rate = 48000
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = "mono"
        samples = np.repeat(tone(), rate // RATE)
        whole = (np.clip(samples, -1, 1) * 32767).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()
