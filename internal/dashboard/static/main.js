// The page: which view shows, the stream of pictures, and what stands around both.
import { act, get, learn, onSession, sentence, session, signIn, signOut } from './access.js';
import { Charts } from './charts.js';
import { clock, duration, el, instance, keyed, mark, number, plural, say, visible } from './dom.js';
import { announce, Events, grave } from './events.js';
import { Dead, Delayed, heading, nothing, row, table, Waiting } from './lists.js';
import { Pipeline } from './pipeline.js';
import { Story } from './story.js';
import { heldRows, showWorkers } from './workers.js';

const rowsShown = 500; // of the orders in hand
const lostAfter = 6000; // ms without a picture
const restAfter = 60_000; // ms in which nobody sees the page

const byId = (id) => document.getElementById(id);
const section = (view) => document.querySelector(`main > [data-view="${view}"]`);

let frame = null; // the last picture, with when it came
const story = new Story();
const events = new Events();
const problem = { redis: null, postgres: null, lost: null }; // since when
const pipeline = new Pipeline(byId('pipeline'));
const charts = new Charts(byId('charts'));

// --- views

const held = ['Order', 'Worker', 'For', 'Status', 'Correlation id'];

const views = {
  overview: {
    show() {
      pipeline.show(frame, story.ghosts);
      charts.show(now());
      showWorkers(byId('overview-workers'), frame, story.ghosts);
      events.show(byId('overview-events'), 40);
    },
  },
  waiting: fetched(Waiting, () => `${frame.waiting} ${frame.oldest_age_ms}`),
  delayed: fetched(Delayed, () => `${frame.delayed} ${frame.next_due_ms}`),
  dead: fetched(Dead, () => `${frame.dead} ${events.all.find((e) => e.event === 'dead' || e.event === 'requeued' || e.event === 'dropped')?.id}`),
  'in-hand': {
    build(root) {
      this.table = table('Orders in hand', ...held);
      this.note = el('p', { class: 'weak' });
      root.append(heading('In hand', 'Every order that is being worked on, the longest begun first, with its status in PostgreSQL.', 'queuectl inflight'), this.table.element, this.note);
    },
    show() {
      const rows = heldRows(frame).slice(0, rowsShown);
      showHeld(this.table.body, rows);
      const inHand = frame.workers.reduce((n, w) => n + w.in_hand, 0);
      say(this.note, inHand > rows.length ? `${number(inHand)} messages are in hand: the ${number(rows.length)} that were begun first are shown, 64 of a worker at most.` : '');
    },
  },
  workers: {
    build(root) {
      this.cards = el('div', { class: 'cards' });
      this.one = el('div', { hidden: true });
      this.table = table('Orders of this worker', ...held);
      this.facts = el('dl', { class: 'facts-list panel' });
      this.text = 'Each with its lease, which its heartbeat renews at a third of its time, and with the orders it has longest.';
      this.title = heading('Workers', this.text, 'queuectl workers');
      this.one.append(el('p', {}, el('a', { href: '#/workers' }, 'All workers')), this.facts, this.table.element);
      root.append(this.title, this.cards, this.one);
    },
    show(which) {
      const one = frame.workers.find((w) => w.instance === which);
      this.cards.hidden = Boolean(one);
      this.one.hidden = !one;
      say(this.title.querySelector('h1'), one ? visible(one.instance) : 'Workers');
      say(this.title.querySelector('p'), one ? 'What it is, and the orders it has longest.' : this.text);
      if (!one) return showWorkers(this.cards, frame, story.ghosts, 10);
      const facts = {
        State: one.state, Lease: one.lease_left_ms == null ? '–' : `${duration(one.lease_left_ms - frame.age_ms)} of ${duration(one.lease_ttl_ms)}`,
        'In hand': `${number(one.in_hand)} of ${number(one.concurrency)}`, Host: one.host, Process: String(one.pid), Version: one.version,
        Joined: clock(one.started_at), 'Last beat': clock(one.beat_at),
      };
      keyed(this.facts, Object.entries(facts), ([name]) => name, ([name]) => el('div', {}, el('dt', {}, name), el('dd')), (div, [, value]) => say(div.lastElementChild, visible(value)));
      showHeld(this.table.body, heldRows(frame, which));
    },
  },
  events: {
    build(root) {
      this.list = el('ol', { class: 'timeline panel' });
      root.append(heading('Events', 'What is rare: who joined, left or died, what failed, what was put back. The latest is on top.', 'queuectl watch'), this.list);
    },
    show() { events.show(this.list, 400); },
  },
  settings: {
    build(root) {
      this.table = table('Settings', 'Variable', 'Value');
      this.about = heading('Settings', '', 'worker --version');
      root.append(this.about, this.table.element);
    },
    async open() {
      try {
        const about = await get('/about');
        say(this.about.querySelector('p'), `Of the worker that serves this page: ${about.worker}, version ${about.version}. What is secret is not shown.`);
        keyed(this.table.body, about.settings, (s) => s.name, (s) => row(['Variable', 'Value'], el('code', {}, s.name), el('code')), (tr, { value }) => say(tr.lastElementChild.firstElementChild, visible(value || '–')));
      } catch (error) {
        say(this.about.querySelector('p'), error.message);
      }
    },
    show() {},
  },
};

