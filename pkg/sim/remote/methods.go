package remote

import (
	"context"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// GuestState is Model.GuestState of the served fleet; so are the others below.
func (c *Client) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	r, err := c.host(ctx, request{Method: "GuestState", Guest: g})
	return r.State, err
}

func (c *Client) Start(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Start", Guest: g}))
}

func (c *Client) Resume(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Resume", Guest: g}))
}

func (c *Client) Pause(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Pause", Guest: g}))
}

func (c *Client) Reset(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Reset", Guest: g}))
}

func (c *Client) Destroy(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Destroy", Guest: g}))
}

func (c *Client) Save(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Save", Guest: g}))
}

func (c *Client) Restore(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Restore", Guest: g}))
}

func (c *Client) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	return done(c.host(ctx, request{Method: "Migrate", Guest: g, Real: to}))
}

func (c *Client) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	return done(c.host(ctx, request{Method: "SetLink", Guest: g, Up: up}))
}

func (c *Client) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	r, err := c.host(ctx, request{Method: "Guests", Real: real})
	return r.Guests, err
}

func (c *Client) FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error) {
	r, err := c.host(ctx, request{Method: "FreeMemoryKB", Real: real})
	return r.KB, err
}

func (c *Client) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	r, err := c.host(ctx, request{Method: "Work", Guest: g})
	return r.Work, err
}

func (c *Client) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	return done(c.host(ctx, request{Method: "HypervisorAlive", Real: real}))
}

func (c *Client) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	r, err := c.agent(ctx, request{Method: "Addrs", Guest: g})
	return r.Addrs, err
}

func (c *Client) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return done(c.agent(ctx, request{Method: "AddVIP", Guest: g, IP: vip}))
}

func (c *Client) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return done(c.agent(ctx, request{Method: "DelVIP", Guest: g, IP: vip}))
}

func (c *Client) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return done(c.agent(ctx, request{Method: "Announce", Guest: g, IP: vip}))
}

func (c *Client) SetClock(ctx context.Context, g cluster.Guest) error {
	return done(c.agent(ctx, request{Method: "SetClock", Guest: g}))
}

func (c *Client) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	return done(c.agent(ctx, request{Method: "RestartDaemon", Guest: g, Daemon: daemon}))
}

func (c *Client) Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	r, err := c.agent(ctx, request{Method: "Run", Guest: g, Argv: argv})
	return r.Output, err
}

func (c *Client) Ping(ctx context.Context, ip netip.Addr) error {
	return done(c.net(ctx, request{Method: "Ping", IP: ip}))
}

func (c *Client) Greet(ctx context.Context, ip netip.Addr, daemon string) error {
	return done(c.net(ctx, request{Method: "Greet", IP: ip, Daemon: daemon}))
}

func (c *Client) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	r, err := c.net(ctx, request{Method: "WhoHas", IP: ip})
	return r.MACs, err
}

func (c *Client) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	r, err := c.net(ctx, request{Method: "Accesses"})
	return r.Accesses, err
}

func (c *Client) SuspendReal(ctx context.Context, real netip.Addr) error {
	return done(c.host(ctx, request{Method: "SuspendReal", Real: real}))
}

func (c *Client) WakeReal(ctx context.Context, mac cluster.MAC) error {
	return done(c.net(ctx, request{Method: "WakeReal", MAC: mac}))
}

func (c *Client) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	return done(c.host(ctx, request{Method: "RestartHypervisor", Real: real}))
}

func (c *Client) Inject(ctx context.Context, f sim.Fault) error {
	return done(c.net(ctx, request{Method: "Inject", Fault: f}))
}

func (c *Client) Heal(ctx context.Context, target string) error {
	return done(c.net(ctx, request{Method: "Heal", Fault: sim.Fault{Target: target}}))
}

func (c *Client) SetLoad(ctx context.Context, group string, percent, accesses float64, over time.Duration) error {
	return done(c.net(ctx, request{Method: "SetLoad", Load: loadChange{Group: group, Percent: percent, Accesses: accesses, Over: over}}))
}

func done(_ reply, err error) error { return err }

func (c *Client) Status(ctx context.Context, q sim.Query) (sim.Status, error) {
	r, err := c.net(ctx, request{Method: "Status", Query: q})
	if r.Status == nil {
		return sim.Status{}, err
	}
	return *r.Status, err
}
