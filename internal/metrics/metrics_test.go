package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/queue"
)

func newMetrics() *metrics.Metrics {
	return metrics.New(metrics.Worker{Version: "v1", Slots: 10, Lease: 5 * time.Second})
}

// shown is what a scrape shows, without the comments.
func shown(t *testing.T, m *metrics.Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("the scrape answers %d: %s", w.Code, w.Body)
	}
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "#") })
}

// shows fails unless a scrape shows all these lines.
func shows(t *testing.T, m *metrics.Metrics, want ...string) {
	t.Helper()
	got := shown(t, m)
	for _, line := range want {
		if !slices.Contains(got, line) {
			name := regexp.MustCompile(`^\w+`).FindString(line)
			like := slices.DeleteFunc(slices.Clone(got), func(l string) bool { return !strings.HasPrefix(l, name) })
			t.Errorf("it does not show %q, but\n%s", line, strings.Join(like, "\n"))
		}
	}
}

func TestMetrics_nobodyCounts(t *testing.T) {
	t.Parallel()
	var nobody *metrics.Metrics
	wiring := []string{"Handler", "Hands", "Checks", "Queue"} // of those who have some
	all := reflect.ValueOf(nobody)
	for i := range all.NumMethod() {
		if slices.Contains(wiring, all.Type().Method(i).Name) {
			continue
		}
		var args []reflect.Value
		for p := range all.Method(i).Type().Ins() {
			args = append(args, reflect.Zero(p))
		}
		all.Method(i).Call(args) // and does not panic
	}
}

// What may have to wake somebody is there before it happens, or its first time is no rise.
func TestMetrics_beginAtZero(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	want := []string{
		`fulfillment_server_outages_total{server="postgres"} 0`,
		`fulfillment_strays_total{fate="adopted"} 0`, `fulfillment_strays_total{fate="released"} 0`,
		"fulfillment_finishes_fenced_total 0", "fulfillment_instances_reaped_total 0", "fulfillment_leases_lost_total 0",
		"fulfillment_orders_reconciled_total 0", "fulfillment_order_waiting_seconds_count 0",
	}
	for _, reason := range []queue.Reason{
		queue.Malformed, queue.Invalid, queue.TooLarge, queue.UnknownOrder, queue.Rejected, queue.Exhausted,
	} {
		want = append(want, fmt.Sprintf("fulfillment_dead_letters_total{reason=%q} 0", reason))
	}
	for _, kind := range []string{"failed", "panic", "timeout", "try_later", "unknown_order"} {
		want = append(want, fmt.Sprintf("fulfillment_messages_retried_total{reason=%q} 0", kind))
	}
	shows(t, m, want...)
}

func TestMetrics_timesOrders(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	now := time.Now()
	m.Begun(1, now.Add(-3*time.Millisecond), now)
	m.Begun(1, now.Add(time.Hour), now) // the producer's clock is ahead
	m.Begun(1, time.Time{}, now)        // it does not tell
	m.Begun(2, now.Add(-time.Hour), now)
	m.Fulfilled(now.Add(-time.Hour), 2*time.Millisecond)
	m.Fulfilled(time.Time{}, 2*time.Millisecond+1)
	shows(
		t, m,
		`fulfillment_deliveries_total{attempt="first"} 3`,
		`fulfillment_deliveries_total{attempt="again"} 1`,
		`fulfillment_order_waiting_seconds_bucket{le="0.001"} 1`,
		`fulfillment_order_waiting_seconds_bucket{le="0.002"} 1`,
		`fulfillment_order_waiting_seconds_bucket{le="0.004"} 2`,
		`fulfillment_order_waiting_seconds_bucket{le="+Inf"} 2`,
		"fulfillment_order_waiting_seconds_sum 0.003",
		`fulfillment_order_processing_seconds_bucket{le="0.002"} 1`,
		`fulfillment_order_processing_seconds_bucket{le="0.004"} 2`,
		`fulfillment_order_end_to_end_seconds_bucket{le="524.288"} 0`,
		`fulfillment_order_end_to_end_seconds_bucket{le="+Inf"} 1`,
		"fulfillment_orders_fulfilled_total 2",
	)
	tally := m.Tally()
	if len(tally.Waiting) != metrics.Buckets || tally.Waiting[0] != 1 || tally.Waiting[2] != 1 || tally.Working[1] != 1 || tally.Fulfilled != 2 {
		t.Errorf("the tally is %+v", tally)
	}
}

// Waiting is measured by Redis's clock: this machine's may be off.
func TestMetrics_goByRedissClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics()
		asked := time.Now()
		<-time.After(10 * time.Millisecond) // the round trip
		tests := []struct {
			name         string
			clock        time.Time
			ahead, waits string
		}{
			{"the clocks may be the same", asked.Add(5 * time.Millisecond), "0", `{le="1.024"} 1`},
			{"it tells whole milliseconds", asked.Add(-time.Millisecond), "0", `{le="1.024"} 2`},
			{"it is ahead", time.Now().Add(time.Hour), "3600", `{le="1.024"} 2`},
			{"it is behind", asked.Add(-time.Hour - time.Millisecond), "-3600", `{le="0.001"} 1`},
		}
		for _, tt := range tests {
			m.Renewed(asked, tt.clock)
			m.Begun(1, time.Now().Add(-time.Second), time.Now())
			shows(t, m, "fulfillment_clock_offset_seconds "+tt.ahead, "fulfillment_order_waiting_seconds_bucket"+tt.waits)
		}
	})
}

