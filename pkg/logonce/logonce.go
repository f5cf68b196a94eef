// Package logonce remembers what a program said last about each of its topics,
// so that an outcome is logged once and not at every attempt.
package logonce

import "sync"

// Book is what was said. Its zero value is an empty one; it may be used by many
// goroutines.
type Book struct {
	mu   sync.Mutex
	last map[string]string
}

// News notes text as what is said about topic, and reports whether it is another
// than before. At first nothing, "", was said about everything.
func (b *Book) News(topic, text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last[topic] == text {
		return false
	}
	if b.last == nil {
		b.last = map[string]string{}
	}
	b.last[topic] = text
	return true
}

// Forget makes whatever is said about topic next news again.
func (b *Book) Forget(topic string) { b.News(topic, "") }
