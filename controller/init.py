"""`loa init`: makes a state folder: configuration, CA and certificates, broker configuration, areas, database. All or nothing."""

import contextlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from controller import area_tree, ca
from controller.area_tree import AreaSeed, SettlementsWrong
from controller.core.world import AreaKnown
from controller.mosquitto import CONTROLLER, write_config
from controller.roots import bundle_file, create_roots, load_roots
from controller.store import world
from controller.store.database import Database, Transaction, migrate, url_of

FOLDER_MODE: Final = 0o700
SECRET_MODE: Final = 0o600
FOLDERS: Final = ("ca", "broker", "tls", "media", "trust", "signer", "run")
ENROL_PORT: Final = 8444
SIGNING_PORT: Final = 8445
QUIET_PORTS: Final = range(20_000, 32_768)
"""Below those that Linux gives to whoever connects (ip_local_port_range): what is free now is still free when serve starts."""
TRIES: Final = 100
LOOPBACK: Final = ("127.0.0.1", "localhost")
HOST: Final = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.:-]{0,251}[0-9A-Za-z])?")
EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  recognised here, never bound by itself


class InitRefused(Exception):
    """A state folder cannot be made; nothing of it stays behind. The text says what, where and what to do."""


class InitOptions(Struct, frozen=True, kw_only=True):
    """What the person chooses. `hosts`: names and addresses under which nodes and browsers reach this machine, first the best.

    `enrol_port`, `signing_port` None: 8444 and 8445, or any free ones where the page takes any free one.

    The `broker_*`: folder, memory and group of a broker that runs as its own user (systemd); else all lies in the state folder.
    """

    province: int
    hosts: tuple[str, ...] = ()
    bind: str = "127.0.0.1"
    broker_port: int = 8883
    https_port: int = 8443
    enrol_port: int | None = None
    signing_port: int | None = None
    operators: tuple[str, ...] = ("operator-1",)
    settlements_csv: str = ""
    broker_folder: str = ""
    broker_state: str = ""
    broker_group: str = ""


class InitReport(Struct, frozen=True, kw_only=True):
    """What was made."""

    state: str
    province: str
    areas: int
    settlements: int
    broker_port: int
    https_port: int
    enrol_port: int
    operators: tuple[str, ...]
    broker_conf: str


def initialise(state: Path, options: InitOptions) -> InitReport:
    """Make the state folder. Raises InitRefused, and then leaves the place as it was."""
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise InitRefused(f"{state} exists and is not empty: choose another folder, or move it away")
    for host in options.hosts:
        if not HOST.fullmatch(host):
            raise InitRefused(
                f"--host {host!r} is neither an address nor a host name: write it without spaces, as loa.example.vn"
            )
    seeds = _areas(options)
    existed = state.exists()
    try:
        return _make(state, options, seeds)
    except (OSError, LookupError, ca.CaError, ValueError) as error:
        _undo(state, existed=existed)
        raise InitRefused(f"no state folder was made in {state}: {error}") from error


def _undo(state: Path, *, existed: bool) -> None:
    for path in state.iterdir() if state.exists() else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if state.exists() and not existed:
        state.rmdir()


def _areas(options: InitOptions) -> list[AreaSeed]:
    try:
        seeds = area_tree.province_areas(options.province)
        if options.settlements_csv:
            seeds += area_tree.parse_settlements_csv(options.settlements_csv, communes=[seed.id for seed in seeds])
    except SettlementsWrong as error:
        raise InitRefused(f"the list of settlements is wrong: {error}") from error
    except ValueError as error:
        raise InitRefused(f"--province: {error}") from error
    return seeds


def _make(state: Path, options: InitOptions, seeds: list[AreaSeed]) -> InitReport:
    state.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    state.chmod(FOLDER_MODE)
    for name in FOLDERS:
        (state / name).mkdir(mode=FOLDER_MODE)
    chosen = _with_free_ports(options)
    hosts = tuple(dict.fromkeys((*chosen.hosts, *LOOPBACK)))
    _certificates(state, chosen, hosts)
    write_areas(state / "areas.json", seeds)
    _store(state / "loa.db", seeds, chosen.province)
    conf = _broker(state, chosen)
    (state / "loa.toml").write_text(config_text(chosen, hosts), encoding="utf-8")
    return InitReport(
        state=str(state),
        province=seeds[0].name,
        areas=len(seeds),
        settlements=sum(seed.level == "settlement" for seed in seeds),
        broker_port=chosen.broker_port,
        https_port=chosen.https_port,
        enrol_port=chosen.enrol_port or 0,
        operators=chosen.operators,
        broker_conf=str(conf),
    )


def _broker(state: Path, options: InitOptions) -> Path:
    """Write the broker's folder; gives the path of its configuration."""
    return write_config(
        Path(options.broker_folder) if options.broker_folder else state / "broker",
        port=options.broker_port,
        bind=options.bind,
        ca=bundle_file(state / "ca"),
        cert=state / "tls" / "broker.crt",
        key=state / "tls" / "broker.key",
        operators=options.operators,
        state=Path(options.broker_state) if options.broker_state else None,
        group=options.broker_group or None,
        crl=load_roots(state / "ca").lists_pem({}),
    ).conf


