package watch

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"
)

// question is what must be answered with yes before it is done.
type question struct {
	text string
	act  func(context.Context) (done string, err error)
}

// outcome is how an action ended.
type outcome struct {
	done string
	err  error
}

// notice is the last outcome. It stays until the next key, or a while.
type notice struct {
	text  string
	bad   bool
	until time.Time
}

const noticeStays = 8 * time.Second

func (s *Screen) ask(text string, act func(context.Context) (string, error)) {
	s.question = &question{text, act}
}

// answer begins the action after a yes, and takes anything that means no for a no.
func (s *Screen) answer(name string) tea.Cmd {
	switch name {
	case "y", "Y":
		act := s.question.act
		s.question, s.acting = nil, true
		return func() tea.Msg {
			ctx, cancel := within()
			defer cancel()
			done, err := act(ctx)
			return outcome{done, err}
		}
	case "n", "N", "esc", "q":
		s.question = nil
	}
	return nil
}

// conclude says how an action ended.
func (s *Screen) conclude(o outcome) tea.Cmd {
	s.acting = false
	s.notice = notice{text: o.done, until: s.now.Add(noticeStays)}
	if o.err != nil {
		s.notice.text, s.notice.bad = plain("failed, and may or may not be done: "+o.err.Error()), true
	}
	if s.leaving {
		return tea.Quit
	}
	return s.readLetters()
}

func (s *Screen) askPause() {
	if s.frame.Paused != nil {
		s.ask("Resume? Workers claim again at once.", func(ctx context.Context) (string, error) {
			changed, err := s.operator.Resume(ctx)
			return either(changed, "resumed", "it was not paused any more"), err
		})
		return
	}
	s.ask("Pause? Workers finish what they have in hand and claim no more.", func(ctx context.Context) (string, error) {
		changed, err := s.operator.Pause(ctx)
		return either(changed, "paused", "it was paused already"), err
	})
}

func (s *Screen) askRequeue() {
	if l, ok := s.chosenLetter(); ok {
		text := fmt.Sprintf("Requeue %s? Its message goes to the front of the queue, charged nothing.", what(l))
		s.ask(text, func(ctx context.Context) (string, error) {
			n, err := s.operator.Requeue(ctx, l.ID)
			return either(n > 0, "requeued "+what(l), "somebody else was quicker"), err
		})
	}
}

func (s *Screen) askDrop() {
	if l, ok := s.chosenLetter(); ok {
		text := fmt.Sprintf("Drop %s for good? An order that is still open will be queued anew.", what(l))
		s.ask(text, func(ctx context.Context) (string, error) {
			n, err := s.operator.Drop(ctx, l.ID)
			return either(n > 0, "dropped "+what(l), "somebody else was quicker"), err
		})
	}
}

func either(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}
