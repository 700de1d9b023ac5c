package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverQueue is github.com/riverqueue/river. It keeps its jobs in PostgreSQL, through the
// same pool as the orders.
type riverQueue struct {
	db       *pgxpool.Pool
	cooldown time.Duration         // between two fetches, and two notifications; 0 is river's default
	producer *river.Client[pgx.Tx] // one for all messages
}

// Kind is river's name for the job.
func (message) Kind() string { return "fulfil" }

type riverWorker struct {
	river.WorkerDefaults[message]
	handle handler
}

// Work fulfils a job's order.
func (w *riverWorker) Work(ctx context.Context, job *river.Job[message]) error {
	return w.handle(ctx, job.Args.OrderID)
}

// migrate makes river's tables unless they are there, and empties them of what an earlier
// run has left where that is asked for.
func (q *riverQueue) migrate(ctx context.Context, empty bool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(q.db), &rivermigrate.Config{Logger: errorsOnly()})
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err == nil && empty {
		_, err = q.db.Exec(ctx, "TRUNCATE river_job")
	}
	return err
}

func errorsOnly() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

func (q *riverQueue) enqueue(ctx context.Context, messages []message) (err error) {
	const atOnce = 2000
	if q.producer == nil {
		q.producer, err = river.NewClient(riverpgxv5.New(q.db), &river.Config{FetchCooldown: q.cooldown, Logger: errorsOnly()})
	}
	if err == nil && len(messages) == 1 {
		_, err = q.producer.Insert(ctx, messages[0], nil) // which tells those who wait
		return err
	}
	for err == nil && len(messages) > 0 {
		n := min(atOnce, len(messages))
		jobs := make([]river.InsertManyParams, n)
		for i, m := range messages[:n] {
			jobs[i].Args = m
		}
		_, err = q.producer.InsertManyFast(ctx, jobs)
		messages = messages[n:]
	}
	if err == nil {
		_, err = q.db.Exec(ctx, "VACUUM ANALYZE river_job") // the table was filled a moment ago
	}
	return err
}

func (q *riverQueue) run(ctx context.Context, inHand int, handle handler) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{handle: handle})
	client, err := river.NewClient(riverpgxv5.New(q.db), &river.Config{
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: inHand}},
		Workers:       workers,
		FetchCooldown: q.cooldown,
		Logger:        errorsOnly(),
	})
	if err != nil {
		return err
	}
	unstopped := context.WithoutCancel(ctx)
	if err := client.Start(unstopped); err != nil {
		return err
	}
	<-ctx.Done()
	soon, cancel := context.WithTimeout(unstopped, 5*time.Second)
	defer cancel()
	return client.Stop(soon)
}
