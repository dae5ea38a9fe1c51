"""A commune whose hands are apart, so that one of them can be stolen: the province's two, each commune's two, none in common."""

from __future__ import annotations

from protocol import keys, topics
from protocol.documents import Grant, Person, Power
from protocol.envelope import seal
from provisioning import ceremony
from tests.commune import NUMBERS, Commune, now_ms
from tests.office import Office

PROVINCE, COMMUNE, OTHER = "52", "52.24076", "52.24100"
HANDS = {PROVINCE: ("governor", "vice"), COMMUNE: ("officer", "second"), OTHER: ("stranger", "strange")}
YEAR_MS = 365 * 86_400_000


class Threatened(Commune):
    """`regrant` says anew who may speak for an area: with keys retired or stolen, or with another end."""

    def _make_trust(self) -> None:
        for names in HANDS.values():
            for name in names:
                self.people.setdefault(name, keys.new_key())
        super()._make_trust()

    def _grant(self, area: str) -> bytes:
        return self.regrant(area, issued_ms=now_ms() - 3_600_000)

    def grant_of(self, area: str, *, states: dict[str, str] | None = None, until_ms: int | None = None, issued_ms: int) -> Grant:
        names, wide = HANDS[area], area == PROVINCE
        powers = (
            Power(power="programme", persons=names, classes=("normal", "priority")),
            Power(power="station", persons=names),
            Power(power="emergency", persons=names, classes=("emergency",), threshold=2 if wide else 1),
            Power(power="stop", persons=names, threshold=2 if wide else 1),
            Power(power="exercise", persons=names),
        )
        known = [self.key_of(name) for name in names]
        stated = [
            type(key)(public=key.public, person=key.person, state=(states or {}).get(key.person, "active")) for key in known
        ]
        return ceremony.build_grant(
            area=area,
            area_no=NUMBERS[area],
            persons=tuple(Person(id=name, name=name) for name in names),
            keys=tuple(stated),
            powers=powers,
            until_ms=until_ms or now_ms() + YEAR_MS,
            now_ms=issued_ms,
        )

    def regrant(self, area: str, *, issued_ms: int | None = None, **more) -> bytes:
        grant = self.grant_of(area, issued_ms=self.seq() if issued_ms is None else issued_ms, **more)
        return seal(grant, [self.sealer("chair"), self.sealer("deputy")])

    async def announce(self, office: Office, area: str, raw: bytes) -> None:
        await office.publish(topics.topic("grant", area=area), raw, retain=True)

    def warning(self, area: str = COMMUNE, **more):
        """The province's own warning, for a commune; to be signed by both of its hands."""
        return self.start(area, authority=PROVINCE, **more)
