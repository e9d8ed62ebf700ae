package certs

import "time"

// mostLate is how long before its end a certificate of whatever life should have given way.
const mostLate = 21 * 24 * time.Hour

// Late tells whether a certificate should have been renewed by now: less than a quarter of
// its life is left, and less than three weeks. Who renews by ACME begins with a third left
// (RFC 9773 leaves it to the authority, and they say about as much), or half of a short life;
// so something has failed for a while, and there is time to mend it.
func Late(notBefore, notAfter, now time.Time) bool {
	return notAfter.Sub(now) < min(notAfter.Sub(notBefore)/4, mostLate)
}
