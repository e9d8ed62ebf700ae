// Everything of the page that is a list: facts, notices, overrides, vantages,
// pools.

import { h, table } from "./dom.js";
import { between, duration, verdict } from "./words.js";

export function facts(s) {
  const all = [
    ["Generation", s.generation > 0 ? `${s.generation}, ${duration(s.age_seconds)} old` : "none yet"],
    ["Revision", (s.revision ?? "").slice(0, 12) || "none"],
    ["Roles", (s.roles ?? []).join(", ")],
    ["Version", s.version],
    ["Up", duration(between(s.started, s.now))],
  ];
  return all.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
}

export function notices(s) {
  const c = s.configuration;
  return [
    c.error && h("div", { class: "notice bad" }, h("b", {}, `The configuration ${c.path} could not be loaded${c.serving_last_good ? "; the last good one is serving" : ""}.`), c.error),
    !c.error && c.serving_last_good && h("div", { class: "notice warn" }, "The last good configuration is serving, not the one on disk."),
    s.geo.error && h("div", { class: "notice warn" }, h("b", {}, "The geo database could not be loaded."), s.geo.error),
    s.generation === 0 && h("div", { class: "notice warn" }, "There is no generation yet: the doors have nothing to answer from."),
  ];
}

export function overrides(s) {
  const list = s.overrides ?? [];
  if (list.length === 0) return h("p", { class: "faint" }, "None. Drain a CDN from its cell above.");
  return table(["What", "Where", "Reason", "By", "Ends in", ""], list.map((o) => [
    [o.kind, " ", h("span", { class: "id" }, o.provider || o.endpoint)],
    [o.region || "every region", o.service && `, ${o.service}`],
    o.reason, o.author, duration(between(s.now, o.expires)),
    h("button", { "data-action": "lift", "data-id": o.id, "aria-label": `Lift ${o.kind} of ${o.provider || o.endpoint}` }, o.kind === "drain" ? "Undrain" : "Lift"),
  ]));
}

export const vantages = (s) => table(["Vantage", "Region", ["Last seen", "num"]], s.vantages.map((v) => [
  v.name, v.region, v.last_seen ? `${duration(v.last_seen_age_seconds)} ago` : "never"]));

export const pools = (s) => table(["Pool", "Origin", "Verdict"], s.pools.flatMap((p) => p.origins.map((o, i) => [
  i === 0 ? [p.name, p.fallback && h("small", { class: "faint" }, ` → ${p.fallback}`)] : "",
  h("span", { class: "id" }, o.url),
  [verdict(o.verdict), differing(o) && h("div", { class: "faint" }, differing(o))]])));

// differing says where an origin is not the same everywhere.
function differing(origin) {
  const by = Object.entries(origin.regions ?? {});
  if (new Set(by.map(([, v]) => v)).size < 2) return "";
  return by.filter(([, v]) => v !== "healthy").map(([region, v]) => `${region}: ${v}`).sort().join(", ");
}
