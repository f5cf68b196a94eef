package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"pss-msbs/pkg/clock"
)

// standbyLimit is how long the programs may take to create the backup and spare servers.
const standbyLimit = 10 * time.Minute

// awaitStandby waits until the programs have paused every backup server and
// saved every spare, and pss finds nothing wrong.
func (r *room) awaitStandby(ctx context.Context) error {
	began, stood := time.Now(), map[string]bool{}
	return until(ctx, standbyLimit, time.Second, func(ctx context.Context) error {
		var missing []string
		for _, s := range r.plan.Servers {
			if s.Home != "" || stood[s.Host] {
				continue
			}
			how := r.standsBy(ctx, s)
			if stood[s.Host] = how != ""; how == "" {
				missing = append(missing, s.Host)
				continue
			}
			fmt.Fprintf(r.progress, "%s stands by, %s, after %.0f s\n", s.Host, how, time.Since(began).Seconds())
		}
		if len(missing) > 0 {
			return fmt.Errorf("not standing by: %v", missing)
		}
		return r.wrong(ctx)
	})
}

// until asks until ok is nil, with pauses of gap, for at most limit; its error
// is what ok said last.
func until(ctx context.Context, limit, gap time.Duration, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	err := clock.Clock{}.Poll(ctx, gap, func() bool {
		last = ok(ctx)
		return last == nil
	})
	if err != nil {
		return last
	}
	return nil
}

// standsBy tells how a backup or spare server stands by, if it does.
func (r *room) standsBy(ctx context.Context, s Server) string {
	switch {
	case s.isSpare() && r.saved(s):
		return "saved"
	case !s.isSpare() && r.paused(ctx, s):
		return "paused"
	}
	return ""
}

func (s Server) isSpare() bool { return s.Home == "" && strings.HasSuffix(s.Host, "s") }

func (r *room) saved(s Server) bool {
	_, _, err := r.whereabouts(s.Host)
	_, ferr := os.Stat(strings.ReplaceAll(r.SavePath(), "{host}", s.Host))
	return err != nil && ferr == nil
}

func (r *room) paused(ctx context.Context, s Server) bool {
	h, err := r.plan.find(management)
	if err != nil {
		return false
	}
	out, err := run(ctx, r.virshCommand(h, "domstate", s.Host)...)
	return err == nil && strings.TrimSpace(out) == "paused"
}

// wrong is what pss status warns of, or why it cannot be asked.
func (r *room) wrong(ctx context.Context) error {
	a := Attached{Lab: *r.Lab}
	out, err := run(ctx, a.OnManagement([]string{"pss", "status", "--json"})...)
	if err != nil {
		return err
	}
	var s struct{ Warnings []string }
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return err
	}
	if len(s.Warnings) > 0 {
		return errors.New(strings.Join(s.Warnings, "; "))
	}
	return nil
}
