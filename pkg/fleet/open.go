package fleet

import (
	"context"
	"fmt"
	"path/filepath"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// Opener opens the fleet that settings name; Open is the one of real processes.
type Opener func(ctx context.Context, s settings.Settings, runDir string, clk clock.Clock) (Driver, error)

// Open opens the fleet that s names. runDir is where an emulated fleet has its
// socket; clk is the clock that this program runs by.
func Open(ctx context.Context, s settings.Settings, runDir string, clk clock.Clock) (Driver, error) {
	switch s.Fleet.Driver {
	case "sim":
		return openSim(s, runDir, clk)
	case "libvirt":
		return openLibvirt(ctx, s, clk)
	}
	return nil, fmt.Errorf("cannot open the fleet: unknown driver %q", s.Fleet.Driver)
}

// Socket is where the emulated fleet of s serves.
func Socket(s settings.Settings, runDir string) string {
	if s.Fleet.Socket != "" {
		return s.Fleet.Socket
	}
	return filepath.Join(runDir, "fleet.sock")
}

func openSim(s settings.Settings, runDir string, clk clock.Clock) (Driver, error) {
	c, err := sim.Dial(Socket(s, runDir), clk)
	if err != nil {
		return nil, fmt.Errorf("cannot open the fleet: %w", err)
	}
	return c, nil
}
