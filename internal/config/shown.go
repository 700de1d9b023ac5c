package config

import (
	"cmp"
	"net/url"
	"strings"
)

// Shown is a setting as people may see it.
type Shown struct {
	Name  string `json:"name"`
	Value string `json:"value"` // "" where it is not set; of a secret only where it leads to
}

// confidential are the settings whose values are secrets, and what may be seen of them.
var confidential = map[string]func(string) string{
	"POSTGRES_PASSWORD": hidden,
	"DATABASE_URL":      destination,
	"REDIS_URL":         destinations,
	"FULFILLMENT_URL":   destination,
	"DASHBOARD_TOKEN":   hidden,
}

// Shown is every setting that [Load] found, in the order of [Settings], for the people who
// operate the program.
func (c *Config) Shown() []Shown { return c.shown }

func shown(getenv func(string) string) (all []Shown) {
	for _, s := range Settings {
		value := cmp.Or(getenv(s.Name), s.Default)
		if show := confidential[s.Name]; show != nil && value != "" {
			value = show(value)
		}
		all = append(all, Shown{s.Name, value})
	}
	return all
}

func hidden(string) string { return redacted }

// destination is a URL without anything that may be a secret: of a URL of the web the path
// may be one, too.
func destination(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return redacted
	}
	place := url.URL{Scheme: u.Scheme, Host: u.Host}
	if !strings.HasPrefix(u.Scheme, "http") {
		place.Path = u.Path
	}
	return place.String()
}

func destinations(list string) string {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); !strings.Contains(part, "://") {
			part = "redis://" + part
		}
		all = append(all, destination(part))
	}
	return strings.Join(all, ",")
}
