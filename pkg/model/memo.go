package model

import (
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/sif/verbs"
)

// memo remembers what the product's functions said: few tables make many states.
type memo struct {
	looks  map[lookKey]look
	edits  map[editKey]edit
	rows   map[rowsKey]rows
	sounds map[int16]string
	shifts map[shiftKey]int16
	views  map[int16]*view
}

func newMemo() memo {
	return memo{map[lookKey]look{}, map[editKey]edit{}, map[rowsKey]rows{}, map[int16]string{}, map[shiftKey]int16{}, map[int16]*view{}}
}

type lookKey struct {
	files  int16
	failed guests
	guest  int8
}

// look is what A1 says of a server.
type look struct {
	state            cluster.Standing
	vips             vips // in its state
	nobody, byBackup vips // of these
	out, failed      bool
}

func (y *System) look(files int16, failed guests, g int8) look {
	k := lookKey{files, failed, g}
	l, ok := y.memo.looks[k]
	if ok {
		return l
	}
	r := y.facts(failed).Look(y.tables.all[files], y.guests[g].Host)
	l = look{state: r.State, vips: y.mask(r.VIPs), failed: r.Failed, out: r.Real == string(cluster.RealOutside)}
	for _, v := range r.Serving {
		switch {
		case v.Host == "":
			l.nobody |= 1 << y.vip(v.VIP)
		case g < homesN && v.Host == y.servers[g].Backup:
			l.byBackup |= 1 << y.vip(v.VIP)
		}
	}
	y.memo.looks[k] = l
	return l
}

type editKey struct {
	files  int16
	failed guests
	verb   ipc.Verb
	who    int8 // the guest, or the real server of B3 and B4
	server int8 // B4: the server that is restored; nobody
}

// edit is what a verb does to the files and to the set of A4-failed.
type edit struct {
	files  int16
	failed guests
	ok     bool
}

// edit runs a verb of sif.
func (y *System) edit(files int16, failed guests, verb ipc.Verb, who, server int8) edit {
	k := editKey{files, failed, verb, who, server}
	if e, ok := y.memo.edits[k]; ok {
		return e
	}
	req := y.request(verb, who, server)
	before := y.tables.all[files]
	after := before.Clone()
	e := edit{files, failed, y.facts(failed).Apply(&after, req) == nil}
	if e.ok {
		add, remove := verbs.Marks(before, after, req)
		if add != "" {
			e.failed |= 1 << y.guest(add)
		}
		for _, h := range remove {
			e.failed &^= 1 << y.guest(h)
		}
		e.files = y.intern(after)
	}
	y.memo.edits[k] = e
	return e
}

// request is the verb as its master sends it.
func (y *System) request(verb ipc.Verb, who, server int8) ipc.Request {
	req := ipc.Request{Verb: verb}
	switch verb {
	case ipc.B3, ipc.B4:
		r := y.reals[who]
		req.Host, req.Real, req.MAC = r.Host, r.IP, r.MAC
		if server >= 0 {
			d := y.servers[server]
			req.Servers = []ipc.Restored{{Target: ipc.Server{Host: d.Host, IP: d.IP, Group: d.Group}, Backup: y.backupOf(server)}}
		}
		return req
	case ipc.A4:
		req.Real = addr(200)
	case ipc.A5:
		req.Outcome = ipc.Recovered
	}
	req.Host, req.Backup = y.guests[who].Host, y.backupOf(who)
	return req
}

type rowsKey struct {
	files int16
	guest int8
}

// rows is what a hold shows of a server.
type rows struct {
	back, fromBackup vips // what it gets, and what of it its backup serves
	separated        bool
	operation        vips
}

func (y *System) held(files int16, g int8) rows {
	k := rowsKey{files, g}
	if r, ok := y.memo.rows[k]; ok {
		return r
	}
	host, backup := y.guests[g].Host, y.backupOf(g).Name()
	h := y.facts(0).HeldRows(y.tables.all[files], host, backup)
	r := rows{back: y.mask(h.Returning(host, backup)), fromBackup: y.mask(h.BackupOperation.VIPs()),
		separated: len(h.TargetSeparation) > 0, operation: y.mask(h.TargetOperation.VIPs())}
	y.memo.rows[k] = r
	return r
}

// view is a table spelt for quick looks.
type view struct {
	holder  [8]int8 // by VIP: the guest of its operation row; nobody
	real    [8]int8 // by VIP: the host of that row
	reals   [maxHosts]cluster.Standing
	used    guests // guests with a row in any of the three files
	stopped guests // in access-stop
	op, sep vips
}

func (y *System) view(files int16) *view {
	if v := y.memo.views[files]; v != nil {
		return v
	}
	t := y.tables.all[files]
	v := &view{op: y.mask(t.Operation.VIPs()), sep: y.mask(t.Separation.VIPs())}
	for i := range v.holder {
		v.holder[i], v.real[i] = nobody, nowhere
	}
	for _, r := range t.Operation {
		v.holder[y.vip(r.VIP)], v.real[y.vip(r.VIP)] = y.guest(r.Host), y.host(r.Real)
	}
	for _, r := range t.AccessStop {
		v.stopped |= 1 << y.guest(r.Host)
	}
	for _, r := range t.Rows() {
		v.used |= 1 << y.guest(r.Host)
	}
	for i, ip := range y.hosts {
		v.reals[i] = t.RealStanding(ip)
	}
	y.memo.views[files] = v
	return v
}
