"""`POST /webhook/hotpay`: HOT signs nothing, so a delivery proves nothing and is only a hint.

What it can do, whoever sent it: let a funding that we know be looked at a little sooner. What it
says of money is not even read. A delivery costs a look into the ledger and no outgoing call; those
are made at the desk's own pace (`funding.desk`).
"""

import hashlib
import json
import math
import time
from collections.abc import Callable

from agent_runtime.errors import ApiError
from agent_runtime.funding.desk import FundingDesk
from agent_runtime.webhooks.proof import read_record

BODY_MAX_BYTES = 16 * 1024
TEXT_CHARS_MAX = 200
RATE_PER_SECOND = 10.0
BURST = 40.0


class Bucket:
    """So many a second, with a burst; `now` gives seconds that never go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tokens = BURST
        self._filled_at = now()

    def wait_seconds(self) -> int:
        """0 if one more may come now, which counts it; else when to come again."""
        now = self._now()
        grown = (now - self._filled_at) * RATE_PER_SECOND
        self._tokens, self._filled_at = min(BURST, self._tokens + grown), now
        if self._tokens < 1:
            return math.ceil((1 - self._tokens) / RATE_PER_SECOND)
        self._tokens -= 1
        return 0


class HotWebhook:
    """Takes deliveries."""

    def __init__(self, desk: FundingDesk) -> None:
        self._desk = desk
        self._bucket = Bucket()

    def wait_seconds(self) -> int:
        """0 if a delivery may be read now; else when to come again."""
        return self._bucket.wait_seconds()

    def take(self, body: bytes) -> None:
        """Take one delivery; whether it was of any use is told to nobody.

        Raises:
            ApiError: 503 if nothing is collected here, 400 for what is no delivery.
        """
        if self._desk.fault:
            text = "nothing is collected here, so there is nothing to hear of"
            raise ApiError(503, "webhook_not_configured", text)
        found = read_record(body)
        texts = [found.get(name) or "" for name in ("memo", "item_id", "status", "near_trx")]
        if not all(isinstance(text, str) and len(text) <= TEXT_CHARS_MAX for text in texts):
            text = "memo, item_id, status and near_trx are texts"
            raise ApiError(400, "invalid_request", text)
        memo, item_id, status, near_trx = texts
        told = json.dumps([item_id, near_trx, status]).encode()
        self._desk.hint(memo, item_id, hashlib.sha256(told).hexdigest())
