// Package browser gives the tests a real browser: a headless Chromium. Only _test.go files
// import it.
//
// # What callers may rely on
//
//   - Tabs share nothing, neither cookies nor storage.
//   - A test fails over whatever a page complains of: an error on its console, an exception
//     that nobody catches, something that its content security policy forbids.
//   - A Chromium that cannot be started fails the test.
//
// # What this package never does
//
//   - It never skips a test.
package browser

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// actionTime bounds each step of a test.
const actionTime = 60 * time.Second

// chromium is the one of this test process.
var chromium = sync.OnceValues(start)

func start() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, fmt.Errorf("no chromium: make test-tools installs it")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(time.Minute), // of a busy machine
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeAll := chromedp.NewContext(allocator)
	testenv.AtEnd(func() {
		closeAll()
		stop()
	})
	return ctx, chromedp.Do(ctx)
}

// Tab is a tab of the browser.
type Tab struct {
	tb       testing.TB
	ctx      context.Context
	expected []string
}

// Open opens a tab at that address. It is closed when the test ends.
func Open(tb testing.TB, url string) *Tab {
	tb.Helper()
	browser, err := chromium()
	must(tb, err)
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t := &Tab{tb: tb, ctx: ctx}
	complaints := chromedp.Console(ctx)
	judged := make(chan struct{})
	go func() {
		defer close(judged)
		t.judge(complaints)
	}()
	tb.Cleanup(func() {
		closeTab()
		<-judged
	})
	t.Size(1360, 900)
	t.do("open "+url, chromedp.Navigate(url))
	return t
}

// Expect allows complaints that contain the text; it has to be said before they come.
func (t *Tab) Expect(text string) { t.expected = append(t.expected, text) }

// judge fails the test over each complaint, until the tab is closed.
func (t *Tab) judge(complaints iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range complaints {
		switch {
		case err != nil:
			return
		case m.Type == "log" || m.Type == "debug" || m.Type == "info":
		case slices.ContainsFunc(t.expected, func(e string) bool { return strings.Contains(m.Text+m.URL, e) }):
		default:
			t.tb.Errorf("the page complains: %s (%s:%d)", m, m.URL, m.Line+1)
		}
	}
}

// do runs steps; what says which.
func (t *Tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, actionTime)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.fail("%s: %v", what, err)
	}
}

func (t *Tab) fail(format string, args ...any) {
	t.tb.Helper()
	t.Keep("failed")
	t.tb.Fatalf(format+"\nthe page says: %s", append(args, t.Text("document.body.innerText"))...)
}

// Click clicks on the first element of a CSS selector, once it shows.
func (t *Tab) Click(selector string) {
	t.tb.Helper()
	t.do("click on "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Type types into the first element of a CSS selector, once it shows.
func (t *Tab) Type(selector, text string) {
	t.tb.Helper()
	t.do("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Press presses keys, as whoever has no mouse.
func (t *Tab) Press(keys string) {
	t.tb.Helper()
	t.do("press a key", chromedp.KeyEvent(keys))
}

// Text is what an expression of JavaScript yields, as text.
func (t *Tab) Text(expression string) string {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, actionTime)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		t.tb.Fatalf("%s: %v", expression, err)
	}
	return text
}

// Shows waits until a text is in an element of a CSS selector that shows.
func (t *Tab) Shows(within time.Duration, selector, text string) {
	t.tb.Helper()
	t.Eventually(within, fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf(
		"[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() && e.innerText.includes(%q))", selector, text))
}

// Eventually waits until an expression of JavaScript is true.
func (t *Tab) Eventually(within time.Duration, what, expression string) {
	t.tb.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for t.Text("Boolean("+expression+")") != "true" {
		select {
		case <-tick.C:
		case <-deadline:
			t.fail("after %v: still not %s", within, what)
		}
	}
}

// Go goes to a view of the page.
func (t *Tab) Go(fragment string) {
	t.tb.Helper()
	t.Text(fmt.Sprintf("location.hash = %q", fragment))
}

// Size is that of the window; a narrow one is a phone's.
func (t *Tab) Size(width, height int64) {
	t.tb.Helper()
	t.do("resize", chromedp.EmulateViewport(width, height))
}

// Scheme is light or dark.
func (t *Tab) Scheme(scheme string) {
	t.tb.Helper()
	_, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	must(t.tb, err)
}

// Keep keeps a picture of what shows as <test>-<name>.png: in the directory SCREENSHOTS, or
// where the test keeps such things.
func (t *Tab) Keep(name string) {
	t.tb.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		dir = t.tb.ArtifactDir()
	}
	ctx, cancel := context.WithTimeout(t.ctx, actionTime)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		name = strings.ReplaceAll(t.tb.Name(), "/", "-") + "-" + name + ".png"
		err = os.WriteFile(filepath.Join(dir, name), png, 0o644)
	}
	if err != nil {
		t.tb.Errorf("no picture of the page: %v", err)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
