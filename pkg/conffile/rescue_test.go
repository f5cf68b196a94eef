package conffile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pss-msbs/pkg/cluster"
)

// takeover is A3 for M1.
func takeover(t *cluster.Tables) error {
	t.Separation = append(t.Separation, take(&t.Operation, "M1")...)
	return nil
}

func TestRescue(t *testing.T) {
	tests := map[string]struct {
		spoil    func(t *testing.T, dir string)
		fresh    bool // no transaction came before: there is no last good copy
		rejected []string
		kept     int
		lost     []string // hosts that the typo took out of operation
	}{
		"nothing to rescue": {func(*testing.T, string) {}, false, nil, 0, nil},
		"a typo": {func(t *testing.T, dir string) {
			write(t, dir, Operation, strings.Replace(read(t, dir, Operation), "172.21.14.3\n", "172.21.14.333\n", 1))
		}, false, []string{Operation}, 1, nil},
		"a typo in a file of no matter": {func(t *testing.T, dir string) {
			write(t, dir, State, "Mail Heavy 172.21.14.201\n")
		}, false, []string{State}, 1, nil},
		"a missing file": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, Real)); err != nil {
				t.Fatal(err)
			}
		}, false, []string{Real}, 0, nil},
		"an emptied file": {func(t *testing.T, dir string) { write(t, dir, Real, "") }, false, []string{Real}, 1, nil},
		"rows that contradict each other": {func(t *testing.T, dir string) {
			write(t, dir, AccessStop, "Web 172.21.14.203 172.21.14.105 W2 172.21.14.5\n")
		}, false, []string{AccessStop}, 1, nil},
		"a typo before any copy": {func(t *testing.T, dir string) {
			write(t, dir, Operation, strings.Replace(read(t, dir, Operation), "172.21.14.3\n", "172.21.14.333\n", 1))
		}, true, []string{Operation}, 1, []string{"F1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := paper(t)
			d := Open(dir, Options{})
			if !tt.fresh {
				if err := d.Renew(ctx); err != nil {
					t.Fatal(err)
				}
			}
			want, err := d.View(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, host := range tt.lost {
				take(&want.Operation, host)
			}
			tt.spoil(t, dir)
			spoilt := map[string]string{}
			for _, r := range tt.rejected {
				if b, err := os.ReadFile(filepath.Join(dir, r)); err == nil {
					spoilt[r] = string(b)
				}
			}
			seen, rejected, err := d.ViewRescue(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, seen, opts); diff != "" {
				t.Errorf("view: %s", diff)
			}
			if diff := cmp.Diff(tt.rejected, filesOf(rejected)); diff != "" {
				t.Errorf("view: rejected %s", diff)
			}
			rejected = takeM1Over(t, d, want)
			if diff := cmp.Diff(tt.rejected, filesOf(rejected)); diff != "" {
				t.Errorf("update: rejected %s", diff)
			}
			kept := 0
			for _, r := range rejected {
				if r.Kept != "" && read(t, dir, r.Kept) == spoilt[r.File] {
					kept++
				}
			}
			if kept != tt.kept {
				t.Errorf("%d rejected files kept, want %d", kept, tt.kept)
			}
		})
	}
}

// takeM1Over does an A3 and compares what a plain view then sees with before.
func takeM1Over(t *testing.T, d *Dir, before cluster.Tables) []Rejected {
	t.Helper()
	rejected, err := d.UpdateRescue(ctx, takeover)
	if err != nil {
		t.Fatal(err)
	}
	if err := takeover(&before); err != nil {
		t.Fatal(err)
	}
	got, err := d.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, got, opts); diff != "" {
		t.Errorf("after: %s", diff)
	}
	return rejected
}

func filesOf(rejected []Rejected) []string {
	var out []string
	for _, r := range rejected {
		out = append(out, r.File)
	}
	return out
}

// Without a good copy a contradiction stays, but it stops no takeover and is alarmed.
func TestRescueOfContradictionWithoutACopy(t *testing.T) {
	dir := paper(t)
	write(t, dir, AccessStop, "Web 172.21.14.203 172.21.14.105 W2 172.21.14.5\n")
	d := Open(dir, Options{})
	rejected, err := d.UpdateRescue(ctx, takeover)
	if err != nil {
		t.Fatal(err)
	}
	if len(rejected) != 1 || rejected[0].File != AccessStop || rejected[0].Kept != "" || len(rejected[0].Faults) != 1 {
		t.Errorf("rejected %+v", rejected)
	}
	seen, _, err := d.ViewRescue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Separation.Of("M1")) != 1 || len(seen.AccessStop.Of("W2")) != 1 {
		t.Errorf("the rows are %+v", seen)
	}
}

func TestRescueThatIsRefusedTouchesNothing(t *testing.T) {
	dir, no := paper(t), errors.New("no")
	write(t, dir, State, "typo\n")
	_, err := Open(dir, Options{}).UpdateRescue(ctx, func(*cluster.Tables) error { return no })
	if !errors.Is(err, no) {
		t.Errorf("%v, want the edit's own error", err)
	}
	if got := read(t, dir, State); got != "typo\n" {
		t.Errorf("state.conf says %q", got)
	}
}

// TestHandEditUnderTheLock: an editor that knows of no lock writes between the
// reading and the commit of who holds it. What it wrote is never lost.
func TestHandEditUnderTheLock(t *testing.T) {
	for name, test := range map[string]struct {
		hold func(*Dir) (*Held, error)
		kept bool
	}{
		"a shift is refused":         {func(d *Dir) (*Held, error) { return d.Hold(ctx) }, false},
		"a rescue keeps what it was": {func(d *Dir) (*Held, error) { return d.HoldRescue(ctx) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := paper(t)
			h, err := test.hold(Open(dir, Options{}))
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			edited := read(t, dir, Operation) + "# by hand\n"
			write(t, dir, Operation, edited)
			err = h.Commit(takeover)
			if (err == nil) != test.kept {
				t.Fatalf("the commit says %v", err)
			}
			if !test.kept {
				if got := read(t, dir, Operation); got != edited {
					t.Errorf("operation.conf says\n%s", got)
				}
				return
			}
			if r := h.Rejected(); len(r) != 1 || r[0].Kept == "" || read(t, dir, r[0].Kept) != edited {
				t.Errorf("rejected %+v", r)
			}
		})
	}
}

func TestHoldRescueCommitsTwice(t *testing.T) {
	dir := paper(t)
	d := Open(dir, Options{})
	if err := d.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	write(t, dir, State, "typo\n")
	h, err := d.HoldRescue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, edit := range []func(*cluster.Tables) error{takeover, stopW2} {
		if err := h.Commit(edit); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.Rejected()) != 1 || read(t, dir, h.Rejected()[0].Kept) != "typo\n" {
		t.Errorf("rejected %v", h.Rejected())
	}
	if read(t, dir, State) != read(t, paperDir, State) {
		t.Error("state.conf is not the last good one")
	}
}
