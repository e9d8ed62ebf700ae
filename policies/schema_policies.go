package policies

import (
	"fmt"
	"strings"
)

// The section that says what we want.

func policiesSchema() property {
	return key("policies", "How to choose, by name.",
		entries(object("",
			key("rules", "The first that matches decides. Where none is without a when, one called default is added at the end, made of defaults.",
				&schema{Type: []string{"array", "null"}, Items: ruleSchema()}),
			key("defaults", "What a rule uses for the stages that it does not name.", object("", stageSchemas()...)),
			key("switch", "What bounds voluntary moves. Leaving what is down waits for none of it.", switchSchema()),
			key("on_all_down", "When no endpoint that the rule allows is left. all: treat all as up; last: keep the shares as they were; fallback:POOL: all endpoints of that pool; none: SERVFAIL and 503.",
				matching(`^\s*(all|last|none|fallback\s*:.*\S)\s*$`)).by("all").like("all", "last", "none", "fallback:POOL"),
			key("on_blind", "When nothing is measured any more. last: the last decision stands; static: static weights serve; static:10m: static weights, once nothing was measured for so long.",
				matching(`^\s*(last|static(:\s*[0-9].*)?)\s*$`)).by("last").like("last", "static", "static:10m"),
			key("degraded", "avoid: a degraded endpoint serves only when no better one is left. allow: as a healthy one, the score decides.",
				word("avoid", "allow")).by("avoid"),
			key("auto", "How the rules with score: auto score.", object("",
				key("failure", "What a failed fetch is worth as bad: 0s to 1m of waiting.", duration()).by("2s"),
				key("explore", "The share of clients, all together, that go to endpoints which may be the best for all that is known: 0% to 10%.", percentage()).by("1%"),
				key("players", "Whether what players report counts.", word("use", "ignore")).by("use"))),
			key("correct", "What the doors hand out is made to follow the shares, by changing each weight by this part at most: 0% to 50%.", percentage()).by("0%").like("20%"),
			key("hash", "Length of the client prefix that stays together on one endpoint where several share.", object("",
				key("ipv4", "Bits of an IPv4 address.", whole(8, 32)).by(defaultHashV4),
				key("ipv6", "Bits of an IPv6 address.", whole(16, 128)).by(defaultHashV6),
				key("session", "use: an HTTP client with a session id stays where its session is; ignore: the id makes no difference, and all doors agree.",
					word("use", "ignore")).by("use"))),
		)))
}

func schedulesSchema() property {
	weekly := object("Every week.",
		key("days", "On which it opens.", oneOrSome(word(weekdays[:]...))).needed(),
		key("from", "The time of day at which it opens.", clockSchema()).needed(),
		key("to", "The time of day at which it closes; one that is not after from is on the next day.", clockSchema()).needed())
	return key("schedules", "Windows in which services are decided otherwise, by name: match days, nights. When one closes, all is as before.",
		entries(object("",
			key("services", "Which services.", oneOrSome(reference())).needed(),
			key("zone", "The time zone of its times, by its name in the IANA database.", text()).by("UTC").like("Europe/Berlin"),
			key("from", "When it opens, once: a date and a time of day.", momentSchema()).like("2026-11-28T18:00"),
			key("to", "When it closes.", momentSchema()).like("2026-11-28T23:30"),
			key("weekly", "When it is open, every week.", weekly),
			key("policy", "How to choose while it is open. Default: as otherwise.", reference()),
			key("ttl", "Of the answers while it is open: 1s to 1h, whole seconds. Default: as otherwise.", duration()),
			key("weights", "Static weights while it is open, by endpoint id or provider. Default: as otherwise.",
				&schema{Type: "object", MinProps: 1, More: number(0, 1e6)}),
			key("demand", "By how many times more is asked for while it is open than before: capacity is kept free for that, from five minutes before it opens.",
				number(1, mostDemand)).like(1.8),
		)))
}

func clockSchema() *schema { return matching(`^[0-2][0-9]:[0-5][0-9]$`) }

func momentSchema() *schema {
	return matching(`^2[01][0-9]{2}-[0-1][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$`)
}

func fallbackSchema() *schema {
	s := object("Exactly one of the two.",
		key("rule", "A rule of this policy: its stages are gone through.", reference()),
		key("pool", "All endpoints of this pool that the rule does not deny, by the stages of the rule.", reference()))
	s.Type, s.MinProps, s.MaxProps = "object", 1, 1
	return s
}

func ruleSchema() *schema {
	return object("One filter chain, for the clients that its when matches.", append([]property{
		key("name", "Stands in reasons, and keeps the rule's state over a reload.", reference()).needed(),
		key("when", "Which clients, as a CEL expression; default always. It reads "+variableNames(conditionVariables())+".",
			text()).like(`client.region == "eu"`, `client.country in ["DE", "AT"] && client.asn != 3320`),
		key("fallback", "Which rule of the policy, whatever its when, or which pool serves where this rule has no endpoint up.", fallbackSchema()),
	}, stageSchemas()...)...)
}

