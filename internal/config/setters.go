package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Secret is a text that no verb, marshaller or log shows, not even as a part of
// something else: it is held by reference. The zero Secret is empty.
type Secret struct{ text *string }

const redacted = "[secret]"

// NewSecret returns the text as a secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text, for where it is used.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns a fixed word.
func (s Secret) String() string { return redacted }

// Format writes a fixed word under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns a fixed word.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// The setters below make the set function of a [Setting]. Their errors say what
// is wrong without the value: it may be a secret in the wrong place.

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

func secret(field func(*Config) *Secret) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = NewSecret(v)
		return nil
	}
}

// token takes what is too long to be guessed, or nothing.
func token(field func(*Config) *Secret) func(*Config, string) error {
	return func(c *Config, v string) error {
		if v != "" && len(v) < 16 {
			return errors.New("too short")
		}
		*field(c) = NewSecret(v)
		return nil
	}
}

// number takes 1 to most.
func number(most int, field func(*Config) *int) func(*Config, string) error {
	return between(1, most, field)
}

func between(least, most int, field func(*Config) *int) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil {
			return errors.New("not a whole number")
		}
		if n < least || n > most {
			return errors.New("out of range")
		}
		*field(c) = n
		return nil
	}
}

func duration(least, most time.Duration, field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return errors.New("not a duration such as 500ms, 2s or 1m30s")
		}
		if d < least || d > most {
			return errors.New("out of range")
		}
		*field(c) = d
		return nil
	}
}

// durationOrOff takes 0 besides, for never.
func durationOrOff(least, most time.Duration, field func(*Config) *time.Duration) func(*Config, string) error {
	within := duration(least, most, field)
	return func(c *Config, v string) error {
		if d, err := time.ParseDuration(v); err == nil && d == 0 {
			*field(c) = 0
			return nil
		}
		return within(c, v)
	}
}

func oneOf(words []string, field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !slices.Contains(words, v) {
			return errors.New("not one of its words")
		}
		*field(c) = v
		return nil
	}
}

func httpURL(field func(*Config) *Secret) func(*Config, string) error {
	return func(c *Config, v string) error {
		u, err := url.Parse(v)
		if v != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
			return errors.New("not an HTTP URL")
		}
		*field(c) = NewSecret(v)
		return nil
	}
}

// hashTag matches a name with one non-empty pair of braces, of which Redis
// Cluster hashes the inside. Other braces would put the keys into other slots.
var hashTag = regexp.MustCompile(`^[^{}]*\{[^{}]+\}[^{}]*$`)

func queueName(c *Config, v string) error {
	printable := !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })
	braces := strings.ContainsAny(v, "{}")
	if len(v) > 200 || !printable || (braces && !hashTag.MatchString(v)) {
		return errors.New("not a queue's name")
	}
	c.QueueName = v
	return nil
}

func workerIDChar(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
}

func workerID(c *Config, v string) error {
	if v == "" {
		v = hostName()
	}
	if len(v) > 64 || strings.ContainsFunc(v, func(r rune) bool { return !workerIDChar(r) }) {
		return errors.New("not a worker's name")
	}
	c.WorkerID = v
	return nil
}

func address(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if v != "off" {
			_, port, err := net.SplitHostPort(v)
			if err != nil {
				return errors.New("not an address")
			}
			if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
				return errors.New("its port is out of range")
			}
		}
		*field(c) = v
		return nil
	}
}

func level(c *Config, v string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[v]
	if !ok {
		return errors.New("not a level")
	}
	c.LogLevel = l
	return nil
}
