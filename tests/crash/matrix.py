"""Which process dies where, and at which passing: every crash point at least once."""

from crash.play import Crash

QUICK = (
    (
        Crash("worker.answer.before", 4),
        Crash("live.execute.after", 12),
        Crash("archive.rename.before"),
    ),
    (Crash("start.verified"), Crash("journal.commit.after", 60), Crash("receipt.pay.after")),
    (
        Crash("node.publish.before", 3),
        Crash("journal.commit.before", 130),
    ),
)
"""Runs with several crashes each: those where most can go wrong, in the time that a test has."""

PASSINGS = {
    "start.opened": (1,),
    "start.verified": (1,),
    "start.begun": (1,),
    "start.serving": (1,),
    "journal.commit.before": (1, 40, 100, 160),
    "journal.commit.after": (1, 40, 100, 160),
    "effects.wake.before": (2, 70, 130),
    "effects.wake.after": (2, 70, 130),
    "order.answer.before": (1, 2),
    "table.serve.before": (1, 3, 6),
    "table.serve.after": (1, 3, 6),
    "precondition.look.before": (1,),
    "precondition.look.after": (1, 4),
    "live.execute.before": (3, 12),
    "live.execute.after": (1, 3, 6, 9, 12),  # each third one is a payment
    "receipt.pay.before": (1,),
    "receipt.pay.after": (1,),
    "postcheck.carry.before": (1,),
    "postcheck.carry.after": (1, 2, 3),
    "snapshot.store.before": (1,),
    "snapshot.bind.before": (1,),
    "snapshot.bind.after": (1,),
    "stop.before": (1,),
    "stop.after": (1,),
    "archive.seal.before": (1,),
    "archive.rename.before": (1,),
    "archive.seal.after": (1,),
    "node.serving": (1,),
    "node.keep.before": (1, 3, 6),
    "node.keep.after": (1, 4),
    "node.publish.before": (1, 3, 6),
    "node.publish.after": (1, 4),
    "node.report.before": (1, 60),
    "node.report.answered": (1, 60),
    "node.report.after": (1, 60),
    "worker.carry.before": (1, 4, 149),
    "worker.carry.after": (4, 149, 474),  # of five requests the fourth is a payment
    "worker.answer.before": (4, 149, 474),
    "worker.count.before": (4, 149),
    "worker.count.after": (4, 149),
    "worker.answer.after": (4, 149),
}
"""In the rehearsal each point is passed at least so often; live intents come in threes."""

WHOLE = tuple(Crash(name, passing) for name, passings in PASSINGS.items() for passing in passings)
