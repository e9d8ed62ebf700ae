package steering

// UsageState is what is known of the providers' traffic, in a form that can be
// stored; package usage makes it and reads it. Times are Unix seconds.
type UsageState struct {
	Accounts map[string]AccountState       `json:"accounts,omitempty"` // by provider
	Flows    map[string]map[string]float64 `json:"flows,omitempty"`    // service → group key → decisions a second
	// Covered is the part of each region's clients with providers that report.
	Covered map[string]float64 `json:"covered,omitempty"`
	// Days are what each region asks for by half hours of the day, UTC, as earlier days
	// went.
	Days map[string][]float64 `json:"days,omitempty"`
	// Corrections are the factors on weights: service → group key → endpoint.
	Corrections map[string]map[string]map[string]float64 `json:"corrections,omitempty"`
}

// AccountState is one provider's part.
type AccountState struct {
	Closed int64                  `json:"closed,omitempty"` // samples before are in Months
	Open   map[string]LedgerState `json:"open,omitempty"`   // by region
	Months []MonthState           `json:"months,omitempty"`
}

// LedgerState is the open samples of one region.
type LedgerState struct {
	From  int64        `json:"from,omitempty"` // an opening stands for what is before
	Slots [][4]float64 `json:"slots"`          // start, seconds, bytes, requests
}

// MonthState is a billing month as far as it is closed.
type MonthState struct {
	Begin int64              `json:"begin"`
	First int64              `json:"first,omitempty"` // of its samples
	Bytes map[string]float64 `json:"bytes"`           // by region
	Peaks []float64          `json:"peaks,omitempty"` // bit/s over five minutes, the highest first
}
