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
  show(frame) {
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
    this.holders(frame);
  }

  /** holders draws the workers: a row each, or a tile. */
  holders(frame) {
    const list = this.hands.querySelector('.holders');
    const few = frame.workers.length <= fewWorkers;
    const changed = list.classList.contains('tiles') === few || list.childElementCount !== frame.workers.length;
    list.classList.toggle('tiles', !few);
    keyed(list, frame.workers.length ? frame.workers : [null], (w) => w?.instance ?? '', holder, (li, w) => w && showHolder(li, w, frame));
    if (changed) this.draw();
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
    this.lines.replaceChildren(...this.routes().map(([kind, curve]) => svg('path', { class: `line ${kind}`, d: path(curve) })));
  }

  /** routes are the lines that always show. */
  routes() {
    const rows = [...this.hands.querySelectorAll('.holders > li')].filter((li) => li.dataset.instance);
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

  /** route is the curve of one kind of move; end is a worker's element, or the box of them all. */
  route(kind, end) {
    const at = (element, x, y) => this.at(element, x, y);
    const across = (a, b) => curve(a, b, [1, 0]);
    const down = (a, b) => curve(a, b, [0, 1]);
    const inner = end === this.hands ? 0 : 0; // rows end where the box's padding begins
    if (this.wide) {
      switch (kind) {
        case 'claim': return across(at(this.queue, 1, 0.5), at(end, inner, 0.5));
        case 'finish': return across(at(end, 1, 0.5), at(this.postgres, 0, 0.5));
        case 'store': return across(at(this.postgres, 1, 0.5), at(this.done, 0, 0.5));
        case 'retry': return bend(at(this.hands, 0.12, 1), at(this.delayed, 1, 0.5), [0, 1], [-1, 0]);
        case 'due': return down(at(this.delayed, 0.5, 0), at(this.queue, 0.5, 1));
        case 'dead': return down(at(this.hands, 0.5, 1), at(this.dead, 0.5, 0));
        case 'requeue': return bend(at(this.dead, 0, 0.5), at(this.queue, 0.9, 1), [-1, 0], [0, -1]);
        case 'reap': return bend(at(this.hands, 0.5, 0), at(this.reaper, 1, 0.5), [0, -1], [-1, 0]);
        case 'back': return bend(at(this.reaper, 0, 0.5), at(this.queue, 0.82, 0), [-1, 0], [0, 1]);
        case 'lost': return bend(at(this.postgres, 0.5, 0), at(this.reconciler, 1, 0.5), [0, -1], [-1, 0]);
        default: return bend(at(this.reconciler, 0, 0.5), at(this.queue, 0.5, 0), [-1, 0], [0, 1]); // found
      }
    }
    switch (kind) {
      case 'claim': return down(at(this.queue, 0.25, 1), at(end, end === this.hands ? 0.25 : 0.5, 0));
      case 'finish': return down(at(end, end === this.hands ? 0.25 : 0.5, 1), at(this.postgres, 0.5, 0));
      case 'store': return across(at(this.postgres, 1, 0.5), at(this.done, 0, 0.5));
      case 'retry': return bend(at(this.hands, 0, 0.8), at(this.delayed, 0, 0.5), [-1, 0], [1, 0], 0.35);
      case 'due': return bend(at(this.delayed, 0, 0.3), at(this.queue, 0, 0.7), [-1, 0], [1, 0], 0.06);
      case 'dead': return bend(at(this.hands, 1, 0.8), at(this.dead, 1, 0.5), [1, 0], [-1, 0], 0.35);
      case 'requeue': return bend(at(this.dead, 1, 0.3), at(this.queue, 1, 0.7), [1, 0], [-1, 0], 0.06);
      case 'reap': return down(at(this.hands, 0.62, 0), at(this.reaper, 0.5, 1));
      case 'back': return down(at(this.reaper, 0.5, 0), at(this.queue, 0.62, 1));
      case 'lost': return bend(at(this.postgres, 0, 0.5), at(this.postgres, 0, 0.5), [0, 0], [0, 0]);
      default: return bend(at(this.reconciler, 0.5, 0), at(this.queue, 0.87, 1), [0, -1], [0, 1]); // found
    }
  }

  /** fly sends dots for what moved since the last picture, spread over the time to the next. */
  fly(moves) {
    if (still.matches || document.hidden || !this.root.clientWidth) return;
    const rows = new Map([...this.hands.querySelectorAll('.holders > li')].map((li) => [li.dataset.instance, li]));
    const room = Math.max(0, mostDots - this.flying.size);
    const chosen = moves.slice(0, room);
    chosen.forEach((move, n) => {
      const end = rows.get(move.to ?? move.from) ?? this.hands;
      const legs = {
        claim: ['claim'], finish: ['finish', 'store'], retry: ['retry'], due: ['due'], dead: ['dead'],
        requeue: ['requeue'], reap: ['reap', 'back'], reconcile: ['lost', 'found'],
      }[move.kind];
      const begin = performance.now() + (chosen.length > 1 ? 800 * n / chosen.length : 0);
      this.launch(move.kind, legs.map((leg) => this.route(leg, end)), begin);
    });
  }

  launch(kind, curves, begin) {
    const dot = svg('circle', { class: `dot ${kind}`, r: 4.5 });
    dot.style.opacity = 0;
    this.dots.append(dot);
    this.flying.add({ dot, curves, begin });
    if (this.flying.size === 1) requestAnimationFrame((t) => this.move(t));
  }

  move(now) {
    for (const flight of this.flying) {
      const along = (now - flight.begin) / travel;
      if (along < 0) continue;
      if (along >= flight.curves.length) {
        flight.dot.remove();
        this.flying.delete(flight);
        continue;
      }
      const leg = Math.floor(along);
      const [x, y] = point(flight.curves[leg], ease(along - leg));
      flight.dot.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      flight.dot.style.opacity = Math.min(1, along * 6, (flight.curves.length - along) * 6);
    }
    if (this.flying.size) requestAnimationFrame((t) => this.move(t));
  }
}

const ease = (t) => (t < 0.5 ? 2 * t * t : 1 - 2 * (1 - t) * (1 - t));

/** curve goes from a to b and leaves and arrives in one direction. */
function curve(a, b, d) { return bend(a, b, d, d.map((c) => -c)); }

/** bend leaves a in one direction and comes to b from another. */
function bend(a, b, from, to, tension) {
  const reach = tension ? Math.min(18, 400 * tension) : Math.max(Math.abs(a[0] - b[0]) * (from[0] || to[0] ? 0.45 : 0), Math.abs(a[1] - b[1]) * (from[1] || to[1] ? 0.45 : 0), 12);
  return [a, [a[0] + from[0] * reach, a[1] + from[1] * reach], [b[0] + to[0] * reach, b[1] + to[1] * reach], b];
}

function path([a, c, d, b]) {
  return `M${a.map((n) => n.toFixed(1))}C${[...c, ...d, ...b].map((n) => n.toFixed(1)).join(' ')}`;
}

function point([a, c, d, b], t) {
  const u = 1 - t;
  return [0, 1].map((i) => u * u * u * a[i] + 3 * u * u * t * c[i] + 3 * u * t * t * d[i] + t * t * t * b[i]);
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
