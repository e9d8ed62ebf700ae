// The grid of a service: a row per region (and rule), a column per CDN.

import { h, table } from "./dom.js";
import { availability, duration, hold, ms, percent, reason, verdict } from "./words.js";

export function grid(service, status) {
  const providers = [...new Set(service.endpoints.map((e) => e.provider))];
  const rank = new Map(status.regions.map((name, i) => [name, i])); // as configured, the default region last
  const rows = [...service.regions].sort((a, b) => rank.get(a.region) - rank.get(b.region));
  const several = (region) => service.regions.filter((r) => r.region === region).length > 1;
  return h("section", { class: "card" },
    h("h2", {}, service.key, " ", h("small", { class: "faint" }, service.hostnames.join(", "), ` · policy ${service.policy}`)),
    h("div", { class: "scroll" }, h("table", { class: "grid" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Region"), providers.map((p) => h("th", { scope: "col" }, p)))),
      h("tbody", {}, rows.map((row) => h("tr", {},
        h("th", { scope: "row" }, row.region,
          several(row.region) && h("small", {}, `rule ${row.rule}`),
          row.holds?.length > 0 && h("div", {}, h("span", { class: "held", title: row.holds.map((x) => hold(x, status.now)).join("; ") },
            `held: ${[...new Set(row.holds.map((x) => x.by))].join(", ")}`))),
        providers.map((p) => h("td", {}, cell(service, row, p)))))))));
}

// sharesOf are a CDN's endpoints in a row, the most important first.
export function sharesOf(service, row, provider) {
  const own = new Set(service.endpoints.filter((e) => e.provider === provider).map((e) => e.id));
  return row.splits.filter((s) => own.has(s.endpoint));
}

function cell(service, row, provider) {
  const shares = sharesOf(service, row, provider);
  if (shares.length === 0) return h("span", { class: "faint" }, "–");
  const [first] = shares;
  const total = shares.reduce((sum, s) => sum + s.weight, 0);
  const label = `${provider} in ${row.region}: ${first.verdict}, ${ms(first.p50_ms)}, share ${percent(total)}, ${reason(first.reason)}`;
  return h("button", { class: `cell ${first.verdict}`, "aria-label": label, "data-action": "detail",
    "data-service": service.key, "data-region": row.region, "data-rule": row.rule, "data-provider": provider },
    h("span", { class: "top" }, verdict(first.verdict), h("span", { class: total > 0 ? "share" : "share none" }, percent(total))),
    h("span", { class: "top" }, h("span", { class: "ms" }, ms(first.p50_ms)), h("span", { class: "tag" }, first.reason.code)),
    h("meter", { min: 0, max: 1, value: total.toFixed(4), "aria-hidden": "true" }));
}

// detail is what a click on a cell tells.
export function detail(service, row, provider, status) {
  const shares = sharesOf(service, row, provider);
  return [
    table(["Endpoint", "Verdict", ["Share", "num"], ["p50", "num"], ["p95", "num"], ["Available", "num"], ["Samples", "num"], ["Age", "num"]],
      shares.map((s) => [h("span", { class: "id" }, s.endpoint), verdict(s.verdict), percent(s.weight), ms(s.p50_ms), ms(s.p95_ms),
        availability(s), String(s.samples), s.samples > 0 ? duration(s.age_seconds) : "–"])),
    h("h3", {}, "Why"),
    h("ul", {}, shares.map((s) => h("li", {}, h("span", { class: "id" }, s.endpoint), ` – ${reason(s.reason)}`, s.evidence && ` (${s.evidence})`))),
    h("p", {}, `The split of ${row.region} by rule ${row.rule}: ${reason(row.reason)}. TTL ${row.ttl_seconds} s.`),
    row.holds?.length > 0 && [h("h3", {}, "Held back by"), h("ul", {}, row.holds.map((x) => h("li", {}, hold(x, status.now))))],
  ];
}
