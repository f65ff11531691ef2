// The page for people: one intent, its answer; a payment's plan, its approval, its receipt.
//
// Rules
// - What comes from the other side becomes text, never markup.
// - A command that moves something is always asked for as a plan (`plan: true`), so that an answer
//   that got lost and was asked for again has moved nothing.
// - An approval may be sent again: a plan is carried out at most once.
"use strict";

const DEADLINE_MS = 30000;
const PLAN = /```json\n([\s\S]*?)\n```/;
const PLAN_ID = /^plan-[0-9a-f]{10}$/;
// Whatever origin the answer names, the link stays on this one.
const RECEIPT = /^🧾 Receipt: (?:https?:\/\/\S+)?(\/receipts\/[A-Za-z0-9._-]+)$/m;
const UNKNOWN =
  "It is not known what became of it. Ask for the same plan's approval again to find out: " +
  "it is carried out at most once.";

const part = (id) => document.getElementById(id);
// Whoever shares a name shares its plans, so each opening of the page is somebody of its own.
const user = `page-${Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("-")}`;
let waiting = null; // the id of the plan that is shown

async function ask(text, plan) {
  const headers = { "content-type": "application/json" };
  if (part("key").value) headers["x-agent-api-key"] = part("key").value;
  const body = plan ? { text, userId: user, plan: true } : { text, userId: user };
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
  const rows = [["Plan", plan.id], ["What", plan.intent]];
  for (const [name, value] of Object.entries(plan.params)) {
    const told = typeof value === "object" ? Object.entries(value) : [];
    rows.push([name, typeof value === "object" ? told.map((pair) => pair.join(": ")).join("\n") : String(value)]);
  }
  rows.push(["risks", plan.risks.join("\n")], ["until", new Date(plan.expiresAt).toLocaleString()]);
  return rows.filter(([, value]) => value !== "");
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
  waiting = plan.id;
  part("plan").hidden = false;
  part("plan-title").focus();
}

function hidePlan() {
  waiting = null;
  part("plan").hidden = true;
}

function showAnswer(found) {
  const receipt = RECEIPT.exec(found.response);
  part("receipt").hidden = receipt === null;
  if (receipt !== null) part("receipt-link").href = receipt[1];
  part("answer-text").textContent = found.response;
  part("answer-plane").textContent = found.execution ? `Answered by ${found.execution.plane}` : "";
  part("answer").hidden = false;
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
      say("");
      if (plan === null) showAnswer(found);
      else showPlan(plan);
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
      showAnswer(found);
      // still open: the same approval asks again, and never pays twice
      if (!/outcome[^.\n]*unknown/i.test(found.response)) hidePlan();
    } catch (error) {
      say(`${error.message}. ${UNKNOWN}`, true);
    }
  });
}

function drop() {
  hidePlan();
  say("Nothing was done; the plan ends by itself.");
  part("text").focus();
}

part("ask").addEventListener("submit", send);
part("approve").addEventListener("click", approve);
part("drop").addEventListener("click", drop);
