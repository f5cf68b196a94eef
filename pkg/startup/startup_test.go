package startup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/startup"
)

func dirs(t *testing.T, settings string) daemon.Dirs {
	t.Helper()
	root, err := os.MkdirTemp("", "prog") // short: sockets lie there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	d := daemon.Dirs{Conf: root, Run: filepath.Join(root, "run"), State: filepath.Join(root, "state"), Log: filepath.Join(root, "log")}
	if err := os.WriteFile(d.Settings(), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

const management = "\n[management]\nip = \"172.21.14.200\"\n"

// The clock of an emulated fleet that ran here before is none of a real one's.
func TestClock(t *testing.T) {
	for driver, fast := range map[string]bool{"sim": true, "libvirt": false} {
		d := dirs(t, "[fleet]\ndriver = \""+driver+"\""+management)
		if err := d.Prepare(); err != nil {
			t.Fatal(err)
		}
		if err := (clock.Clock{Epoch: time.Now(), Speed: 20}).Publish(d.Run); err != nil {
			t.Fatal(err)
		}
		b, err := startup.Start(daemon.OS{Dirs: d}, "dbss", "M1")
		if err != nil {
			t.Fatal(err)
		}
		if (b.Clock.Speed == 20) != fast || (b.Clock == clock.Clock{}) == fast {
			t.Errorf("driver %s: clock %+v", driver, b.Clock)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFaultySettings(t *testing.T) {
	d := dirs(t, "[fleet]\ndriver = \"libvirt\"\nspeed = 2\n"+management)
	_, err := startup.Start(daemon.OS{Dirs: d}, "dbss", "M1")
	var code interface{ ExitCode() int }
	if err == nil || !strings.Contains(err.Error(), "settings.toml:3: fleet.speed") || !errors.As(err, &code) || code.ExitCode() != 2 {
		t.Error(err)
	}
}

// The log is written, and a stop ends the work.
func TestControlled(t *testing.T) {
	d := dirs(t, "[fleet]\ndriver = \"sim\""+management)
	b, err := startup.Start(daemon.OS{Dirs: d}, "dbss", "M1")
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	err = b.Controlled(t.Context(), func(ctx context.Context) error {
		b.Log.Info().Msg("at work")
		go func() { stopped <- daemon.Stop(t.Context(), d, "dbss", "M1") }()
		<-ctx.Done()
		return errors.New("ended")
	})
	if err == nil || err.Error() != "ended" {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if log, err := os.ReadFile(d.LogFile("dbss", "M1")); err != nil || !strings.Contains(string(log), "at work") {
		t.Errorf("%q, %v", log, err)
	}
}
