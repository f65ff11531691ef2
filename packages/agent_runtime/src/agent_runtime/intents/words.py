"""Answers that need nothing but words."""

EXAMPLES = (
    "analyze owner/repo",
    "create split for owner/repo",
    "pay 5 USDC to owner/repo",
    "pending owner/repo",
)

UNCLEAR = "I didn't understand that. Try: " + ", ".join(f"`{text}`" for text in EXAMPLES)

HELP = """\
I answer whole commands, one at a time:
- analyze owner/repo: who contributes
- create split for owner/repo [50/30/20]: make or update the split on NEAR
- pay 5 USDC to owner/repo: distribute over the split
- pending owner/repo (or a GitHub login): what waits for verification
- verify contributors for owner/repo: who is verified
- verify @login: link your GitHub login to your NEAR account, by a gist
- reputation for @login: how a login is rated
- show split split-id, show splits for owner/repo: what the chain holds
- mode advisor|draft|execute, experience guided|hands_off: how you are served
- approve [plan-id], cancel: carry out or drop the plan that waits
- replay event-id: ask again; a payment is shown, never made again"""

NO_SPLIT = (
    "Splits are kept under GitHub's own spelling of a repository, capitals included; if there is"
    " none yet: create split for owner/repo"
)

NOT_PLANNED = "Only `create` and `pay` are planned; send anything else as `text`"
