// Command plot draws the benchmark's figures: it reads charts as JSON from its input and
// writes an SVG file for each into the directory that it is given.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is one file.
type chart struct {
	File   string   `json:"file"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogX   bool     `json:"log_x"`
	LogY   bool     `json:"log_y"`
	Bars   []string `json:"bars"` // names below bars that the series stack up to; none is a chart of lines
	Series []series `json:"series"`
}

type series struct {
	Name   string  `json:"name"`
	Dashed bool    `json:"dashed"`
	Points []point `json:"points"`
}

// point has a range where it is a median.
type point struct {
	X   float64 `json:"x"`
	Y   float64 `json:"y"`
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

const (
	width  = 18 * vg.Centimeter
	height = 11 * vg.Centimeter
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: plot DIRECTORY <CHARTS")
		os.Exit(2)
	}
	if err := run(os.Stdin, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, dir string) error {
	var charts []chart
	if err := json.NewDecoder(in).Decode(&charts); err != nil {
		return err
	}
	var errs []error
	for _, c := range charts {
		if err := c.save(dir); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.File, err))
		}
	}
	return errors.Join(errs...)
}

func (c chart) save(dir string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.X, c.Y
	p.Title.Padding, p.Legend.Padding = vg.Points(8), vg.Points(2)
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	if err := c.fill(p); err != nil {
		return err
	}
	return p.Save(width, height, filepath.Join(dir, c.File))
}

func (c chart) fill(p *plot.Plot) error {
	if len(c.Bars) > 0 {
		p.Y.Min = 0
		return c.stack(p)
	}
	p.X.Tick.Marker = c.places()
	if c.LogX {
		p.X.Scale = plot.LogScale{}
	}
	if c.LogY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, powers{}
	} else {
		p.Y.Min = 0
	}
	for i, s := range c.Series {
		if err := s.draw(p, i); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	p.Y.Max *= headroom(c)
	return nil
}

// places are ticks where there are points.
func (c chart) places() plot.ConstantTicks {
	labels := map[float64]string{}
	for _, s := range c.Series {
		for _, at := range s.Points {
			labels[at.X] = strconv.FormatFloat(at.X, 'g', 4, 64)
		}
	}
	var ticks plot.ConstantTicks
	for _, x := range slices.Sorted(maps.Keys(labels)) {
		ticks = append(ticks, plot.Tick{Value: x, Label: labels[x]})
	}
	return ticks
}

// headroom keeps the legend off the lines.
func headroom(c chart) float64 {
	if c.LogY {
		return math.Pow(1.9, float64(len(c.Series)))
	}
	return 1 + 0.075*float64(len(c.Series))
}

// colours are told apart by most who see some of them badly (Okabe and Ito).
var colours = []color.RGBA{
	{0, 114, 178, 255},
	{213, 94, 0, 255},
	{0, 158, 115, 255},
	{204, 121, 167, 255},
	{230, 159, 0, 255},
	{86, 180, 233, 255},
	{90, 90, 90, 255},
	{170, 150, 0, 255},
}

func (s series) draw(p *plot.Plot, i int) error {
	line, dots, err := plotter.NewLinePoints(s)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(s)
	if err != nil {
		return err
	}
	colour := colours[i%len(colours)]
	line.Color, dots.Color, bars.Color = colour, colour, colour
	line.Width, dots.Radius, dots.Shape = vg.Points(1.5), vg.Points(2.5), draw.CircleGlyph{}
	if s.Dashed {
		line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
	}
	p.Add(line, dots, bars)
	p.Legend.Add(s.Name, line, dots)
	return nil
}

// Len, XY and YError are how plotter reads a series.
func (s series) Len() int { return len(s.Points) }

func (s series) XY(i int) (x, y float64) { return s.Points[i].X, s.Points[i].Y }

func (s series) YError(i int) (low, high float64) {
	p := s.Points[i]
	if p.Max == 0 { // no range
		return 0, 0
	}
	return p.Y - p.Min, p.Max - p.Y
}

// stack draws a bar for each name, of a piece from each series.
func (c chart) stack(p *plot.Plot) error {
	var below *plotter.BarChart
	for i, s := range c.Series {
		var heights plotter.Values
		for _, at := range s.Points {
			heights = append(heights, at.Y)
		}
		bars, err := plotter.NewBarChart(heights, vg.Points(22))
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		bars.Color, bars.LineStyle.Width = colours[i%len(colours)], 0
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		p.Add(bars)
		p.Legend.Add(s.Name, bars)
	}
	p.NominalX(c.Bars...)
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/6, draw.XRight, draw.YTop
	p.X.Min, p.X.Max = -0.6, float64(len(c.Bars))-0.4
	p.Y.Max *= 1.3 // above the bars, for the legend
	return nil
}

// powers are ticks at 1, 2 and 5 times a power of ten, where a few of these are enough.
type powers struct{}

// Ticks returns those between two values.
func (powers) Ticks(least, most float64) (ticks []plot.Tick) {
	factors := []float64{1, 2, 5}
	if most/least > 1e3 {
		factors = []float64{1}
	}
	for power := math.Floor(math.Log10(least)); power <= math.Ceil(math.Log10(most)); power++ {
		for _, factor := range factors {
			if at := factor * math.Pow(10, power); at >= least*0.999 && at <= most*1.001 {
				ticks = append(ticks, plot.Tick{Value: at, Label: strconv.FormatFloat(at, 'g', -1, 64)})
			}
		}
	}
	return ticks
}
