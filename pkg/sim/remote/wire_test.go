package remote

import (
	"context"
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/spec"
)

// Whatever a client sends, the fleet answers and lives.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		`{"method":"GuestState","guest":{"host":"M1","ip":"10.0.0.1","real":"10.0.0.9"}}`,
		`{"method":"Run","guest":{"host":"M1","real":"10.0.0.9"},"argv":["sar","-u","-n","DEV","1","1"]}`,
		`{"method":"Inject","fault":{"kind":"service-freeze","target":"M1:httpd","for":1}}`,
		`{"method":"SetLoad","load":{"group":"Web","percent":1e9,"over":-1}}`,
		`{"method":"Migrate"}`, `{"method":"Status","query":{"timeline":true}}`, `{"method":"none"}`,
	} {
		f.Add([]byte(s))
	}
	m, err := sim.New(tiny(), clock.Clock{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { m.Close() })
	f.Fuzz(func(t *testing.T, line []byte) {
		var q request
		if json.Unmarshal(line, &q) != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		r, err := do(ctx, m, q)
		r.fail(err)
		if (err == nil) != (r.err() == nil) {
			t.Errorf("%v became %v", err, r.err())
		}
	})
}

// tiny is one server on one real server.
func tiny() sim.Spec {
	host, own, vip := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.101")
	return sim.Spec{Management: netip.MustParseAddr("10.0.0.8"), Times: spec.DefaultTimes(), Balancer: spec.DefaultBalancer(), StripDeadline: time.Second,
		Hosts:  []sim.HostSpec{{Name: "RS1", IP: host, MAC: cluster.MAC{2}, ActiveW: 28, SuspendedW: 3}},
		Guests: []sim.GuestSpec{{Host: "M1", IP: own, Group: "Web", Kind: sim.Virtual, Daemons: []string{"httpd"}, Home: host, On: host, VIPs: []netip.Addr{vip}, MemoryKB: 1 << 20, Cores: 1, NetworkMbps: 1000}},
		VIPs:   []sim.VIPSpec{{VIP: vip, Group: "Web"}}}
}

// Every method that the client sends is one that the server knows.
func TestServerKnowsEveryMethodOfTheModel(t *testing.T) {
	typ := reflect.TypeFor[*Client]()
	own := map[string]bool{"Close": true, "Events": true}
	asking := map[string]bool{"GuestState": true, "Guests": true, "FreeMemoryKB": true, "Work": true, "Addrs": true, "Run": true, "WhoHas": true, "Accesses": true, "Status": true}
	for n := range typ.NumMethod() {
		name := typ.Method(n).Name
		if _, ok := changes()[name]; !ok && !asking[name] && !own[name] {
			t.Errorf("the server does not know %s", name)
		}
		if _, ok := reflect.TypeFor[*sim.Model]().MethodByName(name); !ok {
			t.Errorf("the model has no %s", name)
		}
	}
}
