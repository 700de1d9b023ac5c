package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

var producerFaults = []*fault{
	{
		name: "no-push", about: "the producer dies between INSERT and LPUSH", proof: "orders without a message",
		lane: onProducer, needs: needReconciler, forgets: true, lasts: lasts(time.Second), bound: profile.reconciled, inject: noPush,
	},
	{
		name: "early-push", about: "the message comes before its order's INSERT", proof: "messages too early",
		lane: onProducer, lasts: lasts(time.Second), bound: profile.back, inject: earlyPush,
	},
	{
		name: "duplicates", about: "two to five copies of a message, at once and again when the order is fulfilled", proof: "copies",
		lane: onProducer, lasts: lasts(time.Second), bound: profile.back, inject: duplicates,
	},
	{
		name: "poison", about: "messages that are none: they must become dead letters, each once", proof: "messages",
		lane: onProducer, lasts: lasts(time.Second), inject: poison,
	},
}

const batch = 10 // orders of one such fault

// each reserves some orders and does something to each at the same time. It counts the
// successes.
func (i *injection) each(ctx context.Context, do func(id int64) (int, error)) (ids []int64, n int) {
	ids, err := i.producer.reserve(ctx, batch)
	if err != nil {
		return nil, 0
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			done, err := do(id)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				n += done
			}
		})
	}
	all.Wait()
	return ids, n
}

// patient lets a producer bring to its end what it has begun, even if the run ends.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

func noPush(ctx context.Context, i *injection) (wound, error) {
	begun, cancel := patient(ctx)
	defer cancel()
	ids, n := i.each(ctx, func(id int64) (int, error) { return 1, i.producer.insert(begun, id) })
	return wound{n, i.these(ids, time.Now())}, nil
}

func earlyPush(ctx context.Context, i *injection) (wound, error) {
	begun, cancel := patient(ctx)
	defer cancel()
	ids, n := i.each(ctx, func(id int64) (int, error) {
		i.history.want(id)
		if err := i.producer.push(begun, message(id, 0)); err != nil {
			return 0, err
		}
		sleep(ctx, 300*time.Millisecond)
		return 1, i.producer.insert(begun, id)
	})
	return wound{n, i.these(ids, time.Now())}, nil
}

func duplicates(ctx context.Context, i *injection) (wound, error) {
	begun, cancel := patient(ctx)
	defer cancel()
	copies := 1 + i.rng.IntN(4) // beside the first
	ids, n := i.each(ctx, func(id int64) (int, error) {
		if err := i.producer.insert(begun, id); err != nil {
			return 0, err
		}
		var pushes sync.WaitGroup
		for c := range 1 + copies {
			pushes.Go(func() { _ = i.producer.push(begun, message(id, c)) })
		}
		pushes.Wait()
		return copies, nil
	})
	w := wound{n, i.these(ids, time.Now())}
	sleep(ctx, time.Second)
	for _, id := range ids {
		_ = i.producer.push(begun, message(id, 99))
	}
	return w, nil
}

// poison pushes each once: nobody repeats what he cannot know to be sound.
func poison(ctx context.Context, i *injection) (wound, error) {
	n := 0
	for k := range batch {
		if i.producer.poison(ctx, k) {
			n++
		}
	}
	return wound{proof: n}, nil
}

// burst brings in many orders at once, so that there are messages in the queue.
func (p *producer) burst(ctx context.Context, n int) {
	ids, err := p.reserve(ctx, n)
	if err != nil {
		return
	}
	begun, cancel := patient(ctx)
	defer cancel()
	var inserted []any
	for _, id := range ids {
		p.history.want(id)
	}
	_, err = p.db.Exec(begun, `INSERT INTO orders (id, product_id, quantity) SELECT unnest($1::int[]), 1, 1`, ids)
	for _, id := range ids {
		if err == nil {
			p.history.inserted(id)
		} else { // one by one, then: it may have been carried out
			_ = p.insert(begun, id)
		}
		inserted = append(inserted, message(id, 0))
	}
	if p.rdb.LPush(begun, queueKey, inserted...).Err() != nil {
		for _, id := range ids {
			_ = p.push(begun, message(id, 1))
		}
	}
}

