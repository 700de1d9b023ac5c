package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func from(addr string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = addr }
}

func host(name string) func(*http.Request) {
	return func(r *http.Request) { r.Host = name }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestPage_opensToWhomItMay(t *testing.T) {
	s := newStage(t)
	with := func(changes ...func(*http.Request)) []func(*http.Request) { return changes }
	tests := []struct {
		name          string
		change        []func(*http.Request)
		reads, acts   int
		withoutReads  int // where no token is set
		withoutAction int
	}{
		{"somebody on this machine", nil, 200, 401, 200, 403},
		{"by the address", with(host("127.0.0.1:8080")), 200, 401, 200, 403},
		{"by IPv6", with(from("[::1]:4711"), host("[::1]:8080")), 200, 401, 200, 403},
		{"by IPv4 within IPv6", with(from("[::ffff:127.0.0.1]:4711")), 200, 401, 200, 403},
		{"somebody elsewhere", with(from("192.0.2.7:4711"), host("192.0.2.1:8080")), 401, 401, 403, 403},
		{"somebody elsewhere who says localhost", with(from("192.0.2.7:4711")), 401, 401, 403, 403},
		{"a name that was bound to this machine", with(host("evil.example:8080")), 401, 401, 403, 403},
		{"a name that begins like this machine's", with(host("localhost.evil.example")), 401, 401, 403, 403},
		{"no name at all", with(host("")), 401, 401, 403, 403},
		{"through a proxy on this machine", with(header("X-Forwarded-For", "192.0.2.7")), 401, 401, 403, 403},
		{"through another proxy", with(header("Forwarded", "for=127.0.0.1")), 401, 401, 403, 403},
		{"with the token, from elsewhere", with(from("192.0.2.7:4711"), host("x:1"), bearer), 200, 200, 403, 403},
		{"with a wrong token, from elsewhere", with(from("192.0.2.7:4711"), header("Authorization", "Bearer "+token+"x")), 401, 401, 403, 403},
		{"with an empty token, from elsewhere", with(from("192.0.2.7:4711"), header("Authorization", "Bearer ")), 401, 401, 403, 403},
		{"with the token as a cookie", with(from("192.0.2.7:4711"), header("Cookie", cookieName+"="+token)), 401, 401, 403, 403},
	}
	open := *s.page
	open.Token = ""
	without := &stage{T: s.T, page: &open}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(s *stage, wantRead, wantAct int) {
				for _, path := range []string{"/about", "/lists/waiting", "/lists/delayed", "/lists/dead"} {
					if w := s.ask("GET", path, "", tt.change...); w.Code != wantRead {
						t.Errorf("GET %s: %d %s, want %d", path, w.Code, w.Body, wantRead)
					}
				}
				if w := s.ask("POST", "/actions/resume", "{}", tt.change...); w.Code != wantAct {
					t.Errorf("POST /actions/resume: %d %s, want %d", w.Code, w.Body, wantAct)
				} else if wantAct == 403 && !strings.Contains(w.Body.String(), "DASHBOARD_TOKEN") {
					t.Errorf("it does not say what to set: %s", w.Body)
				}
			}
			check(s, tt.reads, tt.acts)
			check(without, tt.withoutReads, tt.withoutAction)
		})
	}
	if strings.Contains(s.log.String(), token) {
		t.Error("the log tells the token")
	}
}

func TestPage_filesAreForAnybody(t *testing.T) {
	s := newStage(t)
	for _, path := range []string{"/", "/static/page.css", "/static/main.js", "/session"} {
		w := s.ask("GET", path, "", from("192.0.2.7:1"))
		if w.Code != 200 {
			t.Errorf("GET %s: %d", path, w.Code)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("GET %s: its policy is %q", path, csp)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s: a browser may guess what it is", path)
		}
		tag := w.Header().Get("ETag")
		if again := s.ask("GET", path, "", header("If-None-Match", tag)); tag != "" && again.Code != http.StatusNotModified {
			t.Errorf("GET %s again: %d, want 304", path, again.Code)
		}
	}
	page := s.ask("GET", "/", "").Body.String()
	if inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son\w+=|<script[^>]*>[^<]|(src|href)="?(https?:)?//`).FindString(page); inline != "" {
		t.Errorf("the page has %q", inline)
	}
	for _, path := range []string{"/static/", "/static/dashboard.go", "/static/../access.go", "/nothing"} {
		if w := s.ask("GET", path, ""); w.Code == 200 {
			t.Errorf("GET %s: 200", path)
		}
	}
}

