package sif

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/ipc"
)

// holdFloor is the least a hold lasts on the wall clock, however fast an
// emulated fleet runs: the machine does not get faster with it.
const holdFloor = time.Second

// turn is a mutex for what may take long, as a commit on a slow disk: unlike
// sync.Mutex it lets virtual time go on while somebody waits for it.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

// session answers one connection.
type session struct {
	s *Server

	mu      turn
	held    *conffile.Held // the exclusive lock, nil if this connection does not hold it
	timer   *time.Timer
	until   time.Time // when it expires
	expired bool      // the last hold of this connection ran out of time

	holds, backup string // the target that it was taken for, and its backup
}

// Handle implements ipc.Handler.
func (c *session) Handle(ctx context.Context, req ipc.Request, reply func(ipc.Reply) error) {
	switch req.Verb {
	case ipc.Watch:
		c.watch(ctx, reply)
	case ipc.SpareStop:
		c.spareStop(ctx, reply)
	default:
		_ = reply(c.s.answer(req, c.do(ctx, req)))
	}
}

// Close implements ipc.Handler: a closed connection releases its hold unchanged.
// Whoever held it has not said that he was through.
func (c *session) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave()
	c.drop()
}

// result is a reply or an error.
type result struct {
	reply ipc.Reply
	err   error
}

// answer turns a result into the reply, and says in the log what was done or refused.
func (s *Server) answer(req ipc.Request, r result) ipc.Reply {
	log := s.opt.Log.With().Str("step", string(req.Verb)).Str("for", req.Host).Logger()
	asked := string(req.Verb) + " " + req.Host
	if r.err == nil {
		s.failed.Forget(asked)
		r.reply.OK = true
		if text, ok := done[req.Verb]; ok {
			e := log.Info().Str("state", string(r.reply.State))
			if len(req.Servers) > 0 {
				e = e.Strs("servers", hosts(req.Servers))
			}
			e.Msg(text)
		}
		return r.reply
	}
	reply := ipc.Reply{Error: r.err.Error(), Retry: true}
	var no *edits.Refusal
	switch {
	case errors.As(r.err, &no):
		reply.State, reply.Retry = no.Standing, false
		log.Info().Str("why", no.Why).Msg("refused")
	case errors.Is(r.err, context.Canceled): // the asker has gone
	case s.failed.News(asked, cause(r.err)): // who asked asks again
		log.Error().Err(r.err).Msg("request not carried out")
	}
	return reply
}

// cause is what an error of the files is told by from the one before: a disk
// that is full is full for every file, whichever was to be written first.
func cause(err error) string {
	var disk syscall.Errno
	if errors.As(err, &disk) {
		return disk.Error()
	}
	return err.Error()
}

func hosts(servers []ipc.Restored) (names []string) {
	for _, s := range servers {
		names = append(names, s.Target.Host)
	}
	return names
}

// done are the sentences of the edits in the log; a look leaves none.
var done = map[ipc.Verb]string{
	ipc.A3: "rows of the target are in separation", ipc.A4: "rows of the backup are in operation",
	ipc.A4Failed: "the backup does not serve, the VIPs are left to pss", ipc.A5: "rows follow the recovery of the target",
	ipc.B3: "row of the real server is out", ipc.B4: "rows of the real server and its servers are back",
	ipc.SpareStart: "dbss of the spare runs",
}

// do does every verb that has one reply.
func (c *session) do(ctx context.Context, req ipc.Request) result {
	switch req.Verb {
	case ipc.A1, ipc.A2:
		return c.look(ctx, func(t cluster.Tables) ipc.Reply { return c.s.facts().Look(t, req.Host) })
	case ipc.B1, ipc.B2:
		return c.look(ctx, func(t cluster.Tables) ipc.Reply { return c.s.facts().LookAtReal(t, req.Real) })
	case ipc.Hold:
		return c.hold(ctx, req)
	case ipc.Release:
		c.release()
		return result{}
	case ipc.SpareStart:
		return c.spareStart(ctx, req)
	}
	return c.edit(ctx, req)
}

// look answers from the files alone, or from what this connection holds.
func (c *session) look(ctx context.Context, answer func(cluster.Tables) ipc.Reply) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		return result{reply: answer(c.held.Tables())}
	}
	t, err := c.s.view(ctx)
	if err != nil {
		return result{err: err}
	}
	return result{reply: answer(t)}
}

