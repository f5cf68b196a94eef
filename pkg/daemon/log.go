package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
)

// The log fields with a meaning of their own.
const (
	FieldStep = "step" // the figure label that ran: A2, B3
	FieldJob  = "job"  // JobBackground for a background job
)

// JobBackground is the FieldJob of a background job; its text lines begin with __.
const JobBackground = "bg"

// QuietEnv, when set, keeps the log off stderr: a program that another one
// started keeps stderr for what it dies of.
const QuietEnv = "PSS_LOG_QUIET"

// timeLayout has hundredths of seconds, as Fig. 12 and 13 do.
const timeLayout = "2006-01-02 15:04:05.00"

// NewLogger opens the system log of a program instance (SPEC 8): it appends to
// PROGRAM-NAME.log and to stderr, in text or, with format "json", as zerolog's
// JSON. name is empty for pss. Times are clk's. The closer closes the file.
// Where the file cannot be opened, on a full disk say, stderr alone must do: a
// monitor without a log file is better than none.
func NewLogger(d Dirs, program, name, format string, clk clock.Clock) (zerolog.Logger, io.Closer, error) {
	f, err := os.OpenFile(d.LogFile(program, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		log := NewLoggerTo(os.Stderr, program, name, format, clk)
		log.Error().Err(err).Msg("cannot open the log, going on without")
		return log, io.NopCloser(nil), nil
	}
	out := io.Writer(f)
	if os.Getenv(QuietEnv) == "" {
		out = io.MultiWriter(f, os.Stderr)
	}
	return NewLoggerTo(out, program, name, format, clk), f, nil
}

// NewLoggerTo is NewLogger onto any writer; each line is one Write.
func NewLoggerTo(out io.Writer, program, name, format string, clk clock.Clock) zerolog.Logger {
	stamp := zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Str(zerolog.TimestampFieldName, clk.Now().Format(timeLayout))
	})
	if format == "json" {
		c := zerolog.New(out).Level(zerolog.InfoLevel).With().Str("prog", program)
		if name != "" {
			c = c.Str("target", name)
		}
		return c.Logger().Hook(stamp)
	}
	who := name
	if who == "" {
		who = program
	}
	return zerolog.New(&textWriter{out: out, who: who}).Level(zerolog.InfoLevel).Hook(stamp)
}

// textWriter turns zerolog's JSON into the lines of Fig. 12 and 13.
type textWriter struct {
	out io.Writer
	who string
}

// Write implements io.Writer for one event.
func (w *textWriter) Write(event []byte) (int, error) {
	line, err := textLine(event, w.who)
	if err != nil {
		return 0, err
	}
	if _, err := w.out.Write(line); err != nil {
		return 0, err
	}
	return len(event), nil
}

// textLine is "[__]TIME NAME [STEP ]message key=value ...". Levels other than
// info stand as level=LEVEL behind the message.
func textLine(event []byte, who string) ([]byte, error) {
	fields, err := orderedFields(event)
	if err != nil {
		return nil, fmt.Errorf("cannot format a log line: %v", err)
	}
	var job, at, step, message string
	var rest strings.Builder
	for _, f := range fields {
		switch f.key {
		case FieldJob:
			job = f.value
		case FieldStep:
			step = f.value + " "
		case zerolog.TimestampFieldName:
			at = f.value
		case zerolog.MessageFieldName:
			message = f.value
		case zerolog.LevelFieldName:
			if f.value == zerolog.LevelInfoValue {
				continue
			}
			fallthrough
		default:
			rest.WriteString(" " + f.key + "=" + quote(f.value))
		}
	}
	prefix := ""
	if job == JobBackground {
		prefix = "__"
	}
	return []byte(oneLine(prefix+at+" "+who+" "+step+message+rest.String()) + "\n"), nil
}

type field struct{ key, value string }

// orderedFields reads a JSON object, its fields in their order; strings lose
// their quotes, lists of strings are joined by commas, anything else stays JSON.
func orderedFields(event []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(event))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var out []field
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		out = append(out, field{fmt.Sprint(key), plain(raw)})
	}
	return out, nil
}

func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, ",")
	}
	return string(raw)
}

// quote puts quotes around a value that would not read as one word.
func quote(s string) string {
	q := strconv.Quote(s)
	if s == "" || strings.ContainsAny(s, " =") || len(q) != len(s)+2 {
		return q
	}
	return s
}

func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
