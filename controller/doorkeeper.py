"""Keeps what the broker lets in up to date: its ACL, its lists of revoked certificates, its own one; and shows nodes out.

mosquitto takes a new ACL and new lists at SIGHUP; to a connection that stands it applies the ACL and not the lists (measured with
2.0.11), so a revoked node is silenced at once and then pushed off by a connection under its own name. A SIGHUP that comes while
it reads is lost (it clears its flag after reading), and a placed node would stay deaf to its area: so it is told again, later.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from controller import ca
from controller.actions.enrolments import state_of
from controller.errors import Refused
from controller.kick import push_off
from controller.mosquitto import CRL, PID, access_list, replace_file
from controller.parts import Parts
from controller.roots import load_roots
from controller.store import enrolments
from controller.store.database import Transaction

EVERY_S: Final = 6 * 3_600.0
PUSHES_S: Final = (0.3, 1.0, 3.0, 6.0)
"""After a reload; under systemd it is another unit that reloads the broker, a moment later."""
AGAIN_S: Final = 3.0
"""Longer than a reload takes, its unit's wait included: whatever runs then began after the change and reads it."""
RECENT_MS: Final = 86_400_000
log = logging.getLogger("loa.doorkeeper")


class Doorkeeper:
    """One for a state folder. `renewed` is called when a certificate of our own servers has new dates."""

    def __init__(self, parts: Parts, renewed: Callable[[], None]) -> None:
        self._parts = parts
        self._renewed = renewed
        self._turn = asyncio.Lock()
        self._later: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Put everything right at the start, and look again every few hours, until cancelled."""
        recent = await self._parts.database.read(self._lately_revoked)
        while True:
            try:
                if await asyncio.to_thread(self.renew_own):
                    self._renewed()
                await self.tell(recent)
            except (OSError, ca.CaError, Refused) as error:
                log.error("the broker's lists are not up to date: %s", error)  # noqa: TRY400  it says all
            recent = ()
            await asyncio.sleep(EVERY_S)

    async def tell(self, revoked: tuple[str, ...] = ()) -> None:
        """Bring the broker's files up to date, let it read them, push off those named. Raises Refused if they cannot be."""
        async with self._turn:
            acl, lists = await self._parts.database.read(self._wanted)
            try:
                changed = await asyncio.to_thread(self._write, acl, lists)
            except (OSError, ca.CaError) as error:
                folder = self._parts.config.broker_folder
                raise Refused(
                    f"the broker's folder {folder} cannot be written ({error}): make this user its owner",
                    code="broker-folder",
                    status=503,
                ) from error
            if changed:
                self._reload()
                self._soon(self._reload_again())
        for node in revoked:
            self._soon(self._push(node))

    async def roots_changed(self) -> None:
        """Another root signs: certificates of our own by it, and the broker told. Raises Refused."""
        try:
            if await asyncio.to_thread(self.renew_own):
                self._renewed()
        except (OSError, ca.CaError) as error:
            raise Refused(f"our own certificates could not be renewed: {error}", code="no-ca", status=503) from error
        await self.tell()

    def renew_own(self) -> bool:
        """New dates for our own certificates at two thirds of their life, or when another root signs. Raises CaError."""
        config, now = self._parts.config, datetime.fromtimestamp(self._parts.now_ms() / 1000, UTC)
        roots = load_roots(config.ca_folder)
        renewed = False
        for file in sorted(config.tls.glob("*.crt")):
            old = x509.load_pem_x509_certificate(file.read_bytes())
            young = now < old.not_valid_before_utc + (old.not_valid_after_utc - old.not_valid_before_utc) * 2 / 3
            if young and ca.issued_by(old, roots.active.certificate):
                continue
            replace_file(file, ca.renew(roots.active, file.read_bytes(), now=now, also=roots.others), None)
            log.info("the certificate of %s has new dates", file.stem)
            renewed = True
        return renewed

    def _lately_revoked(self, tx: Transaction) -> tuple[str, ...]:
        since_ms = self._parts.now_ms() - RECENT_MS
        return tuple(each.node for each in enrolments.all_of_them(tx) if (each.revoked_ms or 0) > since_ms)

    def _wanted(self, tx: Transaction) -> tuple[str, dict[str, list[int]]]:
        world, config = self._parts.world, self._parts.config
        states = {each.node: state_of(world, each) for each in enrolments.all_of_them(tx)}
        operators = sorted(file.stem for file in config.tls.glob("operator-*.crt"))
        acl = access_list(
            operators,
            pending=(node for node, state in states.items() if state == "pending"),
            revoked=(node for node, state in states.items() if state == "revoked"),
        )
        return acl, enrolments.revoked_serials(tx, self._parts.now_ms())

    def _write(self, acl: str, revoked: dict[str, list[int]]) -> bool:
        """Write what differs. A list is signed anew only when what it says changed, or a root did."""
        config, folder = self._parts.config, self._parts.config.broker_folder
        roots, group = load_roots(config.ca_folder), config.settings.broker.group or None
        files = {
            "acl": acl.encode(),
            "ca.crt": roots.bundle_pem,
            "broker.crt": (config.tls / "broker.crt").read_bytes(),
            "broker.key": (config.tls / "broker.key").read_bytes(),
        }
        lists = roots.lists_pem(revoked)
        if _said(lists) != _said(_held(folder / CRL)):
            files[CRL] = lists
        changed = {name: content for name, content in files.items() if _held(folder / name) != content}
        for name, content in changed.items():
            replace_file(folder / name, content, group)
        return bool(changed)

    def _reload(self) -> None:
        """SIGHUP, if the broker is ours to signal; a service's own unit watches the folder (loa-broker-reload.path)."""
        conf = self._parts.config.broker_folder / "mosquitto.conf"
        with contextlib.suppress(OSError, ValueError):
            named = next(line for line in conf.read_text("utf-8").splitlines() if line.startswith("pid_file "))
            os.kill(_pid_of_mosquitto(Path(named.removeprefix("pid_file "))), signal.SIGHUP)

    async def _reload_again(self) -> None:
        await asyncio.sleep(AGAIN_S)
        with contextlib.suppress(OSError):
            os.utime(self._parts.config.broker_folder / "acl")  # for the unit that watches
        self._reload()

    def _soon(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _push(self, node: str) -> None:
        for wait_s in PUSHES_S:
            await asyncio.sleep(wait_s)
            found = await self._parts.database.read(lambda tx: enrolments.one(tx, node))
            if found is None or found.revoked_ms is None:
                return
            try:
                await push_off(self._parts, node)
            except (OSError, ca.CaError) as error:
                log.warning("node %s could not be pushed off the broker yet: %s", node, error)


def _pid_of_mosquitto(file: Path) -> int:
    """Raises ValueError for a number that another program has by now."""
    pid = int(file.read_text("ascii"))
    if not Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").startswith(PID.partition(".")[0]):
        raise ValueError(f"process {pid} is no mosquitto")
    return pid


def _held(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _said(lists: bytes) -> set[tuple[str, frozenset[int]]]:
    """What lists of revoked certificates say, whenever they were signed."""
    found = set()
    for part in lists.split(b"-----BEGIN X509 CRL-----")[1:]:
        each = x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + part)
        found.add((each.issuer.rfc4514_string(), frozenset(revoked.serial_number for revoked in each)))
    return found
