"""How soon a new alert is on an open page: `python -m tests.benchmarks.live_alerts` writes results/live_alerts.md.

A caseload is open in Chromium, on a system that runs on this machine. Alerts are put on their topic one after another,
of a new person each; the page itself notes when the person's row is there. Both clocks are this machine's.
"""

import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaProducer
from numpy.typing import NDArray
from playwright.async_api import Page, expect

from schemas import topics
from schemas.events import RiskAlert
from tests.benchmarks.machine import provenance
from tests.browser import launched, opened
from tests.dashboard import CODEC, Dashboard, alert_of, feed, started
from workers.kafka.clients import make_producer

RESULTS = Path(__file__).parent / "results"
ALERTS = 100
PAUSE_S = 0.5
"""Between two alerts: each is a change of its own."""
LIMIT_S = 2.0
SEEN = """(key) => new Promise((resolve) => {
  const seen = () => document.querySelector(`[data-person="${key}"]`) ? resolve(Date.now() / 1000) : null;
  if (seen() === null) new MutationObserver(seen).observe(document.body, { childList: true, subtree: true });
})"""


async def measure(running: Dashboard) -> NDArray[np.float64]:
    """Seconds from the acknowledgement of each alert's record to its row in the page."""
    episode = await running.open_episode()
    async with launched() as browser, opened(browser, f"{running.address}/") as tab:
        await expect(tab.page.locator(".live-state")).to_contain_text("Live")
        async with make_producer(running.settings) as producer:
            return np.array([await _once(tab.page, producer, episode, number) for number in range(ALERTS)])


async def _once(page: Page, producer: AIOKafkaProducer, episode: RiskAlert, number: int) -> float:
    alert = alert_of(episode, f"new-{number:03d}")
    seen = asyncio.create_task(page.evaluate(SEEN, alert.user_id))
    await producer.send_and_wait(topics.ALERTS.name, CODEC.encode(alert), alert.user_id.encode())
    recorded = time.time()
    after_s = float(await seen) - recorded
    await asyncio.sleep(PAUSE_S)
    return after_s


async def run() -> NDArray[np.float64]:
    """Start a system, feed it, and measure."""
    with tempfile.TemporaryDirectory(prefix="undertone-live-", ignore_cleanup_errors=True) as folder:
        running = await started(Path(folder))
        try:
            await feed(running)
            return await measure(running)
        finally:
            running.process.terminate()
            running.process.wait(60)


def main() -> None:
    """Write the result."""
    after_s = asyncio.run(run())
    p50, p99, worst = (float(np.quantile(after_s, share)) for share in (0.5, 0.99, 1.0))
    kept = "kept" if p99 <= LIMIT_S else "not kept"
    text = f"""# A new alert on an open page

{provenance("python -m tests.benchmarks.live_alerts")}

The caseload is open in Chromium; {len(after_s)} alerts are put on `risk.alerts` of a running `undertone up`, one after
another. Seconds from Kafka's acknowledgement of a record to its row in the page:

| p50 | p99 | longest |
|---|---|---|
| {p50:.2f} | {p99:.2f} | {worst:.2f} |

The limit is a p99 of {LIMIT_S:g} s: {kept}.
"""
    (RESULTS / "live_alerts.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
