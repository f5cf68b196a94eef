package scenario

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/sim"
)

// Command is one line of a script:
//
//	at 125s begin                           the log shows what comes from here on
//	at 60s load GROUP|all PERCENT [ACCESSES_PER_SECOND]
//	at 60s fault KIND TARGET [for 30s]
//	at 60s fault vm-stall SERVER for 3s [says paused]   its hypervisor holds it, and says that it is running, or paused
//	at 60s fault late SERVER|REAL for 10s   commands for it are not answered, and come true after their callers have gone
//	at 60s path TARGET [loss 5] [loss-out 5] [loss-back 5] [delay 20ms] [jitter 300ms] [for 30s]  percent, each way; TARGET: see sim.Spec
//	at 60s heal TARGET
//	at 60s kill PROGRAM [NAME]
//	at 60s kill all                         every program, also those without launcher
//	at 60s stop PROGRAM [NAME]|all for 10s  as SIGSTOP and SIGCONT do
//	at 60s starve PROGRAM [NAME]|all for 10s  each of its steps takes up to half a second
//	at 60s reboot management for 40s        and the backups on it, and the run directory
//	at 60s break FILE                       a hand edit goes wrong: a line with too few fields
//	at 60s mend FILE                        and is taken back
//	at 60s edit FILE add ROW                a hand edit that can be used
//	at 60s edit FILE drop ROW
//	at 60s edit FILE swap ROW for ROW
//	at 60s remove FILE
//	at 60s vip on|off VIP SERVER            by hand, in the server
//	at 300s end                             the last line
//	when PROGRAM [NAME] before|after OP [HOST] COMMAND  once, at a point of a program
//	when PROGRAM [NAME] before|after OP [HOST] delay 3s the program gets no processor for so long
//	from 60s when ...                       and not before
//	with partitions-that-spare-clients      a partitioned host is cut off from the management server only
//	with profile-paper
//	with path [loss 5] [jitter 300ms] ...   between the management server and everybody else, from the start
//	with late 50                            percent of the commands whose callers have gone come true all the same, later
//	with slow-servers                       greetings take longer under load and beside boots
type Command struct {
	At   time.Duration // of a trigger: not before
	When *trigger
	Do   []string
	text string
}

// trigger is a point of a program.
type trigger struct {
	who   string
	after bool
	op    string // spaces as "_": "A5_recovered"
	host  string // "" is any
}

// ReadScript reads a file of commands; blank lines and # comments are skipped.
func ReadScript(path string) ([]Command, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []Command
	for n, text := range strings.Split(string(b), "\n") {
		text, _, _ = strings.Cut(text, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		c, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %v", path, n+1, err)
		}
		out = append(out, c)
	}
	if n := len(out); n == 0 || !slices.Equal(out[n-1].Do, []string{"end"}) {
		return nil, fmt.Errorf("%s: want end as the last command", path)
	}
	return out, nil
}

// verbs are what a command may begin with.
var verbs = []string{"load", "fault", "path", "heal", "kill", "stop", "starve", "reboot", "break", "mend", "edit", "remove", "vip", "delay"}

func parse(text string) (Command, error) {
	f := strings.Fields(text)
	c := Command{text: text}
	if f[0] == "from" && len(f) > 3 && f[2] == "when" {
		var err error
		if c.At, err = time.ParseDuration(f[1]); err != nil {
			return c, err
		}
		f = f[2:]
	}
	switch {
	case f[0] == "with" && len(f) >= 2:
		c.Do = f
		return c, nil
	case f[0] == "at" && len(f) > 2:
		var err error
		c.At, err = time.ParseDuration(f[1])
		c.Do = f[2:]
		return c, err
	case f[0] == "when":
		i := slices.IndexFunc(f, func(s string) bool { return s == "before" || s == "after" })
		j := slices.IndexFunc(f, func(s string) bool { return slices.Contains(verbs, s) })
		if i < 2 || j < i+2 || j > i+3 {
			break
		}
		c.When = &trigger{who: strings.Join(f[1:i], " "), after: f[i] == "after", op: strings.ReplaceAll(f[i+1], "_", " ")}
		if j == i+3 {
			c.When.host = f[i+2]
		}
		c.Do = f[j:]
		return c, nil
	}
	return c, fmt.Errorf("cannot read %q: want at TIME COMMAND, or when PROGRAM before|after OP COMMAND", text)
}

// split takes "dbss M1" apart.
func split(who string) (program, name string) {
	program, name, _ = strings.Cut(who, " ")
	return program, name
}

