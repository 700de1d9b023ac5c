// Package crash marks the lines after which a test may want the process to die.
//
// # What callers may rely on
//
//   - In an ordinary build [At] does nothing and costs nothing.
//   - In a build with the tag "torture" it kills the process with SIGKILL at the
//     point, and at the passage, that CRASHPOINT names: "claimed" is the first
//     passage of that point, "claimed:3" the third. With "claimed:3:stop" it is frozen
//     there by SIGSTOP instead.
package crash
