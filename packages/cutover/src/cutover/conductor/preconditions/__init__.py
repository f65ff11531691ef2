"""The runbook's preconditions, looked at on both planes before anything moves.

What cannot be judged is None, never True: an operator may waive it by name and with a reason.
Each module judges one matter from answers that were gathered elsewhere; `look` gathers and asks
them.
"""

from cutover.conductor.preconditions.look import Looked, Preconditions
from cutover.conductor.preconditions.tls import LOOPBACK

__all__ = ["LOOPBACK", "Looked", "Preconditions"]
