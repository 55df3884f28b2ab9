"""The recorded exchanges with a real 1.6.5, asked again of the practice XNAT, in order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.sandbox.recorded.masks import comparable, differences
from tests.sandbox.recorded.uploads import study_uid, upload
from xnat_watchd.sandbox import Sandbox

RECORDING = Path(__file__).with_name("exchanges.jsonl")
PASSWORD = "secret"
REFERENCE = re.compile(r"<(\w+)(?: of)? (\w+)>")
TOKENS = {
    "stamp": re.compile(r"(\d{8}_\d{9})"),
    "session": re.compile(r"\b([0-9A-F]{32})\b"),
    "alias": re.compile(r'"alias":"([^"]+)"'),
    "secret": re.compile(r'"secret":"([^"]+)"'),
}
TOLD = ("WWW-Authenticate", "Allow", "Location")
PROJECTS = ("P1", "P2", "P3")
BINARY = ("application/zip", "application/octet-stream")


def exchanges(numbers: range) -> Iterator[dict[str, Any]]:
    """Yield the recorded exchanges of these numbers, one after the other; tables are unfolded."""
    with RECORDING.open(encoding="utf-8") as lines:
        for line in lines:
            exchange = json.loads(line)
            if exchange["n"] in numbers:
                yield {**exchange, "answer": _unfolded(exchange["answer"])}


def folded(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the short form of an answer: a table names its columns once."""
    rows = answer.get("json", {}).get("ResultSet", {}).get("Result", [])
    if len(rows) < 2 or any(row.keys() != rows[0].keys() for row in rows):
        return answer
    rest = {name: value for name, value in answer["json"]["ResultSet"].items() if name != "Result"}
    return {"columns": list(rows[0]), "rows": [list(row.values()) for row in rows], "rest": rest}


def _unfolded(answer: dict[str, Any]) -> dict[str, Any]:
    if "columns" not in answer:
        return answer
    rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    return {"json": {"ResultSet": {"Result": rows, **answer["rest"]}}}


@dataclass
class Replay:
    """Somebody who asks what was asked, and remembers what tokens our answers gave in place of the recorded ones."""

    xnat: Sandbox
    given: dict[tuple[str, str], str]

    def differences(self, exchange: Mapping[str, Any]) -> list[str]:
        """Ask once more, and say in what our answer differs from the recorded one."""
        answer = self.ask(exchange)
        for kind, pattern in TOKENS.items():
            said = answer.text or answer.headers.get("Set-Cookie", "")
            if found := pattern.search(said if said.isascii() else ""):
                self.given.setdefault((kind, str(exchange["n"])), found[1])
        media = answer.headers.get("Content-Type", "").split(";")[0]
        if (answer.status_code, media) != (exchange["status"], exchange["media"]):
            recorded = f"{exchange['status']} {exchange['media']}"
            return [f"{answer.status_code} {media}, recorded {recorded}: {answer.text[:200]}"]
        told = {name: answer.headers[name] for name in TOLD if name in answer.headers}
        body = {} if media in BINARY or exchange["method"] == "HEAD" else comparable(media, answer.text)
        return differences(exchange.get("told", {}), told) + differences(exchange["answer"], body)

    def ask(self, exchange: Mapping[str, Any]) -> requests.Response:
        """Send one request of the recording."""
        with requests.Session() as http:
            http.headers["Accept-Encoding"] = "gzip, deflate"  # what was recorded; Python 3.14 knows zstd as well
            return http.request(
                exchange["method"],
                self.xnat.url + self.known(exchange["path"]),
                auth=self._login(exchange),
                allow_redirects=False,
                **self._content(exchange),
            )

    def known(self, text: str) -> str:
        """Put our tokens where the recording refers to those of an earlier answer."""
        return REFERENCE.sub(self._known, text)

    def _known(self, reference: re.Match[str]) -> str:
        kind, which = reference.groups()
        finders: dict[str, Callable[[str], str]] = {
            "subject": lambda label: next(
                str(one["id"]) for project in PROJECTS if (one := self.xnat.subject(project, label))
            ),
            "experiment": lambda label: next(
                str(one["id"]) for project in PROJECTS for one in self.xnat.sessions(project) if one["label"] == label
            ),
            "study": study_uid,
        }
        return finders[kind](which) if kind in finders else self.given.get((kind, which), "unknown")

    def _login(self, exchange: Mapping[str, Any]) -> tuple[str, str] | None:
        who = exchange.get("who")
        if not who:
            return None
        name = self.known(who)
        password = self.known(who.replace("alias", "secret")) if who.startswith("<alias") else PASSWORD
        return name, "wrong" if exchange.get("wrong") else password

    def _content(self, exchange: Mapping[str, Any]) -> dict[str, Any]:
        content: dict[str, Any] = {"headers": dict(exchange.get("headers", {}))}
        if "cookie" in exchange:
            content["headers"]["Cookie"] = f"JSESSIONID={self.known(exchange['cookie'])}"
        if "zip" in exchange:
            content["data"] = upload(exchange["zip"])
        if "multipart" in exchange:
            content["files"] = {"file": ("ct5.zip", upload(exchange["multipart"]))}
        if "body" in exchange:
            content["data"] = exchange["body"].replace("<password>", PASSWORD).encode()
        return content
