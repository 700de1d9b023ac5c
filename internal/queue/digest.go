package queue

import (
	"crypto/sha1"
	"encoding/hex"
)

// Digest names a payload where the payload itself would be too long: the SHA-1 in
// lower-case hex, as Lua's redis.sha1hex makes it too.
func Digest(payload []byte) string {
	sum := sha1.Sum(payload)
	return hex.EncodeToString(sum[:])
}
