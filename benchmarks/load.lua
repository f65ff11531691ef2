-- wrk's load: 1 KB JSON bodies, 80 % analyze, 15 % create, 5 % pay, 10,000 conversations,
-- 1,000 repositories.
-- Arguments: the client key, the seed, and `ids` if each request is to have a request id, which makes
-- its head another than all before.
local requests, at = {}, 0

function init(args)
  math.randomseed(tonumber(args[2] or "1"))
  local pad = string.rep("x", 840)
  for i = 1, 4000 do
    local draw = math.random(100)
    local repo = "near/repository-" .. math.random(0, 999)
    local text = "analyze " .. repo
    if draw > 95 then text = "pay 1 USDC to " .. repo
    elseif draw > 80 then text = "create split for " .. repo end
    local body = string.format('{"text":"@gitsplits %s","author":"u%d","type":"web","pad":"%s"}',
      text, math.random(0, 9999), pad)
    local headers = {["content-type"] = "application/json", ["x-agent-api-key"] = args[1]}
    if args[3] == "ids" then headers["x-request-id"] = string.format("request-%08d", i) end
    requests[i] = wrk.format("POST", "/process", headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status,
    latency:percentile(50), latency:percentile(99)))
end
