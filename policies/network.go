package policies

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fairway/steering"
)

// vantages compiles the places where probes run; without any there is one,
// called local.
func (c *compiler) vantages() []steering.Vantage {
	var all []steering.Vantage
	for _, v := range c.each(vantage) {
		f, _ := v.fields("region network bind resolver source")
		one := steering.Vantage{Name: v.name, Region: steering.DefaultRegion, Place: v.home()}
		if name := f.refer("region", region); name != "" {
			one.Region = name
		}
		one.Network = f.text("network")
		if bind, ok := f.under("bind"); ok {
			one.Bind, _ = bind.address()
		}
		one.Resolver = f.resolver()
		one.External = f.choice("source", "probes", "probes", "outside") == "outside"
		all = append(all, one)
	}
	if len(all) == 0 {
		return []steering.Vantage{{Name: "local", Region: steering.DefaultRegion}}
	}
	return all
}

// regions compiles the network map. The default region is in the result only
// when the files give it a pool or vantages.
func (c *compiler) regions() []steering.Region {
	claims := make(map[string]claim)
	var all []steering.Region
	for _, v := range c.each(region) {
		f, _ := v.fields("prefixes asns subdivisions countries continents measured_by within pool")
		r := steering.Region{
			Name:         v.name,
			Prefixes:     f.prefixes(),
			ASNs:         f.asns(),
			Subdivisions: f.codes("subdivisions", "an ISO 3166-2 subdivision", "write it as US-CA", isSubdivision),
			Countries:    f.codes("countries", "an ISO 3166-1 country", "write two capital letters, such as DE", isCountry),
			Continents:   f.codes("continents", "a continent", "use AF, AN, AS, EU, NA, OC or SA", isContinent),
			MeasuredBy:   f.referAll("measured_by", vantage),
			Within:       f.refer("within", region),
			Pool:         f.refer("pool", pool),
			Place:        v.home(),
		}
		c.checkMatchers(f, r)
		c.checkClaims(claims, f)
		all = append(all, r)
	}
	c.joinParts(all)
	return all
}

// joinParts gives regions that are parts of others what they do not say themselves.
func (c *compiler) joinParts(regions []steering.Region) {
	byName := make(map[string]*steering.Region)
	for i := range regions {
		byName[regions[i].Name] = &regions[i]
	}
	for i := range regions {
		r := &regions[i]
		if r.Within == "" {
			continue
		}
		whole := byName[r.Within]
		switch {
		case r.Name == steering.DefaultRegion:
			c.fault(r.Place, "take within out", "region %q is no part of another: it holds every client that no region claims", r.Name)
		case r.Within == r.Name:
			c.fault(r.Place, "name the region that it is a part of, or take within out", "region %q is within itself", r.Name)
		case whole != nil && whole.Within != "":
			c.fault(r.Place, "name "+whole.Within+", of which both are parts", "region %q is within %q, which is itself a part of another: parts have no parts", r.Name, r.Within)
		case whole != nil && r.Pool == "":
			r.Pool = whole.Pool
		}
	}
}

// priceParts has a provider's price in a region hold in its parts, where none of
// their own is stated. Caps are not copied: all parts together keep to one.
func priceParts(revision *steering.Revision) {
	for _, p := range revision.Providers {
		for i := range revision.Regions {
			r := &revision.Regions[i]
			whole, stated := p.Regions[r.Within]
			if own := p.Regions[r.Name]; stated && r.Within != "" && whole.PricePerGB != nil && own.PricePerGB == nil {
				own.PricePerGB = whole.PricePerGB
				p.Regions[r.Name] = own
			}
		}
	}
}

// matchers are the keys of a region that select clients, most specific first.
var matchers = []string{"prefixes", "asns", "subdivisions", "countries", "continents"}

// checkMatchers reports a default region that selects, and others that do not.
func (c *compiler) checkMatchers(f fields, r steering.Region) {
	some := false
	for _, key := range matchers {
		m, ok := f.under(key)
		some = some || ok
		if ok && m.node.Tag == "!!seq" && len(m.node.Content) == 0 {
			m.fault("name something, or leave the key out", "is empty")
		}
		if ok && r.Name == steering.DefaultRegion {
			c.fault(m.keyAt, "take it out, or give the region another name",
				"region %q holds every client that no other region claims; it cannot select by %s", r.Name, key)
		}
	}
	if !some && r.Name != steering.DefaultRegion {
		c.warn(r.Place, "add prefixes, asns, subdivisions, countries or continents",
			"region %q selects nothing: no client can be in it", r.Name)
	}
}

// claim is one value of a region's most specific matcher.
type claim struct {
	region string
	at     value
	rest   fields
}

