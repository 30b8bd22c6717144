"""Every flow and every task of ours leaves an incident, however it ends."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from prefect import Flow, Task

import flows
import tasks
from tasks.crashed import FLOWS
from tasks.incidents import flow_cancelled, flow_failed, task_failed


def _found() -> Iterator[tuple[str, object]]:
    for package in (flows, tasks):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                yield f"{module.name}.{name}", value


OURS = [(name, each) for name, each in _found() if isinstance(each, Flow | Task)]


@pytest.mark.parametrize(("name", "found"), OURS, ids=[name for name, _ in OURS])
def test_it_has_every_hook(name: str, found: object) -> None:
    if isinstance(found, Flow):
        assert flow_failed in found.on_failure_hooks
        assert flow_failed in found.on_crashed_hooks
        assert flow_cancelled in found.on_cancellation_hooks
    else:
        assert isinstance(found, Task)
        assert task_failed in found.on_failure_hooks
    assert inspect.unwrap(found.fn) is not found.fn, "its exceptions do not go through keeps_secrets"


def test_the_walk_sees_them_all() -> None:
    names = {each.name for _, each in OURS if isinstance(each, Flow)}
    assert {"trading-cycle", "decide", "reconcile", "watch-exits"} <= names
    assert names == set(FLOWS)
    assert sum(isinstance(each, Task) for _, each in OURS) > 10
