package load

import (
	"fmt"
	"net/netip"

	"pss-msbs/pkg/cluster"
)

// Part is a share of what one of today's servers carries.
type Part struct {
	Host  string  // one of the group's servers in operation
	Share float64 // 0 to 1 of its CPU and network use: its VIPs that are meant, of all it holds
}

// Place is a server that would serve, and of which of today's servers it would
// carry what. Memory does not move with a VIP: a server's own programs need it
// whether they have clients or not, so of several servers' memory the place has
// the greatest, and CPU (in cores) and network are added, as in a replay (SPEC 4).
type Place struct {
	Host     string
	Capacity Capacity
	From     []Part
}

// Loss is who would serve a group once a real server has failed: backups where
// the failed servers have them, else the group's other servers; first those that
// are awake, then, the group being back in Moderate, those that were woken too. No
// place means that nobody would.
type Loss struct {
	Real          netip.Addr
	Places, Later []Place
}

// Layout is a group's servers in a condition that it is not in.
type Layout struct {
	Places []Place
	Losses []Loss // one for each real server that serves the group in it
}

// ahead is a group's load with today's readings on the servers of a layout.
func (d *Decider) ahead(g Group, places []Place) Loads {
	uses := map[string]usage{}
	for _, s := range g.Servers {
		uses[s.Host] = d.usage(s)
	}
	var out []usage
	for _, p := range places {
		at := usage{max: p.Capacity}
		for _, part := range p.From {
			u := uses[part.Host]
			at.use.MemKB = max(at.use.MemKB, u.use.MemKB)
			at.use.NetKBs += float64(u.use.NetKBs * part.Share)
			at.use.CPUPercent += float64(float64(u.use.CPUPercent*part.Share) * ratio(u.max.Cores, p.Capacity.Cores))
		}
		out = append(out, at)
	}
	return groupLoads(out, g.Rules.Type)
}

// fragile says which failure of a real server the group would not stand in PS1,
// or nothing: once the real servers that sleep have woken, the load must not be
// above moderate; until then, for the seconds that it takes, not above Look.Failure.
func (d *Decider) fragile(g Group) string {
	for _, loss := range g.Ahead[cluster.PS1].Losses {
		if len(loss.Places) == 0 {
			return fmt.Sprintf("nobody would serve %s without %v", g.Name, loss.Real)
		}
		if ls := d.ahead(g, loss.Places).Ls; ls > g.Rules.Look.Failure {
			return fmt.Sprintf("%s would be at %.0f %% without %v", g.Name, ls, loss.Real)
		}
		if ls := d.ahead(g, loss.Later).Ls; ls > g.Rules.Moderate {
			return fmt.Sprintf("%s would stay moderate without %v: %.0f %%", g.Name, loss.Real, ls)
		}
	}
	return ""
}
