"""What the routes share, opened against a broker."""

from schemas import topics
from schemas.settings import Settings
from streams.api.services import Services
from streams.local.embedded import EmbeddedKafka


async def test_services_are_connected_while_they_are_open() -> None:
    with EmbeddedKafka([topics.UPLOADED.name]) as kafka:
        async with Services.open(Settings(kafka_bootstrap=kafka.bootstrap)) as services:
            assert not services.closing.is_set()
            sent = await services.producer.send_and_wait(topics.UPLOADED.name, b"value", b"key")
    assert sent.offset == 0
