package fleet

import (
	"context"
	"fmt"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/settings"
)

// Open opens the fleet that s names. runDir is where an emulated fleet has its
// socket; clk is the clock that this program runs by.
func Open(ctx context.Context, s settings.Settings, runDir string, clk clock.Clock) (Driver, error) {
	switch s.Fleet.Driver {
	case "libvirt":
		return openLibvirt(ctx, s, clk)
	}
	return nil, fmt.Errorf("cannot open the fleet: unknown driver %q", s.Fleet.Driver)
}
