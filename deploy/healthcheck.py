"""Whether the runtime in this container answers: exit 0 if `/health` says 200, else 1.

It asks the runtime that it stands beside, over loopback: with `AGENT_TLS=attested` under whatever
key that has, because who it is, is proved to others by its evidence and not to its own container.
"""

import http.client
import os
import ssl
import sys

DEADLINE_SECONDS = 4.0


def status(environ: dict[str, str]) -> int:
    """The status of `/health`.

    Raises:
        OSError, http.client.HTTPException: nobody answers, or not in HTTP.
    """
    port = int(environ.get("PORT") or "3000")
    if environ.get("AGENT_TLS") == "attested":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        asked = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=DEADLINE_SECONDS, context=context
        )
    else:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    try:
        asked.request("GET", "/health")
        return asked.getresponse().status
    finally:
        asked.close()


if __name__ == "__main__":
    try:
        seen = status(dict(os.environ))
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"no answer: {error}")
    sys.exit(0 if seen == 200 else f"/health answers {seen}, expected 200")
