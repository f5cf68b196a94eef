package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
)

// fleet builds the seven files of a fleet in Moderate from words:
// "Web: W1@1=102 W2@3=105 | Ws / 1 2" is group Web with W1 on RS1 holding VIP
// .102, W2 on RS3 holding .105, spare Ws, and bases RS1 RS2. Server .N holds
// VIP .10N, RSn is .20n, spares are .51 and up.
type fleet struct {
	prefix string // of every address
	spares int
}

func (f *fleet) ip(n int) netip.Addr { return netip.MustParseAddr(f.prefix + strconv.Itoa(n)) }
func (f *fleet) rs(n int) netip.Addr { return f.ip(200 + n) }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func build(prefix string, reals int, groups ...string) cluster.Tables {
	f := &fleet{prefix: prefix}
	var t cluster.Tables
	for i := 1; i <= reals; i++ {
		t.Real = append(t.Real, cluster.RealRow{IP: f.rs(i), MAC: cluster.MAC{5: byte(i)}})
	}
	for _, g := range groups {
		f.group(&t, g)
	}
	return t
}

func (f *fleet) group(t *cluster.Tables, text string) {
	name, rest, _ := strings.Cut(text, ":")
	rest, bases, _ := strings.Cut(rest, "/")
	homes, spares, _ := strings.Cut(rest, "|")
	for _, h := range strings.Fields(homes) {
		host, at, _ := strings.Cut(h, "@")
		real, vip, _ := strings.Cut(at, "=")
		n := number(vip)
		t.Operation = append(t.Operation, cluster.ServerRow{Group: name, Real: f.rs(number(real)), VIP: f.ip(n), Host: host, IP: f.ip(n - 100)})
	}
	for _, s := range strings.Fields(spares) {
		t.Spares = append(t.Spares, cluster.SpareRow{Group: name, Host: s, IP: f.ip(51 + f.spares)})
		f.spares++
	}
	row := cluster.StateRow{Group: name, Condition: cluster.Moderate}
	for _, b := range strings.Fields(bases) {
		row.Bases = append(row.Bases, f.rs(number(b)))
	}
	t.State = append(t.State, row)
}

const lan = "172.21.14."

// paper is the system of SPEC 1 in Fig. 3(a).
func paper() cluster.Tables {
	return build(lan, 3,
		"Mail: M1@1=101 M2@2=104 | Ms / 1 2",
		"Web: W1@1=102 W2@3=105 | Ws / 1 2",
		"FTP: F1@2=103 F2@3=106 | Fs / 1 2")
}

// want reads "Web=PS1 FTP=PS2"; "all=C" names every group.
func want(t cluster.Tables, text string) map[string]cluster.Condition {
	if word, ok := strings.CutPrefix(text, "all="); ok {
		var parts []string
		for _, s := range t.State {
			parts = append(parts, s.Group+"="+word)
		}
		text = strings.Join(parts, " ")
	}
	wants, err := ParseWants(t, strings.Join(strings.Fields(text), ","))
	if err != nil {
		panic(err)
	}
	return wants
}

// shifted is t after the shifts named one after the other.
func shifted(t cluster.Tables, wants ...string) cluster.Tables {
	for _, w := range wants {
		t = Apply(t, nil, Make(t, nil, want(t, w)))
	}
	return t
}

// last is the last part of an address: what the tables above call it.
func last(ip netip.Addr) string {
	s := ip.String()
	return s[strings.LastIndexAny(s, ".:")+1:]
}

func brief(s Step) string {
	switch s.Do {
	case Refuse:
		return fmt.Sprintf("refuse %s (%s)", s.Group, s.Why)
	case WakeReal:
		return "wake " + last(s.Real)
	case StartSpare:
		return fmt.Sprintf("start %s@%s", s.Spare, last(s.Real))
	case MoveVIP:
		return fmt.Sprintf("%s %s>%s", last(s.VIP), s.From.Host, s.To.Host)
	case SetState:
		return fmt.Sprintf("%s=%s", s.Group, s.Condition)
	case StopSpare:
		return "stop " + s.Spare
	case SuspendReal:
		return "suspend " + last(s.Real)
	}
	return "?"
}

// compact is a plan on one line.
func compact(p Steps) string {
	var out []string
	for _, s := range p {
		out = append(out, brief(s))
	}
	return strings.Join(out, "; ")
}

// rows is one of the three files on one line: "105:W2@203 106:F2@203".
func rows(rs cluster.Rows) string {
	rs = slices.SortedFunc(slices.Values(rs), func(a, b cluster.ServerRow) int { return a.VIP.Compare(b.VIP) })
	var out []string
	for _, r := range rs {
		out = append(out, fmt.Sprintf("%s:%s@%s", last(r.VIP), r.Host, last(r.Real)))
	}
	return strings.Join(out, " ")
}

// shiftCase is one shift: from a fleet, by wants, to a plan and two files.
type shiftCase struct {
	name       string
	from       cluster.Tables
	wants      string
	plan       string
	operation  string // after; empty: not looked at
	accessStop string
}

func (c shiftCase) run(t *testing.T) {
	p := Make(c.from, nil, want(c.from, c.wants))
	if got := compact(p); got != c.plan {
		t.Errorf("plan\n got %s\nwant %s", got, c.plan)
	}
	after := Apply(c.from, nil, p)
	if got := rows(after.Operation); c.operation != "" && got != c.operation {
		t.Errorf("operation\n got %s\nwant %s", got, c.operation)
	}
	if got := rows(after.AccessStop); c.operation != "" && got != c.accessStop {
		t.Errorf("access-stop\n got %s\nwant %s", got, c.accessStop)
	}
	if again := Make(after, nil, nil); len(again) > 0 && len(again) != len(again.Of(Refuse)) {
		t.Errorf("planned again: %s", compact(again))
	}
}

func runCases(t *testing.T, cases []shiftCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, c.run)
	}
}
