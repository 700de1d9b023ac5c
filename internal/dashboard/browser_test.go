package dashboard

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
	"fulfillment-worker/internal/testenv/browser"
)

// soon is how long the page may take to show what is.
const soon = 40 * time.Second

// lists is true once every list that shows is there.
const lists = `![...document.querySelectorAll("main table")].some((t) => t.checkVisibility() && !t.tBodies[0].children.length)`

// views are all of the page.
var views = []string{"#/", "#/waiting", "#/in-hand", "#/workers", "#/delayed", "#/dead", "#/events", "#/settings"}

// crowd is a queue with everything in it.
func (s *stage) crowd(workers, each int) {
	s.Helper()
	s.rows(workers * each)
	var living []string
	for n := range workers {
		instance := fmt.Sprintf("worker-%d-%08x", n+1, 0x5a17c0de+n*0x1111)
		s.join(instance, lease, each, n*each+1, each-n%3)
		living = append(living, instance)
	}
	s.beating(uint64(3*each), living...)
	for n := range 40 {
		s.push(message(10_000 + n))
	}
	s.bury(message(17), "exhausted", "the work failed: 503 Service Unavailable")
	s.bury(`{"order_id": "seventeen"}`, "malformed", "not an order message: order_id is no number")
	s.delay(message(18), 40*time.Second)
	s.happen("joined", "instance", "worker-1-5a17c0de")
	s.happen("retried", "instance", "worker-1-5a17c0de", "order_id", "18", "correlation_id", "c-18", "deliveries", "2", "error", "the work failed: 503 Service Unavailable")
	s.happen("reaped", "instance", "worker-0-deadbeef", "by", "worker-1", "messages", "3", "dead", "1")
	s.happen("dead", "instance", "worker-0-deadbeef", "order_id", "17", "deliveries", "5", "reason", "exhausted", "error", "its worker died")
}

func TestBrowser_manyWorkers(t *testing.T) {
	s := newStage(t)
	s.crowd(50, 10)
	s.join("big-1", time.Hour, 4096, 20_000, 2000)
	url, _ := s.serve()
	tab := browser.Open(t, url)
	tab.Shows(soon, "#state", "Live")
	tab.Eventually(soon, "a card for each worker", `document.querySelectorAll("#overview-workers .card").length === 51`)
	tab.Shows(soon, ".card", "2,000 of 4,096 in hand")
	tab.Shows(soon, ".card", "1,997 more")
	tab.Keep("overview")
	tab.Text(`document.querySelector("#workers-title").scrollIntoView()`)
	tab.Keep("cards")
	tab.Go("#/in-hand")
	tab.Shows(soon, "[data-view=in-hand]", "that were begun first are shown")
	tab.Go("#/workers/big-1")
	tab.Eventually(soon, "the 64 oldest of its orders", `document.querySelectorAll("[data-view=workers] table tbody tr").length === 64`)
	tab.Keep("one")
}

func TestBrowser_views(t *testing.T) {
	s := newStage(t)
	s.crowd(6, 8)
	url, _ := s.serve()
	tab := browser.Open(t, url)
	tab.Shows(soon, "#state", "Live")
	for _, scheme := range []string{"light", "dark"} {
		tab.Scheme(scheme)
		for _, view := range views {
			tab.Size(1360, 900)
			tab.Go(view)
			name := strings.TrimPrefix(view, "#/")
			if name == "" {
				name = "overview"
			}
			tab.Eventually(soon, view+" to show", fmt.Sprintf("!document.querySelector(%q).hidden", "main > [data-view="+name+"]"))
			tab.Eventually(soon, "its list", lists)
			tab.Keep(name + "-" + scheme)
			if faint := tab.Text(contrast); faint != "" {
				t.Errorf("in %s, %s, this is hard to read:\n%s", view, scheme, faint)
			}
			tab.Size(360, 740)
			if wide := sideways(tab); wide != "" {
				t.Errorf("in %s a phone would have to scroll sideways: %s", view, wide)
			}
			if scheme == "dark" {
				tab.Keep(name + "-phone")
			}
		}
	}
}

// sideways names what is wider than the window, once one that was just resized had time to be
// laid out anew.
func sideways(tab *browser.Tab) (wide string) {
	for end := time.Now().Add(time.Second); ; {
		if wide = tab.Text(overflow); wide == "" || time.Now().After(end) {
			return wide
		}
	}
}

// overflow names what is wider than the window.
const overflow = `(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return "";
  return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > width + 1)
    .slice(0, 5).map((e) => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40)).join("; ");
})()`

