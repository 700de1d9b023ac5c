// What happened between two pictures: which orders moved, and what nobody announces - that a
// worker falls silent, and that somebody else takes over what it held.

const gap = 5000; // ms between two pictures after which nobody knows how it came about
const remembered = 90_000; // ms for which the story of a dead worker is told

/** keyOf tells one order in hand from another. */
export function keyOf(order) { return order.order_id || `${order.correlation_id} ${order.since}`; }

/** Story follows the pictures. */
export class Story {
  constructor() {
    this.last = null; // picture
    this.orphans = new Map(); // key of an order to { from, beat }, until somebody takes it over
    this.ghosts = new Map(); // instance to what became of it and of its orders
    this.serial = 0;
  }

  /** follow takes in a picture; it returns what moved, and events of its own. */
  follow(frame) {
    const before = this.last;
    this.last = frame;
    const now = Date.parse(frame.at);
    for (const [name, ghost] of this.ghosts) if (now - ghost.at > remembered) this.ghosts.delete(name);
    if (!before) return { moves: this.movesOf(frame.events, true), told: [] };

    const told = [];
    const moves = this.movesOf(frame.events, false);
    const workers = new Map(frame.workers.map((w) => [w.instance, w]));
    const known = new Map(before.workers.map((w) => [w.instance, w]));
    for (const old of before.workers) this.compare(old, workers.get(old.instance), frame, { moves, told });
    for (const worker of frame.workers) this.claims(worker, known.get(worker.instance), before, { moves, told });
    this.unseen(before, frame, moves);
    return { moves: now - Date.parse(before.at) < gap ? moves : [], told };
  }

  /** movesOf are those that events tell. */
  movesOf(events, first) {
    if (first) return [];
    const moves = [];
    for (const { event, fields } of events) {
      const n = Math.min(20, Number(fields.messages ?? 1));
      if (event === 'reaped') {
        for (let i = 0; i < n; i++) moves.push({ kind: 'reap', from: fields.instance });
      } else if (event === 'left') {
        for (let i = 0; i < Math.min(20, Number(fields.handed_back)); i++) moves.push({ kind: 'reap', from: fields.instance });
      } else if (event === 'retried') moves.push({ kind: 'retry', from: fields.instance });
      else if (event === 'dead') moves.push({ kind: 'dead', from: fields.instance });
      else if (event === 'requeued') moves.push({ kind: 'requeue' });
      else if (event === 'reconciled') for (let i = 0; i < n; i++) moves.push({ kind: 'reconcile' });
    }
    return moves;
  }

  /** compare looks for what a worker had before and has no more. */
  compare(old, worker, frame, { moves, told }) {
    const reaped = frame.events.find((e) => e.event === 'reaped' && e.fields.instance === old.instance);
    const left = frame.events.some((e) => e.event === 'left' && e.fields.instance === old.instance);
    if (worker && worker.state !== 'alive' && old.state === 'alive' || reaped && old.state === 'alive') {
      told.push(this.event('silent', leaseOver(old), { instance: old.instance }));
    }
    if (reaped) this.bury(old, reaped);
    if (!worker || worker.state === 'condemned') {
      if (!left) for (const o of old.orders) this.orphans.set(keyOf(o), { from: old.instance, beat: old.beat_at });
      return;
    }
    const held = new Set(worker.orders.map(keyOf));
    const announced = new Set(frame.events.filter((e) => e.event === 'retried' || e.event === 'dead').map((e) => e.fields.order_id));
    for (const o of old.orders) {
      if (held.has(keyOf(o)) || announced.has(String(o.order_id))) continue;
      moves.push({ kind: 'finish', from: worker.instance });
      for (const ghost of this.ghosts.values()) {
        const fate = ghost.orders.get(keyOf(o));
        if (fate?.by === worker.instance) fate.done = true;
      }
    }
  }

  /** bury remembers a worker that was reaped, to tell what becomes of its orders. */
  bury(old, reaped) {
    const orders = this.ghosts.get(old.instance)?.orders ?? new Map();
    for (const o of old.orders) if (!orders.has(keyOf(o))) orders.set(keyOf(o), { order: o });
    this.ghosts.set(old.instance, {
      instance: old.instance, at: Date.parse(reaped.at), by: reaped.fields.by, beat: old.beat_at,
      messages: Number(reaped.fields.messages), dead: Number(reaped.fields.dead), orders,
    });
  }

  /** claims looks for what a worker has begun since. */
  claims(worker, old, before, { moves, told }) {
    const had = new Set((old?.orders ?? []).map(keyOf));
    const taken = new Map(); // who held them to which orders
    for (const o of worker.orders) {
      if (had.has(keyOf(o))) continue;
      if (Date.parse(o.since) > Date.parse(before.at) - 1500) moves.push({ kind: 'claim', to: worker.instance });
      const orphan = this.orphans.get(keyOf(o));
      if (!orphan || orphan.from === worker.instance) continue;
      this.orphans.delete(keyOf(o));
      const fate = this.ghosts.get(orphan.from)?.orders.get(keyOf(o));
      if (fate) fate.by = worker.instance;
      taken.set(orphan.from, [...(taken.get(orphan.from) ?? []), { ...o, beat: orphan.beat }]);
    }
    for (const [from, orders] of taken) {
      told.push(this.event('taken_over', orders.at(-1).since, {
        orders: orders.map((o) => o.order_id || '?').sort((a, b) => a - b).join(', '), instance: worker.instance, from,
        after: String(Date.parse(orders[0].since) - Date.parse(orders[0].beat)),
      }));
    }
  }

  /** unseen adds what came and went between two pictures, as far as the figures tell. */
  unseen(before, frame, moves) {
    const sample = frame.samples.at(-1);
    const alive = frame.workers.filter((w) => w.state === 'alive');
    const seconds = Math.min(2, (Date.parse(frame.at) - Date.parse(before.at)) / 1000);
    if (sample && alive.length) {
      const finished = moves.filter((m) => m.kind === 'finish').length;
      const more = Math.min(30, Math.round(sample.fulfilled * seconds) - finished);
      for (let i = 0; i < more; i++) {
        const { instance } = alive[(this.serial++) % alive.length];
        moves.push({ kind: 'claim', to: instance }, { kind: 'finish', from: instance });
      }
    }
    const due = before.delayed + moves.filter((m) => m.kind === 'retry').length - frame.delayed;
    for (let i = 0; i < Math.min(10, due); i++) moves.push({ kind: 'due' });
  }

  event(event, at, fields) { return { id: `told-${++this.serial}`, at, event, fields }; }
}

/** leaseOver is when a worker's lease was over, as far as its last beat tells. */
function leaseOver(w) { return new Date((Date.parse(w.beat_at) || 0) + (w.lease_ttl_ms ?? 0)).toISOString(); }
