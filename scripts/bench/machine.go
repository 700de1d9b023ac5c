package main

import (
	"context"
	"os"
	"runtime"
	"strings"
)

// machine is where the figures come from. Figures of two machines do not compare.
type machine struct {
	Cores        int    `json:"cores"`
	CPU          string `json:"cpu"`
	System       string `json:"system"`
	Load         string `json:"load_average_before"` // of 1, 5 and 15 minutes; others' work spoils figures
	Go           string `json:"go"`
	Redis        string `json:"redis"`
	RedisSync    string `json:"redis_appendfsync"`
	Postgres     string `json:"postgresql"`
	PostgresSync string `json:"postgresql_fsync"`
}

func (b *bench) describe(ctx context.Context) error {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m := machine{
		Cores:  runtime.NumCPU(),
		CPU:    procField("/proc/cpuinfo", "model name"),
		System: runtime.GOOS + "/" + runtime.GOARCH + " " + strings.TrimSpace(string(kernel)),
		Load:   loadAverage(),
		Go:     runtime.Version(),
	}
	info, err := b.info(ctx, "server")
	if err != nil {
		return err
	}
	m.Redis = info["redis_version"]
	sync, err := b.rdb.ConfigGet(ctx, "appendfsync").Result()
	if err != nil {
		return err
	}
	m.RedisSync = sync["appendfsync"]
	for _, show := range []struct {
		into    *string
		setting string
	}{{&m.Postgres, "server_version"}, {&m.PostgresSync, "fsync"}} {
		if err := b.db.QueryRow(ctx, "SHOW "+show.setting).Scan(show.into); err != nil {
			return err
		}
	}
	b.report.Machine = m
	say("%d cores, %s, %s; load average before %s", m.Cores, m.CPU, m.System, m.Load)
	say("%s; Redis %s, appendfsync %s; PostgreSQL %s, fsync %s; all on this machine", m.Go, m.Redis, m.RedisSync, m.Postgres, m.PostgresSync)
	return nil
}

// loadAverage is that of the last 1, 5 and 15 minutes.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// info is a section of Redis's INFO.
func (b *bench) info(ctx context.Context, section string) (map[string]string, error) {
	text, err := b.rdb.Info(ctx, section).Result()
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[key] = value
		}
	}
	return fields, err
}

// procField is the first value of that name in a file of /proc, "" where there is
// none.
func procField(file, name string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
