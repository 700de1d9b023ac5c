package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/logger"
)

// TestLoad_hidesSecrets puts a password wherever one may stand and looks for it
// wherever it could come out.
func TestLoad_hidesSecrets(t *testing.T) {
	t.Parallel()
	const canary = "S3cretCanary"
	tests := []struct {
		name string
		env  env
		good bool
	}{
		{"in DATABASE_URL", env{"DATABASE_URL": "postgres://u:" + canary + "@h:1/d"}, true},
		{"in a DATABASE_URL with a wrong port", env{"DATABASE_URL": "postgres://u:" + canary + "@h:port/d"}, false},
		{"in a DATABASE_URL with a wrong escape", env{"DATABASE_URL": "postgres://u:%zz" + canary + "@h:1/d"}, false},
		{"in a DATABASE_URL with a wrong option", env{"DATABASE_URL": "postgres://u:" + canary + "@h:1/d?sslmode=" + canary}, false},
		{"in a DATABASE_URL of another kind", env{"DATABASE_URL": "host=h password='" + canary}, false},
		{"in POSTGRES_PASSWORD", env{"POSTGRES_PASSWORD": canary + "@/:#"}, true},
		{"in POSTGRES_PASSWORD, with a wrong host", env{"POSTGRES_PASSWORD": canary, "POSTGRES_HOST": "[::1]"}, false},
		{"in REDIS_URL", env{"REDIS_URL": "redis://u:" + canary + "@h:1"}, true},
		{"in a REDIS_URL with a wrong database", env{"REDIS_URL": "redis://u:" + canary + "@h:1/x"}, false},
		{"in a REDIS_URL with a wrong escape", env{"REDIS_URL": "redis://u:%zz" + canary + "@h:1"}, false},
		{"in a REDIS_URL without a scheme", env{"REDIS_URL": canary + "@h:1"}, false},
		{"in a second REDIS_URL", env{"REDIS_MODE": "cluster", "REDIS_URL": "redis://u:" + canary + "@h:1,redis://u:" + canary + "@i:1"}, true},
		{"in a second REDIS_URL that is wrong", env{"REDIS_MODE": "cluster", "REDIS_URL": "redis://h:1,redis://u:" + canary + "@h:x"}, false},
		{"in several addresses where one is allowed", env{"REDIS_URL": "redis://h:1,redis://:" + canary + "@i:1"}, false},
		{"in FULFILLMENT_URL", env{"FULFILLMENT_URL": "https://u:" + canary + "@h/?key=" + canary}, true},
		{"in FULFILLMENT_URL, with warnings", env{"FULFILLMENT_URL": "https://u:" + canary + "@h", "SHUTDOWN_TIMEOUT": "0"}, true},
		{"in a FULFILLMENT_URL with a wrong escape", env{"FULFILLMENT_URL": "https://u:%zz" + canary + "@h"}, false},
		{"in a FULFILLMENT_URL of another kind", env{"FULFILLMENT_URL": "ftp://u:" + canary + "@h"}, false},
		{"in DASHBOARD_TOKEN", env{"DASHBOARD_TOKEN": canary + canary}, true},
		{"in a DASHBOARD_TOKEN that is too short", env{"DASHBOARD_TOKEN": canary}, false},
		{"in a queue's name by mistake", env{"QUEUE_NAME": "redis://u:" + canary + "@ä"}, false},
		{"in an address by mistake", env{"HTTP_ADDR": "http://u:" + canary + "@h:1"}, false},
		{"in a number by mistake", env{"POSTGRES_PORT": canary}, false},
		{"in a duration by mistake", env{"LEASE_TTL": canary}, false},
		{"in a word by mistake", env{"REDIS_MODE": canary}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(tt.env.get)
			if (err == nil) != tt.good {
				t.Errorf("Load: %v, want an error: %t", err, !tt.good)
			}
			shown := map[string]string{
				"the error":    fmt.Sprint(err),
				"the warnings": fmt.Sprint(c.Warnings()),
				"the settings": fmt.Sprint(c.Shown()),
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				shown[verb] = fmt.Sprintf(verb, c)
				shown[verb+" of a pointer"] = fmt.Sprintf(verb, &c)
				shown[verb+" of a secret"] = fmt.Sprintf(verb, []config.Secret{c.DatabaseURL, c.PostgresPassword, c.RedisURL, c.FulfillmentURL})
			}
			text, err := json.Marshal(c)
			if err != nil {
				t.Error(err)
			}
			shown["JSON"] = string(text)
			var log bytes.Buffer
			l := logger.New(&log, "test", slog.LevelDebug)
			l.Info("start", "config", c, "pointer", &c, "error", err, "url", c.DatabaseURL)
			l.With("config", c).WithGroup("g").Info("start", slog.Any("redis", c.RedisURL))
			slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", c)
			slog.New(slog.NewTextHandler(&log, nil)).Info("start", "config", c)
			shown["the log"] = log.String()

			inHex := fmt.Sprintf("%x", canary)
			for where, text := range shown {
				if strings.Contains(text, canary) || strings.Contains(strings.ToLower(text), inHex) {
					t.Errorf("%s shows it: %s", where, text)
				}
			}
		})
	}
}

// A struct that keeps the configuration to itself is printed without asking its
// fields how they want to look.
func TestSecret_isHiddenInsideOtherStructs(t *testing.T) {
	t.Parallel()
	const canary = "S3cretCanary"
	c := load(t, env{"DATABASE_URL": "postgres://u:" + canary + "@h:1/d"})
	holder := struct{ cfg config.Config }{c}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, holder); strings.Contains(text, canary) {
			t.Errorf("%s of a struct with a private field shows it", verb)
		}
	}
}
