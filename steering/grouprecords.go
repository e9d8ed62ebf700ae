package steering

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// GroupRecords are the splits of one service by group key.
type GroupRecords map[string]SplitRecord

// storedRecords is the form in which they are stored and sent. Most regions of a
// service share one decision, which is written once.
type storedRecords struct {
	Splits []SplitRecord  `json:"splits"`
	Groups map[string]int `json:"groups"` // group key → index into Splits
}

// shared is what tells records apart that may be one and the same.
type shared struct {
	candidates *CandidateRecord // the first one
	ttl        time.Duration
}

func (r *SplitRecord) shared() shared {
	s := shared{ttl: r.TTL}
	if len(r.Candidates) > 0 {
		s.candidates = &r.Candidates[0]
	}
	return s
}

// MarshalJSON writes records that share their candidates and are alike once.
func (r GroupRecords) MarshalJSON() ([]byte, error) {
	stored := storedRecords{Splits: []SplitRecord{}, Groups: make(map[string]int, len(r))}
	seen := make(map[shared]int, len(r))
	for _, key := range slices.Sorted(maps.Keys(r)) { // the same records are the same octets
		record := r[key]
		from := record.shared()
		at, known := seen[from]
		if !known || from.candidates == nil || !stored.Splits[at].Memory.Equal(&record.Memory) {
			at = len(stored.Splits)
			seen[from] = at
			stored.Splits = append(stored.Splits, record)
		}
		stored.Groups[key] = at
	}
	return json.Marshal(stored)
}

// Equal tells whether two memories hold the same.
func (m *Memory) Equal(o *Memory) bool {
	return m.Measured == o.Measured && m.Chosen.Equal(o.Chosen) && m.Moved.Equal(o.Moved) && m.Spec == o.Spec &&
		maps.Equal(m.Target, o.Target) && maps.Equal(m.Wanted, o.Wanted) && maps.Equal(m.Lost, o.Lost) && maps.EqualFunc(m.Recovered, o.Recovered, time.Time.Equal) &&
		maps.EqualFunc(m.Left, o.Left, time.Time.Equal)
}

// UnmarshalJSON reads what MarshalJSON writes. Groups with one record share it.
func (r *GroupRecords) UnmarshalJSON(text []byte) error {
	var stored storedRecords
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	*r = make(GroupRecords, len(stored.Groups))
	for key, at := range stored.Groups {
		if at < 0 || at >= len(stored.Splits) {
			return fmt.Errorf("group %q has record %d of %d", key, at, len(stored.Splits))
		}
		(*r)[key] = stored.Splits[at]
	}
	return nil
}
