package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// prove makes every chosen defect and prints who caught it; it returns how
// many survived. An error is a defect that cannot be made, or a test that does
// not pass without any.
func prove(ctx context.Context, o options, out io.Writer) (survivors int, err error) {
	chosen, err := o.chosen()
	if err != nil {
		return 0, err
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return 0, err
	}
	p := proof{lab: lab{root: root, tags: o.tags, limit: o.limit, all: o.instead != (Catcher{})}, sound: map[Catcher]soundness{}}
	width := 0
	for _, m := range chosen {
		width = max(width, len(m.Name))
	}
	var wrong []error
	for i, m := range chosen {
		fmt.Fprintf(out, "%3d/%d  %-*s  ", i+1, len(chosen), width, m.Name)
		v, err := p.one(ctx, m)
		if ctx.Err() != nil {
			return survivors, ctx.Err()
		}
		by := strings.Join(v.failed, " ")
		switch {
		case err != nil:
			wrong, by = append(wrong, err), "ERROR"
		case by == "":
			survivors++
			by = "SURVIVES " + m.Package + " " + m.Test
		}
		fmt.Fprintf(out, "%6s  %s: %s\n", v.took.Round(100*time.Millisecond), m.Defect, by)
	}
	fmt.Fprintf(out, "%d defects, %d caught, %d survive, %d could not be judged\n",
		len(chosen), len(chosen)-survivors-len(wrong), survivors, len(wrong))
	return survivors, errors.Join(wrong...)
}

// proof judges defects; what passes without one is looked at once.
type proof struct {
	lab
	sound map[Catcher]soundness
}

// soundness is how a catcher fares without a defect.
type soundness struct {
	took time.Duration
	err  error // it does not pass
}

// patience is how long a catcher may take with a defect: what took so much
// less without it hangs.
func (s soundness) patience() time.Duration { return 30*time.Second + 10*s.took }

// one makes one defect and runs its catcher.
func (p proof) one(ctx context.Context, m Mutation) (verdict, error) {
	sound := p.passes(ctx, m.Catcher)
	if sound.err != nil {
		return verdict{}, fmt.Errorf("cannot judge %s: %w", m.Name, sound.err)
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return verdict{}, err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(p.root, dir)
	if err != nil {
		return verdict{}, err
	}
	v, err := p.try(ctx, m.Catcher, overlay, min(p.limit, sound.patience()))
	if err != nil {
		return v, fmt.Errorf("cannot judge %s: %w", m.Name, err)
	}
	return v, nil
}

// passes has the catcher run without a defect: it must pass, and run a test at all.
func (p proof) passes(ctx context.Context, c Catcher) soundness {
	if s, known := p.sound[c]; known {
		return s
	}
	v, err := p.try(ctx, c, "", p.limit)
	switch {
	case err != nil:
	case !v.ran:
		err = fmt.Errorf("%s has no test %s", c.Package, c.Test)
	case len(v.failed) > 0:
		err = fmt.Errorf("%s %s fails without a defect: %s", c.Package, c.Test, tail(v.output))
	}
	p.sound[c] = soundness{took: v.took, err: err}
	return p.sound[c]
}