// checkClaims reports a second region with an equal claim: the same kinds of
// matcher (they are ANDed) and a value in common for each of them. Other
// overlaps are decided by which is more specific.
func (c *compiler) checkClaims(claims map[string]claim, f fields) {
	var kinds []string
	for _, key := range matchers {
		if _, ok := f.under(key); ok {
			kinds = append(kinds, key)
		}
	}
	if len(kinds) == 0 {
		return
	}
	shape := strings.Join(kinds, "+")
	for _, item := range quietItems(f.byKey[kinds[0]]) {
		// Regions that share this value but differ in another matcher do not
		// clash, so each value has a chain of claims.
		for n := 0; ; n++ {
			id := fmt.Sprintf("%s %s %d", shape, canonical(item.node.Value), n)
			earlier, taken := claims[id]
			if !taken {
				claims[id] = claim{region: f.name, at: item, rest: f}
				break
			}
			if earlier.region != f.name && allMeet(kinds[1:], earlier.rest, f) {
				first, second := earlier, claim{region: f.name, at: item}
				if second.at.before(first.at) {
					first, second = second, first
				}
				c.fault(second.at.place(), "leave it to one of them, or add a narrower key to one",
					"regions %q and %q both claim %s of %s, first at %s",
					first.region, second.region, strings.TrimSpace(item.node.Value), shape, first.at.place())
				break
			}
		}
	}
}

// before tells whether a value stands earlier in the files than another.
func (v value) before(o value) bool {
	if v.src.name != o.src.name {
		return v.src.name < o.src.name
	}
	return v.node.Line < o.node.Line || (v.node.Line == o.node.Line && v.node.Column < o.node.Column)
}

// allMeet tells whether two regions have a value in common for every kind.
func allMeet(kinds []string, a, b fields) bool {
	for _, kind := range kinds {
		if !slices.ContainsFunc(quietItems(a.byKey[kind]), func(x value) bool {
			return slices.ContainsFunc(quietItems(b.byKey[kind]), func(y value) bool {
				return canonical(x.node.Value) == canonical(y.node.Value)
			})
		}) {
			return false
		}
	}
	return true
}

// quietItems returns a list's items without reporting anything: its types were
// checked before.
func quietItems(v value) []value {
	if v.node == nil || v.node.Tag != "!!seq" {
		return nil
	}
	items, _ := v.list()
	return items
}

// canonical writes equal prefixes alike; other values stay as they are.
func canonical(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()).String()
	}
	return s
}

func (f fields) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, item := range f.texts("prefixes") {
		if p, ok := item.prefix(); ok {
			all = append(all, p)
		}
	}
	return all
}

func (f fields) asns() []uint32 {
	v, ok := f.under("asns")
	if !ok {
		return nil
	}
	items, _ := v.list()
	seen := make(map[int64]value, len(items))
	var all []uint32
	for _, item := range items {
		if digits, isText := strings.CutPrefix(strings.ToUpper(item.node.Value), "AS"); isText && item.node.Tag == "!!str" {
			if n, err := strconv.ParseUint(digits, 10, 32); err == nil && n > 0 {
				item.fault(fmt.Sprintf("write the number alone: %d", n), "want a number, have %s", item.describe())
				continue
			}
		}
		n, ok := item.integer(1, 1<<32-1)
		if !ok {
			continue
		}
		if earlier, twice := seen[n]; twice {
			item.fault("keep one of the two", "%d stands twice, first at %s", n, earlier.place())
			continue
		}
		seen[n] = item
		all = append(all, uint32(n))
	}
	return all
}

// codes reads a list of codes that valid knows.
func (f fields) codes(key, what, remedy string, valid func(string) bool) []string {
	var all []string
	for _, item := range f.texts(key) {
		switch code := item.node.Value; {
		case valid(code):
			all = append(all, code)
		case valid(strings.ToUpper(code)):
			item.fault("write "+strings.ToUpper(code), "%q is not in capitals", code)
		default:
			item.fault(remedy, "%q is not %s", clip(code), what)
		}
	}
	return all
}

var subdivisionForm = regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`)

func isSubdivision(s string) bool { return subdivisionForm.MatchString(s) && isCountry(s[:2]) }

// IsCountry tells whether a text is an ISO 3166-1 code that regions and rules
// may name.
func IsCountry(s string) bool { return isCountry(s) }

// IsSubdivision tells the same of ISO 3166-2.
func IsSubdivision(s string) bool { return isSubdivision(s) }

func isCountry(s string) bool {
	return len(s) == 2 && !strings.Contains(s, " ") && strings.Contains(" "+countries+" ", " "+s+" ")
}

func isContinent(s string) bool {
	return len(s) == 2 && !strings.Contains(s, " ") && strings.Contains(" "+continents+" ", " "+s+" ")
}

const continents = "AF AN AS EU NA OC SA"

// countries are the codes of ISO 3166-1 alpha-2, and XK, which geo databases
// use for Kosovo.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ " +
	"BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ " +
	"DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY " +
	"HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY " +
	"MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA " +
	"RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ " +
	"TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ " +
	"VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"
