package main_test

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/testenv"
)

// scrape asks a worker for its metrics, as Prometheus does.
func (h health) scrape() figures {
	h.Helper()
	status, text := h.ask("/metrics")
	if status != 200 {
		h.Fatalf("/metrics answers %d: %s", status, text)
	}
	return testenv.Samples(text)
}

// figures are the samples of a scrape, by their names with the labels.
type figures map[string]float64

// lint has promtool look at what a worker answers.
func (h health) lint() {
	h.Helper()
	_, text := h.ask("/metrics")
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		h.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// await waits until a worker shows these figures.
func (h health) await(want figures) {
	h.Helper()
	var wrong []string
	met := func() bool {
		wrong = wrong[:0]
		got := h.scrape()
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if value, ok := got[name]; !ok || value != want[name] {
				wrong = append(wrong, fmt.Sprintf("%s is %v, %v, want %v", name, value, ok, want[name]))
			}
		}
		return len(wrong) == 0
	}
	defer func() {
		if h.Failed() {
			h.Log(strings.Join(wrong, "\n"))
		}
	}()
	testenv.Eventually(h, 10*time.Second, "the figures", met)
}

// What happens is counted, once, by whom it happens to.
func TestWorker_countsWhatHappens(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "MAX_DELIVERIES=2")
	s.order(1)
	s.startCrashing("working").diesOfItself()
	old, young := newHealth(t), newHealth(t)
	zombie := s.startCrashing("worked:2:stop", "WORKER_ID=zombie", old.setting())
	zombie.awaitLog(10*time.Second, "Order 1 fulfilled")
	old.await(figures{
		"fulfillment_instances_reaped_total":            1,
		"fulfillment_reaped_messages_total":             1,
		"fulfillment_reaped_deliveries_total":           1,
		"fulfillment_takeovers_total":                   1,
		`fulfillment_deliveries_total{attempt="again"}`: 1,
		`fulfillment_deliveries_total{attempt="first"}`: 0,
		"fulfillment_messages_claimed_total":            1,
		"fulfillment_orders_fulfilled_total":            1,
	})
	old.lint()
	s.order(1)
	zombie.freezesOfItself()
	heir := s.start("WORKER_ID=heir", young.setting())
	s.awaitFulfilled(10 * time.Second)
	zombie.signal(syscall.SIGCONT)
	zombie.awaitLog(10*time.Second, "joined anew")
	old.await(figures{
		"fulfillment_finishes_fenced_total":  1,
		"fulfillment_leases_lost_total":      1,
		"fulfillment_orders_fulfilled_total": 1,
	})
	if code := stop(zombie); code != 0 {
		t.Errorf("exit code %d", code)
	}

	must(t, s.rdb.Set(t.Context(), s.keys.Paused(), "a test", 0).Err())
	heir.awaitLog(5*time.Second, "claiming is paused")
	s.push("no message", payload(99), payload(1), payload(1))
	s.order(5)
	young.await(figures{"fulfillment_queue_paused": 1, "fulfillment_queue_waiting_messages": 9, "fulfillment_messages_claimed_total": 1})
	must(t, s.rdb.Del(t.Context(), s.keys.Paused()).Err())
	young.await(figures{
		"fulfillment_orders_fulfilled_total":                         6,
		"fulfillment_order_processing_seconds_count":                 6,
		"fulfillment_order_end_to_end_seconds_count":                 6,
		"fulfillment_order_waiting_seconds_count":                    5,
		`fulfillment_deliveries_total{attempt="first"}`:              5,
		`fulfillment_deliveries_total{attempt="again"}`:              1,
		"fulfillment_copies_dropped_total":                           2,
		`fulfillment_messages_retried_total{reason="unknown_order"}`: 1,
		`fulfillment_messages_retried_total{reason="failed"}`:        0,
		`fulfillment_dead_letters_total{reason="unknown_order"}`:     1,
		`fulfillment_dead_letters_total{reason="malformed"}`:         1,
		"fulfillment_messages_promoted_total":                        1,
		"fulfillment_messages_claimed_total":                         1 + 4 + 5 + 1,
		"fulfillment_queue_dead_letters":                             2,
		"fulfillment_messages_in_hand":                               0,
		"fulfillment_slots_busy":                                     0,
		"fulfillment_slots":                                          4,
		"fulfillment_queue_up":                                       1,
		`fulfillment_queue_workers{state="alive"}`:                   1,
		"fulfillment_queue_waiting_messages":                         0,
		"fulfillment_queue_oldest_message_age_seconds":               0,
		"fulfillment_queue_paused":                                   0,
		"fulfillment_lease_ttl_seconds":                              1,
		"fulfillment_clock_offset_seconds":                           0,
		`fulfillment_server_up{server="redis"}`:                      1,
		`fulfillment_server_up{server="postgres"}`:                   1,
		`fulfillment_check_passed{check="ready/redis"}`:              1,
		`fulfillment_pool_connections_max{pool="postgres"}`:          5,
	})
	young.lint()
	got := young.scrape()
	for _, name := range []string{
		`fulfillment_redis_call_duration_seconds_count{command="blmove"}`,
		`fulfillment_redis_call_duration_seconds_count{command="start"}`,
		`fulfillment_redis_call_duration_seconds_count{command="ack"}`,
		`fulfillment_redis_call_duration_seconds_count{command="beat"}`,
		`fulfillment_postgres_call_duration_seconds_count{orders="one",statement="claim"}`,
		`fulfillment_postgres_call_duration_seconds_count{orders="one",statement="finish"}`,
		`fulfillment_postgres_call_duration_seconds_count{orders="one",statement="fit"}`,
		`fulfillment_postgres_call_duration_seconds_count{orders="many",statement="claim"}`,
		`fulfillment_postgres_statement_orders_count{statement="claim"}`,
		"fulfillment_claim_messages_count", "fulfillment_settlement_messages_count",
		`fulfillment_pool_connections_opened_total{pool="postgres"}`,
		`fulfillment_pool_connections_opened_total{pool="redis_control"}`,
		`fulfillment_lease_age_seconds`, "process_resident_memory_bytes", "go_goroutines",
	} {
		if got[name] <= 0 {
			t.Errorf("%s is %v, want some", name, got[name])
		}
	}
	if age := got[`fulfillment_loop_last_turn_age_seconds{loop="claim"}`]; age <= 0 || age > 5 {
		t.Errorf("the claim loop turned %v s ago", age)
	}
	var tally metrics.Tally
	testenv.Eventually(t, 5*time.Second, "a beat that tells the tally", func() bool {
		for _, instance := range s.rdb.ZRange(t.Context(), s.keys.Workers(), 0, -1).Val() {
			tally = metrics.ParseTally(s.rdb.HGet(t.Context(), s.keys.Worker(instance), "tally").Val())
		}
		return tally.Fulfilled == 6
	})
	if tally.Claimed != 11 || tally.Retried != 1 || tally.Dead != 2 {
		t.Errorf("it tells %+v", tally)
	}
	s.settled(heir)
}

