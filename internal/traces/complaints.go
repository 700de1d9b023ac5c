package traces

import (
	"errors"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

// quiet is how long nothing more is said after a complaint.
const quiet = time.Minute

// complaints logs what OpenTelemetry has to complain about, which may be the same for each
// batch of spans, once in a while.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	last time.Time
}

// Handle logs the error, or keeps quiet.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.IsZero() && time.Since(c.last) < quiet {
		return
	}
	c.last = time.Now()
	c.log.Warn("traces are incomplete", "error", withoutSecrets(err))
}

// quoted is what an error quotes: the collector's URL, and its answer.
var quoted = regexp.MustCompile(`https?://[^\s"]+|\(?body: (?s:.*)`)

// withoutSecrets is the error without what may hold credentials.
func withoutSecrets(err error) error {
	return errors.New(quoted.ReplaceAllString(err.Error(), "[not shown]"))
}
