package main

import (
	"io"
	"time"
)

type lifeBar struct {
	Life  string    `json:"life"`
	Begin time.Time `json:"begin"`
	End   time.Time `json:"end"`
	How   string    `json:"how"`
}

func (r *report) page(io.Writer) error { return nil }