// contrast names texts whose contrast to what is behind them is less than 4.5.
const contrast = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const c of colours) { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !e.checkVisibility() || e.closest(":disabled, .unseen, .skip, script, noscript, select")) continue;
    const behind = [];
    for (let a = e; a; a = a.parentElement) behind.unshift(getComputedStyle(a).backgroundColor);
    const style = getComputedStyle(e);
    const colour = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(over(behind)), light(over([...behind, colour]))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(ratio.toFixed(2) + " " + e.tagName + "." + (e.className.baseVal ?? e.className) + " " + texts.currentNode.data.trim().slice(0, 40));
  }
  return [...new Set(faint)].slice(0, 12).join("\n");
})()`

func TestBrowser_hostileTexts(t *testing.T) {
	s := newStage(t)
	hostile := []string{
		`<script>window.hacked = 1</script>`,
		`<img src=x onerror="window.hacked = 2">`,
		`"><svg onload="window.hacked = 3"></svg>`,
		`javascript:window.hacked=4`,
		`</pre></td></tr></table><iframe srcdoc="<script>parent.hacked = 5</script>"></iframe>`,
		"{{constructor.constructor('window.hacked = 6')()}} ${window.hacked = 7}",
		"\x00\x1b[31m\xff\xfe \u202Eesrever\u202C \u200B",
		strings.Repeat("<b>", 100_000),
		strings.Repeat("W", 20_000), // no place to break
	}
	name := hostile[1]
	s.join(name, time.Hour, 2, 1, 1)
	for n, text := range hostile {
		s.bury(text, hostile[n%6], text[:min(len(text), 5000)])
		s.push(text, fmt.Sprintf(`{"order_id": 1, "product_id": 1, "quantity": 1, "correlation_id": %q}`, strings.ToValidUTF8(text[:min(len(text), 60)], "?")))
		s.delay(text, time.Hour)
		s.happen(text[:min(len(text), 90)], "by", text, "order_id", text)
		s.happen("dead", "instance", text, "order_id", text, "reason", text, "error", text[:min(len(text), 5000)])
		s.happen("paused", "by", text[:min(len(text), 500)])
	}
	must(t, s.rdb.Set(t.Context(), s.keys.Paused(), hostile[1]+" "+hostile[0], 0).Err())
	url, _ := s.serve()
	tab := browser.Open(t, url)
	tab.Shows(soon, "#state", "Paused")
	ours := tab.Text(`document.querySelectorAll("img, script, iframe, object, embed, link, style, base").length`)
	for _, view := range append(views, "#/workers/"+name, "#/dead/<img src=x onerror=window.hacked=8>", "#/%E0%A4%A") {
		tab.Go(view)
		tab.Eventually(soon, "the list of "+view, lists)
		for _, width := range []int64{1360, 360} {
			tab.Size(width, 900)
			if wide := sideways(tab); wide != "" {
				t.Errorf("in %s, %d wide, one has to scroll sideways: %s", view, width, wide)
			}
		}
	}
	tab.Go("#/dead")
	tab.Shows(soon, "[data-view=dead] pre", hostile[1])
	tab.Shows(soon, "[data-view=dead] pre", `\u202eesrever`)
	tab.Click("[data-view=dead] .payload button")
	tab.Shows(soon, "[data-view=dead] .payload", "of")
	tab.Size(1360, 900)
	tab.Keep("dead")
	if hacked := tab.Text("window.hacked"); hacked != "undefined" {
		t.Errorf("text %s ran", hacked)
	}
	if now := tab.Text(`document.querySelectorAll("img, script, iframe, object, embed, link, style, base").length`); now != ours {
		t.Errorf("%s elements that load something, there were %s", now, ours)
	}
}

func TestBrowser_saysWhatIsAway(t *testing.T) {
	t.Parallel()
	redisServer, postgres := testenv.OwnRedis(t, "--appendonly", "yes"), testenv.OwnPostgres(t)
	s := stageAt(t, redisServer.URL(), "fulfillment_queue", postgres.URL("orders"))
	s.rows(2)
	s.join("a-1", time.Hour, 2, 1, 2)
	url, stop := s.serve()
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	tab := browser.Open(t, url)
	tab.Expect("ERR_CONNECTION_REFUSED")
	tab.Expect("ERR_INCOMPLETE_CHUNKED_ENCODING")
	tab.Expect("ERR_EMPTY_RESPONSE")
	tab.Shows(soon, ".card .orders", "processing")

	postgres.Kill()
	tab.Shows(soon, "#state", "PostgreSQL is silent")
	tab.Shows(soon, "#notices", "PostgreSQL does not answer since")
	tab.Shows(soon, ".card .load", "2 of 2 in hand")
	tab.Keep("no-postgres")

	redisServer.Kill()
	tab.Shows(soon, "#state", "Redis is silent")
	tab.Shows(soon, "#notices", "Redis does not answer since")
	tab.Shows(soon, ".card", "a-1") // what was there last
	tab.Keep("no-redis")
	must(t, redisServer.Restart())
	tab.Eventually(soon, "Redis to be back", `document.querySelector("#state").innerText !== "Redis is silent"`)

	stop()
	tab.Shows(soon, "#state", "No connection")
	tab.Shows(soon, "#notices", "The connection to the worker is lost since")
	tab.Keep("no-worker")
	s.serveAt(addr, s.page.Handler())
	tab.Eventually(soon, "the connection to be back", `document.querySelector("#state").innerText !== "No connection"`)
}

