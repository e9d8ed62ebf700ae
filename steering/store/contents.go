package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"fairway/steering"
)

// Contents is all that a store holds: what an export writes and an import reads.
type Contents struct {
	Revisions []Revision               `json:"revisions"` // with their files, newest first
	InForce   *InForce                 `json:"in_force,omitempty"`
	Overrides []steering.Override      `json:"overrides,omitempty"`
	Log       []steering.OverrideEvent `json:"override_log,omitempty"`
	Values    []NamedValue             `json:"values,omitempty"`
	State     *steering.State          `json:"state,omitempty"`
}

// NamedValue is a value with its place.
type NamedValue struct {
	Folder string `json:"folder"`
	Name   string `json:"name"`
	Value  Value  `json:"value"`
}

// Importer is a store that can be filled with contents as they are: numbers and
// versions stay. What it held under the same names before is replaced.
type Importer interface {
	Import(ctx context.Context, c Contents) error
}

// Export reads everything. Values are read from the folders named.
func Export(ctx context.Context, s Store, folders ...string) (Contents, error) {
	var c Contents
	list, err := s.Revisions(ctx)
	if err != nil {
		return c, err
	}
	for _, bare := range list {
		r, err := s.Revision(ctx, bare.Number)
		if errors.Is(err, ErrNotFound) {
			continue // removed since
		}
		if err != nil {
			return c, err
		}
		c.Revisions = append(c.Revisions, r)
	}
	if err := c.ReadOrders(ctx, s, folders...); err != nil {
		return c, err
	}
	state, known, err := s.State(ctx)
	if err != nil {
		return c, err
	}
	if known {
		c.State = &state
	}
	return c, nil
}

// ReadOrders reads all but the revisions and the state: what is in force, what operators
// did, and the values of folders.
func (c *Contents) ReadOrders(ctx context.Context, s Store, folders ...string) error {
	f, known, err := s.InForce(ctx)
	if err != nil {
		return err
	}
	if known {
		c.InForce = &f
	}
	if c.Overrides, err = s.Overrides(ctx); err != nil {
		return err
	}
	if c.Log, err = s.OverrideLog(ctx); err != nil {
		return err
	}
	c.Values, err = valuesOf(ctx, s, folders...)
	return err
}

// valuesOf reads the values of folders, by folder and name.
func valuesOf(ctx context.Context, s Store, folders ...string) ([]NamedValue, error) {
	var all []NamedValue
	for _, folder := range folders {
		values, err := s.Values(ctx, folder)
		if err != nil {
			return nil, err
		}
		for name, v := range values {
			all = append(all, NamedValue{folder, name, v})
		}
	}
	slices.SortFunc(all, func(a, b NamedValue) int {
		return slices.Compare([]string{a.Folder, a.Name}, []string{b.Folder, b.Name})
	})
	return all, nil
}

// Check returns what is wrong in contents, all at once: what is in force must be
// there, and nothing twice.
func (c *Contents) Check() error {
	var problems []error
	numbers := make(map[uint64]bool)
	for _, r := range c.Revisions {
		if r.Number == 0 || r.Hash == "" || len(r.Files) == 0 || numbers[r.Number] {
			problems = append(problems, fmt.Errorf("revision %d has no number, hash or file of its own", r.Number))
		}
		numbers[r.Number] = true
	}
	if f := c.InForce; f != nil {
		if !numbers[f.Revision] {
			problems = append(problems, fmt.Errorf("revision %d is in force and not among the revisions", f.Revision))
		}
		if f.Canary != nil && !numbers[f.Canary.Revision] {
			problems = append(problems, fmt.Errorf("revision %d is on trial and not among the revisions", f.Canary.Revision))
		}
	}
	for _, o := range c.Overrides {
		if err := o.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("override %q: %w", o.ID, err))
		}
	}
	for _, v := range c.Values {
		problems = append(problems, CheckValue(v.Folder, v.Name, v.Value))
	}
	return errors.Join(problems...)
}
