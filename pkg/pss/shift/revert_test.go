package shift

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// Undoing goes in reverse, over failures, and once.
func TestRevert(t *testing.T) {
	var r revert
	var ran []int
	broken := errors.New("broken on purpose")
	for n := range 3 {
		r.push(func(context.Context) error {
			ran = append(ran, n)
			if n == 1 {
				return broken
			}
			return nil
		})
	}
	if err := r.run(t.Context()); !errors.Is(err, broken) || !slices.Equal(ran, []int{2, 1, 0}) {
		t.Errorf("ran %v, %v", ran, err)
	}
	if err := r.run(t.Context()); err != nil || len(ran) != 3 {
		t.Errorf("ran again: %v, %v", ran, err)
	}
}
