package main_test

import (
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv/browser"
)

const pageToken = "the-token-of-a-test"

// TestPage_showsAKill is the story that the page is for: a worker is killed with its hands
// full, its death is noticed, others take over, and a dead letter is requeued.
func TestPage_showsAKill(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "DASHBOARD_TOKEN="+pageToken, "PROCESSING_MIN=4s", "PROCESSING_MAX=6s", "LEASE_TTL=3s", "MAX_DELIVERIES=3", "SHUTDOWN_TIMEOUT=0")
	health := newHealth(t)
	host := s.start("WORKER_ID=alpha", health.setting())
	host.awaitStart()
	victim := s.start("WORKER_ID=bravo")
	victim.awaitStart()
	third := s.start("WORKER_ID=charlie")
	third.awaitStart()

	tab := browser.Open(t, "http://"+health.addr+"/")
	tab.Shows(10*time.Second, "#state", "Live")
	tab.Shows(10*time.Second, ".card", "bravo")
	s.order(36) // enough to have twelve in hand when it is killed, however long the pictures take
	tab.Eventually(10*time.Second, "twelve orders in hand", `document.querySelectorAll(".card .orders [data-status=processing]").length >= 12`)
	tab.Keep("before")
	tab.Scheme("dark")
	tab.Keep("dark")
	tab.Size(360, 2600)
	tab.Keep("phone")
	tab.Size(1360, 900)
	tab.Scheme("light")
	victim.kill()
	tab.Shows(10*time.Second, ".timeline", "reaped bravo")
	tab.Shows(10*time.Second, ".timeline", "fell silent")
	tab.Shows(10*time.Second, ".card[data-state=gone]", "bravo")
	tab.Keep("reaped")
	tab.Shows(20*time.Second, ".timeline", "taken over by")
	tab.Shows(20*time.Second, ".card[data-state=gone]", "taken over by")
	tab.Keep("taken-over")

	s.push(`{"order_id": 4711, "product_id": 1, "quantity": 1, "correlation_id": "c-of-none"}`, `<img src=x onerror="alert(1)">`)
	tab.Shows(60*time.Second, "[data-figure=dead]", "2")
	tab.Go("#/dead")
	tab.Shows(10*time.Second, "[data-view=dead] table", "malformed")
	tab.Keep("dead")
	tab.Click(`[data-view=dead] .actions button`)
	tab.Type("#token", pageToken)
	tab.Type("#by", "Kim")
	tab.Click("#sign-in-yes")
	tab.Shows(5*time.Second, "#ask", "front of the queue")
	tab.Keep("ask")
	tab.Click("#ask-yes")
	tab.Shows(5*time.Second, "#toast", "went to the front of the queue")
	tab.Go("#/events")
	tab.Shows(10*time.Second, ".timeline", "was requeued by Kim")
	tab.Keep("events")
	host.mu.Lock()
	defer host.mu.Unlock()
	if strings.Contains(strings.Join(host.raw, ""), pageToken) {
		t.Error("the log tells the token")
	}
}
