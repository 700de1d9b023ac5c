package main

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
)

// monitor reads what MONITOR says: a line for each command, as in
//
//	+1339518083.107412 [0 127.0.0.1:60866] "llen" "orders"
type monitor struct {
	conn net.Conn

	mu    sync.Mutex
	lines []string
}

func (b *bench) monitor() (*monitor, error) {
	conn, err := net.Dial("tcp", b.rig.Redis.Addr())
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		_ = conn.Close()
		return nil, err
	}
	m := &monitor{conn: conn}
	lines := bufio.NewScanner(conn)
	lines.Scan() // its +OK: from here on it misses nothing
	go func() {
		for lines.Scan() {
			m.mu.Lock()
			m.lines = append(m.lines, lines.Text())
			m.mu.Unlock()
		}
	}()
	return m, nil
}

func (m *monitor) close() { _ = m.conn.Close() }

// between is the rate of the commands that were sent, and not called by a script,
// between the first two INFO.
func (m *monitor) between(seconds float64) (all float64, byName map[string]float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	byName = map[string]float64{}
	infos := 0
	for _, line := range m.lines {
		_, rest, _ := strings.Cut(line, " [")
		client, rest, _ := strings.Cut(rest, "] \"")
		name, _, _ := strings.Cut(rest, "\"")
		name = strings.ToLower(name)
		if name == "info" {
			infos++
		}
		if infos == 1 && name != "info" && !strings.HasSuffix(client, " lua") {
			byName[name] += 1 / seconds
			all += 1 / seconds
		}
	}
	return all, byName
}

// frequencies is "blmove 1.0, llen 1.0", the most frequent first.
func frequencies(byName map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		return cmp.Or(cmp.Compare(byName[b], byName[a]), strings.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.1f", name, byName[name]))
	}
	return strings.Join(parts, ", ")
}
