"""Tell the kind of a container from its first bytes, never from a name. Pure."""

ID3_HEADER_BYTES = 10
ID3_FOOTER = 0x10

MAGIC = (
    (0, b"RIFF", "wav"),
    (0, b"RIFX", "wav"),
    (0, b"RF64", "wav"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b"FORM", "aiff"),
    (0, b".snd", "au"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"caff", "caf"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"#!AMR", "amr"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)
"""Offset, bytes and FFmpeg's name of the demuxer: the allow-list of containers, with `mov` and MPEG frames."""
FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx"})
"""Boxes that an MP4 or QuickTime file may begin with."""


def magic_kind(start: bytes) -> str | None:
    """FFmpeg's name of the container whose first bytes are unmistakable, else None."""
    for offset, magic, kind in MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return kind
    return "mov" if start[4:8] in FIRST_BOXES else None


def id3v2_length(data: bytes, at: int = 0) -> int:
    """Bytes of the ID3v2 tag at `at`, 0 if there is none. Its size has seven bits per byte."""
    header = data[at : at + ID3_HEADER_BYTES]
    if header[:3] != b"ID3" or len(header) < ID3_HEADER_BYTES or header[3] == 0xFF or any(b > 0x7F for b in header[6:]):
        return 0
    size = sum(byte << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
    return ID3_HEADER_BYTES + size + (ID3_HEADER_BYTES if header[5] & ID3_FOOTER else 0)


def without_leading_tags(data: bytes) -> bytes:
    """The bytes after any ID3v2 tags: tags hold images, and lists whose reading is slow. The same object if none."""
    at = 0
    while length := id3v2_length(data, at):
        at += length
    return data[at:] if at else data
