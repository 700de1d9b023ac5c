package fulfil

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

// Where there is nothing to finish, or nothing to claim, or both are one order, no transaction
// is about both: the next one begins when the other is done with.
func TestFulfiller_Relay_oneAfterTheOther(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		worked bool
		next   string
		want   []db.Claimed // that are finished by themselves
	}{
		{"a copy of a fulfilled order is done", false, asking(18), nil},
		{"a copy comes next", true, asking(17), []db.Claimed{{ID: 17, Token: "1"}}},
		{"what comes next cannot be read", true, "not json", []db.Claimed{{ID: 17, Token: "1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			orders := &shared{}
			f := &Fulfiller{Orders: orders, Log: slog.New(slog.DiscardHandler)}
			done := &request{ctx: t.Context(), message: order.Message{OrderID: 17}, token: "1", worked: tt.worked}
			next := &queue.Delivery{Payload: []byte(tt.next)}
			err := f.Relay(t.Context(), &queue.Delivery{Prepared: done}, next)
			if alone := errors.Is(err, queue.ErrAlone); alone != tt.worked || !alone && err != nil {
				t.Errorf("got %v, want no wait for what does not succeed at once", err)
			}
			if !slices.Equal(orders.asked, tt.want) {
				t.Errorf("%v are finished, want %v", orders.asked, tt.want)
			}
			if r, ok := next.Prepared.(*request); !ok || r.claim != nil {
				t.Errorf("the next one is prepared as %+v, want its claim to come", next.Prepared)
			}
		})
	}
}

func asking(id int64) string {
	return fmt.Sprintf(`{"order_id": %d, "product_id": 1, "quantity": 1, "correlation_id": "c", "timestamp": "2026-01-31T12:00:00"}`, id)
}
