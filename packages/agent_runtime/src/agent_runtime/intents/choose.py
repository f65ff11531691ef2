"""`mode` and `experience`: how somebody wants to be served, remembered (contract §5)."""

from agent_runtime.errors import Refusal
from agent_runtime.events import EventLog
from agent_runtime.grammar import SetExperience, SetMode
from agent_runtime.modes import Caller, Execution, Experience, Modes
from agent_runtime.requests import Reply

MEANING = {
    Execution.ADVISOR: "create and pay only show what they would do",
    Execution.DRAFT: "create and pay make a plan that waits for your `approve`",
    Execution.EXECUTE: "create and pay act at once",
    Experience.GUIDED: "answers name the next step",
    Experience.HANDS_OFF: "answers name no next step; no model ever reads a command",
}


def choose(asked: SetMode | SetExperience, caller: Caller, modes: Modes, events: EventLog) -> Reply:
    """Remember a mode for this author in this channel."""
    chosen: Execution | Experience
    if isinstance(asked, SetMode):
        chosen, kind, word = Execution(asked.mode), "mode_changed", "Mode"
    else:
        chosen, kind, word = Experience(asked.experience), "experience_mode_changed", "Experience"
    try:
        modes.choose(caller, chosen)
    except Refusal as refusal:
        return Reply(f"🛑 {word} not changed: {refusal}", "mode")
    events.record(kind, channel=caller.channel, author=caller.author, value=chosen.value)
    return Reply(f"✅ {word}: {chosen.value} ({MEANING[chosen]})", "mode")
