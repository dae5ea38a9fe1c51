"""An update from release to good, what holds it back, what undoes it, and how it stands every power cut."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from edge_agent.commands import Activate, Confirm, Install, Restart
from edge_agent.core import update, update_vetoes
from tests.core.people import HOUR_MS, ISSUED, MIDNIGHT, NOON, drill, item, network, programme, start
from tests.core.updating import INSTALL_S, NEW, NIGHT, OLD, Updating, release
from tests.fakes.ab_machine import STARTS, Image
from tests.protocol import vector_world as world

ENDED = ("good", "rolled-back", "refused")
BAD = [
    Image(build=7, starts=False),
    Image(build=7, lacks=frozenset({"sound"})),
    Image(build=7, lacks=frozenset({"broker"})),
    Image(build=7, lacks=frozenset({"clock"})),
    Image(build=7, says_build=8),
]


def words(image: Image) -> str:
    return "-".join(["starts" if image.starts else "dead", *sorted(image.lacks), *(["other build"] if image.says_build else [])])


def test_a_release_is_installed_in_the_night_tried_proved_and_kept():
    node = Updating(release()).live(3_600)
    assert (node.told().state, node.told().reason) == ("good", "")
    assert (node.machine.booted, node.machine.runs, node.machine.left["B"]) == ("B", NEW, STARTS)
    assert [type(command) for command in node.asked] == [Confirm, Install, Activate, Restart, Confirm]
    assert node.loud_at == []


def test_health_tells_how_far_it_is_and_hello_which_build_runs():
    node = Updating(release()).live(10)
    seen = {node.told().state}
    for _ in range(60):
        seen.add(node.live(30).told().state)
    assert seen == {"fetching", "installing", "trial", "good"}
    assert node.controller.hellos[0].version == "2026.11.6+6"
    assert node.controller.hellos[-1].version == "2026.11.7+7"
    node.live(1_200)
    assert node.healths[-1].update == structs.replace(node.told(), bytes_done=node.healths[-1].update.bytes_done)


def test_each_step_is_told_within_a_minute_and_hardly_more_is_said_than_that():
    node = Updating(release()).live(1_800)
    told = [health.update.state for health in node.healths if health.update is not None]
    steps = [state for state, before in zip(told, ["", *told], strict=False) if state != before]
    assert steps == ["fetching", "installing", "installed", "trial", "good"]
    assert len(node.healths) <= len(steps) + 4


def test_the_bundle_asked_for_is_the_one_released_within_what_the_sim_has_left():
    node = Updating(network(month_bytes=200_000_000), release()).live(60)
    asked = node.asked[-1]
    body = world.release().body
    assert asked == Install(sha256=body.bundle.sha256, bytes=body.bundle.bytes, manifest=body.manifest, budget_bytes=200_000_000)


@pytest.mark.parametrize("image", BAD, ids=words)
def test_a_build_that_does_not_prove_its_health_is_left_again_and_said_so(image):
    node = Updating(release(), image=image).live(3 * 3_600)
    assert node.told().state == "rolled-back"
    assert (node.machine.booted, node.machine.runs) == ("A", OLD)
    assert node.machine.history.count("B") == STARTS
    expected = "gate: " if image.starts else "fell-back"
    assert node.told().reason.startswith(expected)
    for lacking in image.lacks:
        assert lacking in node.told().reason


def test_what_was_rolled_back_is_never_tried_again_until_a_newer_release_comes():
    node = Updating(release(), image=BAD[1]).live(3 * 3_600)
    node.power_cut()
    node.live(24 * 3_600)
    assert (node.told().state, node.how_often(Install)) == ("rolled-back", 1)
    node.images[8] = Image(build=8)
    node.give(release(node.true_ms, build=8))
    node.live(24 * 3_600)
    assert (node.told().state, node.told().build, node.machine.runs.build) == ("good", 8, 8)


def test_a_broker_that_was_away_before_the_update_is_not_asked_for_after_it():
    node = Updating()
    node.broker_there = False
    node.power_cut()
    node.give(release())
    node.live(3_600)
    assert node.told().state == "good"


def test_no_step_is_taken_before_it_is_on_a_slow_card():
    node = Updating()
    node.save_ms = 100_000
    node.give(release())
    node.live(2 * 3_600)
    assert node.how_often(Restart) == 1
    assert node.unsaved == []


# --- what holds it back ---


def waits(node: Updating) -> str:
    assert node.how_often(Install) == 0
    assert node.told().state == "waiting"
    return node.told().reason


def test_it_waits_for_the_night_and_takes_it():
    node = Updating(release(), at_ms=NOON).live(8 * 3_600)
    assert waits(node) == "window"
    assert node.live(6 * 3_600).told().state == "good"
    assert node.machine.booted == "B"


def test_it_waits_while_the_clock_is_unusable():
    node = Updating(release())
    node.power_cut(clock="unknown")
    assert waits(node.live(600)) == "clock"


def test_it_waits_while_power_is_low_and_goes_on_when_it_is_not():
    node = Updating()
    node.power_low = True
    node.power_cut()
    node.live(10)
    node.give(release())
    assert waits(node.live(600)) == "power-low"
    node.power_low = False
    node.power_cut()
    assert node.live(3_600).told().state == "good"


def test_a_machine_that_cannot_tell_its_power_is_updated():
    node = Updating(release())
    assert node.live(3_600).state.power_low is None
    assert node.told().state == "good"


def test_it_waits_while_the_sim_has_not_the_whole_bundle_left():
    node = Updating(network(month_bytes=177_999_999), release())
    assert waits(node.live(600)) == "budget"


@pytest.mark.parametrize("order", [start, drill], ids=["emergency", "exercise"])
def test_it_waits_while_an_emergency_or_exercise_stands(order):
    node = Updating()
    node.live(30)
    node.give(order(node.true_ms, sound_max_s=900, repeats=50))
    node.give(release())
    assert waits(node.live(120)) == "emergency"
    assert node.live(2 * 3_600).told().state == "good"
    assert node.loud_at == []


def test_it_waits_for_an_item_that_is_due_before_it_could_be_done():
    span_s = (update_vetoes.INSTALL_MS + update_vetoes.RESTART_MS) // 1000
    assert span_s > INSTALL_S
    node = Updating(programme(item("dem", "01:25")), release())
    node.card.media |= {"5a" * 32}
    node.power_cut()
    assert waits(node.live(60)) == "programme-soon"
    assert node.live(2 * 3_600).told().state == "good"
    assert node.loud_at == []


def test_an_emergency_after_the_install_holds_back_the_restart():
    node = Updating(release()).live(30 + INSTALL_S // 2)
    assert node.told().state == "installing"
    node.give(start(node.true_ms, sound_max_s=1_800, repeats=100))
    node.live(INSTALL_S + 60)
    assert (node.told().state, node.told().reason, node.how_often(Activate)) == ("installed", "emergency", 0)
    assert node.install_held
    assert node.live(3_600).told().state == "good"
    assert node.loud_at == []


# --- what is never installed ---


def test_a_release_for_another_machine_is_refused_aloud():
    node = Updating(release(subject="loa-board")).live(600)
    assert (node.told().state, node.told().reason.split(":")[0], node.how_often(Install)) == ("refused", "other-machine", 0)


def test_the_build_that_runs_is_not_installed_over_itself():
    node = Updating(release(build=6)).live(600)
    assert (node.told().state, node.told().reason, node.how_often(Install)) == ("good", "runs-already", 0)


def test_the_floor_holds_when_the_older_release_was_taken_in_first_and_the_clock_was_wrong_then():
    node = Updating(release(ISSUED, build=7, floor=7), at_ms=NOON)
    refs = [node.give(release(ISSUED + 1, build=6, floor=6)), node.give(release(ISSUED + 2, build=8, floor=6))]
    node.run(1)
    assert all(ref in node.acknowledged for ref in refs)
    assert (node.told().build, node.state.refused.get("superseded", 0)) == (7, 2)


def test_a_release_whose_signers_lost_the_role_waits():
    node = Updating(release(), at_ms=NOON)
    body = world.root(2, node.true_ms).body
    lost = structs.replace(body, release=structs.replace(body.release, persons=("v2", "v3")))
    node.give(world.signed(structs.replace(world.root(2, node.true_ms), body=lost), "r1", "r2"))
    node.run(1)
    node.run_to(MIDNIGHT + 25 * HOUR_MS)
    assert waits(node).startswith("authority")


# --- what fails ---


def test_an_install_that_failed_is_tried_again_later():
    node = Updating(release())
    node.fails["install"] = ["the stream broke off"]
    node.live(30 + INSTALL_S + 30)
    assert node.told().state == "waiting"
    assert node.told().reason == "install: the stream broke off"
    assert node.live(update.TRY_AGAIN_NS / 1e9 + 3_600).told().state == "good"


def test_a_bundle_that_can_never_be_installed_is_refused():
    node = Updating(release())
    node.fails["install"], node.lasting = ["manifest hash differs"], True
    node.live(6 * 3_600)
    assert (node.told().state, node.how_often(Install)) == ("refused", 1)


def test_a_boot_loader_that_cannot_be_told_is_told_twice_and_no_more():
    node = Updating(release())
    node.fails["activate"] = ["no environment"] * 9
    node.live(4 * 3_600)
    assert (node.told().state, node.how_often(Activate), node.machine.booted) == ("rolled-back", update.TRIES, "A")


def test_a_newer_release_does_not_wait_for_what_became_of_the_last_one():
    node = Updating()
    node.fails["install"] = ["the controller gave other bytes"]
    node.images[8] = Image(build=8)
    node.give(release())
    node.live(30 + INSTALL_S + 30)
    assert (node.told().state, node.how_often(Install)) == ("waiting", 1)
    node.give(release(node.true_ms, build=8))
    node.live(60)
    assert (node.told().state, node.told().build, node.how_often(Install)) == ("installing", 8, 2)
    node.live(INSTALL_S + 10 * 60)
    assert (node.told().state, node.machine.booted) == ("good", "B"), "nor does its restart"


def test_a_mark_that_fails_is_made_again():
    node = Updating(release())
    node.live(60)
    node.fails["confirm"] = ["busy"] * 3
    node.live(3_600)
    assert (node.told().state, node.machine.left["B"]) == ("good", STARTS)


def test_a_newer_release_takes_the_place_of_one_that_is_installed_and_not_yet_tried():
    node = Updating(release()).live(30 + INSTALL_S // 2)
    node.give(start(node.true_ms, sound_max_s=600, repeats=100))
    node.images[8] = Image(build=8)
    node.give(release(ISSUED + 1, build=8))
    node.live(2 * 3_600)
    assert (node.told().state, node.machine.runs.build) == ("good", 8)
    assert node.machine.history.count("B") == 1, "what was overtaken was never tried"


def test_every_start_of_a_good_slot_is_confirmed_or_the_loader_would_leave_it():
    node = Updating(release()).live(3_600)
    for _ in range(2 * STARTS):
        node.power_cut()
        node.live(60)
    assert (node.machine.booted, node.told().state) == ("B", "good")


def test_a_good_build_that_starts_no_more_is_tried_once_more_and_told_as_rolled_back():
    node = Updating(release()).live(3_600)
    node.machine.slots["B"] = BAD[0]
    node.power_cut()
    node.live(3_600)
    assert (node.machine.booted, node.told().state) == ("A", "rolled-back")
    assert (node.live(24 * 3_600).how_often(Install), node.how_often(Activate)) == (1, 2)


def test_power_that_comes_and_goes_thrice_costs_a_good_build_a_restart_and_no_second_download():
    node = Updating(release()).live(3_600)
    for _ in range(STARTS):
        node.power_cut()
    assert node.machine.booted == "B", "the count was full"
    node.power_cut()
    assert node.machine.booted == "A", "the boot loader took it for a slot that does not start"
    node.live(3_600)
    assert (node.machine.booted, node.told().state, node.how_often(Install)) == ("B", "good", 1)


def test_a_restart_of_the_program_alone_in_the_middle_of_an_install_waits_for_its_end():
    node = Updating(release()).live(60)
    busy = node.machine.checked()
    assert busy.busy
    node._boot()
    node.live(30)
    assert (node.told().state, node.how_often(Install)) == ("installing", 1)


# --- every power cut ---

CUTS = st.lists(st.integers(0, 40), max_size=6, unique=True)
IMAGES = st.sampled_from([NEW, *BAD])


def end_of(node: Updating):
    """Let nights pass until it has come to an end, and a while longer."""
    for _ in range(30):
        if node.told().state in ENDED and node.state.update_kept and not node.machine.busy:
            break
        node.live(3_600)
    return node.live(900).told()


@pytest.mark.timeout(900)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(cuts=CUTS, image=IMAGES, alarms_s=st.lists(st.integers(0, 3_000), max_size=3))
def test_law_8_an_update_ends_confirmed_or_rolled_back_whatever_is_cut_and_never_while_something_sounds(cuts, image, alarms_s):
    node = Updating(release(), image=image, cuts=cuts)
    for number, after_s in enumerate(sorted(alarms_s)):
        node.live(max(0, NIGHT / 1000 + after_s - node.true_ms / 1000))
        node.give(start(node.true_ms, f"b{number}", sound_max_s=300, repeats=20))
    told = end_of(node)
    assert told.state in ("good", "rolled-back")
    if told.state == "good":
        assert image == NEW
        assert (node.machine.runs, node.machine.next, node.machine.left[node.machine.booted]) == (
            NEW,
            node.machine.booted,
            STARTS,
        )
    else:
        assert (node.machine.booted, node.machine.next) == (node.state.update.from_slot,) * 2
        assert node.machine.runs.build < NEW.build
        assert told.reason
    assert node.loud_at == []
    assert node.how_often(Activate) <= update.TRIES + len(cuts)


@pytest.mark.timeout(900)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(at=st.integers(0, 40))
def test_a_good_build_is_kept_after_any_single_power_cut(at):
    node = Updating(release(), cuts=[at])
    assert (end_of(node).state, node.machine.runs) == ("good", NEW)


@pytest.mark.timeout(900)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(cuts=CUTS, image=IMAGES)
def test_nothing_on_the_data_partition_is_lost_by_an_update(cuts, image):
    node = Updating(programme(item("sang", "05:30")), release(), image=image, cuts=cuts)
    before = dict(node.card.documents)
    end_of(node)
    assert before.items() <= node.card.documents.items()
    assert "storage-failed" not in node.state.troubles