// Play launches the programs, carries out a script and returns at its end.
func (w *World) Play(script []Command) error {
	begun := time.Now()
	var failed firstError
	w.OnPoint = w.triggers(begun, script, &failed)
	w.Launch()
	for _, c := range script {
		if c.When != nil || c.Do[0] == "with" {
			continue
		}
		time.Sleep(time.Until(begun.Add(c.At)))
		if err := failed.get(); err != nil {
			return err
		}
		switch c.Do[0] {
		case "end":
			return nil
		case "begin":
			w.log.show()
			continue
		}
		w.log.add("-", strings.Join(c.Do, " "))
		if err := w.command(c.Do); err != nil {
			return fmt.Errorf("%s: %v", c.text, err)
		}
	}
	return nil
}

// firstError keeps what went wrong in a trigger.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (e *firstError) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

func (e *firstError) get() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// triggers fires each when-command once, at the first point that fits.
func (w *World) triggers(begun time.Time, script []Command, failed *firstError) func(*Proc, Point) {
	var mu sync.Mutex
	fired := make([]bool, len(script))
	return func(p *Proc, at Point) {
		for i, c := range script {
			t := c.When
			if t == nil || t.who != p.who || t.op != at.Op || t.after != at.After || t.host != "" && t.host != at.Host {
				continue
			}
			if time.Since(begun) < c.At {
				continue
			}
			mu.Lock()
			first := !fired[i]
			fired[i] = true
			mu.Unlock()
			if !first {
				continue
			}
			w.log.add("-", c.text)
			if err := w.command(c.Do); err != nil {
				failed.set(fmt.Errorf("%s: %v", c.text, err))
			}
		}
	}
}

// command does one command at once.
func (w *World) command(f []string) error {
	if done, err := w.grey(f); done {
		return err
	}
	switch {
	case f[0] == "load" && len(f) >= 3:
		return w.load(f[1], f[2:])
	case f[0] == "fault" && len(f) == 3:
		return w.Model.Inject(sim.Fault{Kind: f[1], Target: f[2]})
	case f[0] == "fault" && len(f) == 5 && f[3] == "for":
		d, err := time.ParseDuration(f[4])
		if err != nil {
			return err
		}
		return w.Model.Inject(sim.Fault{Kind: f[1], Target: f[2], For: d, Delay: 300 * time.Millisecond})
	case f[0] == "heal" && len(f) == 2:
		return w.Model.Heal(f[1])
	case f[0] == "kill" && f[len(f)-1] == "all":
		w.killAll()
		return nil
	case f[0] == "kill" && len(f) >= 2:
		return w.Kill(strings.Join(f[1:], " "))
	case f[0] == "reboot" && len(f) == 4 && f[1] == "management" && f[2] == "for":
		d, err := time.ParseDuration(f[3])
		if err != nil {
			return err
		}
		return w.reboot(d)
	case f[0] == "edit" && len(f) > 3:
		return w.handEdit(f[1], f[2], f[3:])
	case f[0] == "delay" && len(f) == 2:
		d, err := time.ParseDuration(f[1])
		time.Sleep(d)
		return err
	case f[0] == "vip" && len(f) == 4:
		return w.vipByHand(f[1], f[2], f[3])
	case f[0] == "break" && len(f) == 2:
		return w.edit(f[1], func(text string) string { return text + slip })
	case f[0] == "mend" && len(f) == 2:
		return w.edit(f[1], func(text string) string { return strings.ReplaceAll(text, slip, "") })
	case f[0] == "remove" && len(f) == 2:
		return w.disk.Remove(f[1])
	}
	return fmt.Errorf("no such command")
}

// groups are the service groups, by name.
func (w *World) groups() []string {
	var out []string
	for _, d := range w.dats.Servers {
		if !slices.Contains(out, d.Group) {
			out = append(out, d.Group)
		}
	}
	slices.Sort(out)
	return out
}

func (w *World) load(group string, f []string) error {
	var n [2]float64
	for i, s := range f {
		var err error
		if n[i], err = strconv.ParseFloat(s, 64); err != nil || i > 1 {
			return fmt.Errorf("want PERCENT [ACCESSES_PER_SECOND]")
		}
	}
	groups := []string{group}
	if group == "all" {
		groups = w.groups()
	}
	for _, g := range groups {
		if err := w.Model.SetLoad(g, n[0], n[1], 0); err != nil {
			return err
		}
	}
	return nil
}
