// Package load turns measured readings into what a service group wants: the
// predicted loads of its servers (paper, section 2.5, equations (1)-(3)), the
// group's loads (4)-(6), its load by server type (7)-(9), the load class with
// the band ML of Fig. 6(a), the streaks of Fig. 6(b) and the client accesses of
// Fig. 6(c). It knows no clock and does no input or output, so that pss run
// and pss replay decide with the same code.
package load

import "pss-msbs/pkg/cluster"

// Reading is the average of one cycle's samples of one server: A_n in
// equations (1)-(3).
type Reading struct {
	MemKB      float64 // used memory, kilobytes
	CPUPercent float64 // 0 to 100 over all cores
	NetKBs     float64 // kilobytes sent and received a second
}

// Capacity is what a server's readings are measured against.
type Capacity struct {
	MemKB  float64 // M_max, kilobytes
	Cores  float64 // C_cor
	NetKBs float64 // N_rat, kilobytes a second, both directions together
}

// RatedKBs is N_rat of a network interface: twice its rated speed, 256000 for
// 1000 Mbps (paper, section 2.5).
func RatedKBs(mbps float64) float64 { return 2 * mbps * 128 }

// Predict is equations (1)-(3): 2 A_n - A_(n-1), clamped to what the server
// has. A server not measured the cycle before is taken as steady.
func Predict(now Reading, before *Reading, limit Capacity) Reading {
	if before == nil {
		before = &now
	}
	return Reading{
		MemKB:      clamp(2*now.MemKB-before.MemKB, limit.MemKB),
		CPUPercent: clamp(2*now.CPUPercent-before.CPUPercent, 100),
		NetKBs:     clamp(2*now.NetKBs-before.NetKBs, limit.NetKBs),
	}
}

// clamp keeps a predicted value within [0, limit]: fluctuations may throw it out.
func clamp(v, limit float64) float64 { return max(0, min(v, limit)) }

// Loads are a group's loads in percent.
type Loads struct {
	Mem float64 // Lm, equation (4)
	CPU float64 // Lc, equation (5)
	Net float64 // Ln, equation (6)
	Ls  float64 // the load by server type, equations (7)-(9)
}

// usage is one server's predicted load and what it is measured against.
type usage struct {
	use Reading
	max Capacity
}

// groupLoads is equations (4)-(9) over the distinct servers of a group.
func groupLoads(servers []usage, kind cluster.Type) Loads {
	var use Reading
	var all Capacity
	for _, s := range servers {
		use.MemKB += s.use.MemKB
		use.CPUPercent += float64(s.use.CPUPercent * s.max.Cores)
		use.NetKBs += s.use.NetKBs
		all.MemKB += s.max.MemKB
		all.Cores += s.max.Cores
		all.NetKBs += s.max.NetKBs
	}
	l := Loads{Mem: ratio(use.MemKB, all.MemKB) * 100, CPU: ratio(use.CPUPercent, all.Cores), Net: ratio(use.NetKBs, all.NetKBs) * 100}
	l.Ls = weigh(l, kind)
	return l
}

// Measured is equations (4)-(9) with the readings as they are, for who knows the
// load of a cycle and need not predict it.
func Measured(servers []Server, kind cluster.Type) Loads {
	used := make([]usage, len(servers))
	for i, s := range servers {
		used[i] = usage{use: Predict(s.Reading, nil, s.Capacity), max: s.Capacity}
	}
	return groupLoads(used, kind)
}

// ratio is a/b, and 0 where there is nothing to measure against.
func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

// weigh is equations (7)-(9): memory weighs half in every server type. The
// conversions keep the compiler from fusing, so that every machine decides alike.
func weigh(l Loads, kind cluster.Type) float64 {
	cpu, net := 0.25, 0.25 // (9) CPU_NET
	switch kind {
	case cluster.CPU: // (7)
		cpu, net = 0.4, 0.1
	case cluster.Network: // (8)
		cpu, net = 0.1, 0.4
	}
	return float64(l.Mem*0.5) + float64(l.CPU*cpu) + float64(l.Net*net)
}

// ClientAccesses is z - k*y of Fig. 6(c), never below zero: of the z accesses
// counted over y seconds, each of the group's VIPs had k a second from the load
// balancer's monitoring program.
func ClientAccesses(z int64, perSecond, seconds float64, vips int) float64 {
	return max(0, float64(z)-float64(perSecond*seconds*float64(vips)))
}
