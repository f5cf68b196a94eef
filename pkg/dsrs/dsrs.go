package dsrs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/logonce"
	"pss-msbs/pkg/settings"
)

// DSRS is the monitor of one real server. What it embeds are its layers: each knows
// those before it only.
type DSRS struct {
	*kit
	*strip // the outage, if there is one, and what is done on the host then
	mover

	state   State
	entered time.Time // when state began
	due     time.Time // the next monitoring
	seen    bool      // the real server answered while the files were known
}

// kit is what every part of a dsrs works with.
type kit struct {
	Deps
	Fleet   guarded // that of Deps
	remarks logonce.Book
	files   atomic.Pointer[word] // what B1, B2 said last
	changed <-chan struct{}      // the files changed (profile fast)
}

// word is what the files said, and when they were asked.
type word struct {
	ipc.Reply
	asked time.Time
}

// senses look at the real server and its guests, and touch them.
type senses struct{ *kit }

// boots bring guests up.
type boots struct{ *senses }

// strip takes from a host that returns what it must not have, and gives its servers
// their VIPs back.
type strip struct {
	boots
	outage  *outage   // nil while there is none
	sound   time.Time // when the real server was seen to be well last
	tending *tending  // nil unless the real server is normal
}

// mover moves backups away from the management server.
type mover struct{ *senses }

// New returns a dsrs that monitors nothing yet.
func New(deps Deps) *DSRS {
	k := &kit{Deps: deps, Fleet: guard(deps.Fleet, deps.Clock)}
	k.files.Store(&word{})
	senses := &senses{k}
	return &DSRS{kit: k, strip: &strip{boots: boots{senses}}, mover: mover{senses}, state: Normal, entered: deps.Clock.Now()}
}

// State is where the dsrs stands.
func (d *DSRS) State() State { return d.state }

// Run monitors the real server until ctx ends. It waits for every job it started.
func (d *DSRS) Run(ctx context.Context) error {
	d.Log.Info().Str("real", d.Data.Host).Strs("servers", d.Data.Servers).Msg(MsgStarted)
	ctx, cancel := context.WithCancel(ctx)
	defer d.close()
	defer cancel()
	if d.Settings.Profile == settings.Fast {
		d.changed = d.Sif.Watch(ctx)
	}
	if err := d.ready(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := d.step(ctx); err != nil {
			return fmt.Errorf("cannot monitor %s: %v", d.Data.Host, err)
		}
	}
	return nil
}

// ready says that the monitoring begins, once sif has answered.
func (d *DSRS) ready(ctx context.Context) error {
	if d.Ready == nil {
		return nil
	}
	_, _ = d.askWithin(ctx, ipc.B1, cluster.CallLimit) // files that cannot be asked stop no monitor
	return d.Ready()
}

// step does the work of the present state, waiting included, and goes to the next.
func (d *DSRS) step(ctx context.Context) error {
	work := map[State]func(context.Context) (State, string){
		Normal: d.normal, Suspended: d.suspended,
		Trouble: d.trouble, CutOff: d.cutOff, Confirmed: d.confirmed,
		Waiting: d.waiting, Waking: d.waking, HypervisorDown: d.hypervisorDown, GivenUp: d.givenUp,
		Stripping: d.stripping, Restoring: d.restoring,
	}[d.state]
	next, why := work(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return d.transition(next, why)
}

// close ends every job and gives up what we own.
func (d *DSRS) close() {
	d.endTending()
	d.endOutage()
}

// ask calls sif for a B verb on this real server.
func (k *kit) ask(ctx context.Context, verb ipc.Verb) (ipc.Reply, error) {
	asked := k.Clock.Now()
	r, err := k.Sif.Call(ctx, ipc.Request{Verb: verb, Host: k.Data.Host, Real: k.Data.IP, MAC: k.Data.MAC})
	if err == nil && (verb == ipc.B1 || verb == ipc.B2) {
		k.files.Store(&word{r, asked})
	}
	return r, err
}

// askWithin is ask with a deadline.
func (k *kit) askWithin(ctx context.Context, verb ipc.Verb, limit time.Duration) (ipc.Reply, error) {
	ctx, cancel := k.limit(ctx, limit)
	defer cancel()
	return k.ask(ctx, verb)
}

// within runs one call with a deadline.
func (k *kit) within(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	ctx, cancel := k.limit(ctx, limit)
	defer cancel()
	return call(ctx)
}

// limit bounds a call of the fleet or of sif.
func (k *kit) limit(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return k.Clock.Limit(ctx, limit)
}

// processFloor is the least on the wall clock for the start or end of a process.
const processFloor = 10 * time.Second

// patiently runs what starts or ends a process.
func (k *kit) patiently(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, max(k.Clock.Wall(limit), processFloor))
	defer cancel()
	return call(ctx)
}

// quick runs one quick call of the fleet.
func (k *kit) quick(ctx context.Context, call func(context.Context) error) error {
	return k.within(ctx, cluster.CallLimit, call)
}

// news reports whether text was not the last thing said about topic.
func (k *kit) news(topic, text string) bool { return k.remarks.News(topic, text) }

// isLine4 reports whether host is a server of this real server.
func (k *kit) isLine4(host string) bool { return slices.Contains(k.Data.Servers, host) }

// guest is the server host as a guest of this real server; its own IP is
// unknown where no management data names it.
func (k *kit) guest(host string) cluster.Guest {
	g := cluster.Guest{Host: host, Real: k.Data.IP}
	if s, err := k.Servers.Server(host); err == nil {
		g.IP = s.IP
	}
	return g
}

// refusedAs returns the state that a refusal of sif names, "" if err is none.
func refusedAs(err error) cluster.Standing {
	var r *ipc.RefusedError
	if errors.As(err, &r) {
		return r.State
	}
	return ""
}
