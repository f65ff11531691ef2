"""Configuration: read once, from environment variables only (contract §8), empty meaning unset.

Each field of `Settings` names its variable, its default and its meaning, so that the table in the
README is checked against this file and a start with bad values names every one of them at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from agent_runtime import parsing, parsing_surface
from agent_runtime.errors import SettingsError
from agent_runtime.settings_funding import FundingSettings, funding_faults
from agent_runtime.settings_hooks import HookSettings
from agent_runtime.settings_payout import PayoutSettings, payout_faults
from agent_runtime.variables import env, variable_of


@dataclass(frozen=True)
class Settings(FundingSettings, HookSettings, PayoutSettings):
    """Everything one plane is told. Construct it with `from_environ`."""

    host: str = env("HOST", "address to listen on", "0.0.0.0", own=True)
    port: int = env(
        "PORT", "port to listen on; 0 lets the system choose", "3000", parsing.port, own=True
    )
    mode: str = env("AGENT_MODE", "`production` demands the server key", "development")
    api_key: str = env(
        "AGENT_SERVER_API_KEY",
        "key of all that acts or tells more than how we are (`x-agent-api-key`)",
        secret=True,
        own=True,
    )
    plane_id: str = env(
        "PLANE_ID",
        "name of this deployment, stamped on every answer",
        "unnamed",
        parsing.name,
        own=True,
    )
    build: str = env(
        "BUILD_REVISION", "revision this image was built from", "unknown", parsing.name
    )
    image_digest: str = env(
        "IMAGE_DIGEST", "digest of this image, as deployed", "", parsing_surface.digest
    )
    ingress_owner: str = env(
        "INGRESS_OWNER",
        "who alone feeds this plane: a name, or `http=…,webhook=…,poller=…,cron=…`",
        "",
        parsing_surface.ingress,
        own=True,
    )
    parity_key: str = env(
        "PARITY_KEY",
        "key of the fingerprints in /parity, equal on both planes; AGENT_SERVER_API_KEY",
        "",
        parsing_surface.long_secret,
        secret=True,
    )
    cors_origins: tuple[str, ...] = env(
        "CORS_ORIGINS",
        "origins of web pages that may call, comma separated; none",
        "",
        parsing_surface.origins,
    )
    otlp_endpoint: str = env(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OpenTelemetry collector (OTLP over HTTP) for traces",
        "",
        parsing.maybe_url,
        own=True,
    )
    otlp_headers: dict[str, str] = env(  # noqa: RUF009 - `env` gives a field, no value
        "OTEL_EXPORTER_OTLP_HEADERS",
        "`name=value` headers for it, comma separated",
        "",
        parsing_surface.header_pairs,
        secret=True,
        own=True,
    )
    payments_db: str = env(
        "PAYMENTS_DB",
        "SQLite file of the payment ledger; one process at a time, held by `<file>.lock`",
        "data/payments.db",
        own=True,
    )
    log_dir: str = env(
        "AGENT_LOG_DIR", "directory of the canary and event logs", "runtime_logs", own=True
    )
    answer_seconds: int = env(
        "AGENT_ANSWER_SECONDS",
        "after which `/process` answers that the work goes on, 1 to 24",
        "20",
        parsing_surface.answer_seconds,
    )
    replies_days: int = env(
        "AGENT_REPLIES_DAYS",
        "how long an `Idempotency-Key` that made no payment keeps its answer, 1 to 365",
        "7",
        parsing_surface.days,
    )
    canary_monitor: bool = env(
        "AGENT_CANARY_MONITOR", "run the canary at the start and ever again", "true", parsing.flag
    )
    canary_minutes: int = env(
        "AGENT_CANARY_INTERVAL_MINUTES",
        "minutes between its rounds, at least 5; a result lasts for two of them",
        "30",
        parsing_surface.interval_minutes,
    )
    web_base: str = env(
        "WEB_APP_BASE_URL", "base of verify links", "https://gitsplits.vercel.app", parsing.url
    )
    receipt_base: str = env(
        "RECEIPT_BASE_URL",
        "where people reach `/receipts`, such as the gateway; answers name the path alone without",
        "",
        parsing.maybe_url,
    )

    allowed_tokens: tuple[str, ...] = env(
        "AGENT_ALLOWED_TOKENS", "tokens that may be paid", "NEAR,USDC", parsing.upper_names
    )
    max_payout: str = env(
        "AGENT_MAX_PAYOUT_AMOUNT", "most units of a token in one payment", "250", parsing.decimal
    )
    daily_payout: str = env(
        "AGENT_DAILY_PAYOUT_AMOUNT",
        "most units of a token in all payments of 24 hours",
        "2500",
        parsing.decimal,
    )
    token_limits: dict[str, parsing.Limit] = env(  # noqa: RUF009 - `env` gives a field, no value
        "AGENT_TOKEN_LIMITS",
        "`TOKEN=each/day`, comma separated: instead of the two amounts above",
        "",
        parsing.limits,
    )
    recipients_each: int = env(
        "AGENT_LEG_RECIPIENTS",
        "most people that one transaction pays, 1 to 30: all of them or none",
        "30",
        parsing_surface.recipients,
    )
    strict_pay: bool = env(
        "AGENT_STRICT_PAY", "pay nobody while a contributor is not verified", "false", parsing.flag
    )
    keyless_pay: str = env(
        "AGENT_KEYLESS_PAY",
        "what `pay` without Idempotency-Key does: `plan` or `execute`",
        "plan",
        parsing.keyless_pay,
    )
    exec_mode: str = env(
        "AGENT_DEFAULT_EXEC_MODE",
        "`advisor`, `draft` or `execute`, for who chose no mode",
        "execute",
        parsing.exec_mode,
    )
    require_approval: bool = env(
        "AGENT_REQUIRE_APPROVAL", "`create` and `pay` always make a plan", "false", parsing.flag
    )
    plan_ttl_ms: int = env(
        "AGENT_PLAN_TTL_MS", "how long a plan may be approved", "600000", parsing.lifetime_ms
    )
    verify_ttl_ms: int = env(
        "AGENT_VERIFY_TTL_MS",
        "how long a code of `verify` may be published",
        "1800000",
        parsing.lifetime_ms,
    )
    reputation_base: str = env(
        "REPUTATION_API_BASE", "reputation API; scores by kind of account", "", parsing.maybe_url
    )
    reputation_min: int = env(
        "REPUTATION_MIN_PAYOUT_SCORE", "least score that is paid", "50", parsing.score
    )
    erc8004_base: str = env("ERC8004_REGISTRY_API", "ERC-8004 registry API", "", parsing.maybe_url)
    canary_only_pay: bool = env(
        "AGENT_CANARY_ONLY_PAY", "in production pay only TEST_CANARY_REPOS", "false", parsing.flag
    )
    analyze_repo: str = env(
        "TEST_ANALYZE_REPO", "repository the canary reads", "near/near-sdk-rs", parsing.repo
    )
    create_repo: str = env(
        "TEST_CREATE_REPO", "repository of create tests; TEST_ANALYZE_REPO", "", parsing.repo
    )
    pay_repo: str = env(
        "TEST_PAY_REPO", "repository of pay tests; TEST_CREATE_REPO", "", parsing.repo
    )
    pay_max: str = env(
        "TEST_PAY_MAX_AMOUNT",
        "most a payment may be while AGENT_CANARY_ONLY_PAY",
        "1",
        parsing.decimal,
    )
    canary_repos: tuple[str, ...] = env(
        "TEST_CANARY_REPOS", "repositories payable then; TEST_PAY_REPO", "", parsing.repos
    )

    github_base: str = env("GITHUB_API_BASE", "GitHub API", "https://api.github.com", parsing.url)
    github_app_id: str = env("GITHUB_APP_ID", "GitHub App id or client id")
    github_private_key: str = env(
        "GITHUB_PRIVATE_KEY",
        "the App's PEM: real or `\\n` newlines, or base64",
        "",
        parsing.pem,
        secret=True,
    )
    github_token: str = env("GITHUB_TOKEN", "used where the App is not installed", secret=True)

    near_network: str = env("NEAR_NETWORK_ID", "`mainnet` or `testnet`", "mainnet")
    near_nodes: tuple[str, ...] = env(
        "NEAR_NODE_URL",
        "RPC providers, comma separated; only two or more can prove that a transaction is dead",
        "",
        parsing.urls,
    )
    near_archival: tuple[str, ...] = env(
        "NEAR_ARCHIVAL_URL",
        "archival RPC providers, comma separated; needed to end what is older than a day or two",
        "",
        parsing.urls,
    )
    near_headers: dict[str, tuple[str, str]] = env(  # noqa: RUF009 - `env` gives a field, no value
        "NEAR_RPC_HEADERS",
        "a header, an API key for instance, by provider: `host=Header: value`, `;` between them",
        "",
        parsing.rpc_headers,
        secret=True,
    )
    near_account: str = env("NEAR_ACCOUNT_ID", "account that signs", "", parsing.near_account)
    near_key: str = env(
        "NEAR_PRIVATE_KEY",
        "its key, `ed25519:<base58>`",
        "",
        parsing.near_key,
        secret=True,
        own=True,
    )
    near_contract: str = env("NEAR_CONTRACT_ID", "the split contract", "", parsing.near_account)
    ft_contracts: dict[str, parsing.Token] = env(  # noqa: RUF009 - `env` gives a field, no value
        "NEAR_FT_CONTRACTS",
        "`TOKEN=contract[:decimals]`, comma separated; the network's USDC and wrapped NEAR",
        "",
        parsing.tokens,
    )
    worker_code_hash: str = env(
        "NEAR_WORKER_CODE_HASH", "given to register_worker", "gitsplits-agent"
    )
    worker_quote: str = env(
        "NEAR_WORKER_QUOTE", "given to register_worker instead of the guest agent's quote", own=True
    )
    worker_endorsements: str = env(
        "NEAR_WORKER_ENDORSEMENTS", "given beside NEAR_WORKER_QUOTE", own=True
    )

    eigenai_base: str = env(
        "EIGENAI_API_BASE", "grant API", "https://determinal-api.eigenarcade.com", parsing.url
    )
    eigenai_key: str = env(
        "EIGENAI_WALLET_PRIVATE_KEY", "grant wallet's key, hex", "", parsing.hex_key, secret=True
    )
    eigenai_address: str = env(
        "EIGENAI_WALLET_ADDRESS", "grant wallet's address", "", parsing.evm_address
    )
    eigenai_model: str = env("EIGENAI_MODEL", "model asked for", "gpt-oss-120b-f16")
    eigenai_operators: tuple[str, ...] = env(
        "EIGENAI_OPERATORS",
        "addresses whose signature counts",
        "0x7053bfb0433a16a2405de785d547b1b32cee0cf3",
        parsing.evm_addresses,
    )
    eigenai_chain_id: str = env("EIGENAI_CHAIN_ID", "chain id inside the signed message", "1")

    dstack_endpoint: str = env(
        "DSTACK_ENDPOINT",
        "guest agent: socket path or URL; /var/run/dstack.sock if it exists",
        own=True,
    )
    tls: str = env(
        "AGENT_TLS",
        "`off`: plain HTTP, behind a proxy; `attested`: TLS 1.3 under the key in the evidence",
        "off",
        parsing.tls,
        own=True,
    )
    tls_names: tuple[str, ...] = env(
        "AGENT_TLS_NAMES",
        "DNS names and IP addresses of the certificate beside PLANE_ID, comma separated",
        "",
        parsing.hosts,
        own=True,
    )
    wallet_purposes: tuple[str, ...] = env(
        "AGENT_WALLET_PURPOSES",
        "purposes of the KMS keys in the evidence, comma separated; `none` for no key",
        "signing",
        parsing.purposes,
    )
    evidence_seconds: int = env(
        "AGENT_EVIDENCE_SECONDS",
        "how long evidence says that it holds, 60 to 3600",
        "900",
        parsing.evidence_seconds,
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read all variables.

        Raises:
            SettingsError: naming every variable that is wrong, without showing its value.
        """
        faults: list[str] = []
        wrong: list[str] = []
        values: dict[str, Any] = {}
        for item in fields(cls):
            variable = variable_of(item)
            given = environ.get(variable.name, "").strip()
            try:
                values[item.name] = variable.read(given or variable.default)
            except ValueError as error:
                faults.append(f"{variable.name}: {error}")
                wrong.append(variable.name)
                values[item.name] = variable.read(variable.default)
        settings = cls(**_fill(values))
        faults.extend(
            fault for fault in _contradictions(settings) if not any(name in fault for name in wrong)
        )
        if faults:
            raise SettingsError(faults)
        return settings

    @property
    def production(self) -> bool:
        """Whether the stricter rules of production apply."""
        return self.mode.lower() == "production"

    def limit_of(self, token: str) -> parsing.Limit:
        """What one payment of a token may be, and all of a day, in whole tokens."""
        return self.token_limits.get(token) or parsing.Limit(self.max_payout, self.daily_payout)

    @property
    def attested(self) -> bool:
        """Whether TLS ends here, under an attested key."""
        return self.tls == "attested"


