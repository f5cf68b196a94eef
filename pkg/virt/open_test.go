//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pss-msbs/pkg/cluster"
)

// TestOutcomes: of a call that was begun and has no result nobody knows what became
// of it; one that was not begun was not done.
func TestOutcomes(t *testing.T) {
	refused := errors.New("domain is not running")
	for _, x := range []struct {
		err             error
		silent, unknown bool
	}{
		{nil, false, false},
		{refused, false, false},
		{fmt.Errorf("%w: %w", errSlow, context.DeadlineExceeded), true, true},
		{errLost, true, true},
		{fmt.Errorf("%w: %w", errRefuse, context.DeadlineExceeded), true, false},
		{fmt.Errorf("%w: %w", errRefuse, context.Canceled), true, false},
		{context.Canceled, false, true},
	} {
		err := silent(m1.Real, x.err)
		if errors.Is(err, cluster.ErrHostSilent) != x.silent || errors.Is(err, cluster.ErrUnknown) != x.unknown || (err == nil) != (x.err == nil) {
			t.Errorf("%v became %v (unknown: %v)", x.err, err, errors.Is(err, cluster.ErrUnknown))
		}
	}
}

var m1 = cluster.Guest{Host: "M1"}
