package steering

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// HealthTable holds one Health per subject × region. A table that has been
// handed out never changes; With and WithRows make the next one.
//
// Regions that the same vantages measure always have the same health: they share
// a column, so a table is as large as what was judged, not as what was asked for.
type HealthTable struct {
	index *HealthIndex
	rows  [][]*Health // by subject, then by column; tables share what did not change from one to the next
}

// HealthIndex says where in a table the health of a subject and region stands.
// It never changes, and many tables share one.
type HealthIndex struct {
	subjects map[Subject]int
	names    []Subject
	columns  map[string]int // by region
	width    int
}

// NewHealthIndex makes the index of some subjects and of regions with a column
// each. Columns are numbered from 0 without a gap.
func NewHealthIndex(subjects []Subject, columns map[string]int) *HealthIndex {
	x := &HealthIndex{subjects: make(map[Subject]int, len(subjects)), names: subjects, columns: columns}
	for i, s := range subjects {
		x.subjects[s] = i
	}
	for _, c := range columns {
		x.width = max(x.width, c+1)
	}
	return x
}

// Columns returns how many columns a table with this index has.
func (x *HealthIndex) Columns() int { return x.width }

// Index returns the table's index, nil for the empty table.
func (t HealthTable) Index() *HealthIndex { return t.index }

// Subject returns the row of a subject, -1 for none.
func (t HealthTable) Subject(subject Subject) int {
	if t.index == nil {
		return -1
	}
	if i, known := t.index.subjects[subject]; known {
		return i
	}
	return -1
}

// Column returns the column of a region, -1 for none.
func (t HealthTable) Column(region string) int {
	if t.index == nil {
		return -1
	}
	if c, known := t.index.columns[region]; known {
		return c
	}
	return -1
}

var unknownHealth Health

// Rows returns how many rows there are numbers for.
func (t HealthTable) Rows() int { return len(t.rows) }

// At returns the health in a row and column; the zero Health (unknown) where
// there is none. It must not be changed.
func (t HealthTable) At(row, column int) *Health {
	if row < 0 || column < 0 || t.rows[row] == nil {
		return &unknownHealth
	}
	return t.rows[row][column]
}

// Get returns the health of a subject in a region; the zero Health (unknown)
// where there is none.
func (t HealthTable) Get(subject Subject, region string) Health {
	return *t.At(t.Subject(subject), t.Column(region))
}

// Row returns the health of a subject in every region, nil where nothing is
// known of the subject.
func (t HealthTable) Row(subject Subject) map[string]Health {
	i := t.Subject(subject)
	if i < 0 || t.rows[i] == nil {
		return nil
	}
	row := make(map[string]Health, len(t.index.columns))
	for region, column := range t.index.columns {
		row[region] = *t.At(i, column)
	}
	return row
}

// Subjects returns how many subjects have a row.
func (t HealthTable) Subjects() int {
	n := 0
	for _, row := range t.rows {
		if row != nil {
			n++
		}
	}
	return n
}

// All calls yield for every row until it returns false, in no order.
func (t HealthTable) All(yield func(Subject, map[string]Health) bool) {
	if t.index == nil {
		return
	}
	for i, subject := range t.index.names {
		if t.rows[i] != nil && !yield(subject, t.Row(subject)) {
			return
		}
	}
}

// Regions calls yield with every region's health of a subject until it returns
// false, in no order.
func (t HealthTable) Regions(subject Subject) func(yield func(string, *Health) bool) {
	return func(yield func(string, *Health) bool) {
		i := t.Subject(subject)
		if i < 0 || t.rows[i] == nil {
			return
		}
		for region, column := range t.index.columns {
			if !yield(region, t.At(i, column)) {
				return
			}
		}
	}
}

// Same tells whether two tables are one and the same.
func (t HealthTable) Same(o HealthTable) bool {
	return t.index == o.index && len(t.rows) == len(o.rows) && (len(t.rows) == 0 || &t.rows[0] == &o.rows[0])
}

