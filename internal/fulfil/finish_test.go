package fulfil

import (
	"errors"
	"slices"
	"testing"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

// shared is an orders table in which nothing succeeds together.
type shared struct {
	Orders
	asked []db.Claimed
}

func (s *shared) FinishTogether(all []db.Claimed) []db.Attempt {
	s.asked = append(s.asked, all...)
	return make([]db.Attempt, len(all))
}

func (s *shared) FinishAndClaim(db.Claimed, int64) (finish, claim db.Attempt) { return finish, claim }

// No order is finished twice at one go, for its holders have different tokens and might get
// each other's answer; what had nothing to finish is done; all else is asked for alone.
func TestFulfiller_Finish_oneOrderTwice(t *testing.T) {
	t.Parallel()
	of := func(id int64, token db.Token, worked bool) *queue.Delivery {
		return &queue.Delivery{Prepared: &request{message: order.Message{OrderID: id}, token: token, worked: worked}}
	}
	orders := &shared{}
	f := &Fulfiller{Orders: orders}
	errs := f.Finish(t.Context(), []*queue.Delivery{of(17, "1", true), of(18, "", false), of(17, "2", true), of(19, "3", true)})
	for i, alone := range []bool{true, false, true, true} {
		if errors.Is(errs[i], queue.ErrAlone) != alone || !alone && errs[i] != nil {
			t.Errorf("delivery %d: got %v, want it to be finished alone: %v", i, errs[i], alone)
		}
	}
	if want := []db.Claimed{{ID: 17, Token: "1"}, {ID: 19, Token: "3"}}; !slices.Equal(orders.asked, want) {
		t.Errorf("it asks for %v, want %v", orders.asked, want)
	}
}
