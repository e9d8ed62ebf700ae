package steering

import (
	"fmt"
	"time"
)

// References are neutral things outside by which a vantage tells whether its own
// network works. What it measures counts only while enough of them answer.
type References struct {
	Targets []string      // URLs: http or https, of which any answer will do, or tcp://host:port
	Need    int           // so many must answer; 0 = there are no references
	Every   time.Duration // from start to start, default 10 s
	Timeout time.Duration // of one, default 2 s
}

// Condition is what a vantage says of itself.
type Condition struct {
	Ill   bool      `json:"ill"` // too few references answer: what it measures says nothing of CDNs
	Fine  int       `json:"fine"`
	Of    int       `json:"of"`
	Need  int       `json:"need"`
	Why   string    `json:"why,omitempty"` // an example of what failed
	Since time.Time `json:"since,omitzero"`
}

// String says it in a few words, for people.
func (c Condition) String() string {
	if c.Of == 0 {
		return "it has no references"
	}
	text := fmt.Sprintf("%d of %d references fail, %d must answer", c.Of-c.Fine, c.Of, c.Need)
	if c.Why != "" {
		text += " (" + c.Why + ")"
	}
	return text
}
