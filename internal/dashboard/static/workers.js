// The workers: their leases, running down, and what they hold.
import { duration, el, instance, keyed, mark, number, plural, say, visible } from './dom.js';
import { keyOf } from './story.js';

const still = matchMedia('(prefers-reduced-motion: reduce)');

/** standing says how a worker is: alive, late, lapsed or condemned. */
export function standing(w, frame) {
  if (w.state === 'condemned') return { state: 'condemned', words: 'presumed dead: what it held is being given back' };
  if (w.state === 'lapsed') return { state: 'lapsed', words: `silent: its lease is over since ${duration(-w.lease_left_ms)}` };
  const left = w.lease_left_ms - (frame.age_ms ?? 0);
  // It beats at a third of its lease: after half of it, a beat is missing.
  if (w.lease_ttl_ms && left < 0.45 * w.lease_ttl_ms) return { state: 'late', words: `no beat for ${duration(w.lease_ttl_ms - left)}` };
  return { state: 'alive', words: 'alive' };
}

/** leaseBar is what runLease moves. */
export function leaseBar() { return el('span', { class: 'lease', 'aria-hidden': 'true' }, el('i')); }

const running = new WeakMap(); // bar to its animation, and when the lease ends by this browser's monotonic clock

/**
 * runLease lets a bar run down until the lease is over. It goes by how much was left when
 * the picture came, so that nobody's clock matters.
 */
export function runLease(bar, w, frame) {
  const now = performance.now();
  const known = w.lease_ttl_ms && w.lease_left_ms != null;
  const left = known ? Math.max(0, w.lease_left_ms - frame.age_ms - (now - frame.received)) : 0;
  const share = known ? Math.min(1, left / w.lease_ttl_ms) : 0;
  const before = running.get(bar);
  if (before && left && Math.abs(before.ends - now - left) < 60) return;
  before?.animation.cancel();
  running.delete(bar);
  const inner = bar.firstElementChild;
  if (!left || still.matches) {
    inner.style.transform = `scaleX(${share})`;
    return;
  }
  inner.style.transform = 'scaleX(0)';
  const from = before ? Math.max(0, Math.min(1, (before.ends - now) / w.lease_ttl_ms)) : share;
  const animation = inner.animate([
    { transform: `scaleX(${from})`, easing: 'ease-out' },
    { transform: `scaleX(${share})`, offset: Math.min(0.5, 220 / left) },
    { transform: 'scaleX(0)' },
  ], { duration: left });
  running.set(bar, { animation, ends: now + left });
}

/** showWorkers draws a card for each worker, and for those that died lately. */
export function showWorkers(root, frame, ghosts, rowsShown) {
  const living = new Set(frame.workers.map((w) => w.instance));
  const gone = [...ghosts.values()].filter((g) => !living.has(g.instance));
  const items = [...frame.workers, ...gone];
  const rows = rowsShown ?? (frame.workers.length <= 8 ? 10 : 3);
  keyed(root, items.length ? items : [null], (w) => (w ? `${w.instance}${w.orders instanceof Map ? ' gone' : ''}` : ''),
    (w) => (w ? (w.orders instanceof Map ? ghostCard(w) : card(w)) : el('p', { class: 'empty panel' }, 'No worker is registered: nothing is claimed until one joins.')),
    (element, w) => {
      if (!w) return;
      if (w.orders instanceof Map) showGhost(element, w);
      else showCard(element, w, frame, rows);
    });
}

function card(w) {
  return el('article', { class: 'card panel', 'aria-label': `Worker ${w.instance}` },
    el('header', {},
      el('h3', {}, el('a', { href: `#/workers/${encodeURIComponent(w.instance)}` }, instance(w.instance))),
      el('span', { class: 'badge' })),
    leaseBar(),
    el('p', { class: 'facts' }, el('span', { class: 'left' }), el('span', { class: 'load' })),
    el('ul', { class: 'orders' }),
    el('a', { class: 'rest', href: `#/workers/${encodeURIComponent(w.instance)}` }));
}

function showCard(element, w, frame, rows) {
  const { state, words } = standing(w, frame);
  mark(element, 'data-state', state);
  say(element.querySelector('.badge'), { alive: 'alive', late: 'late', lapsed: 'silent', condemned: 'condemned' }[state]);
  mark(element.querySelector('.badge'), 'title', words);
  say(element.querySelector('.left'), leaseWords(w, frame, state, words));
  say(element.querySelector('.load'), `${number(w.in_hand)} of ${number(w.concurrency)} in hand`);
  runLease(element.querySelector('.lease'), w, frame);
  const shown = w.orders.slice(0, rows);
  keyed(element.querySelector('.orders'), shown.length ? shown : [null], (o) => (o ? keyOf(o) : ''), orderRow, (li, o) => o && showOrder(li, o, frame));
  const rest = w.in_hand - shown.length;
  const begun = w.orders.length - shown.length;
  const link = element.querySelector('.rest');
  link.hidden = rest <= 0;
  say(link, begun > 0 ? `${number(rest)} more` : `${plural(rest, 'message')} not begun`);
}

function leaseWords(w, frame, state, words) {
  if (state !== 'alive') return words;
  const left = Math.max(0, w.lease_left_ms - frame.age_ms);
  return w.lease_ttl_ms ? `lease ${duration(left)} of ${duration(w.lease_ttl_ms)}` : `lease ${duration(left)}`;
}

function orderRow(o) {
  if (!o) return el('li', { class: 'idle' }, 'Hands free');
  return el('li', { title: o.correlation_id ? `correlation id ${visible(o.correlation_id)}` : null },
    el('span', { class: 'id' }, o.order_id ? `#${o.order_id}` : 'unknown'),
    el('span', { class: 'status' }),
    el('span', { class: 'age' }));
}

function showOrder(li, o, frame) {
  const status = o.status || (frame.postgres_error ? '?' : 'no row');
  say(li.querySelector('.status'), status);
  mark(li, 'data-status', o.status || 'none');
  say(li.querySelector('.age'), duration(Math.max(0, Date.parse(frame.at) + frame.age_ms - Date.parse(o.since))));
}

function ghostCard(g) {
  return el('article', { class: 'card panel', 'data-state': 'gone', 'aria-label': `Worker ${g.instance}, reaped` },
    el('header', {}, el('h3', {}, instance(g.instance)), el('span', { class: 'badge' }, 'dead')),
    el('p', { class: 'facts' }, el('span', {}, 'reaped by ', instance(g.by ?? ''))),
    el('ul', { class: 'orders' }),
    el('p', { class: 'rest' }));
}

function showGhost(element, g) {
  const fates = [...g.orders.values()];
  keyed(element.querySelector('.orders'), fates.slice(0, 10), (f) => keyOf(f.order), (f) => el('li', {},
    el('span', { class: 'id' }, f.order.order_id ? `#${f.order.order_id}` : 'unknown'), el('span', { class: 'fate' })),
  (li, f) => {
    mark(li, 'data-status', f.done ? 'fulfilled' : f.by ? 'processing' : 'pending');
    say(li.querySelector('.fate'), f.done ? `done by ${f.by}` : f.by ? `taken over by ${f.by}` : 'back in the queue');
  });
  say(element.querySelector('.rest'), fates.length ? '' : `${plural(g.messages, 'message')} given back`);
}

/** showHeld draws every order in hand. */
export function heldRows(frame, only) {
  return frame.workers.filter((w) => !only || w.instance === only)
    .flatMap((w) => w.orders.map((o) => ({ ...o, instance: w.instance, state: standing(w, frame).state })))
    .sort((a, b) => Date.parse(a.since) - Date.parse(b.since));
}
