// The events, each in a sentence.
import { clock, duration, el, instance, keyed, plural, visible } from './dom.js';

const kept = 400;

/** Events keeps the latest. */
export class Events {
  constructor() {
    this.all = []; // the latest first
    this.known = new Set();
  }

  /** add takes in events, and returns those that are new: after a lost connection all come again. */
  add(events) {
    const fresh = events.filter((e) => !this.known.has(e.id));
    if (!fresh.length) return fresh;
    for (const { id } of fresh) this.known.add(id);
    this.all = fresh.toReversed().concat(this.all)
      .sort((a, b) => Date.parse(b.at) - Date.parse(a.at))
      .slice(0, kept);
    if (this.known.size > 10 * kept) this.known = new Set(this.all.map((e) => e.id));
    return fresh;
  }

  /** show writes so many into a list. */
  show(list, limit) {
    keyed(list, this.all.length ? this.all.slice(0, limit) : [{ id: 'none' }], (e) => e.id, item, () => {});
  }
}

function item(event) {
  if (event.id === 'none') return el('li', { class: 'empty' }, 'Nothing yet. Joining, leaving, failing and healing are told here.');
  const [tone, ...words] = describe(event);
  return el('li', { 'data-tone': tone },
    el('time', { datetime: event.at, title: event.at }, clock(event.at)),
    el('p', {}, ...words, ...because(event)));
}

function because({ fields }) {
  return fields.error ? [el('span', { class: 'cause' }, visible(fields.error))] : [];
}

const order = (fields) => (fields.order_id ? el('b', {}, `Order ${visible(fields.order_id)}`) : el('b', {}, 'A message'));

const several = (orders) => (orders.includes(',') ? [el('b', {}, `Orders ${orders}`), ' were'] : [el('b', {}, `Order ${orders}`), ' was']);

const ordinals = ['', 'first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth', 'ninth'];

const ordinal = (n) => ordinals[n] ?? `${n}th`;

/** describe is a tone and the words of a sentence. */
export function describe({ event, fields: f }) {
  const who = () => (f.instance ? instance(f.instance) : 'a worker');
  const by = () => (f.by ? instance(f.by) : 'somebody');
  switch (event) {
    case 'joined': return ['calm', who(), ' joined.'];
    case 'left': return ['calm', who(), ' left', Number(f.handed_back) ? ` and handed ${plural(f.handed_back, 'message')} back.` : ' with empty hands.'];
    case 'silent': return ['reap', who(), ' fell silent: no beat came before its lease was over.'];
    case 'reaped': return ['reap', by(), ' reaped ', who(), ': ', ...estate(f)];
    case 'taken_over': return ['reap', ...several(f.orders), ' taken over by ', who(), `, ${duration(Number(f.after))} after the last beat of `, instance(f.from), '.'];
    case 'retried': return ['delayed', order(f), ` failed at its ${ordinal(Number(f.deliveries))} delivery and will be tried again.`];
    case 'dead': return ['dead', order(f), ` became a dead letter: ${reasons[f.reason] ?? visible(f.reason ?? '')}.`];
    case 'reconciled': return ['reap', plural(f.messages, 'message'), ' that Redis had lost ', Number(f.messages) === 1 ? 'was' : 'were', ' put back by ', by(), '.'];
    case 'paused': return ['delayed', el('b', {}, 'Claiming was paused'), ' by ', person(f.by), '.'];
    case 'resumed': return ['done', el('b', {}, 'Claiming goes on'), ', says ', person(f.by), '.'];
    case 'requeued': return ['done', order(f), ' was requeued by ', person(f.by), '.'];
    case 'dropped': return ['dead', order(f), ' was dropped by ', person(f.by), ': its dead letter is gone.'];
    default: return ['calm', visible(event ?? 'something'), ` ${visible(JSON.stringify(f))}`];
  }
}

function estate(f) {
  const back = Number(f.messages);
  const parts = [back ? `${plural(back, 'message')} went back to the front of the queue` : 'it held nothing'];
  if (Number(f.dead)) parts.push(`, ${plural(f.dead, 'dead letter')}`);
  return [`${parts.join('')}.`];
}

function person(name) { return visible(name || 'somebody'); }

/** reasons say why a message is a dead letter. */
export const reasons = {
  malformed: 'it is not the JSON of a message',
  invalid: 'a field is missing or out of range',
  too_large: 'it is too large',
  unknown_order: 'there is no such order',
  rejected: 'the work refused it for good',
  exhausted: 'all its deliveries failed',
};

/** announce is the sentence as plain text, for who listens to the page. */
export function announce(event) {
  const [, ...words] = describe(event);
  return words.map((w) => (typeof w === 'string' ? w : w.textContent)).join('');
}

/** grave are the events that are worth being read out. */
export const grave = new Set(['silent', 'reaped', 'taken_over', 'dead', 'reconciled', 'paused', 'resumed', 'joined', 'left', 'requeued', 'dropped']);
