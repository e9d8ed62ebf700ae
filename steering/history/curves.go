package history

import (
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// Curves are the health of some subjects in one region over a time, drawn fine enough
// to look at.
type Curves struct {
	From time.Time `json:"from"`
	// Step is how long a point stands for, in seconds. Point i begins at From + i × Step.
	Step    float64  `json:"step_seconds"`
	Rows    []Curve  `json:"rows"` // by subject
	Changes []Change `json:"changes"`

	prefix string
	region string
	step   time.Duration
	points int
	known  map[steering.Subject]int // index in Rows
}

// Curve is one subject's points. Where nothing was written down in a point's time, its
// verdict is a blank and its figures are 0.
type Curve struct {
	Subject      steering.Subject `json:"subject"`
	Verdicts     string           `json:"verdicts"` // the worst of each point: h, d, x (down), u, or a blank
	P50Ms        []float64        `json:"p50_ms"`
	P95Ms        []float64        `json:"p95_ms"`
	Availability []float64        `json:"availability"`
	verdicts     []byte
}

const (
	mostPoints  = 240
	mostChanges = 500 // the newest are kept
)

// letters are the verdicts in a Curve, by how bad they are: what is not known is less
// worth telling than what is.
var letters = [...]byte{steering.Unknown: 'u', steering.Healthy: 'h', steering.Degraded: 'd', steering.Down: 'x'}

// NewCurves begins the curves of all subjects whose name begins like this.
func NewCurves(from, to time.Time, prefix, region string) *Curves {
	step := max(time.Minute, to.Sub(from)/mostPoints).Round(time.Second)
	return &Curves{
		From: from, Step: step.Seconds(), Rows: []Curve{}, Changes: []Change{}, prefix: prefix, region: region, step: step,
		points: int(to.Sub(from)/step) + 1, known: make(map[steering.Subject]int),
	}
}

// Every is how far apart states may be without a point going without one.
func (c *Curves) Every() time.Duration { return c.step }

// Add takes in an entry; entries come the oldest first.
func (c *Curves) Add(e *Entry) {
	for _, change := range e.Changes {
		if change.Region == c.region && strings.HasPrefix(string(change.Subject), c.prefix) {
			c.Changes = append(c.Changes, change)
			c.worsen(change.Subject, change.At, change.To)
		}
	}
	if over := len(c.Changes) - mostChanges; over > 0 {
		c.Changes = slices.Delete(c.Changes, 0, over)
	}
	if e.State == nil {
		return
	}
	for subject := range e.State.Health.All {
		if !strings.HasPrefix(string(subject), c.prefix) {
			continue
		}
		h := e.State.Health.Get(subject, c.region)
		if h == (steering.Health{}) {
			continue
		}
		if row, i := c.worsen(subject, e.At, h.Verdict); i >= 0 && h.Samples > 0 {
			row.P50Ms[i], row.P95Ms[i], row.Availability[i] = inMs(h.P50), inMs(h.P95), h.Availability
		}
	}
}

// worsen has a subject's point tell of a verdict, if it tells of none that is worse.
func (c *Curves) worsen(subject steering.Subject, at time.Time, v steering.Verdict) (*Curve, int) {
	row := c.row(subject)
	i := int(at.Sub(c.From) / c.step)
	if at.Before(c.From) || i >= c.points {
		return row, -1
	}
	if was := row.verdicts[i]; was == ' ' || slices.Index(letters[:], was) < int(v) {
		row.verdicts[i] = letters[v]
	}
	return row, i
}

func (c *Curves) row(subject steering.Subject) *Curve {
	at, known := c.known[subject]
	if !known {
		at = len(c.Rows)
		c.known[subject] = at
		c.Rows = append(c.Rows, Curve{
			Subject: subject, verdicts: []byte(strings.Repeat(" ", c.points)),
			P50Ms: make([]float64, c.points), P95Ms: make([]float64, c.points), Availability: make([]float64, c.points),
		})
	}
	return &c.Rows[at]
}

// Done gives what was added.
func (c *Curves) Done() *Curves {
	for i := range c.Rows {
		c.Rows[i].Verdicts = string(c.Rows[i].verdicts)
	}
	slices.SortFunc(c.Rows, func(a, b Curve) int { return strings.Compare(string(a.Subject), string(b.Subject)) })
	clear(c.known)
	return c
}

// inMs rounds to hundredths: nobody looks closer.
func inMs(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
