"""The recorder of the page "Try it", with a microphone that plays a file: from the voice to the score on the page."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import Browser, expect

from tests.browser import launched, need_browser, opened
from tests.dashboard import PATIENCE_S, Dashboard
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.source_filter import speak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

PATIENCE_MS = PATIENCE_S * 1000
SPOKEN_S, SILENT_S = 8.0, 0.5
SEVERITY = 0.7
CLOSE = 0.02
"""Most by which probabilities of the same voice may differ."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody speaks, with some silence before and after."""
    rng = np.random.default_rng(3)
    signal, _ = speak(voice_at(random_voice(rng), SEVERITY, rng), SPOKEN_S, rng)
    silence = np.zeros(int(SILENT_S * SAMPLING_RATE), np.float32)
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    soundfile.write(path, np.concatenate([silence, signal, silence]), SAMPLING_RATE, subtype="PCM_16")
    return path


@pytest.fixture
async def microphone(clip: Path) -> AsyncIterator[Browser]:
    """Chromium with a microphone that hears the clip once."""
    need_browser()
    file = f"--use-file-for-fake-audio-capture={clip}%noloop"
    async with launched("--use-fake-device-for-media-stream", file) as browser:
        yield browser


async def test_what_is_recorded_scores_as_the_same_file_does(
    microphone: Browser, dashboard: Dashboard, clip: Path
) -> None:
    length_s = SPOKEN_S + 2 * SILENT_S
    async with opened(microphone, f"{dashboard.address}/try", permissions=["microphone"]) as tab:
        page = tab.page
        await page.get_by_label("Pseudonym").fill("synthetic-recorded")
        await page.get_by_role("button", name="Record a memo").click()
        await expect(page.get_by_text("Recording. Speak until you are done")).to_be_visible()
        assert await tab.violations() == []
        await expect(page.locator("#record-time")).to_have_text(f"0:{length_s:02.0f}", timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_label("What you recorded")).to_be_visible()
        await page.get_by_role("button", name="Send the recording").click()
        await page.wait_for_url("**/try/memos?*")
        outcome = page.locator(".outcome")
        await expect(outcome).to_be_visible(timeout=PATIENCE_MS)
        probability = float(await outcome.get_attribute("data-probability") or "nan")
        await expect(page.get_by_alt_text("Waveform, pitch")).to_be_visible(timeout=PATIENCE_MS)
        assert await tab.violations() == []
        assert await tab.overflow() == []
        assert tab.watch.faults == []
    assert probability == pytest.approx(score(clip), abs=CLOSE)


async def test_a_recorder_without_permission_says_what_to_do(chromium: Browser, dashboard: Dashboard) -> None:
    async with opened(chromium, f"{dashboard.address}/try") as tab:
        await tab.page.get_by_role("button", name="Record a memo").click()
        await expect(tab.page.locator("#recorder")).to_have_attribute("data-state", re.compile("refused|absent"))
        await expect(tab.page.locator("#recorder [role=status]")).to_contain_text("or choose a file")
        assert await tab.violations() == []


async def test_a_recording_that_is_too_short_is_not_kept(microphone: Browser, dashboard: Dashboard) -> None:
    async with opened(microphone, f"{dashboard.address}/try", permissions=["microphone"]) as tab:
        await tab.page.get_by_role("button", name="Record a memo").click()
        await tab.page.get_by_role("button", name="Stop").click()
        await expect(tab.page.get_by_text("Too short")).to_be_visible()
        await tab.page.get_by_role("button", name="Send", exact=True).click()
        await expect(tab.page.get_by_role("alert")).to_contain_text("nothing to send")


async def test_a_file_that_is_no_recording_is_refused_with_what_to_send(
    chromium: Browser, dashboard: Dashboard, tmp_path: Path
) -> None:
    path = tmp_path / "list.wav"
    path.write_text("milk, bread\n")
    async with opened(chromium, f"{dashboard.address}/try") as tab:
        await tab.page.get_by_label("Audio files").set_input_files(path)
        await tab.page.get_by_role("button", name="Send", exact=True).click()
        await expect(tab.page.get_by_role("alert")).to_contain_text("Send wav")


async def test_a_memo_is_sent_and_followed_without_scripts(chromium: Browser, dashboard: Dashboard, clip: Path) -> None:
    async with opened(chromium, f"{dashboard.address}/try", scripts=False) as tab:
        await tab.page.get_by_label("Pseudonym").fill("synthetic-plain")
        await tab.page.get_by_label("Audio files").set_input_files(clip)
        await tab.page.get_by_role("button", name="Send", exact=True).click()
        await tab.page.wait_for_url("**/try/memos?*")

        async def scored() -> bool:
            await tab.page.reload()
            return await tab.page.locator(".outcome").count() == 1

        await dashboard.until(scored)
        await expect(tab.page.get_by_role("main")).to_contain_text("synthetic-plain")


def score(path: Path) -> float:
    """What `undertone score` says of a file."""
    command = [sys.executable, "-m", "streams.cli", "score", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return float(json.loads(done.stdout)["probability"])
