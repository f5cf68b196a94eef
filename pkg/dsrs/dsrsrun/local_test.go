package dsrsrun

import (
	"path/filepath"
	"testing"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/startup"
)

// local keeps its promises to pkg/dsrs with real locks and files.
func TestLocal(t *testing.T) {
	root := t.TempDir()
	d := daemon.Dirs{Conf: "../../../testdata/paper", Run: filepath.Join(root, "run"), State: filepath.Join(root, "state"), Log: filepath.Join(root, "log")}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	l := local{&startup.Base{Env: daemon.In(d), Settings: settings.Default()}}
	if l.Held("M1") {
		t.Error("M1 is monitored by nobody, yet held")
	}
	o, err := l.Own("M1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Own("M1"); err == nil || !l.Held("M1") {
		t.Errorf("owned twice: %v", err)
	}
	o.Release()
	if l.Held("M1") {
		t.Error("held after the release")
	}
	if err := l.Stop(t.Context(), "Mb"); err != nil {
		t.Errorf("the end of a dbss that does not run: %v", err)
	}
	if s, err := l.Server("Mb"); err != nil || !s.IsBackup() {
		t.Errorf("Mb: %+v, %v", s, err)
	}
	if _, err := l.Server("Ms"); err == nil {
		t.Error("a spare without data was found")
	}
	for i := range l.Settings.DBSS.BudgetRecoveries + 1 {
		due, err := l.BeginRecovery("M1")
		if err != nil || due.IsZero() != (i < l.Settings.DBSS.BudgetRecoveries) {
			t.Errorf("recovery %d: due %v, %v", i+1, due, err)
		}
		if err := l.EndRecovery("M1", "recovered"); err != nil {
			t.Error(err)
		}
	}
}
