// Package usage keeps the books of what each provider carried: how much now, how
// much this month, and the peaks that 95th-percentile billing looks at.
//
// In:  Samples, each the traffic of one provider in one region over 10, 60 or
// 300 seconds, and Openings, what a bill says of a month so far.
// Out: a Standing: rates now, the month's volumes and peaks, at one moment.
//
// # Counting once
//
// A sample begins at a whole multiple of its length, so two samples of a provider
// and region are the same span, one within the other, or apart. The same span
// again replaces what was there: a retried report counts once and a corrected one
// counts as corrected. A longer span replaces those within it; one within a longer
// span that is there already is left out. So it does not matter how often, in
// which order or in which grain reports come. Several reporters for one provider
// and region must add up first.
//
// # What is kept
//
// Samples stay open, that is replaceable, for six hours; grains under five minutes
// are joined to five minutes after a quarter of an hour. What leaves the six hours
// is added to the month of its time, by region, and its five-minute sum over all
// regions is shown to the peaks, of which the highest 450 stay: more than the 5 %
// of the longest month, so the 95th percentile is exact. A provider and region
// needs some 200 numbers at most, whatever the traffic. This month and the last
// are kept. Months are calendar months in UTC, a GB is 10⁹ bytes.
//
// # Who may use it
//
// A Book belongs to one goroutine; a Standing never changes. Time is an argument.
package usage
