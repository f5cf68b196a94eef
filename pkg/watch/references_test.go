package watch_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/watch"
)

func TestReferences(t *testing.T) {
	sound, silent := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, tc := range []struct {
		name string
		refs []netip.Addr
		ok   bool
		took time.Duration
	}{
		{name: "none configured", ok: true},
		{name: "one of two answers", refs: []netip.Addr{silent, sound}, ok: true, took: time.Millisecond},
		{name: "all silent", refs: []netip.Addr{silent, silent}, took: time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // fails too if a ping is left behind
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				err := watch.References(ctx, tc.refs, func(ctx context.Context, ip netip.Addr) error {
					if ip == sound {
						time.Sleep(time.Millisecond)
						return nil
					}
					<-ctx.Done()
					return cluster.ErrNoAnswer
				})
				if (err == nil) != tc.ok || time.Since(began) != tc.took {
					t.Errorf("%v after %s; want ok %t after %s", err, time.Since(began), tc.ok, tc.took)
				}
			})
		})
	}
}