func TestMetrics_tellHowLongAgo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics()
		for _, line := range shown(t, m) {
			if strings.Contains(line, "_age_seconds") {
				t.Errorf("it shows %q of what has not begun", line)
			}
		}
		<-time.After(time.Second)
		m.Turned(metrics.Claim)
		m.Renewed(time.Now(), time.Now())
		<-time.After(3 * time.Second)
		shows(t, m, `fulfillment_loop_last_turn_age_seconds{loop="claim"} 3`, "fulfillment_lease_age_seconds 3", "fulfillment_lease_ttl_seconds 5")
	})
}

func TestMetrics_countOutages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics()
		away := errors.New("away")
		m.Found(metrics.RedisServer, nil)
		for _, err := range []error{away, away, nil, nil, away} {
			<-time.After(time.Second)
			m.Found(metrics.RedisServer, err)
		}
		<-time.After(time.Second)
		shows(
			t, m,
			`fulfillment_server_up{server="redis"} 0`,
			`fulfillment_server_outages_total{server="redis"} 2`,
			`fulfillment_server_outage_seconds_total{server="redis"} 2`,
			`fulfillment_server_outages_total{server="postgres"} 0`,
		)
		m.Found(metrics.RedisServer, nil)
		shows(t, m, `fulfillment_server_up{server="redis"} 1`, `fulfillment_server_outage_seconds_total{server="redis"} 3`)
	})
}

func TestMetrics_measureCalls(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	m.Redis("ack", 300*time.Microsecond, metrics.Answered)
	m.Redis("ack", time.Second, metrics.Unanswered)
	m.Postgres("claim", time.Millisecond, metrics.Refused)
	m.PostgresTogether("claim", 100, time.Millisecond, metrics.Answered)
	shows(
		t, m,
		`fulfillment_redis_call_duration_seconds_bucket{command="ack",le="0.0005"} 1`,
		`fulfillment_redis_call_duration_seconds_count{command="ack"} 2`,
		`fulfillment_redis_call_errors_total{command="ack",outcome="unanswered"} 1`,
		`fulfillment_postgres_call_duration_seconds_count{orders="one",statement="claim"} 1`,
		`fulfillment_postgres_call_errors_total{orders="one",outcome="refused",statement="claim"} 1`,
		`fulfillment_postgres_call_duration_seconds_count{orders="many",statement="claim"} 1`,
		`fulfillment_postgres_statement_orders_bucket{statement="claim",le="128"} 1`,
		`fulfillment_postgres_statement_orders_bucket{statement="claim",le="64"} 0`,
	)
}

func TestMetrics_showTheQueue(t *testing.T) {
	t.Parallel()
	age, left := 90*time.Second, 4*time.Second
	tests := []struct {
		name    string
		queue   metrics.Queue
		err     error
		want    []string
		without string
	}{
		{"Redis does not answer", metrics.Queue{}, errors.New("away"), []string{"fulfillment_queue_up 0"}, "fulfillment_queue_waiting_messages"},
		{
			"an empty queue",
			metrics.Queue{},
			nil,
			[]string{"fulfillment_queue_up 1", "fulfillment_queue_waiting_messages 0", "fulfillment_queue_oldest_message_age_seconds 0", "fulfillment_queue_paused 0"},
			"fulfillment_queue_lease_left_seconds",
		},
		{
			"a message that does not tell its age",
			metrics.Queue{Waiting: 1},
			nil,
			[]string{"fulfillment_queue_waiting_messages 1"},
			"fulfillment_queue_oldest_message_age_seconds",
		},
		{
			"everything",
			metrics.Queue{
				Waiting: 1, InHand: 2, Delayed: 3, Dead: 4, Reconciled: 5, OldestAge: &age, LeaseLeft: &left, Workers: map[string]int{"alive": 6}, Paused: true,
			},
			nil,
			[]string{
				"fulfillment_queue_waiting_messages 1", "fulfillment_queue_in_hand_messages 2", "fulfillment_queue_delayed_messages 3",
				"fulfillment_queue_dead_letters 4", "fulfillment_queue_reconciled_total 5", "fulfillment_queue_oldest_message_age_seconds 90",
				"fulfillment_queue_lease_left_seconds 4", `fulfillment_queue_workers{state="alive"} 6`, "fulfillment_queue_paused 1",
			},
			"-",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMetrics()
			m.Queue(func(context.Context) (metrics.Queue, error) { return tt.queue, tt.err })
			shows(t, m, append(tt.want, "fulfillment_slots 10")...)
			for _, line := range shown(t, m) {
				if strings.HasPrefix(line, tt.without) {
					t.Errorf("it shows %q", line)
				}
			}
		})
	}
}

// What each order costs: all of this together is far below a microsecond.
func BenchmarkMetrics_order(b *testing.B) {
	m := newMetrics()
	queued := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			claimed := time.Now()
			m.Begun(1, queued, claimed)
			m.Fulfilled(queued, time.Second)
		}
	})
}

// What each round trip costs beside.
func BenchmarkMetrics_call(b *testing.B) {
	m := newMetrics()
	b.ReportAllocs()
	for b.Loop() {
		m.Redis("ack", time.Since(time.Now()), metrics.Answered)
	}
}
