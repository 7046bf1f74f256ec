"""What the routes share, opened against a broker."""

from pathlib import Path

from schemas import topics
from schemas.settings import Settings
from streams.api.services import Services
from streams.local.embedded import EmbeddedKafka


async def test_services_are_connected_while_they_are_open(tmp_path: Path) -> None:
    with EmbeddedKafka([topics.UPLOADED.name]) as kafka:
        # Redis is asked when it is needed.
        settings = Settings(kafka_bootstrap=kafka.bootstrap, redis_url="redis://127.0.0.1:1", home=tmp_path)
        async with Services.open(settings) as services:
            assert not services.closing.is_set()
            sent = await services.producer.send_and_wait(topics.UPLOADED.name, b"value", b"key")
    assert sent.offset == 0
