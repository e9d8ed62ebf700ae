// How numbers, times and verdicts are said.

import { h } from "./dom.js";

const marks = { healthy: "●", degraded: "▲", down: "✕", unknown: "○" };

// verdict is a shape and a word, so that colour is never alone.
export const verdict = (v) => h("span", { class: `verdict ${v}` }, h("i", { class: "mark", "aria-hidden": "true" }, marks[v] ?? "?"), ` ${v}`);

export const ms = (x) => (x > 0 ? `${x < 10 ? x.toFixed(1) : Math.round(x)} ms` : "–");

export const percent = (x) => (x > 0 && x < 0.005 ? "<1 %" : `${Math.round(x * 100)} %`);

export const availability = (share) => (share.samples > 0 ? `${(share.availability * 100).toFixed(share.availability === 1 ? 0 : 1)} %` : "–");

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

// between is how long it is from one RFC 3339 time to another, in seconds.
export const between = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;

export const reason = (r) => (r?.detail ? `${r.code}: ${r.detail}` : r?.code ?? "");

export const place = (p) => (p?.file ? `${p.file}:${p.line}${p.col ? `:${p.col}` : ""}` : "built in");

export const hold = (x, now) =>
  `${x.by}${x.until ? ` for ${duration(between(now, x.until))} more` : ""}${x.note ? ` (${x.note})` : ""}`;
