"""A key may begin so many at once and then so many a second; nobody's pace is used up by another's key."""

from protocol.pace import Pace

PACE = Pace(burst=3, every_ms=1_000)


def run(begun, keyids, now_ms, times):
    answers = []
    for _ in range(times):
        counted = PACE.counted(begun, keyids, now_ms)
        answers.append(counted is not None)
        begun = counted or begun
    return begun, answers


def test_a_burst_passes_and_then_one_for_each_interval():
    begun, answers = run({}, ["a"], 0, 5)
    assert answers == [True, True, True, False, False]
    begun, answers = run(begun, ["a"], 1_000, 2)
    assert answers == [True, False]
    assert run(begun, ["a"], 9_000, 4)[1] == [True, True, True, False]


def test_keys_have_paces_of_their_own():
    begun, _ = run({}, ["a"], 0, 5)
    assert run(begun, ["b"], 0, 4)[1] == [True, True, True, False]


def test_a_thief_does_not_use_up_what_others_sign_with_his_key():
    begun, _ = run({}, ["thief"], 0, 5)
    assert run(begun, ["thief", "honest"], 0, 4)[1] == [True, True, True, False]


def test_what_was_refused_counts_for_nothing_and_keys_at_rest_are_forgotten():
    begun, _ = run({}, ["a"], 0, 50)
    assert begun == {"a": 3_000}
    assert PACE.counted(begun, ["b"], 3_000) == {"b": 4_000}
