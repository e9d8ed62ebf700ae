package policies

import (
	"fmt"
	"strings"
	"time"

	"fairway/steering"
)

// The defaults of the mass-down brake.
const (
	defaultBrake       = 0.5
	defaultBrakeGlobal = 0.4
	defaultBrakeWindow = 2 * time.Minute
)

func builtinBrake() steering.Brake {
	return steering.Brake{Above: defaultBrake, AboveAll: defaultBrakeGlobal, Within: defaultBrakeWindow}
}

// brake reads when so much turns down at once that it is not believed. Without the
// one for regions there is none for all of them either, unless it is asked for.
func (f fields) brake() steering.Brake {
	b := builtinBrake()
	b.Within = f.duration("brake_window", defaultBrakeWindow, time.Second, time.Hour)
	above, on := f.brakeAbove("brake", defaultBrake)
	b.Above = above
	if !on {
		b.Above, b.AboveAll = 1, 0
	}
	if _, ok := f.under("brake_global"); ok {
		all, everywhere := f.brakeAbove("brake_global", defaultBrakeGlobal)
		if b.AboveAll = all; !everywhere {
			b.AboveAll = 0
		}
	}
	if !on && b.AboveAll == 0 {
		if w, ok := f.under("brake_window"); ok {
			w.c.warn(w.keyAt, "take it out, or write brake: 50%", "%s: brake_window does nothing without a brake", w.subject)
		}
		return steering.Brake{}
	}
	return b
}

// brakeAbove reads a part of the endpoints, or that no part is too much (off).
func (f fields) brakeAbove(key string, otherwise float64) (above float64, on bool) {
	v, ok := f.under(key)
	switch {
	case !ok:
		return otherwise, true
	case v.node.Value == "off":
		return 0, false
	case !strings.HasSuffix(v.node.Value, "%"):
		v.wrong("a percentage or off", fmt.Sprintf("write %s: %.0f%%, or %s: off", key, 100*otherwise, key))
		return otherwise, true
	}
	n, ok := v.percent()
	if ok && n == 0 {
		v.fault(fmt.Sprintf("write a larger part, such as %.0f%%, or off", 100*otherwise), "0%% would hold back the loss of any two providers")
	}
	if !ok || n == 0 {
		return otherwise, true
	}
	return n, true
}

// freeze reads until when nothing moves voluntarily, and who wants it so.
func (v value) freeze() *steering.FreezeSpec {
	f, _ := v.fields("until reason author")
	z := &steering.FreezeSpec{Place: v.place()}
	if until, ok := f.require("until", "say when it ends, such as until: 2026-12-24T20:00:00Z"); ok {
		var err error
		if z.Until, err = time.Parse(time.RFC3339, until.node.Value); err != nil { // with quotes or without
			until.wrong("a time with its zone", "write it as 2026-12-24T20:00:00+01:00")
		}
	}
	z.Reason, z.Author = f.line("reason"), f.line("author")
	return z
}

// line reads one line of text that must be there.
func (f fields) line(key string) string {
	v, ok := f.require(key, "say it for whoever asks later")
	if !ok {
		return ""
	}
	s, _ := v.text()
	return strings.TrimSpace(s)
}

// onBlind reads what to do when nothing is measured any more.
func (f fields) onBlind() steering.OnBlind {
	const remedy = "use last, static or static:10m"
	v, ok := f.under("on_blind")
	if !ok {
		return steering.OnBlind{}
	}
	s, ok := v.text()
	if !ok {
		return steering.OnBlind{}
	}
	mode, after, timed := strings.Cut(s, ":")
	switch {
	case mode == "last" && !timed:
		return steering.OnBlind{}
	case mode == "static" && !timed:
		return steering.OnBlind{Static: true}
	case mode == "static":
		node := *v.node
		node.Value = strings.TrimSpace(after)
		timeOf := v
		timeOf.node = &node
		d, _ := timeOf.duration(time.Second, 7*24*time.Hour)
		return steering.OnBlind{Static: true, After: d}
	}
	v.fault(remedy, "%q is not a choice", clip(s))
	return steering.OnBlind{}
}
