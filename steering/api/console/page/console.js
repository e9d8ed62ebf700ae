// The page: ask the node every two seconds, draw what it says, send what the
// operator orders.

import { $, h, patch } from "./dom.js";
import { call, hasToken, setToken, takeToken } from "./node.js";
import { detail, grid, sharesOf } from "./grid.js";
import { facts, notices, overrides, pools, vantages } from "./lists.js";
import { explanation } from "./explain.js";
import { choose, explainMoment, look, pick } from "./past.js";

const every = 2000;
let status = null; // the newest answer
let heard = 0;     // when it came
let shown = null;  // the cell whose detail is open
let timer;

async function poll() {
  clearTimeout(timer);
  try {
    status = await call("GET", "/api/v1/status");
    heard = Date.now();
    $("token-form").hidden = true;
    draw();
  } catch (error) {
    failed(error);
  }
  if (!document.hidden) timer = setTimeout(poll, every);
}

function failed(error) {
  if (error.status === 401) {
    const first = $("token-form").hidden;
    $("token-form").hidden = false;
    if (first) $("token").focus();
    patch($("notices"), hasToken() && h("div", { class: "notice warn" }, "This node does not take the token of this tab."));
    return;
  }
  const since = heard ? ` since ${new Date(heard).toLocaleTimeString()}; what you see is from then.` : ".";
  patch($("notices"), h("div", { class: "notice bad" }, h("b", {}, `No answer from this node${since}`), error.message));
}

function draw() {
  patch($("facts"), facts(status));
  patch($("notices"), notices(status));
  patch($("services"), status.services.map((service) => grid(service, status)));
  patch($("overrides"), overrides(status));
  patch($("vantages"), vantages(status));
  patch($("pools"), pools(status));
  patch($("explain-service"), status.services.map((s) => h("option", { value: s.key }, s.key)));
  choose(status);
  for (const id of ["legend", "overrides-card", "explain-card", "past-card"]) $(id).hidden = status.services.length === 0;
  $("measured").hidden = status.vantages.length + status.pools.length === 0;
  document.title = `${worst()} Fairway`;
  if ($("detail").open) drawDetail();
}

// worst is the mark of the worst verdict that some region has for an endpoint
// with a share, for the tab's title.
function worst() {
  const verdicts = status.services.flatMap((s) => s.regions.flatMap((r) => r.splits.filter((x) => x.weight > 0).map((x) => x.verdict)));
  if (verdicts.includes("down")) return "✕";
  if (verdicts.includes("degraded") || status.configuration.error) return "▲";
  return "●";
}

function openCell({ service, region, rule, provider }) {
  shown = { service, region, rule, provider };
  if (drawDetail()) $("detail").showModal();
}

function drawDetail() {
  const service = status.services.find((s) => s.key === shown.service);
  const row = service?.regions.find((r) => r.region === shown.region && r.rule === shown.rule);
  if (!row) {
    $("detail").close();
    return false;
  }
  $("detail-title").textContent = `${shown.provider} in ${shown.region}, service ${shown.service}`;
  patch($("detail-body"), detail(service, row, shown.provider, status),
    h("div", { class: "buttons" }, h("button", { class: "danger", "data-action": "drain" }, `Drain ${shown.provider}…`)));
  return true;
}

function openDrain() {
  const service = status.services.find((s) => s.key === shown.service);
  const row = service.regions.find((r) => r.region === shown.region && r.rule === shown.rule);
  const option = (value, text) => h("option", { value }, text);
  patch($("drain-target"), option(shown.provider, `${shown.provider}, every service`),
    sharesOf(service, row, shown.provider).map((s) => option(s.endpoint, `only ${s.endpoint}`)));
  patch($("drain-region"), option(shown.region, `only ${shown.region}`), option("", "every region"));
  $("drain-error").textContent = "";
  $("detail").close();
  $("drain").showModal();
  $("drain-author").focus();
}

async function drain(event) {
  event.preventDefault();
  try {
    await call("POST", "/api/v1/overrides", {
      kind: "drain", target: $("drain-target").value, region: $("drain-region").value,
      reason: $("drain-reason").value, author: $("drain-author").value, for_seconds: Number($("drain-for").value),
    });
  } catch (error) {
    $("drain-error").textContent = error.message;
    return;
  }
  $("drain-reason").value = "";
  $("drain").close();
  poll();
}

async function lift(id) {
  try {
    await call("DELETE", `/api/v1/overrides/${encodeURIComponent(id)}`);
  } catch (error) {
    failed(error);
    return;
  }
  poll();
}

async function explain(event) {
  event.preventDefault();
  const query = new URLSearchParams({ service: $("explain-service").value, client: $("explain-client").value.trim() });
  try {
    patch($("explanation"), explanation(await call("GET", `/api/v1/explain?${query}`)));
  } catch (error) {
    patch($("explanation"), h("p", { class: "error" }, error.message));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  switch (button?.dataset.action) {
    case "detail": openCell(button.dataset); break;
    case "drain": openDrain(); break;
    case "lift": lift(button.dataset.id); break;
    case "moment": pick(button, event); break;
    case "close": button.closest("dialog").close(); break;
  }
});
document.addEventListener("visibilitychange", () => document.hidden || poll());
$("drain-form").addEventListener("submit", drain);
$("explain-form").addEventListener("submit", explain);
$("past-form").addEventListener("submit", look);
$("past-form").addEventListener("change", look);
$("moment-form").addEventListener("submit", explainMoment);
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value);
  $("token").value = "";
  poll();
});

takeToken();
poll();