func TestPage_signsIn(t *testing.T) {
	s := newStage(t)
	elsewhere := from("192.0.2.7:4711")
	if w := s.ask("POST", "/session", `{"token": "wrong"}`, elsewhere); w.Code != 401 || len(w.Result().Cookies()) > 0 {
		t.Errorf("with a wrong token: %d, %v", w.Code, w.Result().Cookies())
	}
	w := s.ask("POST", "/session", fmt.Sprintf(`{"token": %q}`, token), elsewhere, header("X-Forwarded-Proto", "https"))
	cookies := w.Result().Cookies()
	if w.Code != http.StatusNoContent || len(cookies) != 1 {
		t.Fatalf("with the token: %d, %v", w.Code, cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, token) {
		t.Errorf("the cookie is %v", c)
	}
	carry := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
	other := *s.page // another worker
	for _, worker := range []*stage{s, {T: s.T, page: &other}} {
		if w := worker.ask("POST", "/actions/resume", "{}", elsewhere, carry); w.Code != 200 {
			t.Errorf("with the cookie: %d %s", w.Code, w.Body)
		}
	}
	other.Token = "another token than before"
	if w := (&stage{T: s.T, page: &other}).ask("GET", "/about", "", elsewhere, carry); w.Code != 401 {
		t.Errorf("with the cookie, when the token was changed: %d", w.Code)
	}
	if w := s.ask("DELETE", "/session", "", carry); w.Code != http.StatusNoContent || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("signing out: %d, %v", w.Code, w.Result().Cookies())
	}
	if log := s.log.String(); strings.Contains(log, token) || strings.Contains(log, c.Value) || !strings.Contains(log, "wrong token") {
		t.Errorf("the log says %s", log)
	}
}

// A page of somebody else's may know the address, and the browser has the cookie.
func TestPage_refusesOtherSites(t *testing.T) {
	s := newStage(t)
	for _, change := range []func(*http.Request){
		header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "http://evil.example"),
	} {
		for _, path := range []string{"/actions/pause", "/actions/drop", "/session"} {
			if w := s.ask("POST", path, `{}`, bearer, change); w.Code != http.StatusForbidden {
				t.Errorf("POST %s: %d %s, want 403", path, w.Code, w.Body)
			}
		}
	}
	if n := s.rdb.Exists(t.Context(), s.keys.Paused()).Val(); n != 0 {
		t.Error("it is paused")
	}
	if w := s.ask("GET", "/actions/pause", "", bearer); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET /actions/pause: %d", w.Code)
	}
}

