package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"fulfillment-worker/internal/queue"

	"github.com/spf13/cobra"
)

// change is what every command takes that changes the queue's state.
type change struct {
	yes bool   // do not ask
	by  string // who wants it
}

// changes makes cmd one that changes the queue's state: it asks, or takes --yes, or is called
// wrongly.
func (p *program) changes(cmd *cobra.Command) *change {
	c := &change{}
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do it without asking")
	p.signs(cmd, c)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !c.yes && !isTerminal(p.stdin) {
			return usageError{errors.New("there is no terminal to ask on; --yes does it without asking")}
		}
		return c.check()
	}
	return c
}

// signs makes cmd one that tells the events who wants what it does.
func (p *program) signs(cmd *cobra.Command, c *change) {
	cmd.Flags().StringVar(&c.by, "by", p.user(), "who does it, for the events")
}

func (c *change) check() error {
	if c.by == "" || strings.ContainsFunc(c.by, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return usageError{errors.New("--by must be a name")}
	}
	return nil
}

// user is who calls the program, as far as the environment tells.
func (p *program) user() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return cmp.Or(p.getenv("USER"), "somebody") + "@" + host
}

var errDeclined = errors.New("nothing was changed")

// confirm says what will be done and returns nil if it shall be. It talks to the terminal
// itself: what goes to standard output and error may go elsewhere.
func (c *change) confirm(ctx context.Context, what string) error {
	if c.yes {
		return nil
	}
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return usageError{fmt.Errorf("cannot ask: %w; --yes does it without asking", err)}
	}
	defer terminal.Close()
	_, _ = fmt.Fprintf(terminal, "%s\nGo on? [y/N] ", what)
	answers := make(chan string, 1)
	go func() { // it cannot be interrupted
		line, _ := bufio.NewReader(terminal).ReadString('\n')
		answers <- line
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer := <-answers:
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
			return nil
		}
		return errDeclined
	}
}

func (b backends) operator(c *change) *queue.Operator {
	return queue.NewOperator(b.rdb, b.cfg.QueueName, c.by)
}
