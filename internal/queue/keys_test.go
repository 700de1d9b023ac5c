package queue_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"fulfillment-worker/internal/queue"
)

// allKeys is every key of a queue, those of an instance "w-1" included.
func allKeys(k queue.Keys) map[string]string {
	return map[string]string{
		"queue": k.Queue(), "workers": k.Workers(), "worker": k.Worker("w-1"), "processing": k.Processing("w-1"),
		"delayed": k.Delayed(), "deliveries": k.Deliveries(), "returned": k.Returned(), "dead": k.Dead(),
		"events": k.Events(), "paused": k.Paused(), "reconciled": k.Reconciled(), "looked": k.Looked(),
	}
}

func TestKeys_names(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ queue, tag string }{
		{"fulfillment_queue", "{fulfillment_queue}"},
		{"shop:orders", "{shop:orders}"},
		{"{shop}:orders", "{shop}:orders"},
		{"orders.{shop}", "orders.{shop}"},
	} {
		t.Run(tt.queue, func(t *testing.T) {
			t.Parallel()
			got := allKeys(queue.NewKeys(tt.queue))
			for name, want := range map[string]string{
				"queue": tt.queue, "workers": tt.tag + ":workers", "worker": tt.tag + ":worker:w-1",
				"processing": tt.tag + ":processing:w-1", "delayed": tt.tag + ":delayed",
				"deliveries": tt.tag + ":deliveries", "returned": tt.tag + ":returned",
				"dead": tt.tag + ":dead", "events": tt.tag + ":events", "paused": tt.tag + ":paused", "reconciled": tt.tag + ":reconciled", "looked": tt.tag + ":looked",
			} {
				if got[name] != want {
					t.Errorf("the key of %s is %s, want %s", name, got[name], want)
				}
				delete(got, name)
			}
			if len(got) > 0 {
				t.Errorf("keys that are not checked: %v", got)
			}
		})
	}
}

func TestKeys_areAllDifferent(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, key := range allKeys(queue.NewKeys("q")) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if unique := slices.Compact(slices.Clone(keys)); len(unique) != len(keys) {
		t.Errorf("two things share a key: %q", keys)
	}
}

// slot is the hash slot of a key in Redis Cluster: CRC16 (XMODEM) of what stands in
// its first braces, or of all of it where they are missing or empty.
func slot(key string) uint16 {
	if _, behind, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(behind, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return crc % 16384
}

// The values are what CLUSTER KEYSLOT answers.
func TestSlot(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]uint16{
		"123456789": 12739, "foo": 12182, "{foo}.bar": 12182, "a{foo}b{c}": 12182, "foo{}{bar}": 8363,
		"foo{{bar}}zap": 4015, "a}b{c": 13587, "fulfillment_queue": 3459, "{fulfillment_queue}:dead": 3459,
	} {
		if got := slot(key); got != want {
			t.Errorf("the slot of %s is %d, want %d", key, got, want)
		}
	}
}

func TestKeys_shareOneSlot(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"fulfillment_queue", "q", "shop:orders", "{shop}:orders", "orders:{shop}", "a{b}c", "*?[x]", `back\slash`,
		strings.Repeat("q", 200),
	} {
		keys := queue.NewKeys(name)
		for what, key := range allKeys(keys) {
			if got, want := slot(key), slot(name); got != want {
				t.Errorf("queue %s: the key of %s, %s, is in slot %d, want %d", name, what, key, got, want)
			}
		}
	}
}

// Patterns of SCAN and of path.Match agree on what occurs in keys.
func TestKeys_patterns(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"q", "{shop}:orders", "a*b", "a?b", "[a-z]", `back\slash`, "a^b-c]"} {
		keys, similar := queue.NewKeys(name), queue.NewKeys(strings.NewReplacer("*", "x", "?", "x", "[a-z]", "m", `\`, "", "shop", "shed", "q", "r", "^", "x").Replace(name))
		for what, key := range allKeys(keys) {
			inAll, inProcessing := what != "queue", what == "processing"
			if got := matches(t, keys.Pattern(), key); got != inAll {
				t.Errorf("queue %s: the pattern %s finds %s: %t, want %t", name, keys.Pattern(), key, got, inAll)
			}
			if got := matches(t, keys.ProcessingPattern(), key); got != inProcessing {
				t.Errorf("queue %s: the pattern %s finds %s: %t, want %t", name, keys.ProcessingPattern(), key, got, inProcessing)
			}
		}
		for _, key := range allKeys(similar) {
			if matches(t, keys.Pattern(), key) || matches(t, keys.ProcessingPattern(), key) {
				t.Errorf("queue %s: a pattern finds %s, which is another queue's", name, key)
			}
		}
	}
}

func matches(t *testing.T, pattern, key string) bool {
	t.Helper()
	ok, err := path.Match(pattern, key)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	return ok
}

func TestKeys_instance(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, queue, key, want string }{
		{"a worker's list", "q", "{q}:processing:w-1", "w-1"},
		{"one of its lanes", "q", "{q}:processing:w-1:2", "w-1"},
		{"a name with dots", "q", "{q}:processing:shelf.7_a-0b6c", "shelf.7_a-0b6c"},
		{"a queue with a tag of its own", "{shop}:orders", "{shop}:orders:processing:w-1", "w-1"},
		{"a queue that is named like a list", "processing:x", "{processing:x}:processing:w-1", "w-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			keys := queue.NewKeys(tt.queue)
			if got := keys.Instance(tt.key); got != tt.want {
				t.Errorf("the owner of %s is %q, want %q", tt.key, got, tt.want)
			}
			if again := keys.Processing(tt.want); keys.Instance(again) != tt.want {
				t.Errorf("the owner of %s is %q, want %q", again, keys.Instance(again), tt.want)
			}
		})
	}
}

// The values are what redis.sha1hex makes of the same.
func TestDigest(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		"":       "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"abc":    "a9993e364706816aba3e25717850c26c9cd0d89d",
		"\x00\n": "49594bfbf3a97620aa5dea68d4440b39b6bede04",
	} {
		if got := queue.Digest([]byte(payload)); got != want {
			t.Errorf("the digest of %q is %s, want %s", payload, got, want)
		}
	}
}