// stageSchemas are the stages of a filter chain.
func stageSchemas() []property {
	return []property{
		key("allow", "Only these endpoints.", selectorSchema()),
		key("deny", "Not these endpoints: never handed out, whatever fails.", selectorSchema()),
		key("prefer", "Providers: the first that has an endpoint left takes all.", references()),
		key("score", "auto: by latency and failures, estimated from probes and players. Else a CEL expression of one endpoint's measurements; the highest wins. It reads "+variableNames(scoreVariables())+".",
			&schema{AnyOf: []*schema{text(), {Type: "number"}}}).by(builtinScore).like("0.6 * latency + 0.3 * availability + 0.1 * cost"),
		key("cost", "What money may change about a choice that the score makes.", costSchema()),
		key("split", "How the clients are divided. best: the highest score takes all; weighted: by weight; score: by score × weight; {within: 10%}: all within 10 % of the best; {weights: {NAME: 3}}: by these; {policies: {NAME: 90%}}: other policies decide for parts of the clients.",
			&schema{AnyOf: []*schema{word("best", "weighted", "score"), splitSchema()}}).by("best"),
	}
}

func costSchema() *schema {
	s := object("",
		key("at_most", "Endpoints with a higher price per GB are put aside while another is left.", number(0.000001, mostPrice)).like(0.006),
		key("tie_break", "Of endpoints whose scores are within this part of the best, the cheapest: 0% to 90%.", percentage()).like("5%"),
		key("commit", "The pace of a provider's commit may raise or lower its score by this part: 0% to 90%.", percentage()).like("20%"))
	s.Type, s.MinProps = "object", 1
	return s
}

func selectorSchema() *schema {
	s := object("ANDed across keys, ORed within one.",
		key("providers", "Names of providers.", someReferences(reference())),
		key("pools", "Names of pools.", someReferences(reference())),
		key("endpoints", "Ids of endpoints: SERVICE/PROVIDER/POOL, SERVICE/PROVIDER or SERVICE/NAME.", someReferences(text())),
	)
	s.Type, s.MinProps = "object", 1
	return s
}

func someReferences(of *schema) *schema {
	s := some(of)
	s.Unique = true
	return s
}

func splitSchema() *schema {
	weights := &schema{Type: "object", MinProps: 1, More: number(0, 1e6)}
	s := object("Exactly one of the three.",
		key("policies", "Other policies decide, each for this part of the clients; two or more, 100% together.",
			&schema{Type: "object", MinProps: 2, More: percentage()}),
		key("within", "All whose score is at most so much below the best share by weight.", percentage()).like("10%"),
		key("weights", "Weights by endpoint id or provider; who is not named has 0.", weights))
	s.Type, s.MinProps, s.MaxProps = "object", 1, 1
	return s
}

func switchSchema() *schema {
	return object("",
		key("margin", "Who serves now stays until a challenger scores better by this part.", percentage()).by("10%"),
		key("dwell", "The present choice stands for at least so long: 0s to 24h.", duration()).by("60s"),
		key("failback", "Whoever was given up is not chosen again of free will for so long: 0s to 24h. Default: 6m in policies with score: auto, none in others.", duration()).like("6m"),
		key("max_shift", "At most this share of a group's clients moves in a minute. Default: no bound.", matching(`^[^/%]*%\s*/\s*m\s*i\s*n\s*$`)).like("20%/min"),
		key("max_shift_global", "At most this share of all the policy's clients moves in a minute, over all regions and services together. Default: no bound.", matching(`^[^/%]*%\s*/\s*m\s*i\s*n\s*$`)).like("5%/min"),
		key("brake", "In a region nothing is emptied while more than this part of the policy's endpoints turned down at once, whichever provider is left out; off = never.",
			&schema{AnyOf: []*schema{percentage(), word("off")}}).by("50%").like("50%", "off"),
		key("brake_global", "Nothing is emptied anywhere while more than this part of all endpoints of all services, in all regions and in two at least, turned down at once, whichever provider is left out; off = never. With brake: off it is off.",
			&schema{AnyOf: []*schema{percentage(), word("off")}}).by("40%").like("40%", "off"),
		key("brake_window", "What counts as at once, and how long a loss is held back at most: 1s to 1h.", duration()).by("2m"),
		key("freeze", "No voluntary moves until a time.", object("",
			key("until", "When it ends, in RFC 3339.", text()).needed().like("2026-12-24T20:00:00+01:00"),
			key("reason", "Why.", text()).needed(),
			key("author", "Who wants it so.", text()).needed())),
		key("ramp", "An endpoint that recovered gets these parts of its share, one after the other, then all. Default: all at once.",
			list(percentage())).like([]string{"1%", "5%", "25%", "100%"}),
		key("ramp_step", "How long each step lasts: 1s to 1h.", duration()).by("30s"),
	)
}

// variableNames lists variables for people.
func variableNames(variables []variable) string {
	var names []string
	for _, v := range variables {
		names = append(names, fmt.Sprintf("%s (%s)", v.name, typeWord(v.kind)))
	}
	return strings.Join(names, ", ")
}