def free_port(bind: str, but: Container[int] = ()) -> int:
    """A port that nobody listens on just now, and that Linux gives to nobody who only connects. Raises InitRefused."""
    for _ in range(TRIES):
        port = secrets.choice(QUIET_PORTS)
        with contextlib.suppress(OSError):
            if port not in but:
                socket.create_server((bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET).close()
                return port
    raise InitRefused(f"no free port is found on {bind}: is it an address of this machine? Or name ports yourself")


def _with_free_ports(options: InitOptions) -> InitOptions:
    """Port 0 means: any free one; it is chosen once, here, so that `loa` and nodes can read it."""
    usual = {
        "broker_port": options.broker_port,
        "https_port": options.https_port,
        "enrol_port": _or_usual(options, options.enrol_port, ENROL_PORT),
        "signing_port": _or_usual(options, options.signing_port, SIGNING_PORT),
    }
    ports: dict[str, int] = {}
    for name, wanted in usual.items():
        ports[name] = wanted or free_port(options.bind, ports.values())
    return msgspec.structs.replace(options, **ports)


def _or_usual(options: InitOptions, chosen: int | None, usual: int) -> int:
    """The chosen port, or the usual one; where the page takes any free one, so does what was not chosen."""
    return (usual if options.https_port else 0) if chosen is None else chosen


def _certificates(state: Path, options: InitOptions, hosts: Sequence[str]) -> None:
    authority = create_roots(state / "ca", f"Loa {options.province:02d}").active
    names = list(hosts)
    if options.bind not in EVERYWHERE and options.bind not in names:
        names.append(options.bind)
    made = {
        "broker": ca.issue(authority, "broker", server_names=names, client=False),
        "https": ca.issue(authority, "https", server_names=names, client=False),
        "controller": ca.issue(authority, CONTROLLER),
    }
    made |= {name: ca.issue(authority, name) for name in options.operators}
    for name, issued in made.items():
        ca.write_once(state / "tls" / f"{name}.key", issued.key_pem, mode=SECRET_MODE)
        ca.write_once(state / "tls" / f"{name}.crt", issued.cert_pem, mode=0o644)


def write_areas(path: Path, seeds: Sequence[AreaSeed | AreaKnown]) -> None:
    """The area list that `loa` falls back to: written beside and renamed, so that a reader sees a whole one."""
    rows = [{"id": each.id, "no": each.no, "name": each.name, "level": each.level, "parent": each.parent} for each in seeds]
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(rows), indent=1))
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def _store(file: Path, seeds: Sequence[AreaSeed], province: int) -> None:
    url = url_of(file.resolve())
    migrate(url)
    groupings = area_tree.groupings(f"{province:02d}")

    def fill(tx: Transaction) -> None:
        for seed in seeds:
            world.add_area(tx, _known(seed))
        for each in groupings:
            world.add_group(tx, world.Group(id=each.id, name=each.name, communes=each.area_ids))

    database = Database(url)
    try:
        database.run_now(fill)
    finally:
        database.close()
    file.chmod(SECRET_MODE)


def _known(seed: AreaSeed) -> AreaKnown:
    return AreaKnown(
        id=seed.id,
        no=seed.no,
        level=seed.level,
        name=seed.name,
        name_en=seed.name_en,
        parent=seed.parent,
        official_code=seed.official_code or "",
        old_names=seed.old_names,
    )


def _own_host(options: InitOptions) -> str:
    """How this machine reaches its own broker: by loopback, unless it listens on one address only."""
    return "127.0.0.1" if options.bind in EVERYWHERE else options.bind


def config_text(options: InitOptions, hosts: Sequence[str]) -> str:
    """loa.toml."""
    named = ", ".join(f'"{host}"' for host in hosts)
    apart = ""
    if options.broker_folder:
        apart += f'folder = "{options.broker_folder}"\n'
    if options.broker_group:
        apart += f'group = "{options.broker_group}"\n'
    return f"""# Written by `loa init`. Flags of `loa serve` go before what stands here.
province = "{options.province:02d}"
# Under these names nodes and browsers reach this machine; they stand in its certificates. Nodes use the first.
hosts = [{named}]

[broker]
# The name by which the controller itself reaches it.
host = "{_own_host(options)}"
bind = "{options.bind}"
port = {options.broker_port}
{apart}
[https]
bind = "{options.bind}"
port = {options.https_port}

# Where nodes without a certificate ask for one, and renew.
[enrol]
bind = "{options.bind}"
port = {options.enrol_port}

# The page on which officers sign with their own keys: an origin of its own. When another machine serves its files (better),
# write `url = "https://..."` here, and this controller serves none.
[signing]
bind = "{options.bind}"
port = {options.signing_port}
"""
