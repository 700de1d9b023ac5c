package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"

	"github.com/spf13/cobra"
)

func (p *program) deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look after the dead letters",
		Long: `Look after the dead letters: messages that no further delivery could help, each with
its reason. PostgreSQL may be away.

  malformed      it is not the message's JSON
  invalid        a field is missing or out of range
  too_large      it is longer than MAX_MESSAGE_BYTES
  unknown_order  there was no such order in PostgreSQL, after its deliveries
  rejected       the work refused the order for good
  exhausted      its deliveries are used up`,
		Args:                       noSuchCommand,
		RunE:                       noCommand,
		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(p.deadListCommand(), p.deadShowCommand(), p.deadRequeueCommand(), p.deadDropCommand())
	return cmd
}

// reasonFlag gives a command the flag --reason.
func reasonFlag(cmd *cobra.Command, reason *string, help string) {
	cmd.Flags().StringVar(reason, "reason", "", help)
	_ = cmd.RegisterFlagCompletionFunc("reason", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return reasons(), cobra.ShellCompDirectiveNoFileComp
	})
}

func reasons() (all []string) {
	for _, r := range queue.Reasons {
		all = append(all, string(r))
	}
	return all
}

// checkReason refuses what no dead letter has.
func checkReason(reason string) error {
	if reason != "" && !slices.Contains(reasons(), reason) {
		return usageError{fmt.Errorf("--reason %q is none of %s", reason, strings.Join(reasons(), ", "))}
	}
	return nil
}

// letterIDs completes the ids of dead letters, of the newest.
func (p *program) letterIDs(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const most, patience = 50, 2 * time.Second
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	var ids []cobra.Completion
	err := p.withRedis(ctx, func(b backends) error {
		letters, _, err := b.inspector().Letters(ctx, queue.Selection{Newest: true}, most)
		for _, l := range letters {
			if !slices.Contains(given, l.ID) {
				ids = append(ids, cobra.CompletionWithDesc(l.ID, letterText(l)))
			}
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// letterText is a dead letter in a few words.
func letterText(l inspect.Letter) string {
	if l.OrderID == 0 {
		return harmless(string(l.Reason))
	}
	return fmt.Sprintf("order %d, %s", l.OrderID, harmless(string(l.Reason)))
}

// choice says which dead letters to change: some by their ids, those of a reason, or all.
type choice struct {
	reason string
	all    bool
}

func (c *choice) addFlags(cmd *cobra.Command) {
	reasonFlag(cmd, &c.reason, "all of that reason")
	cmd.Flags().BoolVar(&c.all, "all", false, "all dead letters")
}

func (c *choice) check(ids []string) error {
	ways := 0
	for _, way := range []bool{len(ids) > 0, c.reason != "", c.all} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return usageError{errors.New("it takes ids, or --reason, or --all")}
	}
	return checkReason(c.reason)
}

// chosen are dead letters by their ids, and what they are in words.
type chosen struct {
	ids  []string
	text string
}

// choose looks the letters up, so that it can be said what is about to be changed.
func (b backends) choose(ctx context.Context, c choice, ids []string) (chosen, error) {
	if len(ids) > 0 {
		return b.chooseByID(ctx, ids)
	}
	var found chosen
	counts := map[queue.Reason]int{}
	const page = 1000
	for more, s := true, (queue.Selection{Reason: queue.Reason(c.reason)}); more; {
		var letters []inspect.Letter
		var err error
		if letters, more, err = b.inspector().Letters(ctx, s, page); err != nil {
			return found, err
		}
		for _, l := range letters {
			found.ids = append(found.ids, l.ID)
			counts[l.Reason]++
			s.After = l.ID
		}
	}
	found.text = countsText(counts)
	return found, nil
}

func (b backends) chooseByID(ctx context.Context, ids []string) (chosen, error) {
	counts := map[queue.Reason]int{}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for _, id := range ids {
		l, err := b.letter(ctx, id, 0)
		if err != nil {
			return chosen{}, err
		}
		if counts[l.Reason]++; len(ids) == 1 {
			return chosen{ids, fmt.Sprintf("dead letter %s (%s)", l.ID, letterText(l))}, nil
		}
	}
	return chosen{ids, countsText(counts)}, nil
}

// letter is one dead letter with so much of its payload.
func (b backends) letter(ctx context.Context, id string, most int) (inspect.Letter, error) {
	l, err := b.inspector().Letter(ctx, id, most)
	if errors.Is(err, queue.ErrLetterID) {
		return l, usageError{err}
	}
	return l, err
}

// countsText is how many letters there are of which reasons.
func countsText(counts map[queue.Reason]int) string {
	total := 0
	var parts []string
	for reason, n := range counts {
		total += n
		parts = append(parts, fmt.Sprintf("%d %s", n, harmless(string(reason))))
	}
	slices.Sort(parts)
	if total == 0 {
		return "no dead letter"
	}
	return fmt.Sprintf("%s (%s)", plural(total, "dead letter"), strings.Join(parts, ", "))
}

// change does to the letters what was confirmed, and says to how many: somebody else may have
// been quicker with the rest. Where there are none, it asks nobody.
func (l chosen) change(ctx context.Context, c *change, what, past string, do func(context.Context, ...string) (int, error)) (int, error) {
	if len(l.ids) == 0 {
		return 0, nil
	}
	if err := c.confirm(ctx, what); err != nil {
		return 0, err
	}
	done, err := do(ctx, l.ids...)
	if err != nil {
		return done, fmt.Errorf("%s or more %s, the rest may be tried again: %w", plural(done, "dead letter"), past, err)
	}
	return done, nil
}

func changedText(past string, done, gone int) string {
	text := past + " " + plural(done, "dead letter")
	if gone > 0 {
		text += fmt.Sprintf("; %d were gone by then", gone)
	}
	return text
}
