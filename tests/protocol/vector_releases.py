"""The cases of the golden vectors that concern releases of firmware."""

from msgspec import structs

from protocol.documents import Role
from tests.protocol.vector_cases import Case, Step, case, step, twice
from tests.protocol.vector_world import (
    COMMUNE,
    NEIGHBOUR,
    NODE,
    NOW,
    PROVINCE,
    Sent,
    changed,
    release,
    root,
    signed,
)


def release_cases() -> list[Case]:
    """All of them."""
    fresh = signed(release(NOW), "v1", "v2")
    return [*good(fresh), *by_others(fresh), *undoing(fresh), *bent()]


def good(fresh: Sent) -> list[Case]:
    back = signed(release(NOW + 1, build=6), "v2", "v3")
    return [
        case("good-release", "two of the three who release", *twice(fresh)),
        case("good-release-lagging", "sent to a node that lags", *twice(fresh, topic=f"loa/1/node/{NODE}/document")),
        case("good-release-file", "from a stick: no topic at all", *twice(fresh, topic=None)),
        case(
            "good-release-controller", "to the controller, which stands nowhere", *twice(fresh, topic=None), reader="controller"
        ),
        case("good-release-next", "a newer one replaces it", step(fresh), step(signed(release(NOW + 1, build=8), "v1", "v3"))),
        case("good-release-back", "an older build, released anew and not below the floor", step(fresh), step(back)),
    ]


def by_others(fresh: Sent) -> list[Case]:
    return [
        case("release-by-one", "one of two signatures", step(signed(release(NOW), "v1"), "too-few-persons")),
        case("release-by-one-threshold", "nor where the root asks for one", *_lax_root()),
        case("release-by-root", "the root's other persons", step(signed(release(NOW), "r1", "r2"), "not-empowered")),
        case("release-by-mixed", "one of them, one of others", step(signed(release(NOW), "v1", "r1"), "too-few-persons")),
        case("release-by-province", "an area releases nothing", step(_by_area(PROVINCE, "p1", "p2"), "not-empowered")),
        case("release-by-commune", "for itself neither", step(_by_area(COMMUNE, "c1", "c2"), "not-empowered")),
        case("release-by-stranger", "by nobody", step(signed(release(NOW), "stranger"), "bad-signature")),
        case(
            "release-of-another-root",
            "the root of another province",
            step(changed(release(NOW), "v1", "v2", area="51", area_no=51), "not-empowered"),
        ),
        case("release-unplaced", "to a node without a placement", step(fresh, "not-mine"), reader="unplaced"),
        case(
            "release-other-node",
            "on the topic of another node",
            step(fresh, "wrong-type", topic=f"loa/1/node/{NEIGHBOUR}/release"),
        ),
        case("release-network-topic", "on the topic of budgets", step(fresh, "wrong-type", topic=f"loa/1/node/{NODE}/network")),
    ]


def undoing(fresh: Sent) -> list[Case]:
    return [
        case("release-older", "an older build, as it was released", step(fresh), step(_old(), "superseded")),
        case(
            "release-below-floor",
            "a build below the floor of the one that was taken in",
            step(fresh),
            step(signed(release(NOW + 1, build=4, floor=4), "v1", "v2"), "superseded"),
        ),
        case(
            "release-lower-floor",
            "a floor never sinks",
            step(fresh),
            step(signed(release(NOW + 1, build=8, floor=4), "v1", "v2"), "superseded"),
        ),
        case("release-over", "already over", step(signed(release(NOW, valid_until_ms=NOW), "v1", "v2"), "expired")),
        case("release-future", "from tomorrow", step(signed(release(NOW + 86_400_000), "v1", "v2"), "from-future")),
    ]


def bent() -> list[Case]:
    fresh = release(NOW)
    plain = {"version": "2026.11.7", "build": 7, "floor": 5, "bundle": {"sha256": "7c" * 32, "bytes": 1}, "manifest": "3d" * 32}

    def with_body(**fields: object) -> Sent:
        return changed(fresh, "v1", "v2", body=plain | fields)

    return [
        case("release-own-floor", "a build that its own floor forbids", step(with_body(build=4), "malformed")),
        case("release-no-bytes", "an empty bundle", step(with_body(bundle={"sha256": "7c" * 32, "bytes": 0}), "malformed")),
        case("release-build-zero", "a build that is none", step(with_body(build=0, floor=0), "malformed")),
        case("release-manifest", "a manifest hash of other letters", step(with_body(manifest="3D" * 32), "malformed")),
        case("release-unknown", "a field of a later program", step(with_body(nodes=[NODE]), "malformed")),
        case("release-compatible", "a kind of machine in capitals", step(changed(fresh, "v1", "v2", subject="Loa"), "malformed")),
        case("release-live", "nothing but routine", step(changed(fresh, "v1", "v2", purpose="live"), "wrong-type")),
    ]


def _old() -> Sent:
    return signed(release(NOW - 1, build=6), "v1", "v2")


def _by_area(area: str, *names: str) -> Sent:
    return signed(release(NOW, authority=area), *names)


def _lax_root() -> tuple[Step, ...]:
    """A root that would let one person release: the contract's two hold all the same."""
    plain = root(2, NOW - 1)
    lax = structs.replace(plain.body, release=Role(persons=("v1",), threshold=1))
    renewed = signed(structs.replace(plain, body=lax), "r1", "r2")
    return step(renewed), step(signed(release(NOW), "v1"), "too-few-persons")
