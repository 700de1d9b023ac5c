package fulfil

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"fulfillment-worker/internal/order"
)

// Post is work done by an HTTP service: each order is sent there by POST as JSON, with
// the headers Idempotency-Key and X-Correlation-ID and those of its trace. 2xx is done;
// 408, 425, 429 and 5xx may pass, and Retry-After is honoured; any other answer refuses the
// order for good, redirects included.
type Post struct {
	url       string // its credentials never show in an error
	transport http.RoundTripper
}

// NewPost returns work that is done at that URL.
func NewPost(target string) Post {
	// Not a Client: that would look at a redirect before it refuses to follow it.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns // all go to one
	return Post{url: target, transport: transport}
}

// Do sends the order and waits for the answer.
func (p Post) Do(ctx context.Context, m order.Message) error {
	body, err := json.Marshal(map[string]any{
		"order_id": m.OrderID, "product_id": m.ProductID, "quantity": m.Quantity, "correlation_id": m.CorrelationID,
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("FULFILLMENT_URL is no URL")
	}
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("order-%d", m.OrderID))
	req.Header.Set("X-Correlation-ID", headerValue(m.CorrelationID))
	if m.Traceparent != "" {
		req.Header.Set("Traceparent", m.Traceparent)
	}
	if m.Tracestate != "" {
		req.Header.Set("Tracestate", m.Tracestate)
	}
	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("FULFILLMENT_URL does not answer: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	return verdict(resp)
}

func verdict(resp *http.Response) error {
	err := fmt.Errorf("FULFILLMENT_URL answered %s", resp.Status)
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return &order.TryLaterError{After: retryAfter(resp.Header), Err: err}
	}
	return fmt.Errorf("%w: %w", order.ErrRejected, err)
}

// retryAfter reads the header's two forms, seconds and a date (RFC 9110, 10.2.3), the
// latter by the clock of its sender: ours may be off. It is zero for anything else, and
// never more than a day.
func retryAfter(h http.Header) time.Duration {
	const most = 24 * time.Hour
	value := h.Get("Retry-After")
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(most/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	now, dateless := http.ParseTime(h.Get("Date"))
	if err != nil || dateless != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}

// headerValue is s without what a header must not hold.
func headerValue(s string) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, []byte(s)))
}

// withoutURL is the error without the URL that net/http quotes.
func withoutURL(err error) error {
	var quoted *url.Error
	if errors.As(err, &quoted) {
		return quoted.Err
	}
	return err
}
