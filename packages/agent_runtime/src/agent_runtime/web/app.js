// The page for people: one intent, its answer; a payment's plan, its approval, its receipt.
//
// Rules
// - What comes from the other side becomes text, never markup.
// - A command that moves something is always asked for as a plan (`plan: true`), so that an answer
//   that got lost and was asked for again has moved nothing.
// - An approval may be sent again: a plan is carried out at most once.
// - Once an approval has left, nobody is told that nothing was done.
"use strict";

const DEADLINE_MS = 30000;
const PLAN = /```json\n([\s\S]*?)\n```/;
const PLAN_ID = /^plan-[0-9a-f]{10}$/;
const LINKS_A_LOGIN = /^\s*(?:@\S+\s+){0,2}(?:verify|link|connect)\s/i;
// Whatever origin the answer names, the link stays on this one; the service's own line is the last.
const RECEIPT = /(?:^|\n)🧾 Receipt: (?:https?:\/\/\S+)?(\/receipts\/[A-Za-z0-9._-]+)\s*$/;
const OPEN = /^❌[^\n]*outcome unknown/;
const RISKS = {
  onchain_value_transfer: "It moves money on chain.",
  onchain_state_change: "It changes a split on chain.",
  MISSING_WALLETS: "Some are not verified yet: their share waits for them.",
  OUTLIER_SHARE: "One person gets nearly everything.",
};
const NAMES = {
  repo: "Repository", amount: "Asked for", split: "Split", total: "To be paid now", waiting: "Waits for verification",
  login: "GitHub login", wallet: "To the account", claims: "Claims",
};
const UNKNOWN =
  "It is not known what became of it. Ask again to find out: a plan is carried out at most once.";

const part = (id) => document.getElementById(id);
// Whoever shares a name shares its plans, so each opening of the page is somebody of its own.
const user = `page-${Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("-")}`;
let waiting = null; // the id of the plan that is shown

