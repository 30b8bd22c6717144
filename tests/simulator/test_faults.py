"""Which requests a fault hits, how often, and what the control interface says about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.routing import BaseRoute, Mount, Route

from simulator.faults import Fault, Faults
from simulator.faults_exchange import Request
from simulator.faults_routes import NAMES, ROUTES, place, route_name

NOW = datetime(2026, 3, 4, tzinfo=UTC)
FAIL = {"kind": "server_error", "route": "oanda.accounts.summary"}


def statuses(lab: Any, times: int) -> list[int]:
    return [lab.oanda("GET", "summary").status_code for _ in range(times)]


def shown(lab: Any) -> Any:
    return lab.send("GET", "/_sim/faults", {"Authorization": "Bearer control"}).json()


def refused(lab: Any, *faults: Any) -> str:
    reply = lab.send("POST", "/_sim/faults", {"Authorization": "Bearer control"}, json={"faults": list(faults)})
    assert reply.status_code == 400
    return str(reply.json()["error"])


def test_nothing_happens_until_a_fault_is_set(lab: Any) -> None:
    assert shown(lab)["faults"] == []
    assert statuses(lab, 2) == [200, 200]


def test_a_fault_lets_the_first_ones_through_and_then_fires_its_count(lab: Any) -> None:
    lab.control("faults", faults=[FAIL | {"skip": 2, "count": 2}])
    assert statuses(lab, 6) == [200, 200, 503, 503, 200, 200]
    row = shown(lab)["faults"][0]
    assert (row["kind"], row["seen"], row["fired"], row["left"]) == ("server_error", 4, 2, 0)


def test_a_fault_without_a_limit_goes_on_until_the_list_is_replaced(lab: Any) -> None:
    lab.control("faults", faults=[FAIL | {"count": None}])
    assert statuses(lab, 5) == [503] * 5
    assert shown(lab)["faults"][0]["left"] is None
    lab.control("faults", faults=[])
    assert statuses(lab, 2) == [200, 200]


def test_a_seed_repeats_the_same_draws_and_is_shown(lab: Any) -> None:
    def run(**seed: int) -> list[int]:
        lab.control("faults", faults=[FAIL | {"count": None, "probability": 0.5}], **seed)
        return statuses(lab, 40)

    first = run(seed=11)
    assert first == run(seed=11) != run(seed=12)
    assert shown(lab)["seed"] == 12
    assert 8 < first.count(503) < 32
    drawn = run()
    assert drawn == run(seed=shown(lab)["seed"])


def test_a_probability_of_zero_never_fires(lab: Any) -> None:
    lab.control("faults", faults=[FAIL | {"probability": 0.0}])
    assert statuses(lab, 10) == [200] * 10


@pytest.mark.parametrize(
    ("where", "hit"),
    [
        ({"route": "oanda.*"}, True),
        ({"route": "*.summary"}, True),
        ({"route": "*"}, True),
        ({"venue": "oanda"}, True),
        ({"venue": "coinbase"}, False),
        ({"method": "GET"}, True),
        ({"method": "POST"}, False),
        ({"path": "/v3/accounts/*/summary"}, True),
        ({"path": "/v3/**"}, True),
        ({"path": "/v3/*"}, False),
        ({"venue": "oanda", "method": "GET", "path": "/v3/accounts/*/openTrades"}, False),
        ({"route": "oanda.orders.create"}, False),
    ],
)
def test_requests_are_chosen_by_name_venue_method_and_path(lab: Any, where: dict[str, str], hit: bool) -> None:
    lab.control("faults", faults=[{"kind": "server_error", **where}])
    assert statuses(lab, 1) == [503 if hit else 200]


def test_the_control_interface_is_never_hit(lab: Any) -> None:
    lab.control("faults", faults=[{"kind": "server_error", "route": "*", "count": None}])
    assert shown(lab)["faults"][0]["seen"] == 0


def test_the_control_interface_needs_its_token(lab: Any) -> None:
    assert lab.send("GET", "/_sim/faults", {}).status_code == 401
    assert lab.send("POST", "/_sim/faults", {}, json={"faults": [FAIL]}).status_code == 401
    assert statuses(lab, 1) == [200]


def test_a_refused_list_leaves_the_old_one_in_place(lab: Any) -> None:
    lab.control("faults", faults=[FAIL])
    assert refused(lab, FAIL, FAIL | {"probabilty": 1}).startswith("faults[1]: unknown key 'probabilty'")
    assert statuses(lab, 2) == [503, 200]


def test_wire_faults_are_refused_where_there_is_no_relay(lab: Any) -> None:
    assert "needs the relay" in refused(lab, {"kind": "reset", "route": "*"})


def test_of_two_faults_that_end_a_request_the_second_waits_for_another_one(lab: Any) -> None:
    lab.control("faults", faults=[FAIL | {"status": 502}, FAIL | {"status": 504}])
    assert statuses(lab, 3) == [502, 504, 200]


def test_faults_of_one_request_are_nested_in_the_order_of_the_list(lab: Any) -> None:
    route = {"route": "oanda.accounts.summary"}
    fields = [{"kind": "extra_field", "name": name, "value": name} | route for name in ("outer", "inner")]
    lab.control("faults", faults=fields)
    assert list(lab.oanda("GET", "summary").json())[-2:] == ["inner", "outer"]


def routes(node: Any, prefix: str) -> list[tuple[str, str]]:
    if isinstance(node, Mount):
        return [pair for route in node.routes for pair in routes(route, prefix + node.path)]
    assert isinstance(node, Route)
    return [(method, prefix + node.path) for method in sorted((node.methods or set()) - {"HEAD"})]


def served(app: Any) -> list[tuple[str, str]]:
    tops: list[BaseRoute] = app.routes
    return [pair for top in tops for pair in routes(top, "") if place(pair[1]) is not None]


def test_every_route_of_every_venue_has_a_name(lab: Any) -> None:
    nameless = []
    for method, path in served(lab.venues.app):
        found = place(path)
        assert found is not None
        if not route_name(found[0], method, found[1]):
            nameless.append(f"{method} {path}")
    assert nameless == []


def test_names_begin_with_their_venue_and_unknown_paths_have_none() -> None:
    assert {route.venue for route in ROUTES} == {"oanda", "coinbase", "alpha_vantage"}
    assert "oanda.orders.create" in NAMES
    assert route_name("oanda", "GET", "/v3/nothing") == ""
    assert place("/elsewhere") is None


def test_a_window_is_closed_before_its_start_and_at_its_end(lab: Any) -> None:
    now, hour = lab.clock.now(), timedelta(hours=1)
    request = Request("oanda", "", "GET", "/", {}, b"")
    fault = Fault("maintenance", options={"from": now, "until": now + hour})
    moments = (now - hour, now, now + hour)
    assert [fault.matches(request, moment) for moment in moments] == [False, True, False]


def test_a_list_whose_faults_are_spent_is_as_good_as_empty() -> None:
    faults = Faults()
    assert not faults
    faults.set([(Fault("html"), {"kind": "html"})], seed=3)
    assert faults
    assert len(faults.firing(Request("oanda", "", "GET", "/", {}, b""), NOW)) == 1
    assert not faults
