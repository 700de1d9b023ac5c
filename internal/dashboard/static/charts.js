// Charts of the last minutes, drawn by hand.
import { clock, duration, el, number, perSecond, say, svg } from './dom.js';

const span = 5 * 60_000; // ms that a chart shows
const height = 132;
const pad = { top: 10, right: 4, bottom: 20, left: 44 };

// What is silent has no value where nothing was counted.
const kinds = [
  { title: 'In Redis', href: '#/waiting', write: number, least: 4, series: [['waiting', 'waiting', 'wait'], ['in_hand', 'in hand', 'hand'], ['delayed', 'delayed', 'delayed']] },
  { title: 'Orders a second', href: '#/events', write: perSecond, least: 1, series: [['fulfilled', 'fulfilled', 'done'], ['claimed', 'claimed', 'hand'], ['retried', 'retried', 'delayed']] },
  { title: 'Work on an order', href: '#/in-hand', write: duration, silent: true, least: 10, series: [['worked_p50_ms', 'median', 'hand'], ['worked_p95_ms', 'p95', 'wait']] },
  { title: 'Wait for a worker', href: '#/waiting', write: duration, silent: true, least: 10, series: [['waited_p50_ms', 'median', 'hand'], ['waited_p95_ms', 'p95', 'wait']] },
];

export class Charts {
  constructor(root) {
    this.samples = [];
    this.charts = kinds.map((kind) => new Chart(root, kind));
  }

  add(samples) {
    const newest = this.samples.at(-1)?.t ?? 0; // after a lost connection all come again
    this.samples.push(...samples.map((s) => ({ ...s, t: Date.parse(s.at) })).filter((s) => s.t > newest));
    this.samples = this.samples.filter((s) => this.samples.at(-1).t - s.t <= span + 15_000);
  }

  show(now) { for (const chart of this.charts) chart.show(this.samples, now); }
}

class Chart {
  constructor(root, kind) {
    this.kind = kind;
    this.values = kind.series.map(([, label, color]) => ({ label, color, value: el('b') }));
    this.drawing = svg('svg', { role: 'img', height, preserveAspectRatio: 'none' });
    this.tip = el('div', { class: 'tip', hidden: true });
    root.append(el('figure', { class: 'panel chart' },
      el('figcaption', {}, el('a', { href: kind.href }, kind.title),
        el('span', { class: 'legend' }, ...this.values.map(({ label, color, value }) => el('span', { 'data-color': color }, value, ` ${label}`)))),
      this.drawing, this.tip));
    this.width = 0; // asking for it each time would cost a layout
    new ResizeObserver(([figure]) => {
      this.width = Math.floor(figure.contentRect.width);
      this.redraw();
    }).observe(this.drawing.parentElement);
    this.drawing.addEventListener('pointermove', (event) => this.point(event));
    this.drawing.addEventListener('pointerleave', () => { this.pointed = null; this.redraw(); });
  }

  show(samples, now) {
    this.samples = samples;
    this.now = now;
    const last = samples.at(-1);
    this.kind.series.forEach(([key], n) => say(this.values[n].value, !last || (this.kind.silent && !last[key]) ? '–' : this.kind.write(last[key])));
    this.drawing.setAttribute('aria-label', `${this.kind.title}: ${this.values.map((v) => `${v.label} ${v.value.textContent}`).join(', ')}`);
    this.redraw();
  }

  redraw() {
    const { width } = this;
    if (width < 40 || !this.samples) return;
    const { write, series, least, silent } = this.kind;
    const x = (t) => pad.left + (width - pad.left - pad.right) * (1 - (this.now - t) / span);
    const shown = this.samples.filter((s) => this.now - s.t <= span + 12_000);
    const highest = nice(Math.max(least, ...shown.flatMap((s) => series.map(([key]) => s[key]))));
    const y = (v) => pad.top + (height - pad.top - pad.bottom) * (1 - v / highest);
    const parts = [];
    for (const v of [0, highest / 2, highest]) {
      parts.push(svg('line', { class: v ? 'grid' : 'axis', x1: pad.left, x2: width - pad.right, y1: y(v), y2: y(v) }),
        svg('text', { x: pad.left - 7, y: y(v) + 4, 'text-anchor': 'end' }, v ? (silent ? short(v) : write(v)) : '0'));
    }
    for (const [minutes, label] of [[4, '4 min ago'], [2, '2 min'], [0, 'now']]) {
      parts.push(svg('text', { x: x(this.now - minutes * 60_000), y: height - 5, 'text-anchor': minutes ? 'middle' : 'end' }, label));
    }
    series.toReversed().forEach(([key, , color]) => {
      for (const piece of pieces(shown, silent && key)) {
        const line = stroke(piece, x, (s) => y(s[key]), pad.left);
        if (!line) continue;
        parts.push(svg('path', { class: 'area', 'data-color': color, d: `${line}V${y(0)}H${Math.max(pad.left, x(piece[0].t)).toFixed(1)}Z` }),
          svg('path', { class: 'stroke', 'data-color': color, d: line }));
      }
    });
    if (this.pointed != null && shown.length) parts.push(...this.pointer(shown, x, y, width));
    else this.tip.hidden = true;
    this.drawing.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.drawing.setAttribute('width', width);
    this.drawing.replaceChildren(...parts);
  }

  point(event) {
    this.pointed = event.offsetX;
    this.redraw();
  }

  pointer(shown, x, y, width) {
    const near = shown.reduce((a, b) => (Math.abs(x(b.t) - this.pointed) < Math.abs(x(a.t) - this.pointed) ? b : a));
    const { write, series } = this.kind;
    this.tip.replaceChildren(el('time', {}, clock(near.t)), ...series.map(([key, label, color]) => el('span', { 'data-color': color }, el('b', {}, write(near[key])), ` ${label}`)));
    this.tip.hidden = false;
    this.tip.classList.toggle('flip', x(near.t) > width / 2);
    return [svg('line', { class: 'pointer', x1: x(near.t), x2: x(near.t), y1: pad.top, y2: height - pad.bottom }),
      ...series.map(([key, , color]) => svg('circle', { class: 'mark', 'data-color': color, cx: x(near.t), cy: y(near[key]), r: 3 }))];
  }
}

/** pieces are the samples, cut where they have no value of that name, if there is one. */
function pieces(samples, key) {
  if (!key) return [samples];
  const all = [[]];
  for (const s of samples) {
    if (s[key]) all.at(-1).push(s);
    else if (all.at(-1).length) all.push([]);
  }
  return all.filter((piece) => piece.length);
}

/** short writes a duration where there is little room. */
function short(ms) {
  if (ms >= 7_200_000) return `${Math.round(ms / 3_600_000)} h`;
  return ms >= 120_000 ? `${Math.round(ms / 60_000)} min` : duration(ms);
}

/** stroke is a line through the samples, cut where the drawing begins. */
function stroke(samples, x, y, left) {
  let d = '';
  let before;
  for (const s of samples) {
    const here = [x(s.t), y(s)];
    if (here[0] >= left) {
      if (!d && before) {
        const share = (left - before[0]) / (here[0] - before[0]);
        d = `M${left} ${(before[1] + share * (here[1] - before[1])).toFixed(1)}`;
      }
      d += `${d ? 'L' : 'M'}${here[0].toFixed(1)} ${here[1].toFixed(1)}`;
    }
    before = here;
  }
  return d;
}

/** nice is the next round number. */
function nice(n) {
  const ten = 10 ** Math.floor(Math.log10(n));
  return ten * [1, 2, 4, 5, 10].find((m) => m * ten >= n - 1e-9);
}
