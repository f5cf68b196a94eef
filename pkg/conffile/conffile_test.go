package conffile

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pss-msbs/pkg/cluster"
)

var ctx = context.Background()

var opts = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}

const paperDir = "../../testdata/paper"

// paper copies the paper's seven files.
func paper(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range Names() {
		write(t, dir, name, read(t, paperDir, name))
	}
	return dir
}

// fataler is a test, also one of rapid.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func read(t fataler, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr("172.21.14." + s) }

func rowAt(group, real, vip, host, own string) cluster.ServerRow {
	return cluster.ServerRow{Group: group, Real: ip(real), VIP: ip(vip), Host: host, IP: ip(own)}
}

// take removes host's rows and returns them.
func take(rows *cluster.Rows, host string) (taken cluster.Rows) {
	var left cluster.Rows
	for _, r := range *rows {
		if r.Host == host {
			taken = append(taken, r)
		} else {
			left = append(left, r)
		}
	}
	*rows = left
	return taken
}

// stopW2 is Fig. 3(c): Ws takes W2's VIP.
func stopW2(t *cluster.Tables) error {
	t.AccessStop = append(t.AccessStop, take(&t.Operation, "W2")...)
	t.Operation = append(t.Operation, rowAt("Web", "202", "105", "Ws", "52"))
	return nil
}

// everyFile is an edit that changes all seven files.
func everyFile(t *cluster.Tables) error {
	t.Separation = append(t.Separation, take(&t.Operation, "M1")...)
	t.Operation = append(t.Operation, rowAt("Mail", "200", "101", "Mb", "61"))
	t.Suspended = append(t.Suspended, t.Real[2])
	t.Real = t.Real[:2]
	t.State[1].Condition = cluster.PS1
	t.Spares = append(t.Spares, cluster.SpareRow{Group: "Web", Host: "Ws2", IP: ip("54")})
	return stopW2(t)
}

func TestView(t *testing.T) {
	got, err := Open(paperDir, Options{}).View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	base := []netip.Addr{ip("201"), ip("202")}
	want := cluster.Tables{
		Operation: cluster.Rows{
			rowAt("Mail", "201", "101", "M1", "1"), rowAt("Web", "201", "102", "W1", "2"), rowAt("FTP", "202", "103", "F1", "3"),
			rowAt("Mail", "202", "104", "M2", "4"), rowAt("Web", "203", "105", "W2", "5"), rowAt("FTP", "203", "106", "F2", "6"),
		},
		Spares: []cluster.SpareRow{{Group: "Mail", Host: "Ms", IP: ip("51")}, {Group: "Web", Host: "Ws", IP: ip("52")}, {Group: "FTP", Host: "Fs", IP: ip("53")}},
		Real:   []cluster.RealRow{{IP: ip("201"), MAC: cluster.MAC{5: 1}}, {IP: ip("202"), MAC: cluster.MAC{5: 2}}, {IP: ip("203"), MAC: cluster.MAC{5: 3}}},
		State:  []cluster.StateRow{{Group: "Mail", Condition: cluster.Moderate, Bases: base}, {Group: "Web", Condition: cluster.Moderate, Bases: base}, {Group: "FTP", Condition: cluster.Moderate, Bases: base}},
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(paperDir, ".lock")); err == nil {
		t.Error("a view left a lock file")
	}
}

func TestUpdate(t *testing.T) {
	dir := paper(t)
	d := Open(dir, Options{})
	if err := d.Update(ctx, stopW2); err != nil {
		t.Fatal(err)
	}
	got, err := d.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Open(paperDir, Options{}).View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stopW2(&want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Error(diff)
	}
	for _, name := range Names() {
		if old, new := read(t, paperDir, name), read(t, dir, name); (old != new) != (name == Operation || name == AccessStop) {
			t.Errorf("%s: changed %t", name, old != new)
		}
	}
}

func TestUpdateThatRefusesChangesNothing(t *testing.T) {
	dir, no := paper(t), errors.New("no")
	err := Open(dir, Options{}).Update(ctx, func(t *cluster.Tables) error { t.Operation = nil; return no })
	if !errors.Is(err, no) {
		t.Errorf("%v, want the edit's own error", err)
	}
	if read(t, dir, Operation) != read(t, paperDir, Operation) {
		t.Error("the file changed")
	}
}