/** fetched is a view whose list comes on demand: again when what it depends on changes. */
function fetched(List, sign) {
  return {
    build(root) { this.list = new List(root); },
    open() { this.seen = null; },
    show() {
      const seen = sign();
      if (seen === this.seen && performance.now() - this.list.fetched < 5000) return;
      this.seen = seen;
      this.list.refresh(false);
    },
  };
}

function showHeld(body, rows) {
  keyed(body, rows.length ? rows : [null], (o) => (o ? `${o.instance} ${o.order_id} ${o.since}` : ''),
    (o) => (o ? row(held, el('b', {}, o.order_id ? `#${o.order_id}` : 'unknown'), el('a', { href: `#/workers/${encodeURIComponent(o.instance)}` }, instance(o.instance)), '', el('span', { class: 'status' }), el('code', {}, visible(o.correlation_id))) : nothing('Nobody works on anything.')),
    (tr, o) => {
      if (!o) return;
      mark(tr, 'data-state', o.state);
      mark(tr, 'data-status', o.status || 'none');
      say(tr.children[2], duration(now() - Date.parse(o.since)));
      say(tr.children[3].firstElementChild, o.status || (frame.postgres_error ? 'unknown' : 'no row'));
    });
}

let current = { view: 'overview', which: '' };

function route() {
  if (location.hash && !location.hash.startsWith('#/')) return; // the skip link
  const [view, which] = location.hash.slice(2).split('/');
  current = { view: Object.hasOwn(views, view) ? view : 'overview', which: decoded(which ?? '') };
  open();
  scrollTo(0, 0);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch { // somebody typed it
    return text;
  }
}

function open() {
  const view = session.reading ? current.view : 'locked';
  for (const s of document.querySelectorAll('main > [data-view]')) s.hidden = s.dataset.view !== view;
  for (const a of document.querySelectorAll('nav a')) mark(a, 'aria-current', a.dataset.view === view ? 'page' : null);
  if (view === 'locked') return;
  const v = views[view];
  if (v.build && !v.built) {
    v.build(section(view));
    v.built = true;
  }
  v.open?.();
  if (frame) show();
}

// --- pictures

/** now is the time by Redis's clock, as far as this browser knows. */
function now() { return Date.parse(frame.at) + frame.age_ms + performance.now() - frame.received; }

function show() {
  const figures = {
    waiting: frame.waiting, in_hand: frame.workers.reduce((n, w) => n + w.in_hand, 0), workers: frame.workers.length, delayed: frame.delayed, dead: frame.dead,
  };
  for (const i of document.querySelectorAll('[data-figure]')) say(i, number(figures[i.dataset.figure]));
  document.title = `${number(frame.waiting)} waiting, ${number(figures.in_hand)} in hand: ${frame.queue}`;
  say(byId('queue'), visible(frame.queue));
  views[current.view].show(current.which);
  showState();
}

const byName = new Intl.Collator('en', { numeric: true });

function take(text) {
  const next = JSON.parse(text);
  next.received = performance.now();
  next.workers?.sort((a, b) => byName.compare(a.instance, b.instance));
  problem.lost = null;
  problem.redis = next.error ? problem.redis ?? Date.now() : null;
  problem.postgres = next.postgres_error ? problem.postgres ?? Date.now() : null;
  if (!next.workers) { // Redis has never answered
    showState(next.error);
    return;
  }
  next.rates = next.samples.at(-1) ?? frame?.rates;
  const first = !frame;
  frame = next;
  charts.add(next.samples);
  next.events = events.add(next.events);
  const { moves, told } = story.follow(next);
  events.add(told);
  if (session.reading) show();
  if (current.view === 'overview') pipeline.fly(moves);
  if (!first) speak([...next.events, ...told]);
}

