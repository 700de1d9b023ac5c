package queue

import (
	"crypto/sha1"
	"encoding/hex"
)

// Digest names a payload where the payload itself would be too long: the SHA-1 in
// lower-case hex, as Lua's redis.sha1hex makes it too.
func Digest(payload []byte) string {
	return note(payload)[len(notePrefix):]
}

const notePrefix = "order:"

// note is the field of the worker's hash that says that a message is being worked on. It
// ends in the digest.
func note(payload []byte) string {
	sum := sha1.Sum(payload)
	var field [len(notePrefix) + 2*sha1.Size]byte
	hex.Encode(field[copy(field[:], notePrefix):], sum[:])
	return string(field[:])
}