func TestUpdateThatBreaksARuleIsRefused(t *testing.T) {
	dir := paper(t)
	err := Open(dir, Options{}).Update(ctx, func(t *cluster.Tables) error {
		t.Separation = append(t.Separation, t.Operation[0])
		return nil
	})
	var faults *Faults
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), "M1 stands in operation.conf too") {
		t.Errorf("%v, want the fault", err)
	}
	if read(t, dir, Separation) != read(t, paperDir, Separation) {
		t.Error("the file changed")
	}
}

func TestHold(t *testing.T) {
	dir := paper(t)
	d := Open(dir, Options{})
	h, err := d.Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 2 { // the second commit starts from what the first one wrote
		err = h.Commit(func(t *cluster.Tables) error {
			t.State[0].Bases = append(t.State[0].Bases[1:], t.State[0].Bases[0])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]netip.Addr{ip("201"), ip("202")}, h.Tables().State[0].Bases, opts); diff != "" {
		t.Error(diff)
	}
	if got, want := read(t, dir, State), read(t, paperDir, State); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestViewNamesEveryFault(t *testing.T) {
	dir := paper(t)
	write(t, dir, State, "Web Moderate\nMail light 172.21.14.201\n")
	write(t, dir, Real, "172.21.14.201\n")
	if err := os.Remove(filepath.Join(dir, Spare)); err != nil {
		t.Fatal(err)
	}
	for name, act := range map[string]func() error{
		"view":   func() error { _, err := Open(dir, Options{}).View(ctx); return err },
		"update": func() error { return Open(dir, Options{}).Update(ctx, stopW2) },
	} {
		err := act()
		var faults *Faults
		if !errors.As(err, &faults) {
			t.Fatalf("%s: %v, want *Faults", name, err)
		}
		want := strings.Join([]string{
			dir + "/real-server.conf:1: want 2 fields (IP address, MAC address), have 1",
			dir + "/spare-server.conf:1: missing",
			dir + "/state.conf:1: want at least 3 fields (group, condition, base servers), have 2",
			dir + `/state.conf:2: unknown condition "light": want Moderate, Light(PS1) or Light(PS2)`,
		}, "\n")
		if err.Error() != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, err, want)
		}
	}
}

// A file that is cut off anywhere says either what its whole rows say or is a fault.
func TestHalfWritten(t *testing.T) {
	dir := paper(t)
	whole := read(t, dir, Operation)
	all, err := Open(dir, Options{}).View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	faults := 0
	for n := range len(whole) {
		write(t, dir, Operation, whole[:n])
		got, err := Open(dir, Options{}).View(ctx)
		if err != nil {
			faults++
			continue
		}
		if diff := cmp.Diff(all.Operation[:len(got.Operation)], got.Operation, opts); diff != "" {
			t.Errorf("cut at %d: %s", n, diff)
		}
	}
	if faults < len(whole)/2 {
		t.Errorf("only %d of %d cuts are faults", faults, len(whole))
	}
}

func TestViewSeesChangesThatLookAlike(t *testing.T) {
	dir := paper(t)
	d := Open(dir, Options{})
	for i := range 20 {
		text := read(t, paperDir, State)
		if i%2 == 1 {
			text = strings.Replace(text, "201  172.21.14.202", "202  172.21.14.201", 1) // same size
		}
		write(t, dir, State, text)
		got, err := d.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"201", "202"}[i%2]; got.State[0].Bases[0] != ip(want) {
			t.Fatalf("round %d: an old view", i)
		}
	}
}

func TestViewOfSettledFilesIsNotParsedAgain(t *testing.T) {
	d := Open(paperDir, Options{})
	first, _, err := d.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := d.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(paperDir, State))
	if err != nil {
		t.Fatal(err)
	}
	if settledNow := d.stamps().older(settled, time.Now()); settledNow != (first == second) {
		t.Errorf("parsed again %t, files of %s settled %t", first != second, info.ModTime(), settledNow)
	}
	one, err := d.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	one.Operation[0].Host, one.State[0].Bases[0] = "X", ip("9")
	two, err := d.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if two.Operation[0].Host != "M1" || two.State[0].Bases[0] != ip("201") {
		t.Error("views share rows")
	}
}
