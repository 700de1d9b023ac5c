package main

import (
	"bytes"
	"strconv"
)

// cutTail says how long an append-only file is without its last commands. A torn cut
// goes through the middle of the first command that is lost, as a power cut may: that may
// be inside a transaction, which Redis then takes back as a whole.
func cutTail(file []byte, commands int, torn bool) int {
	starts := boundaries(file)
	if len(starts) == 0 || commands == 0 {
		return len(file)
	}
	first := max(0, len(starts)-commands)
	cut := starts[first]
	if !torn {
		return cut
	}
	end := len(file)
	if first+1 < len(starts) {
		end = starts[first+1]
	}
	return cut + (end-cut)/2
}

// boundaries are the offsets at which the commands of an append-only file begin:
// "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n". What is no command ends it.
func boundaries(file []byte) (starts []int) {
	for at := 0; at < len(file); {
		end, ok := skipCommand(file, at)
		if !ok {
			break
		}
		starts = append(starts, at)
		at = end
	}
	return starts
}

func skipCommand(file []byte, at int) (end int, ok bool) {
	words, at, ok := number(file, at, '*')
	for ; ok && words > 0; words-- {
		var size int
		if size, at, ok = number(file, at, '$'); ok {
			at += size + len("\r\n")
			ok = size >= 0 && at <= len(file)
		}
	}
	return at, ok
}

// number reads a line as "*3\r\n".
func number(file []byte, at int, kind byte) (n, end int, ok bool) {
	if at >= len(file) || file[at] != kind {
		return 0, at, false
	}
	line, _, found := bytes.Cut(file[at+1:], []byte("\r\n"))
	n, err := strconv.Atoi(string(line))
	return n, at + 1 + len(line) + len("\r\n"), found && err == nil
}