// hold takes the exclusive lock for this connection.
func (c *session) hold(ctx context.Context, req ipc.Request) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		held, err := c.s.opt.Files.HoldRescue(ctx)
		if err != nil {
			return result{err: err}
		}
		c.held, c.expired, c.until = held, false, time.Now().Add(c.s.holdTime())
		c.timer = time.AfterFunc(c.s.holdTime(), func() { c.expire(held) })
	}
	c.holds, c.backup = req.Host, req.Backup.Name()
	reply := c.s.facts().LookHeld(c.held.Tables(), req.Host, req.Backup.Name())
	reply.UntilMS = c.until.UnixMilli()
	return result{reply: reply}
}

func (s *Server) holdTime() time.Duration {
	if s.opt.Clock.Speed > 1 {
		return max(s.opt.Clock.Wall(s.opt.Hold), holdFloor)
	}
	return s.opt.Clock.Wall(s.opt.Hold)
}

// expire ends a hold that took too long, unchanged.
func (c *session) expire(held *conffile.Held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != held {
		return
	}
	c.leave()
	c.drop()
	c.expired = true
	c.s.opt.Log.Error().Msg("a hold took too long and was released unchanged")
}

func (c *session) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	c.expired = false
}

// leave marks the VIPs that the holder of the lock may have been giving to its
// target, or may still give by a command that comes true late; c.mu is held.
func (c *session) leave() {
	if c.held == nil {
		return
	}
	t := c.held.Tables()
	var moves []ipc.Move
	for _, r := range t.Separation.Of(c.holds) {
		old, _ := c.s.opt.Moving.Get(r.VIP)
		if h, served := t.Holder(r.VIP); served && h.Host != c.backup {
			continue
		}
		on := slices.DeleteFunc(old.On, func(g cluster.Guest) bool { return g.Host == r.Host })
		moves = append(moves, ipc.Move{VIP: r.VIP, On: append(on, r.Guest()), Given: c.s.opt.Clock.Now()})
	}
	if err := c.s.opt.Moving.Add(moves...); err != nil {
		c.s.opt.Log.Error().Err(err).Msg("a change of addresses that was cut off is not marked")
	}
}

// drop gives the lock back; c.mu is held.
func (c *session) drop() {
	if c.held != nil {
		c.timer.Stop()
		c.held.Close()
		c.held = nil
	}
}

// edit does A3, A4, A4-failed, A5, B3 and B4: within the hold of this
// connection, else under a lock of its own. A5 and B4 end the hold; refused,
// they leave it, so that the caller undoes its address changes under it.
func (c *session) edit(ctx context.Context, req ipc.Request) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	ends := req.Verb == ipc.A5 || req.Verb == ipc.B4
	if ends && c.expired {
		return result{err: edits.Refuse("", "the hold took too long and was released unchanged")}
	}
	var reply ipc.Reply
	change := func(t *cluster.Tables) (err error) {
		reply, err = c.s.change(t, req, c.held != nil)
		return err
	}
	if c.held != nil {
		if err := ctx.Err(); err != nil {
			return result{err: err} // the asker no longer waits
		}
		if err := c.held.Commit(change); err != nil {
			return result{err: err}
		}
		c.s.alarm(c.held.Rejected())
		if ends {
			c.drop()
		}
		return result{reply: reply}
	}
	rejected, err := c.s.opt.Files.UpdateRescue(ctx, change)
	c.s.alarm(rejected)
	return result{reply: reply, err: err}
}

// watch replies now and after every change of the files until the connection closes.
func (c *session) watch(ctx context.Context, reply func(ipc.Reply) error) {
	changes := c.s.opt.Files.Watch(ctx)
	for reply(ipc.Reply{OK: true}) == nil {
		if _, ok := <-changes; !ok {
			return
		}
	}
}

// spareStart starts the spare's dbss and answers when it monitors.
func (c *session) spareStart(ctx context.Context, req ipc.Request) result {
	if c.s.opt.Spare == nil {
		return result{err: edits.Refuse("", notSpare)}
	}
	return result{err: c.s.opt.Spare.start(ctx, *req.Dat)}
}

// spareStop ends the spare's dbss, answers, and then ends this sif.
func (c *session) spareStop(ctx context.Context, reply func(ipc.Reply) error) {
	if c.s.opt.Spare == nil {
		_ = reply(ipc.Reply{Error: notSpare})
		return
	}
	if err := c.s.opt.Spare.stop(ctx); err != nil {
		_ = reply(ipc.Reply{Error: err.Error(), Retry: true})
		return
	}
	_ = reply(ipc.Reply{OK: true})
	c.s.opt.Spare.finish()
}

const notSpare = "this is not the sif of a spare"
