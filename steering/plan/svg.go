package plan

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"
)

// The picture's measures, in pixels. One row shows a region's clients
// before and after, with ribbons for those who go and those who stay.
const (
	width     = 960.0
	margin    = 32.0
	barsLeft  = 252.0
	barsRight = 752.0
	barHeight = 18.0
	ribbon    = 36.0
	rowPitch  = 2*barHeight + ribbon + 36
	gap       = 1.5 // between segments
	mostRows  = 40
)

// palette tells providers apart on light and dark ground, and bears white text.
var palette = [...]string{"#3b6fb6", "#d2691e", "#3a8f57", "#b8475a", "#7a5cb0", "#a67c14", "#1f8a99", "#85604d", "#5d6b7a"}

// style follows the reader's light or dark preference.
const style = `
  text { font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-size: 12px }
  .ground { fill: #ffffff } .ink { fill: #1c2330 } .soft { fill: #667085 } .line { stroke: #e4e7ec }
  .title { font-size: 24px; font-weight: 650 } .name { font-size: 14px; font-weight: 650 } .number { font-size: 20px; font-weight: 650 }
  .inside { fill: #ffffff; font-size: 11px; font-weight: 550 } .stay { opacity: .16 } .go { opacity: .55 } .worse { fill: #b42318 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #10151d } .ink { fill: #e6eaf0 } .soft { fill: #98a2b3 } .line { stroke: #273040 }
    .stay { opacity: .28 } .go { opacity: .75 } .worse { fill: #f97066 }
  }
`

