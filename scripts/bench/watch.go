package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// scrapeEvery is more often than anybody scrapes.
const scrapeEvery = time.Second

// watch scrapes a worker's metrics and keeps its page open until stop is called, which
// returns what went wrong.
func watch(ctx context.Context, addr string) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	failed := make(chan error, 2)
	for _, look := range []func(context.Context, string) error{scrape, keepOpen} {
		watchers.Go(func() {
			if err := look(ctx, addr); ctx.Err() == nil {
				failed <- err
			}
		})
	}
	return func() error {
		cancel()
		watchers.Wait()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}

func scrape(ctx context.Context, addr string) error {
	for {
		if err := read(ctx, "http://"+addr+"/metrics"); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(scrapeEvery):
		}
	}
}

// keepOpen reads the stream of the page, which has no end.
func keepOpen(ctx context.Context, addr string) error {
	return read(ctx, "http://"+addr+"/live")
}

func read(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// freeAddr is where nobody listens.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
