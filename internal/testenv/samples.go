package testenv

import (
	"strconv"
	"strings"
)

// Samples are the metrics that a scrape showed, by their names with the labels.
func Samples(scrape string) map[string]float64 {
	samples := map[string]float64{}
	for line := range strings.Lines(scrape) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			samples[line[:at]] = value
		}
	}
	return samples
}
