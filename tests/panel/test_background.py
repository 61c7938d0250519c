import threading

import pytest

from helpers.panel import background
from helpers.panel.background import Newest, StoppedError

LONGEST_WAIT = 60


class Owner:
    def __init__(self):
        self.stops = 0

    def stopped(self):
        self.stops += 1


class Held:
    """A job that stays at one step until it is let go, as an optimization does."""

    def __init__(self):
        self.began, self.let_go, self.ended = (threading.Event() for _ in range(3))

    def __call__(self, check):
        self.began.set()
        assert self.let_go.wait(LONGEST_WAIT)
        try:
            check()
        except StoppedError:
            self.ended.set()
            raise
        return "whole"


def test_only_the_newest_of_many_is_done_and_starting_never_waits():
    runner, owner, first, done = Newest(), Owner(), Held(), []
    runner.start(owner, first)
    assert first.began.wait(LONGEST_WAIT)
    for number in range(5):
        runner.start(owner, lambda check, number=number: done.append(number) or number)
    assert not first.ended.is_set()
    first.let_go.set()
    assert runner.result() == 4
    assert first.ended.is_set() and done == [4]
    assert owner.stops == 0


def test_stop_tells_the_owner_once_and_the_result_is_none():
    runner, owner, job = Newest(), Owner(), Held()
    runner.start(owner, job)
    assert runner.is_running_for(owner)
    runner.stop()
    runner.stop()
    assert not runner.is_running_for(owner)
    job.let_go.set()
    assert runner.result() is None
    assert owner.stops == 1


def test_a_waiting_job_that_is_stopped_is_never_begun():
    runner, owner, first, second = Newest(), Owner(), Held(), Held()
    runner.start(owner, first)
    runner.start(owner, second)
    runner.stop()
    first.let_go.set()
    runner.start(owner, lambda check: "third")
    assert runner.result() == "third"
    assert not second.began.is_set()


def test_another_owners_job_tells_the_owner_whose_job_it_ends():
    runner, one, other, job = Newest(), Owner(), Owner(), Held()
    runner.start(one, job)
    runner.start(other, lambda check: "other")
    assert (one.stops, other.stops) == (1, 0)
    runner.cancel(one)
    job.let_go.set()
    assert runner.result() == "other"
    runner.start(one, lambda check: "one")
    assert other.stops == 0


def test_what_a_job_raises_is_raised_where_its_result_is_asked_for():
    runner = Newest()
    assert runner.result() is None
    runner.start(Owner(), lambda check: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runner.result()


def test_waiting_raises_nothing():
    runner = Newest()
    runner.wait()
    runner.start(Owner(), lambda check: 1 / 0)
    runner.wait()


def test_an_interrupt_while_waiting_stops_the_job(monkeypatch):
    runner, owner, job = Newest(), Owner(), Held()
    runner.start(owner, job)

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(background, "wait", interrupted)
        runner.result()
    assert owner.stops == 1
    job.let_go.set()
    assert runner.result() is None
