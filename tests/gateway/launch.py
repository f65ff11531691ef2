"""A gateway node as its own process: configuration as JSON on standard input."""

import logging
import sys

from cutover.errors import CutoverError
from cutover.gateway.config import GatewayConfig, from_json
from cutover.gateway.node import run

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        sys.exit(run(from_json(sys.stdin.buffer.read(), GatewayConfig)))
    except CutoverError as error:
        sys.exit(f"{type(error).__name__}: {error}")