func TestPage_acts(t *testing.T) {
	s := newStage(t)
	act := func(name, body string) string {
		t.Helper()
		w := s.ask("POST", "/actions/"+name, body, bearer)
		return fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()))
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	want("pause", act("pause", `{"by": "Kim\n\u202e<b>"}`), `200 {"done":true}`)
	want("pause again", act("pause", `{}`), `200 {"done":false}`)
	if who := s.rdb.Get(t.Context(), s.keys.Paused()).Val(); !strings.HasPrefix(who, "Kim <b> on the page, from 127.0.0.1 ") {
		t.Errorf("it is paused by %q", who)
	}
	want("resume", act("resume", `{"by": ""}`), `200 {"done":true}`)

	first, second := s.bury(message(1), "exhausted", "x"), s.bury(message(2), "exhausted", "x")
	want("requeue", act("requeue", fmt.Sprintf(`{"ids": [%q, %q]}`, first, first)), `200 {"done":1}`)
	want("requeue again", act("requeue", fmt.Sprintf(`{"ids": [%q]}`, first)), `200 {"done":0}`)
	want("drop", act("drop", fmt.Sprintf(`{"ids": [%q]}`, second)), `200 {"done":1}`)
	if n := s.rdb.LLen(t.Context(), s.keys.Queue()).Val(); n != 1 {
		t.Errorf("%d messages wait, want the one that was requeued", n)
	}
	want("no id", act("drop", `{"ids": ["*"]}`), `400 {"error":"not the id of a dead letter"}`)
	want("no JSON", act("drop", `ids`), `400 {"error":"not the JSON that belongs here"}`)
	want("too many", act("drop", `{"ids": [`+strings.Repeat(`"1-1",`, mostLetters)+`"1-1"]}`), `400 {"error":"too many dead letters at once"}`)
	want("too long", act("drop", `{"by": "`+strings.Repeat("x", longestBody)+`"}`), `400 {"error":"not the JSON that belongs here"}`)
	if !strings.Contains(s.log.String(), `action=requeue by="somebody on the page, from 127.0.0.1"`) {
		t.Errorf("the log says %s", s.log)
	}
}

func TestPage_listsDeadLetters(t *testing.T) {
	s := newStage(t)
	for n := range lettersOf + 3 {
		s.bury(fmt.Sprint("letter ", n), map[bool]string{true: "rejected", false: "malformed"}[n%2 == 0], "x")
	}
	huge := s.bury(strings.Repeat("é", 100_000), "too_large", "x")
	type answer struct {
		Letters []struct {
			ID, Payload, Reason string
			Bytes               int
		}
		More bool
	}
	get := func(path string, into any) {
		t.Helper()
		w := s.ask("GET", path, "")
		must(t, json.Unmarshal(w.Body.Bytes(), into))
	}
	var one, two, some answer
	get("/lists/dead", &one)
	if first := one.Letters[0]; first.Bytes != 200_000 || len(first.Payload) > headShown || len(one.Letters) != lettersOf || !one.More {
		t.Errorf("the first page has %d letters, more: %t; the first shows %d of %d bytes", len(one.Letters), one.More, len(first.Payload), first.Bytes)
	}
	get("/lists/dead?after="+one.Letters[lettersOf-1].ID, &two)
	if len(two.Letters) != 4 || two.More || two.Letters[3].Payload != "letter 0" {
		t.Errorf("the second page is %+v", two)
	}
	get("/lists/dead?reason=rejected", &some)
	for _, l := range some.Letters {
		if l.Reason != "rejected" {
			t.Errorf("among the rejected is one that is %s", l.Reason)
		}
	}
	var letter struct{ Payload string }
	get("/lists/dead/"+huge, &letter)
	if len(letter.Payload) != mostShown {
		t.Errorf("of a huge payload %d bytes are shown, want %d", len(letter.Payload), mostShown)
	}
	for _, path := range []string{"/lists/dead?after=(1-1", "/lists/dead/x"} {
		if w := s.ask("GET", path, ""); w.Code != http.StatusBadRequest {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
}

func TestPage_streams(t *testing.T) {
	s := newStage(t)
	s.push(message(1), message(2))
	url, stop := s.serve()
	resp, err := http.Get(url + "live")
	must(t, err)
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("it is %s", kind)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	pictures := 0
	for pictures < 2 && lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var frame struct {
			Waiting int64
			Age     int64 `json:"age_ms"`
		}
		must(t, json.Unmarshal([]byte(text), &frame))
		if frame.Waiting != 2 || frame.Age > 1500 {
			t.Errorf("a picture says %s", text)
		}
		pictures++
	}
	// A page that is open must not hold the worker's end up.
	if took := stop(); took > 300*time.Millisecond {
		t.Errorf("the server ended after %v", took)
	}
}
