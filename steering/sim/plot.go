package sim

import (
	"fmt"
	"html"
	"io"
	"math"
)

// Plot is a drawing of lines, or of points.
type Plot struct {
	X     string `json:"x"` // what is on the axes
	Y     string `json:"y"`
	LogX  bool   `json:"log_x,omitempty"`
	Lines []Line `json:"lines"`
}

// Line is a row of points; a single one is drawn as a dot with its name.
type Line struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

var lineColours = []string{"#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#17becf"}

// WriteSVG draws it.
func (p *Plot) WriteSVG(w io.Writer, title string) error {
	const width, height, left, right, top, bottom = 640, 360, 64, 150, 34, 44
	x, y := p.axes()
	px := func(v float64) float64 { return left + x.at(v)*(width-left-right) }
	py := func(v float64) float64 { return height - bottom - y.at(v)*(height-top-bottom) }
	out := func(format string, a ...any) { fmt.Fprintf(w, format, a...) }
	out(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	out(`<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	out(`<text x="%d" y="18" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(title))
	out(`<text x="%d" y="%d" text-anchor="middle" fill="#555">%s</text>`+"\n", left+(width-left-right)/2, height-8, html.EscapeString(p.X))
	out(`<text transform="translate(14 %d) rotate(-90)" text-anchor="middle" fill="#555">%s</text>`+"\n", top+(height-top-bottom)/2, html.EscapeString(p.Y))
	for _, v := range x.marks() {
		out(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#eee"/>`+"\n", px(v), px(v), top, height-bottom)
		out(`<text x="%.1f" y="%d" text-anchor="middle" fill="#888" font-size="9">%s</text>`+"\n", px(v), height-bottom+13, markText(v))
	}
	for _, v := range y.marks() {
		out(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#eee"/>`+"\n", left, width-right, py(v), py(v))
		out(`<text x="%d" y="%.1f" text-anchor="end" fill="#888" font-size="9">%s</text>`+"\n", left-5, py(v)+3, markText(v))
	}
	for i, l := range p.Lines {
		colour := lineColours[i%len(lineColours)]
		path := ""
		for n, point := range l.Points {
			path += fmt.Sprintf("%s%.1f %.1f", map[bool]string{true: "M", false: " L"}[n == 0], px(point[0]), py(point[1]))
			out(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", px(point[0]), py(point[1]), colour)
		}
		if len(l.Points) > 1 {
			out(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", path, colour)
		}
		out(`<text x="%d" y="%d" fill="%s">%s</text>`+"\n", width-right+10, top+10+15*i, colour, html.EscapeString(l.Name))
	}
	_, err := fmt.Fprintln(w, "</svg>")
	return err
}

// axis is a stretch of values, perhaps by their logarithm.
type axis struct {
	low, high float64
	log       bool
}

func (p *Plot) axes() (x, y axis) {
	x, y = axis{math.Inf(1), math.Inf(-1), p.LogX}, axis{0, math.Inf(-1), false}
	for _, l := range p.Lines {
		for _, point := range l.Points {
			x.low, x.high = min(x.low, point[0]), max(x.high, point[0])
			y.low, y.high = min(y.low, point[1]), max(y.high, point[1])
		}
	}
	for _, a := range []*axis{&x, &y} {
		if !(a.high > a.low) {
			a.low, a.high = min(a.low, a.high-1), a.low+1
		}
	}
	y.high += 0.05 * (y.high - y.low)
	return x, y
}

// at is where a value is on the axis, 0..1.
func (a axis) at(v float64) float64 {
	if a.log && a.low > 0 {
		return math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return (v - a.low) / (a.high - a.low)
}

// marks are some round values.
func (a axis) marks() (list []float64) {
	if a.log && a.low > 0 {
		for decade := math.Pow(10, math.Floor(math.Log10(a.low))); decade <= a.high; decade *= 10 {
			for _, n := range []float64{1, 2, 5} {
				if v := n * decade; v >= a.low*0.999 && v <= a.high*1.001 {
					list = append(list, v)
				}
			}
		}
		return list
	}
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/4)))
	for _, n := range []float64{5, 2} {
		if (a.high-a.low)/(n*step) >= 4 {
			step *= n
			break
		}
	}
	for v := math.Ceil(a.low/step) * step; v <= a.high; v += step {
		list = append(list, v)
	}
	return list
}

func markText(v float64) string { return fmt.Sprintf("%.4g", math.Round(v*1e6)/1e6) }
