"""A `multipart/form-data` body with one file, parsed as it arrives: the file is never held in memory. Pure."""

from collections.abc import Mapping

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from streams.api.problems import Problem

FIELDS = 16
"""Most fields of a form."""
FIELD_BYTES = 4096
"""Longest value of a field that is no file."""


class Form:
    """The parts of a body. `feed` gives the bytes of the file; `fields` is complete once `finish` has returned.

    file: name of the field that holds it. Raises Problem 400 for a content type without a boundary.
    """

    def __init__(self, content_type: str, file: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Problem(400, detail="Give the boundary of the parts in the header `Content-Type`.")
        self.fields: dict[str, str] = {}
        self.files = 0
        self._file = file
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._complete,
            },
        )
        self._ended = False
        self._out = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the body; the bytes of the file among them. Raises Problem 400 for a broken form."""
        self._out.clear()
        try:
            self._parser.write(data)
        except FormParserError:
            raise _broken("its parts cannot be read") from None
        return bytes(self._out)

    def finish(self) -> Mapping[str, str]:
        """The body is complete: its fields. Raises Problem 400 when it is cut, or without exactly one file."""
        if not self._ended:
            raise _broken("its last part has no end")
        if self.files != 1:
            raise Problem(422, errors=({"where": f"form.{self._file}", "what": "give exactly one file"},))
        return self.fields

    def _begin(self) -> None:
        self._name, self._value, self._headers = "", bytearray(), dict[str, str]()
        self._header = ["", ""]

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end].decode("latin-1")

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end].decode("latin-1")

    def _header_end(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = ["", ""]

    def _headers_finished(self) -> None:
        options = parse_options_header(self._headers.get("content-disposition"))[1]
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == self._file:
            self.files += 1
            if self.files > 1:
                raise Problem(422, errors=({"where": f"form.{self._file}", "what": "give one file in a request"},))
        elif len(self.fields) >= FIELDS:
            raise _broken(f"it has more than {FIELDS} fields")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file:
            self._out += data[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > FIELD_BYTES:
            raise _broken(f"a field has more than {FIELD_BYTES} bytes")

    def _end(self) -> None:
        if self._name and self._name != self._file:
            try:
                self.fields[self._name] = self._value.decode()
            except UnicodeDecodeError:
                raise _broken("a field is not UTF-8") from None

    def _complete(self) -> None:
        self._ended = True


def _broken(why: str) -> Problem:
    return Problem(400, detail=f"The form cannot be used: {why}.")
