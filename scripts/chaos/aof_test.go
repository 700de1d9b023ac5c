package main

import (
	"fmt"
	"strings"
	"testing"
)

// written is an append-only file with those commands.
func written(commands ...string) []byte {
	var b strings.Builder
	for _, c := range commands {
		words := strings.Fields(c)
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	return []byte(b.String())
}

func TestCutTail(t *testing.T) {
	t.Parallel()
	all := []string{"SELECT 0", "LPUSH queue one", "MULTI", "LMOVE queue mine RIGHT LEFT", "HSET worker field 1", "EXEC"}
	file := written(all...)
	for n := range len(all) + 1 {
		want := len(written(all[:len(all)-n]...))
		if got := cutTail(file, n, false); got != want {
			t.Errorf("without %d commands it is %d bytes long, want %d", n, got, want)
		}
		if n == 0 {
			continue
		}
		lost := len(written(all[len(all)-n]))
		if got := cutTail(file, n, true); got <= want || got >= want+lost {
			t.Errorf("torn in command %d from the end it is %d bytes long, want between %d and %d", n, got, want, want+lost)
		}
	}
	if got := cutTail(file, 100, false); got != 0 {
		t.Errorf("without more than it has, it is %d bytes long", got)
	}
}

func TestCutTail_seesCommandsInValuesAsValues(t *testing.T) {
	t.Parallel()
	tricky := []byte("*2\r\n$4\r\nPING\r\n$12\r\n*1\r\n$2\r\nhi\r\n\r\n*1\r\n$4\r\nPING\r\n")
	if got := boundaries(tricky); len(got) != 2 || got[1] != len(tricky)-len("*1\r\n$4\r\nPING\r\n") {
		t.Errorf("the commands begin at %v", got)
	}
}

func TestCutTail_endsAtWhatIsTornAlready(t *testing.T) {
	t.Parallel()
	file := written("PING one", "PING two")
	for _, end := range []int{len(file) - 1, len(file) - 3, len(written("PING one")) + 1, len(written("PING one")) + 3} {
		if got := boundaries(file[:end]); len(got) != 1 || got[0] != 0 {
			t.Errorf("in %d bytes of %d the commands begin at %v, want at 0 only", end, len(file), got)
		}
	}
	if got := boundaries([]byte("REDIS0010 a snapshot")); len(got) != 0 {
		t.Errorf("in a snapshot commands begin at %v", got)
	}
	if got := cutTail(nil, 3, true); got != 0 {
		t.Errorf("an empty file is cut to %d bytes", got)
	}
}
