package main

// controls are mechanisms of ARCHITECTURE.md's table, and what must notice that one is
// missing. Where another mechanism heals it a little later, the probe looks how long it
// took.
var controls = []control{
	{
		"fencing-token", "the fencing token",
		"internal/db/step.go",
		"AND status = 'processing' AND orders.xmin = version", "AND status = 'processing' AND version <> '0'",
		chaos("zombie"),
	},
	{
		"audit", "the audit by the clock",
		"internal/queue/audit.go",
		"		if length.Val() > int64(known[i]) {", "		if length.Val() > int64(known[i]) && ctx == nil {",
		test("internal/queue", "TestConsumer_releasesStraysThatFindNoSlot"),
	},
	{
		"look-after-lost-reply", "the look after a claim of unknown outcome, and the audit",
		"internal/queue/audit.go",
		"	known := l.snapshot()\n", "	if known := l.snapshot(); known != nil {\n\t\treturn nil\n\t}\n	known := l.snapshot()\n",
		chaos("lose-claim"),
	},
	{
		"no-repeats", "MaxRetries -1: go-redis sends BLMOVE again",
		"internal/queue/redis.go",
		"	o.MaxRetries = -1\n", "	o.MaxRetries = 3\n",
		test("internal/queue", "TestDial_repeatsNothing"),
	},
	{
		"store-then-ack", "the order of commit and acknowledgement",
		"internal/fulfil/finish.go",
		"		err = f.Orders.Finish(r.ctx, r.message.OrderID, r.token)\n", "		go f.Orders.Finish(r.ctx, r.message.OrderID, r.token)\n",
		chaos("kill"),
	},
	{
		"grace", "the reapers' grace after an outage",
		"internal/queue/reaper.go",
		"	return max(r.cfg.Lease, outage.LongestWait+poolProbe+handOverTime)\n", "	return 0 * max(r.cfg.Lease, outage.LongestWait+poolProbe+handOverTime)\n",
		test("internal/queue", "TestReaper_leavesOneLeaseForTheFirstBeatAfterAnOutage"),
	},
	{
		"orphans", "the search for lists without a registration",
		"internal/queue/reaper.go",
		"	for instance := range instances {\n", "	for instance := range map[string]bool{} {\n		_ = instances\n",
		test("internal/queue", "TestReaper_findsOrphansWithoutRegistration"),
	},
	{
		"reaper", "the reaper",
		"internal/queue/reaper.go",
		"	_, err := r.reapAll(ctx)\n	return reapEvery / 10, err\n", "	return r.pause(), nil\n",
		chaos("kill"),
	},
	{
		"charge", "the count of deaths",
		"internal/queue/lua/reap.lua",
		"    charged = redis.call('HINCRBY', deliveries, digest, 1)\n", "    charged = 0\n",
		test("cmd/worker", "TestWorker_orderThatKills"),
	},
	{
		"start-note", "the note that work has begun",
		"internal/queue/lua/start.lua",
		"notes[i - 1], notes[i] = note, now .. about", "notes[i - 1], notes[i] = 'other' .. note, now .. about",
		test("cmd/worker", "TestWorker_orderThatKills"),
	},
	{
		"take-over", "the take-over of a row in processing",
		"internal/fulfil/fulfil.go",
		"		if !may && !inHand.Ours {\n", "		if inHand.RetryIn = 0; may || !may {\n			err = order.ErrFulfilled\n",
		test("cmd/worker", "TestWorker_killedAtEachStep"),
	},
	{
		"copies-wait", "the right that a take-over needs",
		"internal/queue/delivery.go",
		"	return returned == 1, err\n", "	return returned >= 0, err\n",
		test("cmd/worker", "TestWorker_worksCopiesOnce"),
	},
	{
		"reconciler", "the reconciler",
		"internal/config/config.go",
		"func (c *Config) Reconciles() bool { return ", "func (c *Config) Reconciles() bool { return c == nil && ",
		chaos("forgetful"),
	},
	{
		"look-again", "the reconciler's second look",
		"internal/reconcile/reconcile.go",
		"	for range 2 {", "	for range 1 {",
		test("internal/reconcile", "TestReconciler_findsWhatMoves"),
	},
	{
		"row-last", "the reconciler's last look at the row",
		"internal/db/stale.go",
		"FROM orders WHERE ` + stale + ` AND id = ANY", "FROM orders WHERE $1 > 0 AND id = ANY",
		test("internal/reconcile", "TestReconciler_leavesWhatIsTouchedMeanwhile"),
	},
	{
		"horizon", "the horizon of a long queue",
		"internal/reconcile/reconcile.go",
		"		p.horizon = horizon(payloads)\n", "		p.horizon = max(p.horizon, horizon(payloads))\n",
		test("cmd/worker", "TestWorker_reconcilesNoBacklog"),
	},
	{
		"unknown-outcome", "the second look at a finish whose answer was lost",
		"internal/db/orders.go",
		"			unknown = unknown || err != nil && isUnknown(err)\n", "			if err != nil && isUnknown(err) {\n				return outage.Stop(err)\n			}\n",
		test("internal/db", "TestOrders_answersAreLost"),
	},
	{
		"endless-patience", "a backoff without an end",
		"internal/outage/outage.go",
		"backoff.WithMaxElapsedTime(0)", "backoff.WithMaxElapsedTime(15*time.Minute)",
		test("internal/outage", "TestRide_waitsUntilItWorks"),
	},
	{
		"gate", "the gate that PostgreSQL's outage closes",
		"internal/queue/consumer.go",
		"!s.await(ctx, s.resumed) || !s.await(ctx, s.open)", "!s.await(ctx, s.resumed)",
		test("internal/queue", "TestConsumer_claimsNothingWhileItCannotWork"),
	},
	{
		"hand-back", "the hand-back at a stop",
		"internal/queue/lua/leave.lua",
		"  local processing = KEYS[i]\n", "  local processing = KEYS[i]\n  redis.call('DEL', processing)\n",
		test("cmd/worker", "TestWorker_stops"),
	},
	{
		"full-memory", "the claim by script where Redis is full",
		"internal/queue/consumer.go",
		"		if redis.IsOOMError(err) {", "		if redis.IsOOMError(err) && ctx == nil {",
		test("internal/queue", "TestConsumer_drainsAFullRedis"),
	},
	{
		"said-first", "the wait for an order's lines before its message is forgotten",
		"internal/queue/settlement.go",
		"	logger.Flush(s.log)", "	_ = logger.Flush",
		test("internal/queue", "TestConsumer_forgetsNothingBeforeItIsSaid"),
	},
	{
		"side-by-side", "who goes on with a gang while a handler waits",
		"internal/queue/dispatch.go",
		"			s.crew.run(func() { s.handleRest(g) })\n", "			_ = s.crew\n",
		test("internal/queue", "TestConsumer_handlesAGangSideBySide"),
	},
	{
		"alone", "the second try, alone, of what a batch could not do for one",
		"internal/db/step.go",
		"		err = errTogether\n", "		_ = errTogether\n",
		test("internal/db", "TestFinishTogether_oneRefuses"),
	},
	{
		"lost-together", "what is known of a batch whose answer was lost",
		"internal/db/orders.go",
		"			a.begun = begun\n", "			if a.Err == nil {\n				a.begun = begun\n			}\n",
		test("internal/db", "TestFinishTogether_answersAreLost"),
	},
	{
		"one-token", "no order twice in one batch",
		"internal/fulfil/finish.go",
		"		case twice[id]:\n", "		case twice[id] && id < 0:\n",
		test("internal/fulfil", "TestFulfiller_Finish_oneOrderTwice"),
	},
	{
		"ack-held", "the look at what is the oldest before it is forgotten",
		"internal/queue/lua/ack.lua",
		"  oldest = oldest and due[payload] >= 0\n", "",
		test("internal/queue", "TestConsumer_forgetsInAnyOrder"),
	},
	{
		"short-enough", "the end of a claim at a message that is too long",
		"internal/queue/lua/claim.lua",
		"      if #oldest[n] > longest then\n        break\n      end\n", "",
		test("internal/queue", "TestConsumer_claimsUpToWhatIsTooLong"),
	},
}
