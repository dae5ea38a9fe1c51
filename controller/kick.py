"""Breaks a node's connection to the broker: a second one under its name takes its place, and its session with it."""

import asyncio
import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final

import aiomqtt

from controller import ca
from controller.parts import Parts
from controller.roots import load_roots

DEADLINE_S: Final = 5.0
LIFE: Final = timedelta(minutes=5)
log = logging.getLogger("loa.mqtt")


async def push_off(parts: Parts, node: str) -> None:
    """Take over the client id of a node for a moment. Raises OSError when the broker does not answer, CaError without a CA."""
    config = parts.config
    with tempfile.TemporaryDirectory(dir=config.state / "run", prefix="push-") as name:
        folder = Path(name)
        issued = ca.issue(load_roots(config.ca_folder).active, node, life=LIFE)
        ca.write_once(folder / "key", issued.key_pem, mode=0o600)
        ca.write_once(folder / "crt", issued.cert_pem, mode=0o600)
        client = aiomqtt.Client(
            config.settings.broker.host,
            parts.ports.broker,
            identifier=node,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            timeout=DEADLINE_S,
            tls_context=ca.client_context(config.ca, folder / "crt", folder / "key"),
            logger=log,
        )
        try:
            async with asyncio.timeout(2 * DEADLINE_S), client:
                pass
        except (aiomqtt.MqttError, TimeoutError) as error:
            raise OSError(f"the broker did not take the connection: {error}") from error
