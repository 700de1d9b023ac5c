package dashboard

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// TestPage_costsLittle opens many pages on a long queue and counts what Redis is asked, by
// Redis's own account: what a script calls is no question of its own. It runs alone, for it
// takes times.
func TestPage_costsLittle(t *testing.T) {
	const queued, workers, pages, watched = 100_000, 50, 40, 5 * time.Second
	server := testenv.OwnRedis(t)
	s := stageAt(t, server.URL(), "fulfillment_queue", testenv.Database(t))
	fill(s, queued)
	s.rows(workers * 10)
	for n := range workers {
		s.join(fmt.Sprintf("w%d-1", n), time.Minute, 10, n*10+1, 10)
	}
	for n := range 3 * lettersOf {
		s.bury(message(n), "exhausted", "x")
	}
	url, stop := s.serve()

	var pictures atomic.Int64
	var watching sync.WaitGroup
	took := map[string][]time.Duration{}
	for range pages {
		resp, err := http.Get(url + "live")
		must(t, err)
		defer resp.Body.Close()
		watching.Go(func() {
			lines := bufio.NewScanner(resp.Body)
			lines.Buffer(nil, 1<<22)
			for lines.Scan() {
				if strings.HasPrefix(lines.Text(), "data: ") {
					pictures.Add(1)
				}
			}
		})
	}
	testenv.Eventually(t, 30*time.Second, "a picture in each page", func() bool { return pictures.Load() >= pages })
	before := pictures.Load()
	asked := asks(t, server.Addr(), watched, func() {
		for _, path := range []string{"", "about", "lists/dead", "lists/waiting", "lists/delayed", "lists/dead", "lists/waiting"} {
			began := time.Now()
			resp, err := http.Get(url + path)
			must(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusTooManyRequests {
				t.Errorf("GET %s: %d", path, resp.StatusCode)
			}
			took[path] = append(took[path], time.Since(began))
		}
	})
	perSecond := float64(asked) / watched.Seconds()
	t.Logf("%d pages: %.1f commands a second", pages, perSecond)
	if perSecond > 30 {
		t.Errorf("Redis was asked %.1f times a second, want 30 at most", perSecond)
	}
	if got := pictures.Load() - before; got < pages*3 {
		t.Errorf("%d pages got %d pictures within %v", pages, got, watched)
	}
	for _, path := range []string{"", "about"} { // the others take turns
		if best := slices.Min(took[path]); best > 200*time.Millisecond { // others are what the machine does besides
			t.Errorf("GET /%s took %v at best, want 200ms at most", path, best)
		}
	}
	best := time.Hour
	for n := range 3 {
		<-time.After(2 * apart) // until it is nobody else's turn
		began := time.Now()
		w := s.ask("GET", fmt.Sprint("/lists/waiting?again=", n), "")
		best = min(best, time.Since(began))
		if !strings.Contains(w.Body.String(), `"total":100000`) {
			t.Errorf("the waiting messages: %.80s", w.Body)
		}
	}
	if best > 200*time.Millisecond {
		t.Errorf("the waiting messages were told after %v at best, want 200ms at most", best)
	}
	stop()
	watching.Wait()
}

// fill queues n messages.
func fill(s *stage, n int) {
	s.Helper()
	must(s, s.rdb.Eval(s.Context(), `
		for id = 1, tonumber(ARGV[1]) do
		  redis.call('LPUSH', KEYS[1], '{"order_id": ' .. id .. ', "product_id": 1, "quantity": 1, "correlation_id": "c-' .. id .. '"}')
		end
		return 1`, []string{s.keys.Queue()}, n).Err())
}

// asks counts the commands that Redis is sent meanwhile; load runs again and again.
func asks(t *testing.T, addr string, during time.Duration, load func()) (n int64) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	lines := bufio.NewScanner(conn)
	_, err = io.WriteString(conn, "MONITOR\r\n")
	must(t, err)
	lines.Scan() // +OK
	var counting sync.WaitGroup
	counting.Go(func() {
		for lines.Scan() {
			if strings.Contains(lines.Text(), "] ") && !strings.Contains(lines.Text(), " lua] ") {
				n++
			}
		}
	})
	for deadline := time.Now().Add(during); time.Now().Before(deadline); {
		load()
	}
	conn.Close()
	counting.Wait()
	return n
}
