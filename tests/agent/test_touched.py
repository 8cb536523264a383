"""When to look at what changed."""

from runtime_agent.touched import SETTLE_S, Touched


def test_a_change_is_looked_at_at_once_and_once_more_when_it_has_settled():
    touched = Touched()
    touched.add(["a/1"], now=10.0)

    assert touched.wait_s(10.0) == 0.0
    assert touched.take(10.0) == ["a/1"]
    assert touched.wait_s(10.0) == SETTLE_S
    assert touched.take(10.0) == []
    assert touched.take(10.0 + SETTLE_S) == ["a/1"]
    assert touched.wait_s(20.0) is None


def test_a_unit_that_takes_long_to_read_is_given_a_rest():
    touched = Touched()
    touched.took("a/1", seconds=0.5, now=10.0)
    touched.took("a/2", seconds=0.001, now=10.0)

    touched.add(["a/1", "a/2"], now=10.1)

    assert touched.take(10.1) == ["a/2"]
    assert touched.take(15.0) == ["a/1", "a/2"]


def test_many_changes_of_one_unit_are_one_look():
    touched = Touched()
    for at in range(100):
        touched.add(["a/1"], now=at / 1000)

    assert touched.take(0.1) == ["a/1"]
    assert touched.take(0.1) == []
