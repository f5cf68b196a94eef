package dsrs

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// mortal is the fleet as one process sees it: a killed one changes nothing
// more, and single calls can be made to fail.
type mortal struct {
	*sim.Model
	mu   sync.Mutex
	dead bool
	fail map[string]int // call and guest, e.g. "AddVIP M1": so many times; -1: until RestartHypervisor
	hook func(call string)
	sent []time.Time         // when the magic packets were
	also []cluster.GuestInfo // that every hypervisor runs besides
}

var errKilled, errScripted = errors.New("killed"), errors.New("scripted failure")

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

// script makes the next n calls fail.
func (m *mortal) script(call string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = map[string]int{call: n}
}

// tap has f called before each call that changes something.
func (m *mortal) tap(f func(call string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = f
}

// check is called before each call that changes something.
func (m *mortal) check(call string) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		hook(call)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.dead:
		return errKilled
	case m.fail[call] < 0:
		return errScripted
	case m.fail[call] > 0:
		m.fail[call]--
		return errScripted
	}
	return nil
}

func (m *mortal) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	if err := m.check("AddVIP " + g.Host); err != nil {
		return err
	}
	return m.Model.AddVIP(ctx, g, vip)
}

func (m *mortal) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	if err := m.check("DelVIP " + g.Host); err != nil {
		return err
	}
	return m.Model.DelVIP(ctx, g, vip)
}

func (m *mortal) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	if err := m.check("SetLink " + g.Host); err != nil {
		return err
	}
	return m.Model.SetLink(ctx, g, up)
}

func (m *mortal) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	if err := m.check("Guests"); err != nil {
		return nil, err
	}
	all, err := m.Model.Guests(ctx, real)
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(all, m.also...), err
}

// runs has every hypervisor run a guest of somebody else.
func (m *mortal) runs(g cluster.GuestInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.also = append(m.also, g)
}

func (m *mortal) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	if err := m.check("Guests"); err != nil {
		return err
	}
	return m.Model.HypervisorAlive(ctx, real)
}

func (m *mortal) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	m.script("", 0)
	return m.Model.RestartHypervisor(ctx, real)
}

func (m *mortal) WakeReal(ctx context.Context, mac cluster.MAC) error {
	m.mu.Lock()
	m.sent = append(m.sent, time.Now())
	m.mu.Unlock()
	return m.Model.WakeReal(ctx, mac)
}

func (m *mortal) packets() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.sent)
}

// monitors are the locks of the dbss; no dbss runs behind them.
type monitors struct {
	w       *world
	mu      sync.Mutex
	held    map[string]string // by whom: dbss, dsrs
	started map[string]int
}

func (m *monitors) set(host, holder string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[host] = holder; holder == "" {
		delete(m.held, host)
	}
}

func (m *monitors) is(host, holder string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[host] == holder
}

// drop is what the kernel does to the locks of a process that ends.
func (m *monitors) drop(holder string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for host, h := range m.held {
		if h == holder {
			delete(m.held, host)
		}
	}
}

func (m *monitors) Held(host string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[host] != ""
}

func (m *monitors) Own(host string) (Owner, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[host] != "" {
		return nil, errors.New("held")
	}
	m.held[host] = "dsrs"
	return owner{m, host}, nil
}

func (m *monitors) Stop(_ context.Context, host string) error {
	time.Sleep(100 * time.Millisecond)
	m.set(host, "")
	return nil
}

type owner struct {
	m    *monitors
	host string
}

func (o owner) Start(ctx context.Context) error {
	time.Sleep(100 * time.Millisecond)
	if ctx.Err() != nil {
		o.m.set(o.host, "")
		return ctx.Err()
	}
	o.m.set(o.host, "dbss")
	o.m.w.rests.Go(func() { o.m.w.rest(o.host) })
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	o.m.started[o.host]++
	return nil
}

// rest is what a dbss does at its start with a backup that serves nothing: it
// ends the backup's dbss, creates the backup where it is not, strips it and pauses it.
func (w *world) rest(host string) {
	time.Sleep(500 * time.Millisecond)
	b := w.dat(host).Backup
	if t, err := w.files.View(w.ctx); err != nil || t.Operation.Has(b) {
		return
	}
	w.mon.set(b, "")
	for g := w.guest(b, mgmt); w.ctx.Err() == nil && w.state(g) != cluster.GuestPaused; time.Sleep(time.Second) {
		if w.state(g).Dead() {
			_ = w.model.Start(w.ctx, g)
		}
		if w.state(g) == cluster.GuestRunning && w.model.DelVIP(w.ctx, g, w.dat(host).VIP) == nil {
			_ = w.model.Pause(w.ctx, g)
		}
	}
}

func (o owner) Release() { o.m.set(o.host, "") }

// limits are boot slots and a budget that is never used up unless due says so.
type limits struct {
	w     *world
	slots chan struct{}
	mu    sync.Mutex
	due   map[string]time.Time
	begun map[string]int

	wakes    int
	moves    chan struct{}
	resetDue time.Time
	resets   []string // permitted
	answered []string
}

func (l *limits) BootSlot(ctx context.Context) (func(), error) {
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// others takes the wake slots away.
func (l *limits) others(woken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakes = 0
	if woken {
		l.wakes = 2
	}
}

// woken is how many wake slots are taken.
func (l *limits) woken() int { l.mu.Lock(); defer l.mu.Unlock(); return l.wakes }

// forbid permits no reset before due.
func (l *limits) forbid(due time.Time) { l.mu.Lock(); defer l.mu.Unlock(); l.resetDue = due }

// ledger is who was permitted to be reset, and who answered after it.
func (l *limits) ledger() (resets, answered []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.resets), slices.Clone(l.answered)
}

func (l *limits) WakeSlot() (func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wakes >= 2 {
		return nil, nil
	}
	l.wakes++
	return func() { l.mu.Lock(); defer l.mu.Unlock(); l.wakes-- }, nil
}

func (l *limits) MigrationSlot(ctx context.Context) (func(), error) {
	select {
	case l.moves <- struct{}{}:
		return func() { <-l.moves }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Permit implements Resets: nobody is reset before resetDue.
func (l *limits) Permit(_ context.Context, target, _ string) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.resetDue) {
		return l.resetDue, nil
	}
	l.resets = append(l.resets, target)
	return time.Time{}, nil
}

// Answered implements Resets.
func (l *limits) Answered(_ context.Context, target string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = append(l.answered, target)
	return nil
}

func (l *limits) BeginRecovery(host string) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.due[host]) {
		return l.due[host], nil
	}
	l.begun[host]++
	return time.Time{}, nil
}

func (l *limits) EndRecovery(string, string) error { return nil }

// logBuffer keeps the system log.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// state is the state that the log names last.
func (b *logBuffer) state() State {
	lines := strings.Split(b.String(), "\n")
	for _, line := range slices.Backward(lines) {
		if _, rest, ok := strings.Cut(line, " "+MsgState+" "); ok {
			_, to, _ := strings.Cut(rest, "to=")
			to, _, _ = strings.Cut(to, " ")
			return State(to)
		}
	}
	return Normal
}

// messages are the messages of the foreground log, states left out, in order.
func (b *logBuffer) has(messages ...string) (missing string) {
	rest := b.String()
	for _, m := range messages {
		_, after, ok := strings.Cut(rest, m)
		if !ok {
			return m
		}
		rest = after
	}
	return ""
}
