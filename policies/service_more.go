package policies

import (
	"time"

	"fairway/steering"
)

// shortTTL is what the TTL of a service may shrink to when nothing is said.
const shortTTL = 5 * time.Second

// ttlBounds reads between what bounds the TTL may move, and how far it does when
// nothing is said: down to 5s, never up.
func (f fields) ttlBounds(s *steering.Service) {
	s.TTLMin = f.seconds("ttl_min", min(shortTTL, s.TTL), time.Second, time.Hour)
	s.TTLMax = f.seconds("ttl_max", s.TTL, time.Second, 24*time.Hour)
	if v, ok := f.under("ttl_min"); ok && s.TTLMin > s.TTL {
		v.fault("use the ttl or less", "%s is more than the ttl of %s", FormatDuration(s.TTLMin), FormatDuration(s.TTL))
	}
	if v, ok := f.under("ttl_max"); ok && s.TTLMax < s.TTL {
		v.fault("use the ttl or more", "%s is less than the ttl of %s", FormatDuration(s.TTLMax), FormatDuration(s.TTL))
	}
}