// SVG draws the rows in which somebody moves.
func (p *Plan) SVG() []byte {
	shown := make([]*Row, 0, len(p.Rows))
	for i := range p.Rows {
		if p.Rows[i].Moved >= visible {
			shown = append(shown, &p.Rows[i])
		}
	}
	hidden := max(0, len(shown)-mostRows)
	shown = shown[:len(shown)-hidden]
	d := &drawing{colours: colours(shown), blends: make(map[string]bool)}
	d.header(p, shown)
	for _, r := range shown {
		d.row(r)
	}
	d.footer(len(p.Rows)-len(shown)-hidden, hidden)
	height := d.y + margin - 8
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s">
<style>%s</style>
<rect class="ground" width="100%%" height="100%%"/>
%s</svg>
`, width, height, width, height, html.EscapeString(p.Summary()), style, d.b.String())
}

// visible is the least share that is shown: what rounds to 0.1 %.
const visible = 0.0005

// drawing is a picture in the making, from top to bottom.
type drawing struct {
	b       strings.Builder
	y       float64
	colours map[string]string
	blends  map[string]bool // those that are defined
}

func (d *drawing) header(p *Plan, shown []*Row) {
	d.y = margin + 20
	d.text(margin, d.y, "ink title", "", fmt.Sprintf("%s of clients move", Percent(p.Moved)))
	d.y += 24
	line := ""
	for _, detail := range p.details() {
		if line != "" && utf8.RuneCountInString(line+detail) > 120 {
			d.text(margin, d.y, "soft", "", line)
			line = ""
			d.y += 19
		}
		if line != "" {
			line += "   ·   "
		}
		line += detail
	}
	d.text(margin, d.y, "soft", "", line)
	d.y += 30
	if len(shown) > 0 {
		d.legend(shown)
	}
}

// legend names the colours, in the order in which they were given.
func (d *drawing) legend(shown []*Row) {
	x := margin
	for _, name := range providers(shown) {
		if w := 26 + 7*float64(utf8.RuneCountInString(orNone(name))); x+w > width-margin {
			x, d.y = margin, d.y+20
		}
		fmt.Fprintf(&d.b, `<rect x="%.1f" y="%.1f" width="12" height="12" rx="3" fill="%s"/>`+"\n", x, d.y-10, d.colours[name])
		d.text(x+18, d.y, "ink", "", orNone(name))
		x += 40 + 7*float64(utf8.RuneCountInString(orNone(name)))
	}
	d.y += 18
}

// footer counts what is not drawn.
func (d *drawing) footer(still, hidden int) {
	var rest []string
	if hidden > 0 {
		rest = append(rest, plural(hidden, "smaller move is", "smaller moves are")+" not drawn")
	}
	if still > 0 {
		rest = append(rest, plural(still, "region × service stays as it is", "regions × services stay as they are"))
	}
	if rest != nil {
		fmt.Fprintf(&d.b, `<line class="line" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/>`+"\n", margin, width-margin, d.y, d.y)
		d.text(margin, d.y+24, "soft", "", strings.Join(rest, "; "))
		d.y += 24
	}
}

// row draws one region and service.
func (d *drawing) row(r *Row) {
	fmt.Fprintf(&d.b, `<line class="line" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/>`+"\n", margin, width-margin, d.y, d.y)
	top := d.y + 17
	d.text(margin, top+13, "ink name", "", r.Region+" · "+r.Service)
	d.text(margin, top+31, "soft", "", Percent(r.Weight)+" of all clients")
	class := "soft"
	if r.slower() {
		class = "worse"
	}
	if r.P95Ms != (Figure{}) {
		d.text(margin, top+48, class, "", fmt.Sprintf("p95 %.0f → %.0f ms", r.P95Ms.Before, r.P95Ms.After))
	}
	if r.PricePerGB != (Figure{}) {
		d.text(margin, top+65, "soft", "", fmt.Sprintf("per GB %.4f → %.4f", r.PricePerGB.Before, r.PricePerGB.After))
	}
	d.flows(r, top)
	right := width - margin
	d.text(right, top+16, "ink number", "end", Percent(r.Moved))
	for i, m := range r.Moves {
		if i == 3 || m.Share < visible {
			break
		}
		d.text(right, top+35+16*float64(i), "soft", "end", fmt.Sprintf("%s → %s", r.Short(m.From), r.Short(m.To)))
	}
	d.y += rowPitch
}

// flows draws the two bars and what runs between them.
func (d *drawing) flows(r *Row, top float64) {
	scale := barsRight - barsLeft
	now, end := make(map[string]float64), make(map[string]float64) // where the next ribbon begins and ends
	x, y := barsLeft, barsLeft
	for _, e := range r.Endpoints {
		now[e.Endpoint], end[e.Endpoint] = x, y
		x += e.Before * scale
		y += e.After * scale
	}
	upper, lower := top+barHeight, top+barHeight+ribbon
	for _, from := range r.Endpoints {
		for _, to := range r.Endpoints {
			w := r.flow(from, to) * scale
			if w < 0.3 {
				continue
			}
			class, fill := "go", d.blend(from.Provider, to.Provider)
			if from.Endpoint == to.Endpoint {
				class, fill = "stay", d.colours[from.Provider]
			}
			a, b, middle := now[from.Endpoint], end[to.Endpoint], (upper+lower)/2
			fmt.Fprintf(&d.b, `<path class="%s" fill="%s" d="M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f L%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f Z"/>`+"\n",
				class, fill, a, upper, a, middle, b, middle, b, lower, b+w, lower, b+w, middle, a+w, middle, a+w, upper)
			now[from.Endpoint] += w
			end[to.Endpoint] += w
		}
	}
	x, y = barsLeft, barsLeft
	for _, e := range r.Endpoints {
		d.segment(x, top, e.Before*scale, d.colours[e.Provider], r.Short(e.Endpoint), e.Before)
		d.segment(y, lower, e.After*scale, d.colours[e.Provider], r.Short(e.Endpoint), e.After)
		x += e.Before * scale
		y += e.After * scale
	}
	d.text(barsLeft-10, top+13, "soft", "end", "before")
	d.text(barsLeft-10, lower+13, "soft", "end", "after")
}

// blend is a fill from one provider's colour above to another's below. It spans
// the ribbon's own box, so one serves all rows.
func (d *drawing) blend(from, to string) string {
	a, b := d.colours[from], d.colours[to]
	if a == b {
		return a
	}
	name := "b" + a[1:] + b[1:]
	if !d.blends[name] {
		d.blends[name] = true
		fmt.Fprintf(&d.b, `<linearGradient id="%s" x1="0" y1="0" x2="0" y2="1"><stop offset=".1" stop-color="%s"/><stop offset=".9" stop-color="%s"/></linearGradient>`+"\n", name, a, b)
	}
	return "url(#" + name + ")"
}

// segment draws a part of a bar, with its name where there is room.
func (d *drawing) segment(x, y, w float64, colour, name string, share float64) {
	if w < 0.3 {
		return
	}
	fmt.Fprintf(&d.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="3" fill="%s"/>`+"\n", x, y, max(w-gap, 0.5), barHeight, colour)
	for _, label := range []string{name + "  " + Percent(share), name, Percent(share)} {
		if 6.4*float64(utf8.RuneCountInString(label))+16 < w {
			d.text(x+7, y+13, "inside", "", label)
			return
		}
	}
}

func (d *drawing) text(x, y float64, class, anchor, text string) {
	if anchor != "" {
		anchor = fmt.Sprintf(` text-anchor="%s"`, anchor)
	}
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" class="%s"%s xml:space="preserve">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

// flow is the share of the row's clients that go from one endpoint to another,
// or stay.
func (r *Row) flow(from, to Share) float64 {
	stays := from.Before
	for _, m := range r.Moves {
		if m.From == from.Endpoint && m.To == to.Endpoint {
			return m.Share
		}
		if m.From == from.Endpoint {
			stays -= m.Share
		}
	}
	if from.Endpoint == to.Endpoint {
		return stays
	}
	return 0
}

// Short names an endpoint without its service, which the row names already.
func (r *Row) Short(endpoint string) string {
	return orNone(strings.TrimPrefix(endpoint, r.Service+"/"))
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

func providers(rows []*Row) []string {
	var names []string
	for _, r := range rows {
		for _, e := range r.Endpoints {
			names = append(names, e.Provider)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func colours(rows []*Row) map[string]string {
	list := make(map[string]string)
	for i, name := range providers(rows) {
		list[name] = palette[i%len(palette)]
	}
	return list
}
