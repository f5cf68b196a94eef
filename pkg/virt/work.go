//go:build libvirt_dlopen

package virt

import (
	"context"
	"fmt"
	"time"

	"pss-msbs/pkg/cluster"
)

// Work is what the processors of g and of its host have done so far. Time in which
// a processor waits for a disk counts as idle: it could do something else.
func (d *Driver) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	var w cluster.Work
	h := d.host(g.Real)
	err := d.call(ctx, g.Real, func(c conn) (err error) {
		w, err = h.work(c, g.Host)
		return err
	})
	if err != nil {
		return cluster.Work{}, fmt.Errorf("cannot ask for the processor time of %s: %w", g.Host, err)
	}
	return w, nil
}

// work asks for both at the same moment, over one connection.
func (h *host) work(c conn, host string) (w cluster.Work, err error) {
	if w.Processors, err = h.countProcessors(c); err != nil {
		return w, err
	}
	dom, err := c.LookupDomainByName(host)
	if err != nil {
		return w, err
	}
	defer func() { _ = dom.Free() }() // only memory
	guest, err := dom.GetInfo()
	if err != nil {
		return w, err
	}
	stats, err := c.GetCPUStats()
	if err != nil {
		return w, err
	}
	w.Used, w.Cores = time.Duration(guest.CpuTime), int(guest.NrVirtCpu)
	w.Idle = time.Duration(stats.Idle + stats.Iowait)
	w.Total = w.Idle + time.Duration(stats.User+stats.Kernel)
	return w, nil
}

// countProcessors asks once: it is a slow question.
func (h *host) countProcessors(c conn) (int, error) {
	if n := h.processors.Load(); n > 0 {
		return int(n), nil
	}
	info, err := c.GetNodeInfo()
	if err != nil {
		return 0, err
	}
	h.processors.Store(int32(info.Cpus))
	return int(info.Cpus), nil
}