// Whatever ails the servers, a scrape is answered soon, and says so.
func TestWorker_isScrapedDuringOutages(t *testing.T) {
	t.Parallel()
	redis, postgres := testenv.OwnRedis(t), testenv.OwnPostgres(t)
	s := siteAt(t, redis.URL(), "q", postgres.URL("orders"))
	h := newHealth(t)
	w := s.start(h.setting())
	w.awaitStart()
	well := figures{
		"fulfillment_queue_up":                                1,
		`fulfillment_server_up{server="redis"}`:               1,
		`fulfillment_server_up{server="postgres"}`:            1,
		`fulfillment_check_passed{check="ready/redis"}`:       1,
		`fulfillment_check_passed{check="ready/postgres"}`:    1,
		`fulfillment_check_passed{check="alive/consumer"}`:    1,
		`fulfillment_server_outages_total{server="redis"}`:    0,
		`fulfillment_check_passed{check="wise/redis"}`:        1,
		"fulfillment_leases_lost_total":                       0,
		`fulfillment_queue_workers{state="alive"}`:            1,
		`fulfillment_server_outages_total{server="postgres"}`: 0,
	}
	h.await(well)
	must(t, redis.Pause())
	postgres.Kill()
	h.await(figures{
		"fulfillment_queue_up":                                0,
		`fulfillment_server_up{server="redis"}`:               0,
		`fulfillment_server_up{server="postgres"}`:            0,
		`fulfillment_check_passed{check="ready/redis"}`:       0,
		`fulfillment_check_passed{check="ready/postgres"}`:    0,
		`fulfillment_check_passed{check="alive/consumer"}`:    1,
		`fulfillment_server_outages_total{server="redis"}`:    1,
		`fulfillment_server_outages_total{server="postgres"}`: 1,
	})
	begin := time.Now()
	got := h.scrape()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a scrape takes %v", took)
	}
	for name := range got {
		if strings.HasPrefix(name, "fulfillment_queue_") && name != "fulfillment_queue_up" {
			t.Errorf("it shows %s: nobody can know", name)
		}
	}
	h.lint()
	must(t, redis.Resume())
	must(t, postgres.Restart())
	well[`fulfillment_server_outages_total{server="redis"}`]++
	well[`fulfillment_server_outages_total{server="postgres"}`]++
	h.await(well)
	if got := h.scrape(); got[`fulfillment_server_outage_seconds_total{server="redis"}`] < 1 || got[`fulfillment_server_outage_seconds_total{server="postgres"}`] < 1 {
		t.Errorf("the outages took %v", got)
	}
	if code := stop(w); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
