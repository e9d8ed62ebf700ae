package main

import (
	"fmt"
	"io"
	"time"

	"fairway/steering/api"

	"github.com/spf13/cobra"
)

func usageCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "usage",
		Short: "Show what each provider carries, and how that compares with its contract",
		Long: `Show each provider as a whole and by region: its traffic now and its cap, the
month so far with the pace of its commit, the price of the next GB, and what the
end of the month will bring if it goes on like this.`,
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			u, err := node.Usage(c.Context())
			if err != nil {
				return err
			}
			return ask.show(c, u, func(w io.Writer) { printUsage(w, &u) })
		},
	}
	ask.flags(c)
	return c
}

func printUsage(w io.Writer, u *api.Usage) {
	prices := "prices in " + u.Currency
	if u.Currency == "" {
		prices = "the configuration states no currency of its prices"
	}
	fmt.Fprintf(w, "%s, %s of the month gone; %s\n", u.Month.Format("January 2006"), percent(u.MonthElapsed), prices)
	if u.Stretch > 1.001 {
		fmt.Fprintf(w, "ALL CAPS TOGETHER ARE TOO LOW: they are passed by up to %.0f %%\n", 100*(u.Stretch-1))
	}
	fmt.Fprintln(w)
	t := newTable(w, "PROVIDER", "REGION", "NOW", "CAP", "LOAD", "MONTH", "COMMIT", "PACE", "PRICE/GB", "COST", "MONTH'S END", "P95", "BURSTS")
	for i := range u.Rows {
		t.row(usageCells(&u.Rows[i])...)
	}
	t.flush()
}

func usageCells(r *api.UsageRow) []string {
	cell := func(shown bool, format string, args ...any) string {
		if !shown {
			return "-"
		}
		return fmt.Sprintf(format, args...)
	}
	region := r.Region
	if region == "" {
		region = "all"
	}
	now := "-"
	switch {
	case r.Known && r.RPS > 0:
		now = fmt.Sprintf("%.4g Gbit/s, %.4g/s", r.Gbps, r.RPS)
	case r.Known:
		now = fmt.Sprintf("%.4g Gbit/s", r.Gbps)
	case !r.Newest.IsZero():
		now = "silent since " + r.Newest.Local().Format(time.TimeOnly)
	}
	limit := cell(r.CapGbps > 0, "%.4g Gbit/s", r.CapGbps)
	if r.CapRPS > 0 {
		limit = cell(true, "%.4g/s", r.CapRPS)
		if r.CapGbps > 0 {
			limit = fmt.Sprintf("%.4g Gbit/s, %.4g/s", r.CapGbps, r.CapRPS)
		}
	}
	end := cell(r.EstimateGB > 0, "%s", monthVolume(r.EstimateGB))
	if r.Estimate > 0 {
		end += fmt.Sprintf(", %.0f", r.Estimate)
	}
	return []string{
		r.Provider, region, now, limit, cell(r.Load > 0, "%s", percent(r.Load)), cell(r.MonthGB > 0, "%s", monthVolume(r.MonthGB)),
		cell(r.CommitGB > 0, "%s", monthVolume(r.CommitGB)), cell(r.CommitGB > 0, "%.2f", r.Pace), cell(r.PricePerGB > 0, "%.4g", r.PricePerGB),
		cell(r.Cost > 0, "%.0f", r.Cost), end, cell(r.P95Gbps > 0, "%.4g Gbit/s", r.P95Gbps), cell(r.BurstsFree > 0, "%d of %d", r.BurstsUsed, r.BurstsFree),
	}
}

// monthVolume writes GB as people say them.
func monthVolume(gb float64) string {
	switch {
	case gb >= 1e6:
		return fmt.Sprintf("%.2f PB", gb/1e6)
	case gb >= 1e3:
		return fmt.Sprintf("%.1f TB", gb/1e3)
	}
	return fmt.Sprintf("%.1f GB", gb)
}
