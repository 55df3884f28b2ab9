"""Faults of the line, and of whatever stands before XNAT: each may strike at any request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from itertools import pairwise

from tests.faults.asked import Kind
from tests.faults.fault import EVERY, IMPORT, LOGGED_IN, NEW, OLD, Fault, Told
from tests.faults.scene import Scene, Setting

OUTAGE = 45.0  #: seconds
RETRY_AFTER = 120  #: seconds
STILL = "postponed: the answer was lost, and what was sent may still appear"
PAGE = "returned: a page came where XNAT should answer.*"
GATEWAY = "returned: XNAT answered 50[234] to .*"
MOVED = "returned: XNAT answered 302 to .*"
BROKE = "the connection to XNAT broke"
CUT = "the answer of XNAT broke off"
FORGOTTEN = "XNAT forgets our login at once"


LIKE = {
    Kind.PROOF: Kind.WHO,
    Kind.FORM_PROOF: Kind.WHO,
    Kind.DIALECT: Kind.LOGIN,
}  #: what is said of one kind, if nothing else of its own


def told(everywhere: str, elsewhere: Mapping[Kind, Told] | None = None) -> dict[Kind, Told]:
    """Return what the ledger says, by the kind of the request that was struck."""
    own = elsewhere or {}
    return {kind: own.get(kind, own.get(LIKE.get(kind, kind), [everywhere])) for kind in Kind}


def returned(words: str) -> dict[Kind, Told]:
    """Return the same for every request that belongs to the login."""
    return {kind: [f"returned: {words}"] for kind in (Kind.LOGIN, Kind.BUILD, Kind.WHO)}


def refused(scene: Scene, number: int) -> None:
    scene.at(number, lambda: scene.down(seconds=OUTAGE))


def unresolved(scene: Scene, number: int) -> None:
    def forget() -> None:
        scene.back()  # a kept connection needs no resolver
        scene.resolves = False

    scene.at(number, forget)
    scene.time.after(lambda: setattr(scene, "resolves", True), seconds=OUTAGE)


def untrusted(scene: Scene, number: int) -> None:
    scene.at(number, lambda: scene.back(certificate=1))
    scene.time.after(scene.back, seconds=OUTAGE)


def noise(status: int, scene: Scene, number: int) -> None:
    scene.on(number).refuse(status, "user tech has no permission")


def waited_as_asked(scene: Scene) -> None:
    longest = max(later.at - earlier.at for earlier, later in pairwise(scene.asked))
    assert longest >= timedelta(seconds=RETRY_AFTER)


LINE = (
    Fault(name="connection refused", at=EVERY, strike=refused, told=told("returned: XNAT cannot be reached")),
    Fault(name="DNS failure", at=EVERY, strike=unresolved, told=told("returned: XNAT cannot be reached")),
    Fault(
        name="TLS failure",
        at=EVERY,
        strike=untrusted,
        setting=Setting(tls=True),
        told=told("returned: no trusted connection to XNAT: OpenSSL says .*"),
    ),
    Fault(
        name="502, 503 or 504 before it is done",
        at=EVERY,
        strike=lambda scene, number: scene.on(number).refuse(502 + number % 3, "Bad Gateway"),
        told=told(GATEWAY, {Kind.BUILD: [], Kind.IMPORT: [GATEWAY, STILL]}),
    ),
    Fault(
        name="502, 503 or 504 after it is done",
        at=EVERY,
        strike=lambda scene, number: scene.on(number).fail(502 + number % 3, "Gateway Timeout"),
        told=told(GATEWAY, {Kind.BUILD: []}),
    ),
    Fault(
        name="503 with Retry-After",
        dialects=NEW,
        at="PUT|POST|GET /data/auth|GET /data/projects$",
        strike=lambda scene, number: scene.on(number).refuse(503, **{"Retry-After": str(RETRY_AFTER)}),
        told=told(GATEWAY, {Kind.IMPORT: [GATEWAY, STILL]}),
        look=waited_as_asked,
    ),
    Fault(
        name="503 with Retry-After, 1.6",
        dialects=OLD,  # by then the same is sent to the same place again
        at="PUT|POST|GET /data/auth|GET /data/projects$",
        strike=lambda scene, number: scene.on(number).refuse(503, **{"Retry-After": str(RETRY_AFTER)}),
        told=told(GATEWAY),
        look=waited_as_asked,
    ),
    Fault(
        name="reset",
        at=EVERY,
        strike=lambda scene, number: scene.on(number).reset(),
        told=told(
            f"postponed: {BROKE}",
            {**returned(BROKE), Kind.IMPORT: [f"postponed: {BROKE}( in the middle of the upload)?", STILL]},
        ),
    ),
    Fault(
        name="answer lost after it was done",
        at=EVERY,
        strike=lambda scene, number: scene.on(number).lose_answer(),
        told=told(f"postponed: {BROKE}", returned(BROKE)),
    ),
    *(
        Fault(
            name=f"answer broken off after it was done, on {dialects[0]}",
            at=LOGGED_IN,
            dialects=dialects,
            strike=lambda scene, number: scene.on(number).cut_answer(3),
            told=told(f"postponed: {CUT}", {**returned(CUT), Kind.FORM_PROOF: form_proof}),
        )
        # The form does not log in on 1.6: its 401 is answer enough, however it ends, and Basic follows.
        for dialects, form_proof in ((NEW, [f"returned: {CUT}"]), (OLD, []))
    ),
    Fault(
        name="read time-out while the server goes on",
        at="POST |PUT /data/projects|GET /data/services",
        strike=lambda scene, number: scene.on(number).delay(seconds=60),
        setting=Setting(server={"read_timeout": 0.5}),
        told=told("postponed: XNAT did not answer in time"),
    ),
    Fault(
        name="401 in mid-run",
        at=LOGGED_IN,
        strike=lambda scene, number: scene.on(number).meanwhile(scene.xnat.forget_logins),
        told={
            **dict.fromkeys(Kind, ()),
            Kind.PROOF: [f"returned: {FORGOTTEN}"],
            Kind.IMPORT: ["postponed: the login was lost during the upload"],
        },
    ),
    Fault(
        name="session silently a guest's",
        at="(?!PUT /data/services/auth|GET /data/JSESSION|POST /data/services/import)",
        strike=lambda scene, number: scene.on(number).as_guest(),
        told={
            **dict.fromkeys(Kind, ()),
            **dict.fromkeys((Kind.PROOF, Kind.DIALECT, Kind.BUILD), (f"returned: {FORGOTTEN}",)),
        },
    ),
    Fault(
        name="session silently a guest's when we import, who may not",
        at=IMPORT,
        dialects=OLD,
        strike=lambda scene, number: scene.on(number).as_guest(),
        told=["postponed: the login was lost during the upload", STILL],
    ),
    Fault(
        name="session silently a guest's when we import, who is sent to Unassigned",
        at=IMPORT,
        dialects=NEW,
        strike=lambda scene, number: scene.on(number).as_guest(),
        told=["held: XNAT put the upload into Unassigned"],
        held=True,
        leaves={"unassigned": 2},
    ),
    Fault(
        name="302 to a login page",
        at=EVERY,
        strike=lambda scene, number: scene.on(number).refuse(302, "", Location="/app/template/Login.vm"),
        told=told(MOVED, {Kind.BUILD: [], Kind.IMPORT: [MOVED, STILL]}),
    ),
    Fault(
        name="HTML with 200 after it is done",
        at="POST|PUT /data/projects",
        strike=lambda scene, number: scene.on(number).page(),
        told=told(PAGE),
    ),
    Fault(
        name="HTML with 200 instead of an answer",
        at=EVERY,
        strike=lambda scene, number: scene.on(number).refuse(200, "Welcome"),
        told=told(
            PAGE,
            {
                Kind.DIALECT: ["returned: XNAT does not say its version"],
                Kind.BUILD: [],
                Kind.WHO: ["returned: XNAT does not say who we are"],
                Kind.IMPORT: [PAGE, STILL],
            },
        ),
    ),
    *(
        Fault(
            name=f"spurious {status}",
            at=LOGGED_IN,
            strike=partial(noise, status),
            told=told(
                f"postponed: XNAT answered {status} to .*",
                {**returned(f"XNAT answered {status} to .*"), Kind.BUILD: []},
            ),
        )
        for status in (400, 403)
    ),
)
