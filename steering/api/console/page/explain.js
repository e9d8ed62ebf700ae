// One decision with everything behind it.

import { h, table } from "./dom.js";
import { duration, hold, ms, percent, place, reason, verdict } from "./words.js";

export function explanation(x) {
  const [first] = x.endpoints ?? [];
  const cell = [x.cell.country, x.cell.subdivision, x.cell.continent, x.cell.asn && `AS${x.cell.asn}`].filter(Boolean).join(", ");
  return [
    h("p", { class: "answer" }, `${x.client} gets `, first && first.weight > 0 ? h("b", {}, first.id) : h("b", {}, "nothing"), ` for ${x.service}: ${reason(first?.reason ?? x.reason)}`),
    h("p", { class: "faint" }, `region ${x.cell.region}${cell ? ` (${cell})` : ""} · generation ${x.generation} · TTL ${x.ttl} s · scope /${x.scope} · policy ${x.policy}`),
    x.doors && [h("h3", {}, "At the doors"), table(["Door", "Answer"], Object.entries(x.doors).sort().map(([door, answer]) => [door, h("span", { class: "id" }, answer)]))],
    h("h3", {}, "Rules"),
    h("ul", {}, (x.rules ?? []).map((r) => h("li", {}, r.matched ? "✓ " : "– ", h("b", {}, r.name), r.when && [" when ", h("code", {}, r.when)],
      r.matched ? " matched " : " did not match ", h("span", { class: "faint" }, place(r.place))))),
    h("h3", {}, "Stages"),
    h("ol", { class: "stages" }, (x.stages ?? []).map((s) => h("li", {}, h("b", {}, s.stage), s.note && ` – ${s.note}`, ` (${place(s.place)}): ${(s.left ?? []).join(", ") || "none"} left`,
      s.aside?.length > 0 && h("ul", {}, s.aside.map((a) => h("li", { class: "faint" }, `${a.endpoint} aside: ${reason(a.reason)}`)))))),
    h("h3", {}, "Endpoints, in this client's order"),
    table(["Endpoint", "Verdict", ["Share", "num"], ["Target", "num"], ["Score", "num"], ["p50", "num"], ["Samples", "num"], ["Age", "num"], "Reason"],
      (x.endpoints ?? []).map((e) => [h("span", { class: "id" }, e.id), verdict(e.health.verdict), percent(e.weight), percent(e.target), e.score.toFixed(3),
        ms(e.health.p50_ns / 1e6), String(e.health.samples), e.health.samples > 0 ? duration(e.age_seconds) : "–", reason(e.reason)])),
    x.holds?.length > 0 && [h("h3", {}, "Held back by"), h("ul", {}, x.holds.map((y) => h("li", {}, hold(y, x.now))))],
    h("details", {}, h("summary", {}, "As JSON"), h("pre", {}, JSON.stringify(x, null, 2))),
  ];
}
