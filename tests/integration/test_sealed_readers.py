"""The readers of sealed alerts in `docs/subscribing.md`, in Python and JavaScript, with keys for alerts alone."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from typer.testing import CliRunner

from schemas import topics
from schemas.codec import Codec
from schemas.headers import headers_of
from streams.cli.application import app
from tests.keys import sealing
from tests.pages import block
from tests.unit.schemas.records import SCORED
from tests.unit.streams.alerts import episode_of
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sealing import Sealing

ALERT = episode_of()[0]
VALUE = Codec().encode(ALERT)


class Sealed:
    """A sealed alert and a sealed score of one person, and what `keys grant` prints."""

    def __init__(self, home: Path) -> None:
        self.settings = sealing(home)

    async def write(self) -> None:
        """Seal both."""
        async with Sealing.open(self.settings) as border:
            await border.keys_of(ALERT.user_id, enrol=True)
            written = [
                await border.sealed(topic.name, ALERT.user_id.encode(), VALUE, headers_of(record, "test", None))
                for topic, record in ((topics.ALERTS, ALERT), (topics.SCORED, SCORED))
            ]
        self.alert, self.score = [each.value for each in written if each is not None]

    def granted(self, purpose: str) -> list[str]:
        """The lines of a purpose."""
        run = CliRunner().invoke(app, ["keys", "grant", purpose], env={"UNDERTONE_HOME": str(self.settings.home)})
        assert run.exit_code == 0, run.output
        return run.stdout.splitlines()


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    found = Sealed(tmp_path)
    asyncio.run(found.write())
    return found


def test_the_python_reader_opens_alerts_and_nothing_else(sealed: Sealed) -> None:
    scope: dict[str, Any] = {}
    exec(block("docs/subscribing.md", "opened"), scope)
    keys = scope["keys_of"](sealed.granted("alerts"))
    assert scope["opened"](sealed.alert, keys) == (ALERT.user_id, VALUE)
    with pytest.raises(InvalidTag):
        scope["opened"](sealed.score, keys)
    with pytest.raises(InvalidTag):
        scope["opened"](sealed.alert, scope["keys_of"](sealed.granted("scores")))
    with pytest.raises(KeyError):
        scope["opened"](sealed.alert, {})


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_javascript_reader_opens_alerts_and_nothing_else(sealed: Sealed, tmp_path: Path) -> None:
    script = tmp_path / "reader.mjs"
    script.write_text(
        block("docs/subscribing.md", "opened-js")
        + """
import { readFileSync } from "node:fs";
const { grants, alert, score } = JSON.parse(readFileSync(0));
const [user, record] = opened(Buffer.from(alert, "hex"), keysOf(grants));
let other = "opened";
try { opened(Buffer.from(score, "hex"), keysOf(grants)); } catch { other = "refused"; }
const unknown = opened(Buffer.from(alert, "hex"), new Map()) === undefined;
console.log(JSON.stringify({ user, record: record.toString("hex"), other, unknown }));
"""
    )
    given = {"grants": sealed.granted("alerts"), "alert": sealed.alert.hex(), "score": sealed.score.hex()}
    run = subprocess.run(["node", script], input=json.dumps(given), capture_output=True, text=True, check=True)
    expected = {"user": ALERT.user_id, "record": VALUE.hex(), "other": "refused", "unknown": True}
    assert json.loads(run.stdout) == expected


def test_of_an_erased_person_no_key_is_granted(sealed: Sealed) -> None:
    directory = KeyDirectory.open(sealed.settings)
    directory.destroy_keys(directory.subjects_of([ALERT.user_id])[ALERT.user_id].id)
    directory.close()
    assert sealed.granted("alerts") == []
