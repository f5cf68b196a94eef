package sif

import (
	"context"
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// The serving backup Mb of M1 fails under its own monitor while M1's monitor is
// started again: the VIP has one owner, whoever of the two comes first.
func TestOneOwnerWhenTheServingBackupFails(t *testing.T) {
	serving := func(ctx context.Context, r *rig) {
		r.call(ctx, ask(ipc.A3, "M1"))
		r.call(ctx, a4For("M1"))
		r.call(ctx, ask(ipc.A3, "Mb"))
	}
	t.Run("its own monitor first", func(t *testing.T) {
		inBubble(t, func(ctx context.Context, r *rig) {
			serving(ctx, r)
			r.call(ctx, ask(ipc.A4Failed, "Mb")) // the VIP is pss's
			if look := r.call(ctx, ask(ipc.A3, "M1")); !look.Failed {
				t.Errorf("M1 may take over what is pss's: %+v", look)
			}
			r.refused(ctx, a4For("M1"), cluster.Separated, "are pss's")
		})
	})
	t.Run("the target's monitor first", func(t *testing.T) {
		inBubble(t, func(ctx context.Context, r *rig) {
			serving(ctx, r)
			if look := r.call(ctx, ask(ipc.A3, "M1")); look.Failed {
				t.Errorf("M1 may not take over: %+v", look)
			}
			r.refused(ctx, ask(ipc.A4Failed, "Mb"), cluster.NotInFiles, "no separation row")
			r.call(ctx, a4For("M1"))
			r.wantRows(ctx, "op: Mail 200 101 Mb 61\nsep: Mail 201 101 M1 1", "M1", "Mb")
		})
	})
}