// letters is the account of the poison.
type letters struct {
	mu     sync.Mutex
	serial int
	pushed map[string]pushed
	forgot time.Time // when Redis last forgot: what was pushed before may be gone
}

type pushed struct {
	at   time.Time
	sure bool // the LPUSH was acknowledged
}

// Burials are what became of the poison.
type burials struct {
	Pushed  int        `json:"pushed"`
	Buried  int        `json:"dead_letters"`
	Missing int        `json:"missing"` // though Redis has forgotten nothing since
	Doubled violations `json:"doubled"`
	Strange violations `json:"strange"` // dead letters that are no poison of ours
}

// poison pushes one bad message, and reports whether that was acknowledged.
func (p *producer) poison(ctx context.Context, kind int) bool {
	p.letters.mu.Lock()
	p.letters.serial++
	mark := fmt.Sprintf("poison-%d", p.letters.serial)
	p.letters.mu.Unlock()
	payload := poisons(kind, p.history.base, mark)
	at := time.Now()
	err := p.pushOnce(ctx, payload)
	p.letters.mu.Lock()
	defer p.letters.mu.Unlock()
	if !refusedByRedis(err) {
		p.letters.pushed[payload] = pushed{at: at, sure: err == nil}
	}
	return err == nil
}

// poisons are bad messages of some kinds; the mark makes each unlike all others. Where it
// names an order, it is one that does not exist: a dead letter tells the reconciler that
// the order's message is not lost.
func poisons(kind int, order int64, mark string) string {
	kinds := []string{
		`{"order_id": ` + strconv.FormatInt(order, 10) + `, "product_id": 1, "quan` + mark,
		mark,
		`["` + mark + `"]`,
		`{"order_id": "seventeen", "product_id": 1, "quantity": 1, "correlation_id": "` + mark + `", "timestamp": ""}`,
		`{"order_id": 0, "product_id": 1, "quantity": 1, "correlation_id": "` + mark + `", "timestamp": ""}`,
		`{"order_id": ` + strconv.FormatInt(order, 10) + `, "product_id": 1, "quantity": -1, "correlation_id": "` + mark + `", "timestamp": ""}`,
		"\x00\xff\xfe" + mark,
	}
	return kinds[kind%len(kinds)]
}

// forgotten notes that Redis has lost those messages, or without any that it may have
// lost whatever it knew.
func (p *producer) forgotten(payloads ...string) {
	p.letters.mu.Lock()
	defer p.letters.mu.Unlock()
	if len(payloads) == 0 {
		p.letters.forgot = time.Now()
	}
	for _, payload := range payloads {
		if l, ours := p.letters.pushed[payload]; ours {
			l.sure = false
			p.letters.pushed[payload] = l
		}
	}
}

// burials compares the dead letters, from that id on, with the poison.
func (p *producer) burials(ctx context.Context, from string) (burials, error) {
	found, err := p.rdb.XRange(ctx, deadKey, "("+from, "+").Result()
	return p.letters.count(found), err
}

func (l *letters) count(found []redis.XMessage) (b burials) {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := map[string]int{}
	for _, letter := range found {
		payload, _ := letter.Values["payload"].(string)
		times[payload]++
		if _, ours := l.pushed[payload]; !ours {
			b.Strange.add("%q: %v, %v", payload, letter.Values["reason"], letter.Values["error"])
		} else if times[payload] > 1 {
			b.Doubled.add("%q", payload)
		}
	}
	b.Buried = len(found)
	for payload, poison := range l.pushed {
		if poison.sure {
			b.Pushed++
		}
		if poison.sure && times[payload] == 0 && poison.at.After(l.forgot) {
			b.Missing++
		}
	}
	return b
}