// Whoever has no mouse reaches every action, and sees where he is.
func TestBrowser_byKeyboard(t *testing.T) {
	s := newStage(t)
	s.bury(message(7), "exhausted", "x")
	url, _ := s.serve()
	tab := browser.Open(t, url+"#/dead")
	tab.Shows(soon, "[data-view=dead] table", "exhausted")
	reach := func(what, is string) {
		t.Helper()
		for range 60 {
			tab.Press("\t")
			if tab.Text("document.activeElement.matches("+fmt.Sprintf("%q", is)+")") == "true" {
				if tab.Text(`getComputedStyle(document.activeElement).outlineStyle`) == "none" {
					t.Errorf("nobody sees that the focus is on %s", what)
				}
				return
			}
		}
		t.Fatalf("%s is not reached by the Tab key", what)
	}
	reach("the skip link", ".skip")
	reach("the button that pauses", "#pause")
	reach("the views", "nav a")
	reach("the letter's box", "[aria-label='Choose letter "+s.firstLetter()+"']")
	tab.Press(" ")
	tab.Shows(soon, "[data-view=dead] .bar button", "Requeue 1")
	reach("the letter's requeue", "[data-view=dead] .actions button:first-child")
	tab.Press("\r")
	tab.Eventually(soon, "the focus on the token", `document.activeElement.id === "token"`)
	tab.Press("\x1b") // and away again
	tab.Eventually(soon, "the focus to be back", `document.activeElement.innerText === "Requeue" && !document.querySelector("dialog[open]")`)
	tab.Press("\r")
	tab.Eventually(soon, "the focus on the token", `document.activeElement.id === "token"`)
	tab.Expect("401")
	tab.Press("wrong\r")
	tab.Shows(soon, "#sign-in-error", "That is not the token")
	tab.Press(token + "\r")
	tab.Shows(soon, "#ask", "front of the queue")
	tab.Press("\t\r") // the first button is to cancel
	tab.Eventually(soon, "the message in the queue", `document.querySelector("[data-figure=waiting]").innerText === "1"`)
	tab.Shows(soon, "[data-view=dead] table", "No dead letters")
}

func (s *stage) firstLetter() string {
	s.Helper()
	letters, err := s.rdb.XRange(s.Context(), s.keys.Dead(), "-", "+").Result()
	must(s, err)
	return letters[0].ID
}

func TestBrowser_lockedElsewhere(t *testing.T) {
	s := newStage(t)
	s.push(message(1))
	url, _ := s.serveAt("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-For", "192.0.2.7") // as a proxy says it
		s.page.Handler().ServeHTTP(w, r)
	}))
	tab := browser.Open(t, url)
	tab.Shows(soon, "#state", "Locked")
	tab.Shows(soon, "[data-view=locked]", "DASHBOARD_TOKEN")
	tab.Keep("locked")
	tab.Click("#unlock")
	tab.Type("#token", token)
	tab.Keep("sign-in")
	tab.Click("#sign-in-yes")
	tab.Shows(soon, "#state", "Live")
	tab.Click("#pause")
	tab.Click("#ask-yes")
	tab.Shows(soon, "#state", "Paused")
	tab.Shows(soon, "#notices", "Claiming is paused by somebody on the page, from 127.0.0.1")
	tab.Keep("paused")
	tab.Click("#pause")
	tab.Shows(soon, "#state", "Live")
	tab.Click("#session")
	tab.Shows(soon, "#state", "Locked")
}

func TestBrowser_restsUnseen(t *testing.T) {
	s := newStage(t)
	var open atomic.Int64
	url, _ := s.serveAt("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live" {
			open.Add(1)
			defer open.Add(-1)
		}
		s.page.Handler().ServeHTTP(w, r)
	}))
	tab := browser.Open(t, url)
	tab.Shows(soon, "#state", "Live")
	tab.Text(`(() => { // a minute is short here
		const later = setTimeout;
		window.setTimeout = (f, ms) => later(f, ms >= 60000 ? 10 : ms);
		Object.defineProperty(document, "hidden", { configurable: true, value: true });
		document.dispatchEvent(new Event("visibilitychange"));
	})()`)
	testenv.Eventually(t, soon, "no stream open", func() bool { return open.Load() == 0 })
	s.push(message(1))
	tab.Text(`delete document.hidden, document.dispatchEvent(new Event("visibilitychange"))`)
	tab.Shows(soon, "[data-figure=waiting]", "1")
}

func TestBrowser_withoutAToken(t *testing.T) {
	s := newStage(t)
	s.page.Token = ""
	url, _ := s.serve()
	tab := browser.Open(t, url)
	tab.Shows(soon, "#state", "Live")
	tab.Keep("empty")
	tab.Click("#pause")
	tab.Shows(soon, "#sign-in", "Set DASHBOARD_TOKEN")
	tab.Keep("told")
}
