// The way of an order, drawn as it is: boxes that are links, lines between them, and a dot for
// each message that moves.
import { duration, el, instance, keyed, mark, number, perSecond, plural, say, svg } from './dom.js';
import { leaseBar, runLease, standing } from './workers.js';

const fewWorkers = 8; // that have a row each; more have a tile
const mostDots = 90;
const travel = 900; // ms from box to box

const still = matchMedia('(prefers-reduced-motion: reduce)');

export class Pipeline {
  constructor(root) {
    this.root = root;
    this.lines = svg('svg', { class: 'lines', 'aria-hidden': 'true' });
    this.dots = svg('svg', { class: 'dots', 'aria-hidden': 'true' });
    this.flying = new Set();
    const box = (name, href, title, ...rest) => el('a', { class: `box ${name}`, href }, el('span', { class: 'label' }, title), ...rest);
    const figure = () => el('span', { class: 'figure' }, '–');
    const note = () => el('span', { class: 'note' }, '\u00a0');
    this.queue = box('queue', '#/waiting', 'Waiting', figure(), el('span', { class: 'ticks', 'aria-hidden': 'true' }), note());
    this.hands = el('div', { class: 'box hands' },
      el('div', { class: 'hands-head' },
        el('a', { href: '#/in-hand' }, el('span', { class: 'label' }, 'In hand'), figure()),
        el('a', { href: '#/workers', class: 'note' })),
      el('ul', { class: 'holders' }));
    this.postgres = box('postgres', '#/in-hand', 'PostgreSQL', cylinder(), note());
    this.done = box('done', '#/events', 'Fulfilled', figure(), note());
    this.delayed = box('delayed', '#/delayed', 'Delayed', figure(), note());
    this.dead = box('dead', '#/dead', 'Dead letters', figure(), note());
    this.reaper = el('a', { class: 'pill reaper', href: '#/events', title: 'gives back what a silent worker holds, to the front of the queue' }, 'Reaper');
    this.reconciler = el('a', { class: 'pill reconciler', href: '#/events', title: 'puts back what Redis has lost' }, 'Reconciler');
    root.append(this.lines, this.reconciler, this.reaper, this.queue, this.hands, this.postgres, this.done, this.delayed, this.dead, this.dots);
    for (let i = 0; i < 24; i++) this.queue.querySelector('.ticks').append(el('i'));
    new ResizeObserver(() => this.draw()).observe(root);
    new ResizeObserver(() => this.draw()).observe(this.hands);
  }

  /** show writes the figures of a picture. */
  show(frame, ghosts) {
    const put = (box, figure, note) => {
      say(box.querySelector('.figure'), figure);
      say(box.querySelector('.note'), note || '\u00a0');
    };
    put(this.queue, number(frame.waiting), frame.oldest_age_ms == null ? (frame.waiting ? '' : 'empty') : `oldest ${duration(frame.oldest_age_ms)}`);
    const ticks = [...this.queue.querySelector('.ticks').children];
    const filled = Math.min(ticks.length, frame.waiting);
    ticks.forEach((tick, n) => tick.classList.toggle('on', n >= ticks.length - filled));
    put(this.delayed, number(frame.delayed), frame.next_due_ms == null ? '' : frame.next_due_ms < 0 ? 'next is due' : `next in ${duration(frame.next_due_ms)}`);
    put(this.dead, number(frame.dead), frame.dead ? 'need somebody' : 'none');
    mark(this.dead, 'data-some', frame.dead > 0 || null);
    const rate = frame.rates?.fulfilled ?? 0;
    put(this.done, perSecond(rate), 'a second');
    say(this.postgres.querySelector('.note'), frame.postgres_error ? 'no answer' : 'the truth');
    mark(this.postgres, 'data-bad', Boolean(frame.postgres_error) || null);
    const inHand = frame.workers.reduce((n, w) => n + w.in_hand, 0);
    const room = frame.workers.reduce((n, w) => n + w.concurrency, 0);
    put(this.hands, number(inHand), '');
    say(this.hands.querySelector('a.note'), frame.workers.length ? `${plural(frame.workers.length, 'worker')}, room for ${number(room)}` : 'no workers');
    say(this.reconciler, frame.reconciled ? `Reconciler, ${number(frame.reconciled)} put back` : 'Reconciler');
    mark(this.root, 'data-paused', Boolean(frame.paused) || null);
    this.holders(frame, ghosts);
  }

  /** holders draws the workers, and those that died lately: a row each, or a tile. */
  holders(frame, ghosts) {
    const list = this.hands.querySelector('.holders');
    const living = new Set(frame.workers.map((w) => w.instance));
    const all = [...frame.workers, ...[...ghosts.values()].filter((g) => !living.has(g.instance))];
    const few = all.length <= fewWorkers;
    const drawn = all.map((w) => `${w.instance} ${living.has(w.instance)}`).join();
    list.classList.toggle('tiles', !few);
    keyed(list, all.length ? all : [null], (w) => w?.instance ?? '', holder, (li, w) => {
      if (w && living.has(w.instance)) showHolder(li, w, frame);
      else if (w) bury(li, w);
    });
    if (drawn !== this.drawn) this.draw();
    this.drawn = drawn;
  }

