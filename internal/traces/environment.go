package traces

import (
	"cmp"
	"errors"
	"net/url"
	"os"
	"strings"
)

// asked reports whether the environment asks for traces, or what is wrong with how it does.
// What else it says of them is read by OpenTelemetry itself.
func asked() (bool, error) {
	endpoint, endpointName := exporterSetting("ENDPOINT")
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch os.Getenv("OTEL_TRACES_EXPORTER") {
	case "none":
		return false, nil
	case "", "otlp":
	default:
		return false, errors.New("OTEL_TRACES_EXPORTER: it takes otlp or none")
	}
	if protocol, name := exporterSetting("PROTOCOL"); cmp.Or(protocol, "http/protobuf") != "http/protobuf" {
		return false, errors.New(name + ": it takes http/protobuf")
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "": // the error quotes the URL
		return false, errors.New(endpointName + ": it takes an http:// or https:// URL")
	case u.User != nil: // OpenTelemetry would leave them out
		return false, errors.New(endpointName + ": it takes no credentials; OTEL_EXPORTER_OTLP_HEADERS does")
	}
	return true, nil
}

// exporterSetting is one of the variables that there are for traces alone, which wins, and
// for all that is exported.
func exporterSetting(what string) (value, name string) {
	name = "OTEL_EXPORTER_OTLP_TRACES_" + what
	if value = os.Getenv(name); value == "" {
		name = "OTEL_EXPORTER_OTLP_" + what
		value = os.Getenv(name)
	}
	return value, name
}
