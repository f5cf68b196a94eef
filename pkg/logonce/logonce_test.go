package logonce

import "testing"

func TestNews(t *testing.T) {
	var b Book
	for i, step := range []struct {
		topic, text string
		news        bool
	}{
		{"disk", "", false}, {"disk", "full", true}, {"disk", "full", false}, {"lock", "full", true},
		{"disk", "slow", true}, {"disk", "full", true}, {"disk", "", true}, {"disk", "full", true},
	} {
		if got := b.News(step.topic, step.text); got != step.news {
			t.Errorf("%d: News(%q, %q) = %t", i, step.topic, step.text, got)
		}
	}
	b.Forget("disk")
	if !b.News("disk", "full") {
		t.Error("it was not forgotten")
	}
}
