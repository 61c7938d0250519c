import threading

import pytest

from helpers.panel import background
from helpers.panel.background import Newest, StoppedError

LONGEST_WAIT = 60


class Owner:
    def __init__(self):
        self.told = 0

    def stopped(self):
        self.told += 1


class Held:
    """A job that stays at one step until it is let go, as a search does."""

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
    search, owner, first, done = Newest(), Owner(), Held(), []
    search.start(owner, first)
    assert first.began.wait(LONGEST_WAIT)
    for number in range(5):
        search.start(owner, lambda check, number=number: done.append(number) or number)
    assert not first.ended.is_set()
    first.let_go.set()
    assert search.result() == 4
    assert first.ended.is_set() and done == [4]
    assert owner.told == 0


def test_stop_tells_the_owner_once_and_the_result_is_none():
    search, owner, job = Newest(), Owner(), Held()
    search.start(owner, job)
    assert search.is_running_for(owner)
    search.stop()
    search.stop()
    assert not search.is_running_for(owner)
    job.let_go.set()
    assert search.result() is None
    assert owner.told == 1


def test_a_waiting_job_that_is_stopped_is_never_begun():
    search, owner, first, second = Newest(), Owner(), Held(), Held()
    search.start(owner, first)
    search.start(owner, second)
    search.stop()
    first.let_go.set()
    search.start(owner, lambda check: "third")
    assert search.result() == "third"
    assert not second.began.is_set()


def test_another_owners_job_tells_the_owner_whose_job_it_ends():
    search, one, other, job = Newest(), Owner(), Owner(), Held()
    search.start(one, job)
    search.start(other, lambda check: "other")
    assert (one.told, other.told) == (1, 0)
    search.cancel(one)
    job.let_go.set()
    assert search.result() == "other"
    search.start(one, lambda check: "one")
    assert other.told == 0


def test_what_a_job_raises_is_raised_where_its_result_is_asked_for():
    search = Newest()
    assert search.result() is None
    search.start(Owner(), lambda check: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        search.result()


def test_an_interrupt_while_waiting_stops_the_job(monkeypatch):
    search, owner, job = Newest(), Owner(), Held()
    search.start(owner, job)

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(background, "wait", interrupted)
        search.result()
    assert owner.told == 1
    job.let_go.set()
    assert search.result() is None