  /** draw draws the lines, from where the boxes are. */
  draw() {
    const { width, height } = this.root.getBoundingClientRect();
    if (!width) return;
    for (const layer of [this.lines, this.dots]) {
      layer.setAttribute('viewBox', `0 0 ${width} ${height}`);
      layer.setAttribute('width', width);
      layer.setAttribute('height', height);
    }
    this.wide = getComputedStyle(this.root).getPropertyValue('--wide').trim() === '1';
    this.lines.replaceChildren(...this.routes().map(([kind, d]) => svg('path', { class: `line ${kind}`, d })));
  }

  /** routes are the lines that always show. */
  routes() {
    const rows = [...this.hands.querySelectorAll('.holders > li')].filter((li) => li.dataset.instance && li.dataset.state !== 'gone');
    const ends = this.wide && rows.length && rows.length <= fewWorkers ? rows : [this.hands];
    const lines = [];
    for (const end of ends) {
      lines.push(['claim', this.route('claim', end)], ['finish', this.route('finish', end)]);
    }
    for (const kind of ['store', 'retry', 'due', 'dead', 'reap', 'back', 'lost', 'found']) lines.push([kind, this.route(kind, this.hands)]);
    return lines;
  }

  at(element, x, y) {
    const outer = this.root.getBoundingClientRect();
    const r = element.getBoundingClientRect();
    return [r.left - outer.left + r.width * x, r.top - outer.top + r.height * y];
  }

  /** route is the way of one kind of move; end is a worker's element, or the box of them all. */
  route(kind, end) {
    const at = (element, x, y) => this.at(element, x, y);
    const { queue, hands, postgres, done, delayed, dead, reaper, reconciler } = this;
    if (this.wide) {
      switch (kind) {
        case 'claim': return curve(at(queue, 1, 0.5), at(end, 0, 0.5));
        case 'finish': return curve(at(end, 1, 0.5), at(postgres, 0, 0.5));
        case 'store': return bent(at(postgres, 1, 0.5), at(done, 0, 0.5));
        case 'retry': return bent(at(hands, 0.12, 1), [at(hands, 0.12, 1)[0], at(delayed, 1, 0.5)[1]], at(delayed, 1, 0.5));
        case 'due': return bent(at(delayed, 0.5, 0), at(queue, 0.5, 1));
        case 'dead': return bent(at(hands, 0.5, 1), at(dead, 0.5, 0));
        case 'requeue': {
          const lane = (at(queue, 0, 1)[1] + at(delayed, 0, 0)[1]) / 2;
          return bent(at(dead, 0.2, 0), [at(dead, 0.2, 0)[0], lane], [at(queue, 0.9, 1)[0], lane], at(queue, 0.9, 1));
        }
        case 'reap': return lane(at(hands, 0.5, 0), at(reaper, 1, 0.5));
        case 'back': return lane(at(queue, 0.86, 0), at(reaper, 0, 0.5), true);
        case 'lost': return lane(at(postgres, 0.5, 0), at(reconciler, 1, 0.5));
        default: return lane(at(queue, 0.62, 0), at(reconciler, 0, 0.5), true); // found
      }
    }
    const side = (from, to, x) => bent(from, [x, from[1]], [x, to[1]], to);
    switch (kind) {
      case 'claim': return bent(at(queue, 0.2, 1), at(hands, 0.2, 0));
      case 'finish': return bent(at(hands, 0.2, 1), [at(hands, 0.2, 1)[0], at(postgres, 0, 0)[1]]);
      case 'store': return bent(at(postgres, 1, 0.5), at(done, 0, 0.5));
      case 'retry': return side(at(hands, 0, 0.8), at(delayed, 0, 0.6), 14);
      case 'due': return side(at(delayed, 0, 0.35), at(queue, 0, 0.6), 6);
      case 'dead': return side(at(hands, 1, 0.8), at(dead, 1, 0.6), this.root.clientWidth - 14);
      case 'requeue': return side(at(dead, 1, 0.35), at(queue, 1, 0.6), this.root.clientWidth - 6);
      case 'reap': return bent([at(reaper, 0.5, 0)[0], at(hands, 0, 0)[1]], at(reaper, 0.5, 1));
      case 'back': return bent(at(reaper, 0.5, 0), [at(reaper, 0.5, 0)[0], at(queue, 0, 1)[1]]);
      case 'lost': return '';
      default: return bent(at(reconciler, 0.5, 0), [at(reconciler, 0.5, 0)[0], at(queue, 0, 1)[1]]); // found
    }
  }

  /** fly sends dots for what moved since the last picture, spread over the time to the next. */
  fly(moves) {
    if (still.matches || document.hidden || !this.root.clientWidth) return;
    const rows = new Map([...this.hands.querySelectorAll('.holders:not(.tiles) > li')].map((li) => [li.dataset.instance, li]));
    const room = Math.max(0, mostDots - this.flying.size);
    const chosen = moves.slice(0, room);
    chosen.forEach((move, n) => {
      const end = rows.get(move.to ?? move.from) ?? this.hands;
      const legs = {
        claim: ['claim'], finish: ['finish', 'store'], retry: ['retry'], due: ['due'], dead: ['dead'],
        requeue: ['requeue'], reap: ['reap', 'back'], reconcile: ['lost', 'found'],
      }[move.kind];
      const begin = performance.now() + (chosen.length > 1 ? 800 * n / chosen.length : 0);
      this.launch(move.kind, legs.map((leg) => this.route(leg, end)).filter(Boolean), begin);
    });
  }