def _fill(values: dict[str, Any]) -> dict[str, Any]:
    """Apply the defaults that depend on other variables."""
    network = values["near_network"]
    values["near_nodes"] = values["near_nodes"] or (f"https://rpc.{network}.near.org",)
    values["ft_contracts"] = values["ft_contracts"] or parsing.known_tokens(network)
    values["create_repo"] = values["create_repo"] or values["analyze_repo"]
    values["pay_repo"] = values["pay_repo"] or values["create_repo"]
    values["canary_repos"] = values["canary_repos"] or (values["pay_repo"],)
    return values


def _contradictions(settings: Settings) -> list[str]:
    faults = []
    if settings.production and not settings.api_key:
        faults.append("AGENT_SERVER_API_KEY: unset, but AGENT_MODE is production; set a key")
    hosts = {urlsplit(node).netloc for node in (*settings.near_nodes, *settings.near_archival)}
    if not settings.near_headers.keys() <= hosts:
        faults.append("NEAR_RPC_HEADERS: a host is no provider; name those of the provider URLs")
    if bool(settings.near_account) != bool(settings.near_key):
        faults.append("NEAR_ACCOUNT_ID and NEAR_PRIVATE_KEY: only one is set; set both or none")
    if bool(settings.eigenai_address) != bool(settings.eigenai_key):
        faults.append("EIGENAI_WALLET_ADDRESS and EIGENAI_WALLET_PRIVATE_KEY: set both or none")
    if settings.github_app_id and not settings.github_private_key:
        faults.append("GITHUB_PRIVATE_KEY: unset, but GITHUB_APP_ID is set; give the App's PEM")
    if settings.worker_endorsements and not settings.worker_quote:
        faults.append("NEAR_WORKER_QUOTE: unset, but NEAR_WORKER_ENDORSEMENTS is set; set both")
    faults.extend(payout_faults(settings, settings.near_account))
    faults.extend(funding_faults(settings, settings.near_account))
    faults.extend(
        f"AGENT_ALLOWED_TOKENS: {token} has no contract; add it to NEAR_FT_CONTRACTS"
        for token in settings.allowed_tokens
        if token not in settings.ft_contracts
    )
    return faults
