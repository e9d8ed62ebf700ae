// The past: a band of verdicts and a line of latencies for each endpoint of a service
// in a region, the changes with their evidence, and a moment to explain.

import { $, h, patch, svg, table } from "./dom.js";
import { call } from "./node.js";
import { ms, percent, verdict } from "./words.js";
import { explanation } from "./explain.js";

const words = { h: "healthy", d: "degraded", x: "down", u: "unknown" };
const mostChanges = 60;
const width = 1000, lane = 56, band = 8; // of a drawing; it is scaled to the page
let shown = null;  // the newest answer
let moment = null; // milliseconds since 1970 that were picked

// choose fills the selectors from what the node knows, and keeps what was chosen.
export function choose(status) {
  patch($("past-service"), status.services.map((s) => h("option", { value: s.key }, s.key)));
  patch($("past-region"), status.regions.map((name) => h("option", { value: name }, name)));
}

// look asks for the chosen time and draws it.
export async function look(event) {
  event?.preventDefault();
  const to = Date.now(), from = to - 3600_000 * Number($("past-hours").value);
  const query = new URLSearchParams({
    service: $("past-service").value, region: $("past-region").value, from: new Date(from).toISOString(), to: new Date(to).toISOString(),
  });
  try {
    shown = { ...await call("GET", `/api/v1/history/curves?${query}`), service: query.get("service"), to };
  } catch (error) {
    patch($("past"), h("p", { class: "error" }, error.message));
    return;
  }
  moment = null;
  $("moment-form").hidden = true;
  patch($("moment-explained"));
  draw();
}

function draw() {
  const begin = Date.parse(shown.from), step = shown.step_seconds * 1000;
  const scale = { x: (t) => (t - begin) / (shown.to - begin) * width, most: Math.max(10, ...shown.rows.flatMap((r) => r.p95_ms)) };
  patch($("past"),
    shown.rows.length === 0 && h("p", { class: "faint" }, "Nothing is kept of that time here."),
    shown.rows.map((row) => figure(row, begin, step, scale)),
    shown.rows.length > 0 && h("div", { class: "lane axis" }, h("span", {}), times(begin), h("span", {})),
    h("h3", {}, "Changes of verdicts"),
    changes());
}

// figure is an endpoint's lane.
function figure(row, begin, step, scale) {
  const name = row.subject.replace(/^endpoint /, "");
  const spans = runs(row.verdicts).map(([letter, from, to]) => svg("rect", {
    class: words[letter], x: scale.x(begin + from * step), y: lane - band, width: Math.max(1.5, scale.x(begin + to * step) - scale.x(begin + from * step)), height: band,
  }, svg("title", {}, `${words[letter]} from ${clock(begin + from * step)} to ${clock(Math.min(shown.to, begin + to * step))}`)));
  const y = (v) => (lane - band - 4) * (1 - v / scale.most) + 2;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${lane}`, preserveAspectRatio: "none", role: "img", "aria-label": summary(name, row) },
    line(row.p95_ms, "p95", (i) => scale.x(begin + (i + 0.5) * step), y), line(row.p50_ms, "p50", (i) => scale.x(begin + (i + 0.5) * step), y), spans,
    moment && svg("line", { class: "picked", x1: scale.x(moment), x2: scale.x(moment), y1: 0, y2: lane }));
  const at = moment ? Math.floor((moment - begin) / step) : row.p50_ms.findLastIndex((v) => v > 0);
  return h("div", { class: "lane" }, h("span", { class: "id" }, name),
    h("button", { class: "chart", "data-action": "moment", "aria-label": `Pick a moment of ${name}` }, drawing),
    h("span", { class: "now" }, ms(row.p50_ms[at] ?? 0), row.availability[at] > 0 && h("small", { class: "faint" }, ` ${percent(row.availability[at])} ok`)));
}

// runs are the stretches of one verdict.
function runs(verdicts) {
  const list = [];
  for (let i = 0; i < verdicts.length; i++) {
    const last = list.at(-1);
    if (last && last[0] === verdicts[i] && last[2] === i) last[2] = i + 1;
    else if (verdicts[i] !== " ") list.push([verdicts[i], i, i + 1]);
  }
  return list;
}

// line draws what was measured, with gaps where nothing was.
function line(values, cls, x, y) {
  let path = "", pen = "M";
  values.forEach((v, i) => {
    if (v > 0) path += `${pen}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = v > 0 ? "L" : "M";
  });
  return svg("path", { class: cls, d: path });
}

// summary says in words what a lane shows.
function summary(name, row) {
  const count = (letter) => [...row.verdicts].filter((v) => v === letter).length, known = row.verdicts.replaceAll(" ", "").length;
  return `${name}: ${["h", "d", "x", "u"].filter((l) => count(l) > 0).map((l) => `${words[l]} ${percent(count(l) / known)} of the time`).join(", ")}`;
}

function times(begin) {
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => begin + part * (shown.to - begin));
  return h("span", { class: "times" }, marks.map((t) => h("span", {}, clock(t))));
}

function clock(t) {
  const long = shown.to - Date.parse(shown.from) > 86_000_000;
  return new Date(t).toLocaleString([], long ? { weekday: "short", hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit" });
}

function changes() {
  if (shown.changes.length === 0) return h("p", { class: "faint" }, "None in that time.");
  const newest = shown.changes.toReversed().slice(0, mostChanges), older = shown.changes.length - newest.length;
  return [
    table(["When", "Endpoint", "From", "To", "Evidence"], newest.map((c) => [
      h("button", { class: "when", "data-action": "moment", "data-at": c.at }, new Date(c.at).toLocaleString()),
      h("span", { class: "id" }, c.subject.replace(/^endpoint /, "")), verdict(c.from), verdict(c.to), c.evidence])),
    older > 0 && h("p", { class: "faint" }, `and ${older} before them: look at a shorter time`),
  ];
}

// pick takes the moment at which the reader pointed, or that a change is of.
export function pick(button, event) {
  if (button.dataset.at) moment = Date.parse(button.dataset.at);
  else {
    const box = button.getBoundingClientRect();
    const part = event.detail > 0 ? (event.clientX - box.left) / box.width : 1; // by the keyboard: the end
    moment = Date.parse(shown.from) + Math.min(1, Math.max(0, part)) * (shown.to - Date.parse(shown.from));
  }
  draw();
  $("moment-when").textContent = new Date(moment).toLocaleString();
  $("moment-form").hidden = false;
  patch($("moment-explained"));
}

// explainMoment explains what a client got then.
export async function explainMoment(event) {
  event.preventDefault();
  const query = new URLSearchParams({ service: shown.service, client: $("moment-client").value.trim(), at: new Date(moment).toISOString() });
  try {
    const x = await call("GET", `/api/v1/explain?${query}`);
    patch($("moment-explained"), h("p", { class: "faint" }, `As it was written down at ${new Date(x.now).toLocaleString()}.`), explanation(x));
  } catch (error) {
    patch($("moment-explained"), h("p", { class: "error" }, error.message));
  }
}
