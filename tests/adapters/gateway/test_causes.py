"""Why a connection failed is said in words, and never in the libraries' own, which hold addresses."""

from __future__ import annotations

import socket
from http.client import BadStatusLine, RemoteDisconnected
from typing import Any, cast

import pytest
import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from xnat_watchd.adapters.xnat.causes import cause

URL = "https://xnat.example.org/data/projects/P1/subjects/Quokka_Zenobia"
LINE: Any = None  #: the connection, of which the words need nothing


def raised(error: Exception, by: Exception | None = None) -> requests.ConnectionError:
    """Return an error as requests raises it: around that of urllib3, which has its own cause."""
    try:
        raise error from by
    except type(error) as seen:
        return requests.ConnectionError(MaxRetryError(LINE, URL, cast("Any", seen)))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (raised(NewConnectionError(LINE, URL), OSError(111, "Connection refused")), "Connection refused"),
        (raised(NewConnectionError(LINE, URL)), "it takes no connection"),
        (
            raised(NameResolutionError("nobody.invalid", LINE, socket.gaierror(-2, "Name or service not known")),
                   socket.gaierror(-2, "Name or service not known")),
            "Name or service not known",
        ),
        (raised(ConnectTimeoutError(LINE, URL)), "nothing answered in time"),
        (raised(ReadTimeoutError(LINE, URL, URL)), "no answer came in time"),
        (requests.ConnectionError(ProtocolError(URL, RemoteDisconnected(URL))), "the other side hung up"),
        (requests.ConnectionError(ProtocolError(URL, BadStatusLine(URL))), "what answered is no web server"),
        (requests.ConnectionError(ProtocolError(URL, IncompleteRead(1, 2))), "the answer was cut short"),
        (requests.ConnectionError(ProtocolError(URL, ConnectionResetError(104, "Connection reset by peer"))),
         "Connection reset by peer"),
        (requests.ConnectionError(URL), ""),
    ],
)  # fmt: skip
def test_a_cause_is_words_without_an_address_or_the_name_of_an_exception(error: Exception, said: str) -> None:
    assert cause(error) == said


def test_errors_that_cause_each_other_in_a_circle_are_looked_at_in_bounds() -> None:
    one, two = OSError(1, "first"), OSError(2, "second")
    one.__cause__, two.__cause__ = two, one
    assert cause(one) in ("first", "second")
