"""What an attested foreign plane adds: TLS by its own key, evidence over a nonce, collateral.

The machine is the sandbox's, under a test root; nothing of it is the product's.
"""

import asyncio
import hashlib
import json
import ssl
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))  # run as a part of a program, not of a test session

from attestation.world import Plane, policy_text, root  # noqa: E402 - only found by the line above
from sandbox.tee import keys, tls  # noqa: E402 - as the line above
from sandbox.tee.pccs import Pccs  # noqa: E402 - as the line above
from sandbox.tee.serve import ServedPccs, Where  # noqa: E402 - as the line above
from sandbox.tee.settings import Collateral  # noqa: E402 - as the line above

LIFE_SECONDS = 30 * 86_400
STATEMENT_SECONDS = 300


class Attested:
    """The confidential machine below a plane.

    Files in `folder`: `policy.toml` and `root.der`, and `pccs.json` with the address of a service.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._plane = folder, Plane()
        key = self._plane.machine.next_tls_key()
        self._plane.tls_spki = hashlib.sha256(keys.spki(key)).digest()
        self.context = self._tls(key)
        (folder / "policy.toml").write_text(policy_text())
        (folder / "root.der").write_bytes(root())
        threading.Thread(target=lambda: asyncio.run(self._collateral()), daemon=True).start()

    def evidence(self, nonce):
        """The answer of `/.well-known/attestation`, for one caller at a time."""
        self._plane.nonce = bytes.fromhex(nonce)
        self._plane.expires = int(time.time()) + STATEMENT_SECONDS
        return self._plane.answer()

    def _tls(self, key):
        now, machine = int(time.time()), self._plane.machine
        wanted = tls.Wanted("plane", now - 60, now + LIFE_SECONDS, ("localhost",))
        chain = tls.certificate_chain(machine.kms, machine.boot.app_id_bytes, key, wanted)
        pem = self._folder / "tls.pem"
        pem.write_text(tls.key_pem(key) + "".join(chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    async def _collateral(self):
        service = Pccs(self._plane.machine.platform, Collateral(), time.time)
        async with ServedPccs(service, Where(token="t")).running() as served:
            half = self._folder / "pccs.half"
            half.write_text(json.dumps({"url": served.url}))
            half.replace(self._folder / "pccs.json")
            await asyncio.Event().wait()
