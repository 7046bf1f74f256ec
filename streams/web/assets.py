"""Style sheets, scripts and icons under addresses that change with their content, compressed once at start.

All files share one version in their address, so a module finds another by its relative name and browsers keep both
for good. A process of another release is asked for its neighbour's version while a deployment rolls: it answers with
its own file, which is then not kept.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from mimetypes import guess_type
from pathlib import Path

from fastapi import APIRouter, Request, Response

STATIC = Path(__file__).parent / "static"
SMALLEST_COMPRESSED = 600
"""Bytes; a smaller file fits one packet anyway."""
FOREVER = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}

router = APIRouter()


@dataclass(frozen=True)
class Asset:
    """One file. packed: gzip of `content`, None where that saves nothing; tag: strong, without its quotes."""

    content: bytes
    packed: bytes | None
    media_type: str
    tag: str


class Assets:
    """Files by their names in addresses. files: name to path; read whole, so they are few and small."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._assets = {name: _asset(path) for name, path in sorted(files.items())}
        tags = "".join(f"{name} {asset.tag}\n" for name, asset in self._assets.items())
        self.version = sha256(tags.encode()).hexdigest()[:16]

    def address(self, name: str) -> str:
        """The path of a file under this origin. Raises KeyError for one that there is not."""
        self._assets[name]
        return f"/static/{self.version}/{name}"

    def answer(self, version: str, name: str, headers: Mapping[str, str]) -> Response:
        """The file, compressed where the browser takes that; 304 when it has this one; 404 when there is none."""
        asset = self._assets.get(name)
        if asset is None:
            return Response(status_code=404)
        packed = asset.packed if "gzip" in headers.get("accept-encoding", "") else None
        tag = f'"{asset.tag}{"-gzip" if packed is not None else ""}"'
        kept = FOREVER if version == self.version else "no-cache"
        answer = {"ETag": tag, "Cache-Control": kept, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
        if tag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=answer)
        if packed is not None:
            answer["Content-Encoding"] = "gzip"
        return Response(asset.content if packed is None else packed, media_type=asset.media_type, headers=answer)


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    packed = gzip.compress(content, 9, mtime=0) if len(content) >= SMALLEST_COMPRESSED else None
    if packed is not None and len(packed) >= len(content):
        packed = None
    media_type = TYPES.get(path.suffix) or guess_type(path.name)[0] or "application/octet-stream"
    return Asset(content, packed, media_type, sha256(content).hexdigest()[:32])


def of_package(package: str, folder: str, names: tuple[str, ...]) -> dict[str, Path]:
    """Files that arrive with a wheel, as `package/name`. Raises ModuleNotFoundError without the package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    root = Path(spec.submodule_search_locations[0]) / folder
    return {f"{package}/{name}": root / name for name in names}


@cache
def assets() -> Assets:
    """Everything that pages of this process load."""
    own = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.is_file()}
    return Assets(own | of_package("bokeh", "server/static/js", ("bokeh.min.js",)))


@router.get("/static/{path:path}", include_in_schema=False)
async def static_file(request: Request, path: str) -> Response:
    """One file. It holds nothing of any person, and everyone may read it."""
    version, _, name = path.partition("/")
    return assets().answer(version, name, request.headers)
