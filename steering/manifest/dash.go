package manifest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// DASH makes an MPD steerable.
func DASH(mpd string, o Options) (string, error) {
	found, err := readMPD(mpd, &o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(len(mpd) + 200*len(o.Pathways))
	// copyTo copies a part of the MPD without what is cut.
	from := 0
	copyTo := func(to int) {
		for len(found.cuts) > 0 && found.cuts[0].to <= to {
			b.WriteString(mpd[from:found.cuts[0].from])
			from, found.cuts = found.cuts[0].to, found.cuts[1:]
		}
		b.WriteString(mpd[from:to])
		from = to
	}
	copyTo(found.at)
	if err := o.writeDASH(&b, found); err != nil {
		return "", err
	}
	if o.asks(found) && found.described >= 0 {
		copyTo(found.described)
		o.CMCD.write(&b)
	}
	copyTo(len(mpd))
	return b.String(), nil
}

// writeDASH writes the BaseURLs, the steering server and, where the MPD has no
// ServiceDescription for it, what players are asked to report.
func (o *Options) writeDASH(b *strings.Builder, found *layout) error {
	for _, p := range o.Pathways {
		base, err := o.signed(p, found.base)
		if err != nil {
			return refuse(0, "pathway %s: %v", p.ID, err)
		}
		b.WriteString(`<BaseURL serviceLocation="` + escape(p.ID) + `">` + escape(base) + "</BaseURL>\n  ")
	}
	if o.asks(found) && found.described < 0 {
		b.WriteString(`<ServiceDescription id="0">`)
		o.CMCD.write(b)
		b.WriteString("</ServiceDescription>\n  ")
	}
	if o.Steering != "" {
		b.WriteString(`<ContentSteering defaultServiceLocation="` + escape(o.Pathways[0].ID) + `" queryBeforeStart="true">` + escape(o.Steering) + "</ContentSteering>\n  ")
	}
	return nil
}

// asks tells whether the MPD gets a ClientDataReporting: not beside its own.
func (o *Options) asks(found *layout) bool { return o.CMCD != nil && !found.reports }

// write writes what players are asked to report (ISO/IEC 23009-1, K.4.2.9).
func (c *CMCD) write(b *strings.Builder) {
	mode := "query"
	if c.Header {
		mode = "header"
	}
	scheme := "urn:mpeg:dash:cta-5004:2023"
	if c.Version > 1 {
		scheme = "urn:dashif:cta-5004:2025"
	}
	b.WriteString(`<ClientDataReporting schemeIdUri="` + scheme + `"><CMCDParameters schemeIdUri="` + scheme +
		`" version="` + strconv.Itoa(c.Version) + `" mode="` + mode + `" includeInRequests="segment"`)
	if len(c.Keys) > 0 {
		b.WriteString(` keys="` + escape(strings.Join(c.Keys, " ")) + `"`)
	}
	if c.Session != "" {
		b.WriteString(` sessionID="` + escape(c.Session) + `"`)
	}
	b.WriteString(`/></ClientDataReporting>`)
}

func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text)) // into a Builder: it cannot fail
	return b.String()
}

// span is a part of the MPD that goes.
type span struct{ from, to int }

// layout is where an MPD is cut and added to.
type layout struct {
	cuts []span
	at   int    // where the pathways are written
	base string // the MPD's own BaseURL; empty = its folder

	described int  // the end of what is in the first ServiceDescription; -1 = there is none
	reports   bool // the MPD has a ClientDataReporting of its own
}

// readMPD finds what is removed from an MPD, and where the pathways are written:
// behind ProgramInformation, where the schema has BaseURL.
func readMPD(mpd string, o *Options) (*layout, error) {
	d := xml.NewDecoder(strings.NewReader(mpd))
	found := &layout{at: -1, described: -1}
	depth, describing := 0, false
	for {
		from := int(d.InputOffset())
		token, err := d.Token()
		line, _ := d.InputPos()
		if errors.Is(err, io.EOF) && depth == 0 && found.at >= 0 {
			return found, nil
		}
		if err != nil {
			return nil, refuse(line, "not an MPD: %v", err)
		}
		switch t := token.(type) {
		case xml.EndElement:
			depth--
			if describing && depth == 1 {
				if describing = false; from < int(d.InputOffset()) { // else it was <ServiceDescription/>
					found.described = from
				}
			}
		case xml.StartElement:
			if to := remote(t.Attr); to != "" {
				return nil, refuse(line, "xlink:href %s is relative to the MPD: it would lead to where the MPD is handed out. Have it absolute", to)
			}
			switch name := t.Name.Local; {
			case depth == 0:
				if name != "MPD" {
					return nil, refuse(line, "not an MPD: its root is %s", name)
				}
				if found.at = int(d.InputOffset()); strings.HasSuffix(mpd[:found.at], "/>") {
					return nil, refuse(line, "an MPD without a Period")
				}
				depth++
			case depth == 1 && name == "ProgramInformation":
				if _, err := content(d); err != nil {
					return nil, refuse(line, "not an MPD: %v", err)
				}
				found.at = int(d.InputOffset())
			case depth == 1 && name == "ServiceDescription":
				describing = found.described < 0
				depth++
			case name == "ClientDataReporting":
				found.reports = true
				depth++
			case name == "BaseURL", depth == 1 && (name == "Location" || name == "PatchLocation" || name == "ContentSteering"):
				text, err := content(d)
				if err == nil && name == "BaseURL" {
					err = found.baseURL(o, text, depth)
				}
				if err != nil {
					return nil, refuse(line, "%v", err)
				}
				if depth == 1 {
					found.cuts = append(found.cuts, span{from, int(d.InputOffset())})
				}
			default:
				depth++
			}
		}
	}
}

// remote is where an element is, if that is said relative to the MPD (ISO/IEC 23009-1
// §5.5.2); empty: it is here, or somewhere else.
func remote(list []xml.Attr) string {
	for _, a := range list {
		if a.Name.Local == "href" && (a.Name.Space == "http://www.w3.org/1999/xlink" || a.Name.Space == "xlink") && !hasScheme(a.Value) {
			return a.Value
		}
	}
	return ""
}

// baseURL looks at a BaseURL at some depth: the MPD's own is replaced, and those
// below must stay relative to it.
func (l *layout) baseURL(o *Options, text string, depth int) error {
	ours := !hasScheme(text) && !strings.HasPrefix(text, "//")
	for _, origin := range o.Origins {
		ours = ours || strings.HasPrefix(text, origin+"/")
	}
	switch {
	case depth == 1 && !ours:
		return fmt.Errorf("BaseURL %s is not below an origin of the pool: the pathways would have other media", text)
	case depth > 1 && (hasScheme(text) || strings.HasPrefix(text, "/")):
		return fmt.Errorf("BaseURL %s is absolute: it would lead past the pathways", text)
	case depth == 1 && l.base == "":
		l.base = strings.TrimPrefix(text, "./")
	}
	return nil
}

// content reads an element to its end and gives its text.
func content(d *xml.Decoder) (string, error) {
	var text strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			if err := d.Skip(); err != nil {
				return "", err
			}
		case xml.EndElement:
			return strings.TrimSpace(text.String()), nil
		}
	}
}
