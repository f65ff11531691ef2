"""What a healthy plane answers, in the words of today's service (controller-contract §6)."""

from typing import Final

BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
FAILED: Final = "❌ Payment failed: the rail refused it"
GUIDE: Final = "I didn't understand that. Try: analyze github.com/owner/repo"
CHECKS: Final = {
    "github": '{"full_name":"near/near-sdk-rs"}',
    "near": '{"connected":true}',
    "pingpay": '{"ok":true,"status":200}',
    "hotpay": '{"ok":true,"status":200}',
    "eigenai": '{"hasGrant":true,"tokenCount":5000}',
}


def near_hash(number: int) -> str:
    """A transaction's name on NEAR: base58 of 32 bytes, different for each number."""
    value, text = (1 << 255) + number, ""
    while value:
        value, rest = divmod(value, 58)
        text = BASE58[rest] + text
    return text


def analysis(number: int) -> str:
    """A contributor section and a proof link."""
    return (
        "📊 Analysis for github.com/acme/tool\nTotal commits: 10\nContributors: 2\n\n"
        "Top contributors:\n🥇 ann: 6 commits (60%)\n🥈 bob: 4 commits (40%)\n\n"
        f"🔗 Proof: https://determinal.eigenarcade.com/verify/{number + 1:0130x}"
    )


def split(number: int) -> str:
    """A split that was created."""
    return f"✅ Split created for acme/tool!\n📜 Split ID: split-18765432{number}-1\n- ann: 60%"


def payment(reference: str) -> str:
    """A payment that was made."""
    return (
        "✅ Distributed 0.01 USDC to 2 payout-eligible verified contributors via pingpay!\n"
        f"🔗 Transaction: {reference}\n📜 Split: split-187654321-1 for acme/tool"
    )