  launch(kind, ways, begin) {
    const dot = svg('circle', { class: `dot ${kind}`, r: 4.5 });
    dot.style.opacity = 0;
    this.dots.append(dot);
    const paths = ways.map((d) => svg('path', { d }));
    this.flying.add({ dot, begin, paths, lengths: paths.map((p) => p.getTotalLength()) });
    if (this.flying.size === 1) requestAnimationFrame((t) => this.move(t));
  }

  move(now) {
    for (const flight of this.flying) {
      const along = (now - flight.begin) / travel;
      if (along < 0) continue;
      if (along >= flight.paths.length) {
        flight.dot.remove();
        this.flying.delete(flight);
        continue;
      }
      const leg = Math.floor(along);
      const { x, y } = flight.paths[leg].getPointAtLength(ease(along - leg) * flight.lengths[leg]);
      flight.dot.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      flight.dot.style.opacity = Math.min(1, along * 6, (flight.paths.length - along) * 6);
    }
    if (this.flying.size) requestAnimationFrame((t) => this.move(t));
  }
}

const ease = (t) => (t < 0.5 ? 2 * t * t : 1 - 2 * (1 - t) * (1 - t));

const pair = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** curve goes from left to right. */
function curve(a, b) {
  const reach = Math.max(12, (b[0] - a[0]) * 0.5);
  return `M${pair(a)}C${pair([a[0] + reach, a[1]])} ${pair([b[0] - reach, b[1]])} ${pair(b)}`;
}

/** bent goes straight from point to point, with round corners. */
function bent(...points) {
  let d = `M${pair(points[0])}`;
  for (let i = 1; i < points.length - 1; i++) {
    const [before, corner, after] = points.slice(i - 1, i + 2);
    d += `L${pair(towards(corner, before))}Q${pair(corner)} ${pair(towards(corner, after))}`;
  }
  return `${d}L${pair(points.at(-1))}`;
}

function towards(a, b) {
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  const step = Math.min(14, length / 2) / (length || 1);
  return [a[0] + (b[0] - a[0]) * step, a[1] + (b[1] - a[1]) * step];
}

/** lane goes up from a box and along to a pill, or the other way round. */
function lane(box, pill, back = false) {
  const points = [box, [box[0], pill[1]], pill];
  return bent(...(back ? points.toReversed() : points));
}

function cylinder() {
  return svg('svg', { class: 'cylinder', viewBox: '0 0 48 44', width: 48, height: 44, 'aria-hidden': 'true' },
    svg('path', { d: 'M4 9v26c0 4 9 7 20 7s20-3 20-7V9' }),
    svg('ellipse', { cx: 24, cy: 9, rx: 20, ry: 7 }),
    svg('path', { d: 'M4 22c0 4 9 7 20 7s20-3 20-7', class: 'thin' }));
}

function holder(w) {
  if (!w) return el('li', { class: 'nobody' }, 'Nobody claims: no worker is registered.');
  return el('li', { 'data-instance': w.instance },
    el('a', { href: `#/workers/${encodeURIComponent(w.instance)}` },
      el('span', { class: 'who' }, instance(w.instance)),
      el('span', { class: 'pips', 'aria-hidden': 'true' }),
      el('span', { class: 'load' })),
    leaseBar());
}

function showHolder(li, w, frame) {
  const { state, words } = standing(w, frame);
  mark(li, 'data-state', state);
  mark(li.firstElementChild, 'title', `${w.instance}: ${words}`);
  say(li.querySelector('.load'), number(w.in_hand));
  mark(li.querySelector('.load'), 'aria-label', `${w.in_hand} in hand, ${words}`);
  const pips = li.querySelector('.pips');
  const shown = w.concurrency <= 12 ? w.concurrency : 12;
  while (pips.childElementCount < shown) pips.append(el('i'));
  while (pips.childElementCount > shown) pips.lastElementChild.remove();
  const on = w.concurrency <= 12 ? w.in_hand : Math.ceil(12 * w.in_hand / w.concurrency);
  [...pips.children].forEach((pip, n) => pip.classList.toggle('on', n < on));
  runLease(li.querySelector('.lease'), w, frame);
}

/** bury leaves the row of a worker that was reaped. */
function bury(li, ghost) {
  mark(li, 'data-state', 'gone');
  mark(li.firstElementChild, 'title', `${ghost.instance}: reaped by ${ghost.by}`);
  say(li.querySelector('.load'), 'dead');
  mark(li.querySelector('.load'), 'aria-label', `dead, reaped by ${ghost.by}`);
  li.querySelector('.pips').replaceChildren();
  runLease(li.querySelector('.lease'), {}, {});
}
