// The lists behind the figures.
import { act, get } from './access.js';
import { bytes, clock, commands, duration, el, instance, keyed, number, plural, say, visible } from './dom.js';
import { reasons } from './events.js';

/** heading begins a view: its title, what it is, and the commands for it. */
export function heading(title, text, ...same) {
  return el('div', { class: 'heading' }, el('h1', {}, title), el('p', { class: 'weak' }, text), commands(...same));
}

/** table is one whose meaning stays when a narrow screen shows its rows as blocks. */
export function table(label, ...columns) {
  const body = el('tbody', { role: 'rowgroup' });
  return {
    body,
    element: el('div', { class: 'panel scroll' }, el('table', { role: 'table', 'aria-label': label },
      el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...columns.map((c) => el('th', { role: 'columnheader', scope: 'col' }, c)))), body)),
  };
}

/** row has a cell for each column, which a narrow screen labels. */
export function row(columns, ...cells) {
  return el('tr', { role: 'row' }, ...cells.map((cell, n) => el('td', { role: 'cell', 'data-label': columns[n] }, cell)));
}

/** nothing is the row of an empty table. */
export function nothing(text) { return el('tr', { role: 'row', class: 'nothing' }, el('td', { role: 'cell', colspan: 12 }, text)); }

/** payload shows the bytes of a message as text, never as anything else. */
export function payload(text, length, more) {
  const pre = el('pre', { dir: 'ltr', tabindex: 0, 'aria-label': 'Payload' }, visible(text));
  const shown = new TextEncoder().encode(text).length;
  if (length == null || shown >= length) return el('div', { class: 'payload' }, pre);
  const note = el('p', { class: 'weak' }, `the first ${bytes(shown)} of ${bytes(length)} `);
  if (more) note.append(el('button', { type: 'button', class: 'quiet', onclick: () => more(pre, note) }, 'Show more'));
  return el('div', { class: 'payload' }, pre, note);
}

const orderCell = (m) => (m.order_id ? el('b', {}, `#${m.order_id}`) : el('span', { class: 'weak' }, 'unknown'));

/** List is a view that is fetched: when it opens, and when its figure changes. */
class List {
  constructor(root, path) {
    this.root = root;
    this.path = path;
    this.problem = el('p', { class: 'error', role: 'alert' });
  }

  /** refresh fetches, at most every two seconds unless now. */
  async refresh(now) {
    if (this.busy || (!now && performance.now() - (this.fetched ?? -1e9) < 2000)) return;
    this.busy = true;
    this.fetched = performance.now();
    try {
      this.show(await get(this.path()));
      say(this.problem, '');
    } catch (error) {
      say(this.problem, `This list cannot be read: ${error.message}`);
    } finally {
      this.busy = false;
    }
  }
}

export class Waiting extends List {
  constructor(root) {
    super(root, () => '/lists/waiting');
    this.columns = ['Place', 'Order', 'Waits', 'Correlation id', 'Payload'];
    this.table = table('Waiting messages', ...this.columns);
    this.total = el('p', { class: 'weak' });
    root.append(heading('Waiting', 'The messages that are claimed next, the oldest first.', 'queuectl status'), this.problem, this.table.element, this.total);
  }

  show({ messages, total }) {
    const items = messages.map((m, n) => ({ ...m, n: n + 1 }));
    keyed(this.table.body, items.length ? items : [null], (m) => (m ? `${m.n} ${m.order_id} ${m.correlation_id} ${m.bytes}` : ''),
      (m) => (m ? row(this.columns, number(m.n), orderCell(m), '', el('code', {}, visible(m.correlation_id)), m.payload ? payload(m.payload, m.bytes) : el('span', { class: 'weak' }, bytes(m.bytes))) : nothing('Nothing waits.')),
      (tr, m) => m && say(tr.children[2], duration(m.age_ms)));
    say(this.total, total > messages.length ? `These are the first ${number(messages.length)} of ${number(total)}.` : '');
  }
}

export class Delayed extends List {
  constructor(root) {
    super(root, () => '/lists/delayed');
    this.columns = ['Order', 'Due', 'Deliveries', 'Status', 'Correlation id', 'Payload'];
    this.table = table('Delayed messages', ...this.columns);
    this.total = el('p', { class: 'weak' });
    root.append(heading('Delayed', 'Messages that failed and wait for their next delivery; what is due goes to the front of the queue.', 'queuectl delayed'), this.problem, this.table.element, this.total);
  }

  show({ messages, total }) {
    keyed(this.table.body, messages.length ? messages : [null], (m) => (m ? `${m.order_id} ${m.correlation_id} ${m.payload ?? ''}` : ''),
      (m) => (m ? row(this.columns, orderCell(m), '', number(m.deliveries), '', el('code', {}, visible(m.correlation_id)), m.payload ? payload(m.payload) : '') : nothing('Nothing is delayed: no order has failed lately.')),
      (tr, m) => {
        if (!m) return;
        say(tr.children[1], m.due_in_ms <= 0 ? 'now' : `in ${duration(m.due_in_ms)}`);
        say(tr.children[3], m.status || 'no row');
      });
    say(this.total, total > messages.length ? `These are the first ${number(messages.length)} of ${number(total)}.` : '');
  }
}

