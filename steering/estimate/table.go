package estimate

import "fairway/steering"

// Table holds estimates, a row for each endpoint and a column for each region. It never
// changes. A nil Table knows nothing.
type Table struct {
	index *index
	cells []Estimate // row by row; without latency = nothing is known
}

// index says where endpoints and regions of a revision stand in tables.
type index struct {
	regions       []string
	rows, columns map[string]int
}

func newIndex(r *steering.Revision) *index {
	x := &index{regions: r.RegionNames(), rows: make(map[string]int), columns: make(map[string]int)}
	for column, region := range x.regions {
		x.columns[region] = column
	}
	for _, s := range r.Services {
		for _, e := range s.Endpoints {
			if _, known := x.rows[e.ID]; !known {
				x.rows[e.ID] = len(x.rows)
			}
		}
	}
	return x
}

// row is where an endpoint stands, -1 for nowhere.
func (x *index) row(endpoint string) int {
	if x == nil {
		return -1
	}
	if row, known := x.rows[endpoint]; known {
		return row
	}
	return -1
}

// table is an empty table.
func (x *index) table() *Table {
	if x == nil {
		return nil
	}
	return &Table{index: x, cells: make([]Estimate, len(x.rows)*len(x.regions))}
}

func (t *Table) at(row, column int) *Estimate { return &t.cells[row*len(t.index.regions)+column] }

// Row is where an endpoint stands, -1 for nowhere: for those who ask many times.
func (t *Table) Row(endpoint string) int {
	if t == nil {
		return -1
	}
	return t.index.row(endpoint)
}

// Column is where a region stands, -1 for nowhere.
func (t *Table) Column(region string) int {
	if t == nil {
		return -1
	}
	if column, known := t.index.columns[region]; known {
		return column
	}
	return -1
}

// At returns the estimate in a row and a column; false when nothing is known.
func (t *Table) At(row, column int) (Estimate, bool) {
	if row < 0 || column < 0 {
		return Estimate{}, false
	}
	e := *t.at(row, column)
	return e, e.Ms > 0
}

// Get returns an estimate by names.
func (t *Table) Get(endpoint, region string) (Estimate, bool) {
	return t.At(t.Row(endpoint), t.Column(region))
}

// Like tells whether two tables have the same rows and columns.
func (t *Table) Like(o *Table) bool { return t != nil && o != nil && t.index == o.index }

// Differs tells whether what a fetch costs is another figure than in a table with the
// same rows and columns.
func (t *Table) Differs(o *Table, row, column int) bool {
	if row < 0 || column < 0 {
		return false
	}
	a, b := t.at(row, column), o.at(row, column)
	return a.Ms != b.Ms || a.Errors != b.Errors
}

// Columns is how many columns there are.
func (t *Table) Columns() int {
	if t == nil {
		return 0
	}
	return len(t.index.regions)
}