async function ask(text, plan) {
  const headers = { "content-type": "application/json" };
  if (part("key").value) headers["x-agent-api-key"] = part("key").value;
  const body = { text, userId: user };
  if (plan) body.plan = true;
  const account = part("account-row").hidden ? "" : part("account").value.trim();
  if (account) body.nearAccountId = account;
  const answer = await fetch("/api/agent", {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    credentials: "omit",
    redirect: "error",
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  let found = {};
  try {
    found = await answer.json();
  } catch {
    throw new Error(`an answer that cannot be read (status ${answer.status})`);
  }
  if (answer.status === 401) {
    part("key-row").hidden = false;
    part("key").focus();
    throw new Error("this service asks for its key; give it and send again");
  }
  if (!answer.ok) throw new Error(found.error || `status ${answer.status}`);
  if (typeof found.response !== "string") throw new Error("an answer without a text");
  return found;
}

async function working(what, act) {
  const buttons = document.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  say(what);
  try {
    await act();
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function say(text, wrong = false) {
  part("status").textContent = text;
  part("status").classList.toggle("wrong", wrong);
}

function planIn(text) {
  const block = PLAN.exec(text);
  if (block === null) return null;
  try {
    const plan = JSON.parse(block[1]);
    return PLAN_ID.test(plan.id) && plan.expiresAt ? plan : null;
  } catch {
    return null;
  }
}

function facts(plan) {
  const rows = [["What", plan.intent === "pay" ? "pay people" : "make or update a split"]];
  const symbol = plan.params.token ? ` ${plan.params.token}` : "";
  for (const [name, value] of Object.entries(plan.params)) {
    const ours = ["amount", "total", "waiting"].includes(name) ? symbol : "";
    if (Array.isArray(value)) rows.push([NAMES[name] || name, value.join("\n")]);
    else if (typeof value !== "object" && name !== "token") rows.push([NAMES[name] || name, `${value}${ours}`]);
  }
  rows.push(["Note", plan.risks.map((risk) => RISKS[risk] || risk).join("\n")]);
  rows.push(["Plan", plan.id], ["Valid until", new Date(plan.expiresAt).toLocaleString()]);
  return rows.filter(([name, value]) => value !== "" && !(name === NAMES.waiting && parseFloat(value) === 0));
}

function row(kind, cells) {
  const line = document.createElement("tr");
  cells.forEach((text, place) => {
    const cell = document.createElement(place && kind === "td" ? "td" : "th");
    if (cell.tagName === "TH") cell.scope = kind === "td" ? "row" : "col";
    cell.textContent = text;
    line.append(cell);
  });
  return line;
}

function table(title, heads, rows) {
  if (rows.length === 0) return [];
  const made = document.createElement("table");
  made.createCaption().textContent = `${title} (${rows.length})`;
  made.createTHead().append(row("th", heads));
  const body = made.createTBody();
  for (const cells of rows) body.append(row("td", cells));
  return [made];
}

function tables(params) {
  const amount = (text) => (params.token ? `${text} ${params.token}` : text);
  const paid = Object.entries(params.recipients || {});
  const accounts = params.accounts || {};
  return [
    ...table("To be paid now", ["Login", "Account", "Amount"], paid.map(([who, n]) => [who, accounts[who] || "", amount(n)])),
    ...table("Waits for verification", ["Login", "Amount"], Object.entries(params.pending || {}).map(([who, n]) => [who, amount(n)])),
    ...table("Shares", ["Login", "Share"], Object.entries(params.allocation || {})),
  ];
}

function showPlan(plan) {
  const list = part("plan-facts");
  list.replaceChildren();
  for (const [name, value] of facts(plan)) {
    const term = document.createElement("dt");
    const told = document.createElement("dd");
    term.textContent = name;
    told.textContent = value;
    list.append(term, told);
  }
  part("plan-people").replaceChildren(...tables(plan.params));
  waiting = plan.id;
  sentOnce(false);
  part("plan").hidden = false;
  part("plan").scrollIntoView();
  part("plan-title").focus();
}

// After an approval has left, the plan can be asked about and not be dropped any more.
function sentOnce(sent) {
  part("approve").textContent = sent ? "Ask again" : "Approve";
  part("drop").hidden = sent;
  part("plan-state").textContent = sent ? UNKNOWN : "Nothing has been done yet. Approving carries this out, once.";
}

function hidePlan() {
  waiting = null;
  part("plan").hidden = true;
}

function kind(first) {
  if (OPEN.test(first)) return "unknown";
  if (/^(?:❌|🛑|No split found)/.test(first)) return "failed";
  return first.startsWith("✅") ? "paid" : "";
}

function showAnswer(found, text = found.response) {
  const receipt = RECEIPT.exec(text);
  const [first, ...rest] = text.split("\n");
  part("receipt").hidden = receipt === null;
  if (receipt !== null) part("receipt-link").href = receipt[1];
  part("answer-first").textContent = first;
  part("answer-first").className = kind(first);
  part("answer-rest").textContent = rest.length ? `\n${rest.join("\n")}` : "";
  part("answer-plane").textContent = found.execution ? `Answered by ${found.execution.plane}` : "";
  part("answer").hidden = false;
  part("answer").scrollIntoView();
  part("answer-title").focus();
}

async function send(event) {
  event.preventDefault();
  hidePlan();
  part("answer").hidden = true;
  await working("Asking…", async () => {
    try {
      const found = await ask(part("text").value, true);
      const plan = planIn(found.response);
      const before = plan === null ? found.response : found.response.split("📝 Plan for")[0].trim();
      say("");
      if (before) showAnswer(found, before);
      if (plan !== null) showPlan(plan);
    } catch (error) {
      say(`No answer: ${error.message}`, true);
    }
  });
}

async function approve() {
  const id = waiting;
  await working("Carrying it out…", async () => {
    try {
      const found = await ask(`approve ${id}`, false);
      say("");
      // still open: the same approval asks again, and never pays twice
      if (OPEN.test(found.response)) sentOnce(true);
      else hidePlan();
      showAnswer(found);
    } catch (error) {
      sentOnce(true);
      say(`${error.message}. ${UNKNOWN}`, true);
    }
  });
}

async function drop() {
  await working("Cancelling…", async () => {
    try {
      const found = await ask("cancel", false);
      say(found.response);
    } catch (error) {
      say(`${error.message}. Nothing was done, and the plan ends by itself.`, true);
    }
    hidePlan();
  });
  part("text").focus();
}

part("ask").addEventListener("submit", send);
part("text").addEventListener("input", () => {
  part("account-row").hidden = !LINKS_A_LOGIN.test(part("text").value);
});
part("approve").addEventListener("click", approve);
part("drop").addEventListener("click", drop);
