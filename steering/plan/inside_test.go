package plan

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"fairway/steering"
)

// TestOlderKnowsEveryTime fills every time in a Memory, of whatever later
// releases add, and looks whether each grew older.
func TestOlderKnowsEveryTime(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	var m steering.Memory
	v := reflect.ValueOf(&m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Type() {
		case reflect.TypeFor[time.Time]():
			f.Set(reflect.ValueOf(at))
		case reflect.TypeFor[map[string]time.Time]():
			f.Set(reflect.ValueOf(map[string]time.Time{"x": at}))
		}
	}
	v = reflect.ValueOf(older(m, time.Minute))
	times := 0
	for i := range v.NumField() {
		got, is := v.Field(i).Interface().(time.Time)
		if m, isMap := v.Field(i).Interface().(map[string]time.Time); isMap {
			got, is = m["x"], true
		}
		if !is {
			continue
		}
		times++
		if want := at.Add(-time.Minute); !got.Equal(want) {
			t.Errorf("Memory.%s is %v, want %v: older must know it", v.Type().Field(i).Name, got, want)
		}
	}
	if times == 0 {
		t.Error("no time was found in a Memory")
	}
	if got := older(steering.Memory{}, time.Minute); !reflect.DeepEqual(got, steering.Memory{}) {
		t.Errorf("nothing became %+v", got)
	}
}

// prefixes is a table of a few prefixes, slow and easy to see to be right.
type prefixes struct {
	cells []steering.Cell
	in    map[netip.Prefix]uint32
}

func (p prefixes) Cells() []steering.Cell { return p.cells }

func (p prefixes) Locate(a netip.Addr) (uint32, int) {
	for prefix, cell := range p.in {
		if prefix.Contains(a) {
			return cell, prefix.Bits()
		}
	}
	for bits := 0; ; bits++ {
		around, _ := a.Prefix(bits)
		free := true
		for prefix := range p.in {
			free = free && !prefix.Overlaps(around)
		}
		if free {
			return 0, bits
		}
	}
}

func TestSurvey(t *testing.T) {
	cells := []steering.Cell{{Region: steering.DefaultRegion}, {Region: "a"}, {Region: "b"}}
	before := prefixes{cells, map[netip.Prefix]uint32{
		netip.MustParsePrefix("20.0.0.0/8"):      1,
		netip.MustParsePrefix("10.1.0.0/16"):     2, // private, and nothing else: it counts
		netip.MustParsePrefix("192.168.0.0/16"):  1, // private beside public: it does not
		netip.MustParsePrefix("2001:db8::/48"):   2, // IPv6 beside IPv4: it does not
		netip.MustParsePrefix("198.51.100.0/28"): 1,
	}}
	after := prefixes{cells, map[netip.Prefix]uint32{
		netip.MustParsePrefix("20.0.0.0/9"):     1,
		netip.MustParsePrefix("20.128.0.0/9"):   2,
		netip.MustParsePrefix("10.1.0.0/16"):    2,
		netip.MustParsePrefix("2001:db8::/48"):  2,
		netip.MustParsePrefix("2001:db9::/112"): 1, // in one cell before, IPv6 only
	}}
	got := make(map[pair]stratum)
	for _, s := range survey(before, after, 1000) {
		got[pair{s.before, s.after}] = s
		seen := make(map[netip.Prefix]bool)
		for _, client := range s.clients {
			b, _ := before.Locate(client)
			a, _ := after.Locate(client)
			if b != s.before || a != s.after {
				t.Errorf("%v was taken for %d to %d, it is in %d to %d", client, s.before, s.after, b, a)
			}
			network, _ := client.Prefix(map[bool]int{true: 24, false: 56}[client.Is4()])
			if seen[network] {
				t.Errorf("%v stands for two clients of %d to %d", network, s.before, s.after)
			}
			seen[network] = true
		}
	}
	for p, want := range map[pair]float64{
		{1, 1}: 1 << 15, {1, 2}: 1 << 15, {2, 2}: 1 << 8, {0, 1}: 1, {1, 0}: 16. / 256,
	} {
		if n := got[p].networks; n != want {
			t.Errorf("%v counts %v networks, want %v", p, n, want)
		}
	}
	if n := len(got[pair{1, 1}].clients); n != 999 && n != 1000 {
		t.Errorf("%d clients for the whole of region a, want 1000", n)
	}
	if n := len(got[pair{1, 2}].clients); n < 900 {
		t.Errorf("%d clients for most of region b, want more", n)
	}
}
