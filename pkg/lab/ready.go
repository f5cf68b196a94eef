package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// standbyLimit is how long the programs may take to create the backup and spare servers.
const standbyLimit = 10 * time.Minute

// awaitStandby waits until the programs have paused every backup server and
// saved every spare, and pss finds nothing wrong.
func (r *room) awaitStandby(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, standbyLimit)
	defer cancel()
	began, stood := time.Now(), map[string]bool{}
	for {
		missing := r.wrong(ctx)
		for _, s := range r.plan.Servers {
			if s.Home != "" || stood[s.Host] {
				continue
			}
			how := r.standsBy(ctx, s)
			if stood[s.Host] = how != ""; how == "" {
				missing = s.Host + " does not stand by"
				continue
			}
			fmt.Fprintf(r.progress, "%s stands by, %s, after %.0f s\n", s.Host, how, time.Since(began).Seconds())
		}
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait any longer: %s", missing)
		case <-time.After(time.Second):
		}
	}
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
func (r *room) wrong(ctx context.Context) string {
	a := Attached{Lab: *r.Lab}
	argv := a.OnManagement([]string{"pss", "status", "--json"})
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout = &out
	var s struct{ Warnings []string }
	if err := cmd.Run(); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		return err.Error()
	}
	return strings.Join(s.Warnings, "; ")
}
