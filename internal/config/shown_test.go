package config_test

import (
	"reflect"
	"testing"

	"fulfillment-worker/internal/config"
)

func shownOf(c config.Config) map[string]string {
	all := map[string]string{}
	for _, s := range c.Shown() {
		all[s.Name] = s.Value
	}
	return all
}

func TestShown(t *testing.T) {
	t.Parallel()
	c := load(t, env{
		"POSTGRES_PASSWORD": "x", "DATABASE_URL": "postgres://u:x@h:1/d?sslmode=require", "WORKER_CONCURRENCY": "7",
		"REDIS_MODE": "cluster", "REDIS_URL": "rediss://u:x@h:1/0, i:2", "FULFILLMENT_URL": "https://u:x@h/hook/x?key=x",
	})
	if n := len(c.Shown()); n != len(config.Settings) {
		t.Errorf("%d settings are shown, there are %d", n, len(config.Settings))
	}
	for name, want := range map[string]string{
		"POSTGRES_PASSWORD":  "[secret]",
		"DATABASE_URL":       "postgres://h:1/d",
		"REDIS_URL":          "rediss://h:1/0,redis://i:2",
		"FULFILLMENT_URL":    "https://h",
		"WORKER_CONCURRENCY": "7",
		"LEASE_TTL":          "5s",
	} {
		if got := shownOf(c)[name]; got != want {
			t.Errorf("%s is shown as %q, want %q", name, got, want)
		}
	}
	if unset := shownOf(load(t, env{}))["POSTGRES_PASSWORD"]; unset != "" {
		t.Errorf("a password that is not set is shown as %q", unset)
	}
}

// Whatever is kept as a secret is shown as one.
func TestShown_hidesEverySecret(t *testing.T) {
	t.Parallel()
	secrets := 0
	for _, s := range config.Settings {
		for _, value := range []string{"https://u:x@h/1", "redis://u:x@h/1", "postgres://u:x@h/1"} {
			c, err := config.Load(env{s.Name: value}.get)
			if err != nil || !keepsSecret(c, value) {
				continue
			}
			secrets++
			if shownOf(c)[s.Name] == value {
				t.Errorf("%s is a secret, and is shown", s.Name)
			}
		}
	}
	if secrets == 0 {
		t.Error("no setting is a secret")
	}
}

func keepsSecret(c config.Config, value string) bool {
	for field, v := range reflect.ValueOf(c).Fields() {
		if !field.IsExported() {
			continue
		}
		if secret, ok := reflect.TypeAssert[config.Secret](v); ok && secret.Reveal() == value {
			return true
		}
	}
	return false
}
