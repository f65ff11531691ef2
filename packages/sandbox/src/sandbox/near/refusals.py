"""How a node says no: nearcore's error families and causes (rails §2.1)."""

from sandbox.near.keys import decode


class RpcError(Exception):
    """An error answer: family `name`, its `cause`, the HTTP status it travels with."""

    def __init__(
        self, name: str, cause: str, info: object = None, *, data: object = None, status: int = 200
    ) -> None:
        self.name, self.cause, self.info = name, cause, info or {}
        self.data = cause if data is None else data
        self.status = status
        super().__init__(f"{name}/{cause}")


def invalid(message: str) -> RpcError:
    """The request itself is wrong."""
    info = {"error_message": message}
    return RpcError("REQUEST_VALIDATION_ERROR", "PARSE_ERROR", info, data=message, status=400)


def handler(cause: str, info: object = None, *, data: object = None) -> RpcError:
    """The request is understood and cannot be answered."""
    return RpcError("HANDLER_ERROR", cause, info, data=data)


def timeout() -> RpcError:
    """What was waited for did not come."""
    return RpcError("HANDLER_ERROR", "TIMEOUT_ERROR", data="Timeout", status=408)


def base58_of(text: str, name: str) -> bytes:
    """Return the bytes of a base58 member; raises RpcError, naming it."""
    try:
        return decode(text)
    except ValueError as error:
        raise invalid(f"{name}: base58 is expected") from error
