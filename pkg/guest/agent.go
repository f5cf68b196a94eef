package guest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"pss-msbs/pkg/cluster"
)

// Channel carries one command to a guest's QEMU agent and returns its answer,
// both in JSON.
type Channel interface {
	AgentCommand(ctx context.Context, g cluster.Guest, command string) (string, error)
}

// Agent reaches guests by the QEMU guest agent, which answers also while the
// guest's network is down.
type Agent struct{ Channel Channel }

// environment replaces the agent's own in the programs it runs: the output of
// free and sar depends on the locale.
var environment = []string{"LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

type execArguments struct {
	Path    string   `json:"path"`
	Arg     []string `json:"arg"`
	Env     []string `json:"env"`
	Capture bool     `json:"capture-output"`
}

type execStatus struct {
	Exited   bool   `json:"exited"`
	ExitCode int    `json:"exitcode"`
	Signal   int    `json:"signal"`
	Out      []byte `json:"out-data"` // base64 in the answer, which encoding/json undoes
	Err      []byte `json:"err-data"`
}

// call sends one agent command and reads the "return" of its answer into result.
func (a Agent) call(ctx context.Context, g cluster.Guest, name string, arguments, result any) error {
	request := map[string]any{"execute": name}
	if arguments != nil {
		request["arguments"] = arguments
	}
	b, err := json.Marshal(request)
	if err != nil {
		return err
	}
	answer, err := a.Channel.AgentCommand(ctx, g, string(b))
	if err != nil {
		return fmt.Errorf("cannot ask the agent of %s (%s): %w", g.Host, name, err)
	}
	if err := decodeReturn([]byte(answer), result); err != nil {
		return fmt.Errorf("cannot ask the agent of %s (%s): %v", g.Host, name, err)
	}
	return nil
}

func decodeReturn(answer []byte, result any) error {
	var reply struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Desc string `json:"desc"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return fmt.Errorf("bad answer: %v", err)
	}
	if reply.Error != nil {
		return fmt.Errorf("it refused: %s", reply.Error.Desc)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(reply.Return, result)
}

// Start runs argv in g. The wait function returns its output once it has ended;
// the agent keeps the result of a command until it is asked for.
func (a Agent) Start(ctx context.Context, g cluster.Guest, argv []string, limit time.Duration) (Wait, error) {
	var started struct {
		PID int `json:"pid"`
	}
	runs := bounded(argv, limit)
	args := execArguments{Path: runs[0], Arg: runs[1:], Env: environment, Capture: true}
	if err := a.call(ctx, g, "guest-exec", args, &started); err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]byte, error) { return a.wait(ctx, g, argv, started.PID) }, nil
}

// The pauses between two looks at a running command.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = 40 * time.Millisecond
)

func (a Agent) wait(ctx context.Context, g cluster.Guest, argv []string, pid int) ([]byte, error) {
	pause := firstLook
	for {
		var s execStatus
		if err := a.call(ctx, g, "guest-exec-status", map[string]int{"pid": pid}, &s); err != nil {
			return nil, cluster.Unknown(err)
		}
		if s.Exited {
			return s.Out, commandError(g, argv, s.ExitCode, s.Signal, s.Err)
		}
		select {
		case <-ctx.Done():
			return nil, givenUp(ctx, g, argv)
		case <-time.After(pause):
		}
		pause = min(2*pause, lastLook)
	}
}

// clockSlack is how wrong a guest's clock may be and is left alone; some guests
// can be set to a second only.
const clockSlack = 700 * time.Millisecond

// SetClock sets the clock of g to now, if it is wrong. The agent's own
// guest-set-time comes last: it waits for hwclock, which takes up to a second
// and a half, in which the agent answers nobody.
func (a Agent) SetClock(ctx context.Context, g cluster.Guest, now func() time.Time) error {
	var there int64
	if err := a.call(ctx, g, "guest-get-time", nil, &there); err != nil {
		return err
	}
	if now().Sub(time.Unix(0, there)).Abs() < clockSlack {
		return nil
	}
	for _, spell := range []func(time.Time) string{
		func(t time.Time) string { return fmt.Sprintf("@%d.%09d", t.Unix(), t.Nanosecond()) },
		func(t time.Time) string { return fmt.Sprintf("@%d", t.Round(time.Second).Unix()) }, // busybox
	} {
		_, err := run(ctx, a, g, []string{"date", "-u", "-s", spell(now())}, left(ctx))
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return a.call(ctx, g, "guest-set-time", map[string]int64{"time": now().UnixNano()}, nil)
}

// Answers is nil when the agent of g answers.
func (a Agent) Answers(ctx context.Context, g cluster.Guest) error {
	return a.call(ctx, g, "guest-ping", nil, nil)
}

// BootID is the random name that g's kernel gave to its last boot.
func (a Agent) BootID(ctx context.Context, g cluster.Guest) (string, error) {
	var handle int
	path := map[string]string{"path": "/proc/sys/kernel/random/boot_id"}
	if err := a.call(ctx, g, "guest-file-open", path, &handle); err != nil {
		return "", err
	}
	var content struct {
		Buf string `json:"buf-b64"`
	}
	err := a.call(ctx, g, "guest-file-read", map[string]int{"handle": handle}, &content)
	if cerr := a.call(ctx, g, "guest-file-close", map[string]int{"handle": handle}, nil); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	b, err := base64.StdEncoding.DecodeString(content.Buf)
	return string(b), err
}