export class Dead extends List {
  constructor(root) {
    super(root, () => `/lists/dead?${new URLSearchParams({ after: this.after.at(-1) ?? '', reason: this.reason.value })}`);
    this.after = []; // the last letter of each page before this one
    this.chosen = new Set();
    this.columns = ['Choose', 'Since', 'Order', 'Why', 'Payload', 'Actions'];
    this.table = table('Dead letters', ...this.columns);
    this.reason = el('select', { id: 'reason', onchange: () => this.turn([]) }, el('option', { value: '' }, 'any reason'), ...Object.keys(reasons).map((r) => el('option', { value: r }, r)));
    this.all = el('input', { type: 'checkbox', 'aria-label': 'Choose all of this page', onchange: () => this.choose(this.letters, this.all.checked) });
    this.table.element.querySelector('th').replaceChildren(this.all);
    this.requeueChosen = el('button', { type: 'button', onclick: () => this.requeue([...this.chosen]) });
    this.dropChosen = el('button', { type: 'button', class: 'grave', onclick: () => this.drop([...this.chosen]) });
    this.newer = el('button', { type: 'button', onclick: () => this.turn([]) }, 'Newest');
    this.older = el('button', { type: 'button', onclick: () => this.turn([...this.after, this.letters.at(-1).id]) }, 'Older');
    root.append(heading('Dead letters', 'Messages that no further delivery can help, the newest first. They wait here for somebody: requeue what is mended, drop what is not needed.', 'queuectl dead list', 'queuectl dead requeue ID'),
      el('div', { class: 'bar' }, el('label', { for: 'reason' }, 'Reason'), this.reason, el('span', { class: 'gap' }), this.requeueChosen, this.dropChosen),
      this.problem, this.table.element, el('div', { class: 'bar' }, this.newer, this.older));
    this.letters = [];
    this.count();
  }

  turn(after) {
    this.after = after;
    this.chosen.clear();
    this.refresh(true);
  }

  choose(letters, on) {
    for (const { id } of letters) {
      if (on) this.chosen.add(id);
      else this.chosen.delete(id);
    }
    this.show({ letters: this.letters, more: !this.older.disabled });
  }

  count() {
    const n = this.chosen.size;
    this.requeueChosen.disabled = this.dropChosen.disabled = n === 0;
    say(this.requeueChosen, n ? `Requeue ${number(n)}` : 'Requeue chosen');
    say(this.dropChosen, n ? `Drop ${number(n)}` : 'Drop chosen');
    this.all.checked = n > 0 && n === this.letters.length;
  }

  show({ letters, more }) {
    this.letters = letters;
    const here = new Set(letters.map((l) => l.id));
    for (const id of this.chosen) if (!here.has(id)) this.chosen.delete(id);
    keyed(this.table.body, letters.length ? letters : [null], (l) => l?.id ?? '',
      (l) => (l ? this.letter(l) : nothing('No dead letters. Every message was delivered, or still may be.')),
      (tr, l) => { if (l) tr.querySelector('input').checked = this.chosen.has(l.id); });
    this.newer.disabled = this.after.length === 0;
    this.older.disabled = !more;
    this.count();
  }

  letter(l) {
    const name = l.order_id ? `order ${l.order_id}` : `letter ${l.id}`;
    const box = el('input', { type: 'checkbox', 'aria-label': `Choose ${name}`, onchange: () => this.choose([l], box.checked) });
    return row(this.columns, box,
      el('span', {}, el('time', { datetime: l.at }, clock(l.at)), el('small', { class: 'whole' }, el('code', {}, l.id))),
      el('span', {}, orderCell(l), el('small', {}, el('code', {}, visible(l.correlation_id)))),
      el('span', { class: 'why' }, el('b', {}, visible(l.reason)), el('span', {}, visible(l.error)), el('small', {}, `${plural(l.deliveries, 'delivery', 'deliveries')}, last at `, instance(l.instance || '?'))),
      payload(l.payload ?? '', l.bytes, (pre, note) => this.more(l, pre, note)),
      el('span', { class: 'actions' },
        el('button', { type: 'button', 'aria-label': `Requeue ${name}`, title: `queuectl dead requeue ${l.id}`, onclick: () => this.requeue([l.id], name) }, 'Requeue'),
        el('button', { type: 'button', class: 'grave', 'aria-label': `Drop ${name}`, title: `queuectl dead drop ${l.id}`, onclick: () => this.drop([l.id], name) }, 'Drop')));
  }

  async more(l, pre, note) {
    try {
      const whole = await get(`/lists/dead/${l.id}`);
      say(pre, visible(whole.payload ?? ''));
      const shown = new TextEncoder().encode(whole.payload ?? '').length;
      say(note, shown < l.bytes ? `the first ${bytes(shown)} of ${bytes(l.bytes)}; all of it: queuectl dead show ${l.id}` : bytes(l.bytes));
    } catch (error) {
      say(note, error.message);
    }
  }

  async requeue(ids, name = plural(ids.length, 'dead letter')) {
    const done = await act('requeue', ids, [`Requeue ${name}?`, 'It goes to the front of the queue, as if it had never been delivered.', 'Requeue'],
      (n) => `${plural(n, 'message')} went to the front of the queue.`);
    if (done != null) this.refresh(true);
  }

  async drop(ids, name = plural(ids.length, 'dead letter')) {
    const done = await act('drop', ids, [`Drop ${name}?`, 'The message is gone for good. Where its order is still open, the reconciler will make it a new one.', 'Drop', true],
      (n) => `${plural(n, 'dead letter')} dropped.`);
    if (done != null) this.refresh(true);
  }
}
