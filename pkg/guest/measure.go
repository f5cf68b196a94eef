package guest

import (
	"context"
	"fmt"

	"pss-msbs/pkg/cluster"
)

// Reading is one sample of a server's load (paper, section 2.5).
type Reading struct {
	MemoryKB    int64   // used
	MaxMemoryKB int64   // M_max
	CPU         float64 // percent of all cores
	NetworkKBs  float64 // received and sent together, KB/s
}

// Runner runs a measuring command in a guest and returns its output.
type Runner interface {
	Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error)
}

// The measuring commands. The two of sar take a second each.
var (
	FreeArgv    = []string{"free", "-k"}
	SarCPUArgv  = []string{"sar", "-u", "1", "1"}
	SarNetArgv  = []string{"sar", "-n", "DEV", "1", "1"}
	SarBothArgv = []string{"sar", "-u", "-n", "DEV", "1", "1"}
)

// Measure takes one sample of g. Traffic is that of all its interfaces but the
// loopback. It takes a good second, since sar needs an interval.
func Measure(ctx context.Context, r Runner, g cluster.Guest) (Reading, error) {
	free, err := r.Run(ctx, g, FreeArgv)
	if err != nil {
		return Reading{}, fmt.Errorf("cannot measure %s: %w", g.Host, err)
	}
	sar, err := r.Run(ctx, g, SarBothArgv)
	if err != nil {
		return Reading{}, fmt.Errorf("cannot measure %s: %w", g.Host, err)
	}
	v, err := parseReading(free, sar)
	if err != nil {
		return Reading{}, fmt.Errorf("cannot measure %s: %v", g.Host, err)
	}
	return v, nil
}

func parseReading(free, sar []byte) (v Reading, err error) {
	if v.MemoryKB, v.MaxMemoryKB, err = ParseFree(free); err != nil {
		return v, err
	}
	if v.CPU, err = ParseSarCPU(sar); err != nil {
		return v, err
	}
	v.NetworkKBs, err = ParseSarNet(sar)
	return v, err
}
