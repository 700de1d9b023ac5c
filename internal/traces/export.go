package traces

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// collector takes spans by OTLP over HTTP, as its specification has it
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp). No error of it holds its URL, a
// header or its answer. It is asked by one goroutine at a time.
type collector struct {
	url       string
	header    http.Header
	timeout   time.Duration // for a batch, with everything that is repeated
	zip       *gzip.Writer  // nil: spans are sent as they are
	transport *http.Transport
}

var _ sdktrace.SpanExporter = (*collector)(nil)

// mostAnswer is how much is read of an answer: a count and a few words.
const mostAnswer = 64 << 10

// busyError is the answer of a collector that wants to be asked again.
type busyError struct {
	error
	after time.Duration
}

// ExportSpans sends the spans, again and again while the collector is busy.
func (c *collector) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	body, err := request(spans)
	if err != nil {
		return err
	}
	body = c.pack(body)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	end, _ := ctx.Deadline()
	pauses := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0)) // the deadline ends it
	for {
		err := c.post(ctx, body)
		var busy busyError
		if !errors.As(err, &busy) {
			return err
		}
		pause := max(busy.after, pauses.NextBackOff())
		if time.Until(end) < pause {
			return err // rather than wait in vain
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *collector) pack(body []byte) []byte {
	if c.zip == nil {
		return body
	}
	var packed bytes.Buffer // no write to it fails
	c.zip.Reset(&packed)
	_, _ = c.zip.Write(body)
	_ = c.zip.Close()
	return packed.Bytes()
}

func (c *collector) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the collector's URL is none")
	}
	req.Header = c.header
	// Not by a Client: that would follow a redirect, with credentials, and quote the URL.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("the collector does not answer: %w", err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, mostAnswer)) // all, so that the connection can be used again
	return verdict(resp, answer)
}

func verdict(resp *http.Response, answer []byte) error {
	code := resp.StatusCode
	err := fmt.Errorf("the collector answered %d %s", code, http.StatusText(code))
	switch code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return busyError{err, retryAfter(resp.Header)}
	}
	if code < 200 || code > 299 {
		return err
	}
	if n := rejected(answer); n > 0 {
		return fmt.Errorf("the collector rejected %d spans", n)
	}
	return nil
}

// retryAfter reads the header's two forms, seconds and a date; it is zero for anything else.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	seconds, err := strconv.ParseUint(value, 10, 32)
	if err == nil || errors.Is(err, strconv.ErrRange) { // it is the largest number then
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return time.Until(at)
}

// Shutdown is called when everything is sent.
func (c *collector) Shutdown(context.Context) error {
	c.transport.CloseIdleConnections()
	return nil
}
