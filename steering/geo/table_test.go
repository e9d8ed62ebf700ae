package geo

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"fairway/steering"
)

func TestLocateOfNoAddress(t *testing.T) {
	t.Parallel()
	table := compile(t, Config{Regions: demo()})
	if cell, bits := table.Locate(netip.Addr{}); cell != 0 || bits != 0 {
		t.Errorf("Locate of an invalid address = %d, /%d, want 0, /0", cell, bits)
	}
	if want := (steering.Cell{Region: steering.DefaultRegion}); table.Cells()[0] != want {
		t.Errorf("cell 0 = %+v, want %+v", table.Cells()[0], want)
	}
}

func TestLocateBits(t *testing.T) {
	t.Parallel()
	table := compile(t, Config{
		Databases: []string{writeMMDB(t, "GeoLite2-Country", []entry{
			{"20.0.0.0/8", place("", "DE", "")}, {"21.0.0.0/8", place("", "AT", "")}, {"22.0.0.0/8", place("", "US", "")},
		})},
		Regions: []steering.Region{
			{Name: "dach", Countries: []string{"DE", "AT", "CH"}},
			{Name: "host", Prefixes: prefixes("9.9.9.9/32", "2a00::1/128")},
			{Name: "end", Prefixes: prefixes("255.0.0.0/8", "ff00::/8")},
		},
	})
	for addr, want := range map[string]int{
		"20.1.2.3": 7, "21.255.255.255": 7, // neighbours in one cell are one
		"22.1.2.3": 7, // 22/8 and 23/8: what is known of 22/8, nobody reads
		"9.9.9.9":  32, "9.9.9.8": 32, "9.9.9.10": 31, "9.9.8.255": 24, "9.9.0.0": 21,
		"255.1.1.1": 8, "254.1.1.1": 8, "128.0.0.1": 2,
		"2a00::1": 128, "2a00::": 128, "2a00::2": 127, "2a00:0:0:1::": 64, "ff02::1": 8, "4000::": 2, "::ffff:9.9.9.9": 32,
	} {
		if _, bits := table.Locate(netip.MustParseAddr(addr)); bits != want {
			t.Errorf("Locate(%s) announces /%d, want /%d", addr, bits, want)
		}
	}
	whole := compile(t, Config{Regions: []steering.Region{{Name: "six", Prefixes: prefixes("::/0")}}})
	for addr, region := range map[string]string{"1.2.3.4": "default", "2a00::": "six", "::": "six"} {
		cell, bits := whole.Locate(netip.MustParseAddr(addr))
		if whole.Cells()[cell].Region != region || bits != 0 {
			t.Errorf("Locate(%s) = %+v, /%d, want region %s, /0", addr, whole.Cells()[cell], bits, region)
		}
	}
}

// The order in which an operator names regions must not matter, nor the run.
func TestCompileIsDeterministic(t *testing.T) {
	t.Parallel()
	reads := steering.Reads{Country: steering.ReadSet{Values: []string{"DE", "BR", "JP"}}}
	first := compile(t, Config{Regions: demo(), Reads: reads})
	regions := demo()
	slices.Reverse(regions)
	second := compile(t, Config{Regions: regions, Reads: reads})
	if !slices.Equal(first.cells, second.cells) || !slices.Equal(first.v4.segments, second.v4.segments) ||
		!slices.Equal(first.v4.buckets, second.v4.buckets) || !slices.Equal(first.v6.cells, second.v6.cells) {
		t.Error("two compilations of the same map differ")
	}
}

func TestNoAllocs(t *testing.T) {
	table := compile(t, Config{Regions: demo(), Reads: readAll})
	addrs := []netip.Addr{
		netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2a00:1450::1"),
		netip.MustParseAddr("::ffff:8.8.8.8"), netip.MustParseAddr("fe80::1%eth0"), {},
	}
	n := testing.AllocsPerRun(100, func() {
		for _, a := range addrs {
			table.Locate(a)
		}
	})
	if n != 0 {
		t.Errorf("Locate allocates %v times in %d calls", n, len(addrs))
	}
}

func unzip(tb testing.TB, packed []byte) []byte {
	tb.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		tb.Fatal(err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

// randomAddrs are spread evenly over IPv4, and over the /12s of IPv6 that the
// registries hand out: harsher on caches than real clients.
func randomAddrs(v6 bool) []netip.Addr {
	rnd := rand.New(rand.NewPCG(1, 2))
	first := []byte{0x20, 0x24, 0x26, 0x28, 0x2a}
	out := make([]netip.Addr, 1<<16)
	for i := range out {
		if n := rnd.Uint64(); v6 {
			out[i] = netip.AddrFrom16([16]byte{first[n%5], byte(n>>8) & 0x0f, byte(n >> 16), byte(n >> 24), byte(n >> 32), byte(n >> 40)})
		} else {
			out[i] = netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
		}
	}
	return out
}

func BenchmarkLocate(b *testing.B) {
	for _, config := range []struct {
		name   string
		config Config
	}{
		{"continents", Config{Regions: demo()}},
		{"countries", Config{Regions: demo(), Reads: steering.Reads{Country: steering.ReadSet{All: true}}}},
	} {
		table := compile(b, config.config)
		for _, family := range []string{"v4", "v6"} {
			addrs := randomAddrs(family == "v6")
			b.Run(config.name+"/"+family, func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					table.Locate(addrs[i&(len(addrs)-1)])
					i++
				}
			})
		}
	}
}

// BenchmarkCompileEmbedded is the part of a server's start that it spends here.
func BenchmarkCompileEmbedded(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		compile(b, Config{Regions: demo(), Reads: readAll})
	}
}
