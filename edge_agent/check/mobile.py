"""The mobile signal as ModemManager tells it; where there is no modem, what else carries the node's traffic."""

from pathlib import Path
from typing import Final

from edge_agent.errors import ModemUnavailable
from protocol.checks import Check

WEAK_PERCENT: Final = 25
"""About one bar: below it a 4G modem drops to 3G and back, and a link of minutes is luck."""
ROUTES: Final = Path("/proc/net/route")
ROUTES_6: Final = Path("/proc/net/ipv6_route")
ANYWHERE: Final = "0" * 8
ANYWHERE_6: Final = "0" * 32
TROUBLES: Final = {
    "no-sim": ("modem không thấy SIM / the modem sees no SIM", "cắm lại SIM, đúng chiều / put the SIM in again, the right way"),
    "locked": ("SIM đòi mã PIN / the SIM asks for its PIN", "tắt mã PIN bằng điện thoại / take the PIN off in a telephone"),
    "failed": ("modem hỏng / the modem failed", "rút ra cắm lại; còn vậy thì thay / plug it in again, else change it"),
}
TO_DO: Final = "xem SIM, ăng-ten, APN / look at SIM, antenna and APN"


def default_interfaces(routes: Path = ROUTES, routes_6: Path = ROUTES_6) -> tuple[str, ...]:
    """Through which interfaces the rest of the world is reached."""
    found = [line[0] for line in _lines(routes) if line[1:2] == [ANYWHERE] and line[7:8] == [ANYWHERE]]
    found += [line[-1] for line in _lines(routes_6) if line[:2] == [ANYWHERE_6, "00"] and line[-1] != "lo"]
    return tuple(dict.fromkeys(found))


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except OSError:
        return []


async def signal(ways: tuple[str, ...], *, bus_address: str | None = None) -> Check:
    """Operator, technology, percent, registered or not; `ways` are the interfaces of the default routes."""
    from edge_agent.drivers.modem import look

    try:
        modems = await look(bus_address)
    except ModemUnavailable as error:
        modems, trouble = (), f" ({error})"
    else:
        trouble = ""
    if not modems:
        if ways:
            seen = f"không có modem; mạng qua / no modem; the net is behind {', '.join(ways)}{trouble}"
            return Check(name="signal", verdict="unknown", seen=seen)
        todo = "cắm modem hoặc dây mạng / plug in the modem, or a network cable"
        return Check(name="signal", verdict="bad", seen=f"không có modem, không có mạng / no modem, no net{trouble}", todo=todo)
    modem = max(modems, key=lambda each: (each.registered, each.percent))
    if modem.trouble:
        seen, todo = TROUBLES[modem.trouble]
        return Check(name="signal", verdict="bad", seen=f"{modem.model}: {seen}", todo=todo)
    told = ", ".join(filter(None, [modem.operator, modem.technology, f"{modem.percent} %"]))
    if not modem.registered:
        return Check(name="signal", verdict="bad", seen=f"{told}: chưa vào mạng / not registered", todo=TO_DO)
    if modem.percent < WEAK_PERCENT:
        todo = "dời hoặc thay ăng-ten / move the antenna, or take a better one"
        return Check(name="signal", verdict="bad", seen=f"{told}: sóng yếu / weak", todo=todo)
    return Check(name="signal", verdict="good", seen=f"{told}: đã vào mạng / registered")