// SameRow tells whether two tables of one index share a subject's row, so that
// nothing in it can differ.
func (t HealthTable) SameRow(o HealthTable, row int) bool {
	a, b := t.rows[row], o.rows[row]
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Equal tells whether two tables say the same.
func (t HealthTable) Equal(o HealthTable) bool {
	if t.Subjects() != o.Subjects() {
		return false
	}
	for subject, row := range t.All {
		if !maps.EqualFunc(row, o.Row(subject), Health.equal) {
			return false
		}
	}
	return true
}

func sameHealth(a, b *Health) bool { return a == b || a.equal(*b) }

func (h Health) equal(o Health) bool {
	if !h.Since.Equal(o.Since) || !h.Newest.Equal(o.Newest) {
		return false
	}
	h.Since, h.Newest = o.Since, o.Newest
	return h == o
}

// RegionsOf returns the regions of a column, in order.
func (t HealthTable) RegionsOf(column int) []string {
	var regions []string
	if t.index != nil {
		for region, c := range t.index.columns {
			if c == column {
				regions = append(regions, region)
			}
		}
	}
	slices.Sort(regions)
	return regions
}

// IsZero tells whether the table holds nothing.
func (t HealthTable) IsZero() bool { return t.Subjects() == 0 }

// WithRows returns a table with the given rows, by number, put in place of the
// old ones; those not named are shared with the old table, if that has the same
// index. The rows are kept, and what they point at must not change; nil is the zero
// Health.
func (t HealthTable) WithRows(index *HealthIndex, rows map[int][]*Health) HealthTable {
	next := HealthTable{index: index, rows: make([][]*Health, len(index.names))}
	if t.index == index {
		copy(next.rows, t.rows)
	}
	for i, row := range rows {
		if len(row) != index.width {
			panic(fmt.Sprintf("steering: a row of health with %d columns, want %d", len(row), index.width))
		}
		for column, h := range row {
			if h == nil {
				row[column] = &unknownHealth
			}
		}
		next.rows[i] = row
	}
	return next
}

// With returns a table with the given rows put in place of the old ones; a nil
// row removes the subject. It looks at every row: it is for plans and tests, not
// for what happens all the time.
func (t HealthTable) With(rows map[Subject]map[string]Health) HealthTable {
	all := maps.Collect(t.All)
	regions := make(map[string]int)
	if t.index != nil {
		for region := range t.index.columns {
			regions[region] = 0
		}
	}
	for subject, row := range rows {
		if row == nil {
			delete(all, subject)
			continue
		}
		all[subject] = row
		for region := range row {
			regions[region] = 0
		}
	}
	for i, region := range slices.Sorted(maps.Keys(regions)) {
		regions[region] = i
	}
	index := NewHealthIndex(slices.Sorted(maps.Keys(all)), regions)
	made := make(map[int][]*Health, len(all))
	for subject, row := range all {
		columns := make([]*Health, len(regions))
		for region, h := range row {
			columns[regions[region]] = &h
		}
		made[index.subjects[subject]] = columns
	}
	return HealthTable{}.WithRows(index, made)
}

// Parts gives the table in a form to be stored in pieces: each region's column,
// and each subject's health by column. They must not be changed.
func (t HealthTable) Parts() (regions map[string]int, rows map[Subject][]*Health) {
	regions, rows = map[string]int{}, make(map[Subject][]*Health, len(t.rows))
	if t.index != nil {
		regions = t.index.columns
		for i, subject := range t.index.names {
			if t.rows[i] != nil {
				rows[subject] = t.rows[i]
			}
		}
	}
	return regions, rows
}

// HealthOf makes a table of its parts, and of nothing that does not hold together.
func HealthOf(regions map[string]int, rows map[Subject][]*Health) (HealthTable, error) {
	for region, column := range regions {
		if column < 0 || column >= len(regions) {
			return HealthTable{}, fmt.Errorf("health: region %q has column %d of %d at most", region, column, len(regions))
		}
	}
	index := NewHealthIndex(slices.Sorted(maps.Keys(rows)), regions)
	numbered := make(map[int][]*Health, len(rows))
	for subject, row := range rows {
		if len(row) != index.width {
			return HealthTable{}, fmt.Errorf("health: %q has %d columns, want %d", subject, len(row), index.width)
		}
		numbered[index.subjects[subject]] = row
	}
	return HealthTable{}.WithRows(index, numbered), nil
}

// storedHealth is the form in which a table is stored and sent as a whole.
type storedHealth struct {
	Regions  map[string]int        `json:"regions"`
	Subjects map[Subject][]*Health `json:"subjects"`
}

// MarshalJSON writes each column once, however many regions share it.
func (t HealthTable) MarshalJSON() ([]byte, error) {
	var stored storedHealth
	stored.Regions, stored.Subjects = t.Parts()
	return json.Marshal(stored)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *HealthTable) UnmarshalJSON(text []byte) error {
	var stored storedHealth
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	table, err := HealthOf(stored.Regions, stored.Subjects)
	*t = table
	return err
}
