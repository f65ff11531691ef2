"""Forms of text that a configuration takes: addresses, variables, places."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    fit = parts.scheme in ("http", "https") and parts.hostname and value.isascii()
    extra = parts.username or parts.query or parts.fragment or re.search(r"\s", value)
    if not fit or extra or parts.port == 0:  # a port out of range raises by itself
        raise ValueError("expected http(s)://host[:port][/path] without credentials or query")
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]
"""A base address without credentials; what stands behind its path is cut off."""

Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
"""The name of an environment variable."""

Place = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*){1,16}$")]
"""An absolute path below `/`, with nothing in it that leads elsewhere."""


def is_loopback(host: str) -> bool:
    """Whether nobody else hears what is said to an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
