package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"text/tabwriter"
	"time"

	"fulfillment-worker/internal/config"
)

const healthTimeout = 3 * time.Second

// checkHealth asks the worker in the same container how it is. It returns 0 if that
// says that it lives, or serves no HTTP at all.
func checkHealth(addr string, stderr io.Writer) int {
	if addr == "off" {
		return 0
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		fmt.Fprintln(stderr, "worker: HTTP_ADDR:", err)
		return 1
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	client := http.Client{Timeout: healthTimeout, Transport: &http.Transport{}} // no proxy: it is next door
	resp, err := client.Get("http://" + net.JoinHostPort(host, port) + "/healthz")
	if err != nil {
		fmt.Fprintln(stderr, "worker:", err)
		return 1
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(stderr, io.LimitReader(resp.Body, 4096))
		return 1
	}
	return 0
}

// usage is the help, with every setting.
func usage(w io.Writer) {
	fmt.Fprint(w, `worker fulfils the orders whose messages it finds in a Redis list.

Usage:
  worker               run until SIGTERM or SIGINT
  worker -healthcheck  ask a running worker by HTTP_ADDR how it is: exit 0 or 1
  worker -version      say which build this is, and the settings it finds

Environment:
`)
	table := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	for _, s := range config.Settings {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", s.Name, s.Default, s.Doc)
	}
	_ = table.Flush()
	fmt.Fprint(w, `
Traces go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, over http/protobuf;
OpenTelemetry's other OTEL_* variables hold, too.
`)
}
