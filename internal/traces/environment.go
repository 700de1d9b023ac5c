package traces

import (
	"cmp"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// asked is the collector that the environment names, nil where it asks for no traces, or
// what is wrong with how it does, without the value. What else it says of them, about
// sampling, limits and batches, is read by OpenTelemetry itself.
func asked(userAgent string) (*collector, error) {
	if endpoint, _ := exporterSetting("ENDPOINT"); endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	switch os.Getenv("OTEL_TRACES_EXPORTER") {
	case "none":
		return nil, nil
	case "", "otlp":
	default:
		return nil, errors.New("OTEL_TRACES_EXPORTER: it takes otlp or none")
	}
	if protocol, name := exporterSetting("PROTOCOL"); cmp.Or(protocol, "http/protobuf") != "http/protobuf" {
		return nil, errors.New(name + ": it takes http/protobuf")
	}
	c := &collector{header: http.Header{"User-Agent": {userAgent}}, transport: http.DefaultTransport.(*http.Transport).Clone()}
	return c, errors.Join(c.readEndpoint(), c.readHeaders(), c.readTimeout(), c.readCompression(), c.readCertificates())
}

// readEndpoint reads where traces go: to the URL for them alone as it is, or to their place
// below the one for all that is exported.
func (c *collector) readEndpoint() error {
	value, name := exporterSetting("ENDPOINT")
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "": // the error quotes the URL
		return errors.New(name + ": it takes an http:// or https:// URL")
	case u.User != nil:
		return errors.New(name + ": it takes no credentials; OTEL_EXPORTER_OTLP_HEADERS does")
	case name == forAll+"ENDPOINT":
		u = u.JoinPath("v1/traces")
	}
	c.url = u.String()
	return nil
}

var headerName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$") // RFC 9110, 5.6.2

func (c *collector) readHeaders() error {
	all, name := exporterSetting("HEADERS")
	for pair := range strings.SplitSeq(all, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, encoded, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(encoded))
		if !found || err != nil || !headerName.MatchString(key) || strings.ContainsFunc(value, unicode.IsControl) {
			return errors.New(name + ": it takes key=value, separated by commas, the values percent-encoded")
		}
		c.header.Set(key, value)
	}
	c.header.Set("Content-Type", "application/x-protobuf")
	return nil
}

func (c *collector) readTimeout() error {
	value, name := exporterSetting("TIMEOUT")
	ms, err := strconv.ParseUint(cmp.Or(value, "10000"), 10, 32)
	if err != nil || ms == 0 {
		return errors.New(name + ": it takes milliseconds")
	}
	c.timeout = time.Duration(ms) * time.Millisecond
	return nil
}

func (c *collector) readCompression() error {
	switch value, name := exporterSetting("COMPRESSION"); value {
	case "", "none":
	case "gzip":
		c.zip = gzip.NewWriter(nil)
		c.header.Set("Content-Encoding", "gzip")
	default:
		return errors.New(name + ": it takes gzip or none")
	}
	return nil
}

// readCertificates reads whom to trust, and what to show, in TLS.
func (c *collector) readCertificates() error {
	authorities, name := exporterSetting("CERTIFICATE")
	own, ownName := exporterSetting("CLIENT_CERTIFICATE")
	key, keyName := exporterSetting("CLIENT_KEY")
	c.transport.TLSClientConfig = &tls.Config{}
	if authorities != "" {
		pem, err := os.ReadFile(authorities)
		trusted := x509.NewCertPool()
		if err != nil || !trusted.AppendCertsFromPEM(pem) {
			return errors.New(name + ": it takes a file with certificates")
		}
		c.transport.TLSClientConfig.RootCAs = trusted
	}
	if own != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(own, key)
		if err != nil {
			return errors.New(ownName + " and " + keyName + ": they take the files of a certificate and its key")
		}
		c.transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// The variables for all that is exported, and for traces alone, begin with these.
const (
	forAll    = "OTEL_EXPORTER_OTLP_"
	forTraces = "OTEL_EXPORTER_OTLP_TRACES_"
)

// exporterSetting is one of the variables that there are for traces alone, which wins, and
// for all that is exported.
func exporterSetting(what string) (value, name string) {
	name = forTraces + what
	if value = strings.TrimSpace(os.Getenv(name)); value == "" {
		name = forAll + what
		value = strings.TrimSpace(os.Getenv(name))
	}
	return value, name
}