/** speak reads out what is grave. */
function speak(happened) {
  const lines = happened.filter((e) => grave.has(e.event));
  if (!lines.length) return;
  byId('said').replaceChildren(...lines.slice(-3).map((e) => el('p', {}, announce(e))));
}

let source;
let came; // when the last picture came

function connect() {
  source?.close();
  came = performance.now();
  source = new EventSource('/live');
  source.onmessage = (message) => {
    came = performance.now();
    take(message.data);
  };
  source.onerror = () => {
    problem.lost ??= Date.now();
    showState();
    if (source.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(() => learn().catch(() => setTimeout(connect, 3000)), 2000);
    }
  };
}

// Who is not seen asks for nothing: a browser keeps six connections to one worker at most.
let rest;
document.addEventListener('visibilitychange', () => {
  clearTimeout(rest);
  if (document.hidden) {
    rest = setTimeout(() => {
      source?.close();
      source = null;
    }, restAfter);
  } else if (!source && session.reading) {
    connect();
  }
});

setInterval(() => {
  if (!session.reading) return;
  if (source && performance.now() - came > lostAfter) {
    problem.lost ??= Date.now();
    connect();
  }
  showState();
}, 1000);

// --- around the views

function showState(firstError) {
  const [state, words] = problem.lost ? ['lost', 'No connection']
    : problem.redis ? ['lost', 'Redis is silent']
      : problem.postgres ? ['odd', 'PostgreSQL is silent']
        : frame?.paused ? ['odd', 'Paused'] : frame ? ['live', 'Live'] : ['wait', 'Connecting'];
  mark(byId('state'), 'data-state', state);
  say(byId('state'), words);
  document.body.classList.toggle('stale', state === 'lost');
  const notices = [];
  const shown = frame ? ` What is shown is as of ${clock(Date.parse(frame.at))}.` : '';
  if (problem.lost) notices.push(['bad', `The connection to the worker is lost since ${clock(problem.lost)}; it is tried again.${shown}`]);
  else if (problem.redis) notices.push(['bad', `Redis does not answer since ${clock(frame ? Date.parse(frame.at) : problem.redis)}: ${frame?.error || firstError}.${shown}`]);
  else if (problem.postgres) notices.push(['odd', `PostgreSQL does not answer since ${clock(problem.postgres)}, so that the orders' statuses are missing: ${frame.postgres_error}.`]);
  if (frame?.paused) notices.push(['odd', `Claiming is paused by ${frame.paused.by}, since ${clock(frame.paused.since)}. Work in hand goes on. On a terminal: queuectl resume`]);
  keyed(byId('notices'), notices, ([, text]) => text, ([tone, text]) => el('p', { 'data-tone': tone }, visible(text)), () => {});
  const pause = byId('pause');
  pause.disabled = !frame || state === 'lost';
  say(pause, frame?.paused ? 'Resume claiming' : 'Pause claiming');
  mark(pause, 'title', frame?.paused ? 'queuectl resume' : 'queuectl pause');
}

byId('pause').addEventListener('click', async () => {
  if (frame.paused) {
    await act('resume', [], null, (changed) => (changed ? 'The workers claim again.' : 'It was not paused.'));
  } else {
    await act('pause', [], ['Pause claiming?', 'Within two seconds no worker claims any more, until somebody resumes. Work in hand goes on.', 'Pause'], (changed) => (changed ? 'Claiming is paused.' : 'It was paused already.'));
  }
});

byId('session').addEventListener('click', () => (session.acting ? signOut() : signIn()));
byId('unlock').addEventListener('click', () => signIn());

onSession(() => {
  byId('session').hidden = false;
  say(byId('session'), session.acting ? 'Sign out' : 'Sign in');
  say(byId('locked-why'), session.token_set
    ? 'It is open to the machine that the worker runs on; from elsewhere it needs the token that the workers have as DASHBOARD_TOKEN.'
    : sentence(session.how));
  byId('unlock').hidden = !session.token_set;
  if (session.reading && !source) {
    connect();
    get('/about').then((about) => say(byId('served'), `as ${about.worker} sees it, version ${about.version}`)).catch(() => {});
  }
  if (!session.reading) {
    source?.close();
    source = null;
    mark(byId('state'), 'data-state', 'wait');
    say(byId('state'), 'Locked');
  }
  open();
});

addEventListener('hashchange', route);
route();
learn().catch(() => setTimeout(() => location.reload(), 3000));
