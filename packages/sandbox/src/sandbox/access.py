"""Who may use a control endpoint, and how it refuses."""

import hmac

from sandbox.web import Request


class ControlError(Exception):
    """A refusal: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


def is_authorized(request: Request, token: str) -> bool:
    """Say whether the request carries the control token."""
    given = request.bearer("bearer") or ""
    return hmac.compare_digest(given.encode(), token.encode())
