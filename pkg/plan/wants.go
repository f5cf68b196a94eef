package plan

import (
	"fmt"
	"io"
	"strings"

	"pss-msbs/pkg/cluster"
)

// ParseWants reads "Web=PS1,FTP=Light(PS2)" into conditions of groups that t knows.
func ParseWants(t cluster.Tables, text string) (map[string]cluster.Condition, error) {
	wants := map[string]cluster.Condition{}
	if strings.TrimSpace(text) == "" {
		return wants, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		group, word, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf("cannot read want %q: want GROUP=CONDITION", part)
		}
		if _, known := t.StateOf(group); !known {
			return nil, fmt.Errorf("cannot read want %q: no group %q in state.conf", part, group)
		}
		if _, twice := wants[group]; twice {
			return nil, fmt.Errorf("cannot read want %q: group %s is named twice", part, group)
		}
		c, err := cluster.ParseCondition(word)
		if err != nil {
			return nil, fmt.Errorf("cannot read want %q: %v", part, err)
		}
		wants[group] = c
	}
	return wants, nil
}

// WriteText prints the plan for an operator, one line a step.
func (p Steps) WriteText(w io.Writer) error {
	if len(p) == 0 {
		_, err := fmt.Fprintln(w, "nothing to do")
		return err
	}
	for _, s := range p {
		if _, err := fmt.Fprintln(w, s); err != nil {
			return err
		}
	}
	return nil
}
