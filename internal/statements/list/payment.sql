-- at: acts.go Charger.acts
-- args: id(9500)
SELECT id, act, by, reason, state, coalesce(outcome, ''), at FROM payment.acts WHERE order_id = $1 ORDER BY at DESC, id DESC LIMIT 100

-- at: acts.go actsSQL
-- args: ids(9500, 10), ids(9500, 10), '{"retry"}', '{"olga"}', '{""}', '{"REFUNDING"}', '{""}'
INSERT INTO payment.acts (id, order_id, act, by, reason, state, outcome)
SELECT id, order_id, act, by, reason, state, nullif(outcome, '')
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) AS a(id, order_id, act, by, reason, state, outcome)

-- at: afterwards_http.go Charger.FailedRefunds
-- args: now(), '', 'false', '2'
SELECT refund_id, provider, account, charge_id, order_id, effect, amount_minor, currency, reason, failed_at, told_at FROM payment.failed_refunds
WHERE (told_at, refund_id) > ($1, $2) AND (NOT $3 OR effect = 'none') ORDER BY told_at, refund_id LIMIT $4

-- at: afterwards_http.go Charger.disputesOf
-- args: id(9500)
SELECT dispute_id, provider, account, charge_id, order_id, amount_minor, currency, reason, status, over, funds, as_of, told_at, changed_at FROM payment.disputes WHERE order_id = $1 ORDER BY told_at DESC, dispute_id DESC LIMIT 100

-- at: afterwards_http.go Charger.failuresOf
-- args: id(9500)
SELECT refund_id, provider, account, charge_id, order_id, effect, amount_minor, currency, reason, failed_at, told_at FROM payment.failed_refunds WHERE order_id = $1 ORDER BY told_at DESC, refund_id DESC LIMIT 100

-- at: afterwards_http.go allDisputesSQL
SELECT dispute_id, provider, account, charge_id, order_id, amount_minor, currency, reason, status, over, funds, as_of, told_at, changed_at FROM payment.disputes
WHERE (told_at, dispute_id) > ($1, $2) ORDER BY told_at, dispute_id LIMIT $3

-- at: afterwards_http.go allDisputesSQL
-- args: now(), '', '2'
SELECT dispute_id, provider, account, charge_id, order_id, amount_minor, currency, reason, status, over, funds, as_of, told_at, changed_at FROM payment.disputes
WHERE (told_at, dispute_id) > ($1, $2) ORDER BY told_at, dispute_id LIMIT $3

-- at: afterwards_http.go openDisputesSQL
-- args: now(), '', '2'
SELECT dispute_id, provider, account, charge_id, order_id, amount_minor, currency, reason, status, over, funds, as_of, told_at, changed_at FROM payment.disputes
WHERE (told_at, dispute_id) > ($1, $2) AND NOT over ORDER BY told_at, dispute_id LIMIT $3

-- at: afterwards_store.go afterwards.dispute
-- args: id(9500)
UPDATE payment.payments SET due_at = now() WHERE order_id = $1

-- at: afterwards_store.go afterwards.keepFailed
-- args: 're_01a22bd2-5f82-72b2-bf6e-03308de1fd4e', 'sandbox', 'sku 9500', 'ch_01a22bd2-5e3b-7249-a4af-7324c29469eb', NULL, 'owed again', '1275', 'GBP', 'expired_or_canceled_card', now()
INSERT INTO payment.failed_refunds (refund_id, provider, account, charge_id, order_id, effect, amount_minor, currency, reason, failed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING

-- at: afterwards_store.go disputeSQL
-- args: 'dp_01a22bd2-5f76-712b-b20d-7e82acef4cef', 'sandbox', 'sku 9500', 'ch_01a22bd2-5e06-7d8b-a017-b9ab499f9343', id(9500), '1275', 'GBP', 'fraudulent', 'needs_response', 'false', 'withdrawn', now()
INSERT INTO payment.disputes AS d (dispute_id, provider, account, charge_id, order_id, amount_minor, currency, reason, status, over, funds, as_of)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (dispute_id) DO UPDATE SET
	status = CASE WHEN (excluded.as_of > d.as_of OR excluded.as_of = d.as_of AND excluded.over AND NOT d.over) THEN excluded.status ELSE d.status END,
	over = CASE WHEN (excluded.as_of > d.as_of OR excluded.as_of = d.as_of AND excluded.over AND NOT d.over) THEN excluded.over ELSE d.over END,
	reason = CASE WHEN (excluded.as_of > d.as_of OR excluded.as_of = d.as_of AND excluded.over AND NOT d.over) THEN excluded.reason ELSE d.reason END,
	amount_minor = CASE WHEN (excluded.as_of > d.as_of OR excluded.as_of = d.as_of AND excluded.over AND NOT d.over) THEN excluded.amount_minor ELSE d.amount_minor END,
	funds = CASE WHEN array_position(ARRAY['kept', 'withdrawn', 'reinstated'], excluded.funds) > array_position(ARRAY['kept', 'withdrawn', 'reinstated'], d.funds) THEN excluded.funds ELSE d.funds END,
	order_id = coalesce(d.order_id, excluded.order_id),
	as_of = greatest(d.as_of, excluded.as_of), changed_at = now()
WHERE (excluded.as_of > d.as_of OR excluded.as_of = d.as_of AND excluded.over AND NOT d.over) OR array_position(ARRAY['kept', 'withdrawn', 'reinstated'], excluded.funds) > array_position(ARRAY['kept', 'withdrawn', 'reinstated'], d.funds)
RETURNING changed_at = told_at, over

-- at: afterwards_store.go failOrphan
-- args: 'ch_01a22bd2-5e3b-7249-a4af-7324c29469eb', 're_01a22bd2-5f82-72b2-bf6e-03308de1fd4e', 'refund re_01a22bd2-5f82-72b2-bf6e-03308de1fd4e failed at the provider: expired_or_canceled_card', '3', 'owed again', 'still owed'
WITH old AS (SELECT provider_id, refund_id, due_at, failed_refunds FROM payment.orphans WHERE provider_id = $1 FOR UPDATE),
done AS (
	UPDATE payment.orphans o SET
		failed_refunds = array_append(o.failed_refunds, $2), error_answers = o.error_answers + 1, last_error = $3,
		refund_id = nullif(o.refund_id, $2), refunded_at = CASE WHEN o.refund_id <> $2 THEN o.refunded_at END,
		due_at = CASE WHEN cardinality(o.failed_refunds) < $4 AND (o.refund_id = $2 OR o.due_at IS NOT NULL) THEN now() END
	FROM old WHERE o.provider_id = old.provider_id AND $2 <> ALL (old.failed_refunds))
SELECT CASE WHEN $2 = ANY (failed_refunds) THEN '' WHEN refund_id = $2 THEN $5 WHEN due_at IS NOT NULL THEN $6 ELSE '' END FROM old

-- at: afterwards_store.go whoseSQL
-- args: 'ch_01a22bd2-5e06-7d8b-a017-b9ab499f9343', 'dp_01a22bd2-5f76-712b-b20d-7e82acef4cef'
SELECT ARRAY(SELECT order_id FROM payment.payments WHERE charge_id = $1
             UNION SELECT order_id FROM payment.payments WHERE refund_id = $2),
       ARRAY(SELECT order_id FROM payment.archived WHERE charge_id = $1
             UNION SELECT order_id FROM payment.archived WHERE refund_id = $2),
       EXISTS (SELECT FROM payment.orphans WHERE provider_id = $1 AND kind = 'charge'),
       EXISTS (SELECT FROM payment.failed_refunds WHERE refund_id = $2)

-- at: archived.go Charger.archivedSettled
SELECT count(*) FROM payment.archived WHERE settled IS NOT NULL

-- at: archived.go addArchived
-- args: ids(9500, 10)
SELECT order_id, state, amount_minor, currency, coalesce(opened_as, ''), coalesce(charge_id, ''), coalesce(refund_id, ''),
       coalesce(provider, ''), coalesce(account, '')
FROM payment.archived WHERE order_id = ANY ($1)

-- at: attempts.go Charger.calls
-- args: id(9500)
SELECT call, verdict, coalesce(error, ''), ms, at FROM payment.attempts WHERE order_id = $1 ORDER BY claim DESC, n DESC LIMIT 50

-- at: attempts.go Service.ForgetAttempts
-- args: '604800000 ms', '1000'
DELETE FROM payment.attempts WHERE ctid = ANY (ARRAY(
SELECT ctid FROM payment.attempts WHERE at < now() - $1::interval ORDER BY at LIMIT $2))

-- at: attempts.go noteSQL
-- args: ids(9500, 10), '{"1"}', '{"1"}', '{"charge"}', '{"charged"}', '{"3"}', '{"4210"}', '{""}'
INSERT INTO payment.attempts (order_id, claim, n, call, verdict, ms, at, error)
SELECT order_id, claim, n, call, verdict, ms, clock_timestamp() - ago * interval '1 microsecond', nullif(error, '')
FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::text[], $5::text[], $6::int[], $7::bigint[], $8::text[])
     AS a(order_id, claim, n, call, verdict, ms, ago, error)
ON CONFLICT DO NOTHING

-- at: closed.go Charger.CloseAccount
-- args: 'sandbox', 'sku 9500', 'olga', 'the contract has ended'
INSERT INTO payment.closed_accounts (provider, account, by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- at: closed.go knownAccountSQL
-- args: 'stripe', 'acct_before/test'
SELECT (SELECT order_id FROM payment.payments WHERE provider = $1 AND account = $2 AND due_at IS NOT NULL ORDER BY due_at LIMIT 1) IS NOT NULL
    OR (SELECT provider_id FROM payment.transfers WHERE provider = $1 AND account = $2 ORDER BY at LIMIT 1) IS NOT NULL
    OR EXISTS (SELECT FROM payment.hunts WHERE provider = $1 AND account = $2)

-- at: hunters.go Hunters.Status
-- args: '{"sandbox"}', '{"ours"}'
-- allow scan: they come only of faults, and an operator is told how many were given back
-- allow growth: the same
SELECT (SELECT min(h.ran_at) FROM payment.hunts h JOIN unnest($1::text[], $2::text[]) AS a(provider, account) USING (provider, account)),
       count(*) FILTER (WHERE refund_id IS NULL AND settled_at IS NULL), count(refund_id)
FROM payment.orphans

-- at: ledger.go bookSQL
-- args: '{"a refund", "another"}', ARRAY[id(-2), id(-3)], '{"refund", "refund"}', '{"250", "250"}', '{"GBP", "GBP"}', ids(9500, 2), '{"sandbox", "sandbox"}', '{"ours", "ours"}'
INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account)
SELECT id, order_id, kind, CASE WHEN kind = 'charge' THEN 'customer' WHEN kind = 'reversal' THEN 'refunds'
                                WHEN id = 'outside-' || order_id::text THEN 'outside' ELSE 'provider' END,
       CASE kind WHEN 'refund' THEN 'refunds' ELSE 'provider' END, amount, currency, cause, provider, account
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::uuid[], $7::text[], $8::text[])
     AS t(id, order_id, kind, amount, currency, cause, provider, account)

-- at: notice.go Notices.ask
-- args: id(9500), 'charge-' || id(9500)::text, 'sandbox', 'ours'
UPDATE payment.payments SET due_at = now()
WHERE order_id = $1 AND charge_key = $2 AND (provider, account) = ($3, $4) AND state IN ('PENDING', 'UNKNOWN') AND attempted_at IS NOT NULL

-- at: orphan.go Hunter.begin
-- args: 'sandbox', 'ours', '600000 ms'
INSERT INTO payment.hunts AS h (provider, account) VALUES ($1, $2)
ON CONFLICT (provider, account) DO UPDATE SET at = now() - $3::interval, at_id = '' WHERE h.at > now()

-- at: orphan.go Hunter.begin
-- args: 'sandbox', 'ours'
SELECT mark FROM payment.hunts WHERE (provider, account) = ($1, $2)

-- at: orphan.go Hunter.claimOrphans
-- args: 'sandbox', '100', '60000', 'ours'
UPDATE payment.orphans o SET attempted_at = coalesce(attempted_at, now()), tries = tries + 1, due_at = now() + $3 * interval '1 millisecond'
WHERE o.provider_id = ANY (ARRAY(
	SELECT d.provider_id FROM (VALUES ('-infinity'::timestamptz, now()), (now() + 2 * $3 * interval '1 millisecond', 'infinity')) AS r(above, until) CROSS JOIN LATERAL (
		SELECT provider_id, due_at FROM payment.orphans
		WHERE due_at > r.above AND due_at <= r.until AND (provider, account) = ($1, $4)
		ORDER BY due_at LIMIT $2) AS d
	ORDER BY d.due_at LIMIT $2))
RETURNING o.provider_id, o.order_id, o.amount_minor, o.currency, o.error_answers

-- at: orphan.go Hunter.note
-- args: '{"charge -2"}', 'sandbox', 'ours'
INSERT INTO payment.statement (provider_id)
SELECT id FROM unnest($1::text[]) AS m(id)
WHERE NOT EXISTS (SELECT FROM payment.transfers t, payment.hunts h
                  WHERE t.provider_id = m.id AND (h.provider, h.account) = ($2, $3) AND (t.at, t.provider_id) <= (h.at, h.at_id))
  AND NOT EXISTS (SELECT FROM payment.archived a WHERE a.charge_id = m.id)
  AND NOT EXISTS (SELECT FROM payment.archived a WHERE a.refund_id = m.id)
ON CONFLICT DO NOTHING

-- at: orphan.go Hunter.note
-- args: 'sandbox', 'ours', '2'
UPDATE payment.hunts SET mark = $3 WHERE (provider, account) = ($1, $2)

-- at: orphan.go Hunter.pass
-- args: 'sandbox', now(), 'ch_01a22c30-56d2-7c75-b534-5b2e885975a3', 'sku 9500', '5000'
DELETE FROM payment.statement WHERE provider_id = ANY (ARRAY(
SELECT t.provider_id FROM payment.transfers t
WHERE (t.provider, t.account) = ($1, $4) AND (t.at, t.provider_id) > ((SELECT at FROM payment.hunts WHERE (provider, account) = ($1, $4)), (SELECT at_id FROM payment.hunts WHERE (provider, account) = ($1, $4))) AND t.credit <> 'outside' AND t.provider_id <> 'outside-charge-' || t.order_id::text
  AND (t.at, t.provider_id) <= ($2, $3)
ORDER BY t.at, t.provider_id LIMIT $5))

-- at: orphan.go Hunter.pass
-- args: 'sandbox', 'ours', now(), 'charge -2'
UPDATE payment.hunts SET at = $3, at_id = $4 WHERE (provider, account) = ($1, $2)

-- at: orphan.go Hunter.readToTheEnd
-- args: 'sandbox', 'ours'
UPDATE payment.hunts SET ran_at = now() WHERE (provider, account) = ($1, $2)

-- at: orphan.go Hunter.unmet
-- args: 'sandbox', '0', '5000', 'sku 9500'
SELECT t.provider_id, t.kind, t.order_id::text, t.amount_minor, t.currency, t.at,
       s.provider_id IS NOT NULL OR t.kind = 'reversal' OR (SELECT f.refund_id FROM payment.failed_refunds f WHERE f.refund_id = t.provider_id) IS NOT NULL
FROM (SELECT t.* FROM payment.transfers t
      WHERE (t.provider, t.account) = ($1, $4) AND (t.at, t.provider_id) > ((SELECT at FROM payment.hunts WHERE (provider, account) = ($1, $4)), (SELECT at_id FROM payment.hunts WHERE (provider, account) = ($1, $4))) AND t.credit <> 'outside' AND t.provider_id <> 'outside-charge-' || t.order_id::text
        AND t.at <= now() - $2 * interval '1 millisecond'
      ORDER BY t.at, t.provider_id LIMIT $3) t
LEFT JOIN payment.statement s USING (provider_id)
ORDER BY t.at, t.provider_id

-- at: orphan.go findAll
-- args: ids(9500, 10)
SELECT p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method,
coalesce(p.opened_as, ''), coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), p.reason, p.cause, p.traceparent,
coalesce(p.undo_cause, '00000000-0000-0000-0000-000000000000'), p.undo_traceparent,
p.attempted_at IS NOT NULL, p.tries, p.failed_refunds, p.reversals, p.error_answers, p.last_error, p.provider, p.account, p.claim, p.leased_until IS NOT NULL FROM payment.payments p WHERE p.order_id = ANY($1)

-- at: orphan.go orphansSQL
-- args: 'sandbox', '{"charge -2"}', '{"charge"}', '{"wrong"}', '{"an order"}', '{"a key"}', '{"1276"}', '{"GBP"}', '{"false"}', 'ours'
INSERT INTO payment.orphans AS o (provider_id, provider, account, kind, found, order_id, key, amount_minor, currency, due_at)
SELECT id, $1, $10, kind, found, order_id, key, amount, currency, CASE WHEN give_back THEN now() END
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bool[])
     AS f(id, kind, found, order_id, key, amount, currency, give_back)
ON CONFLICT (provider_id) DO UPDATE SET due_at = excluded.due_at -- a webhook has told of it before
WHERE excluded.due_at IS NOT NULL AND o.due_at IS NULL AND o.attempted_at IS NULL AND o.refund_id IS NULL AND o.settled_at IS NULL
RETURNING CASE WHEN xmax = 0 THEN provider_id END

-- at: orphan.go refundedSQL
-- args: '{}', '{}'
UPDATE payment.orphans o SET refund_id = r.refund_id, refunded_at = now(), due_at = NULL, last_error = ''
FROM unnest($1::text[], $2::text[]) AS r(charge_id, refund_id) WHERE o.provider_id = r.charge_id AND o.refund_id IS NULL AND o.settled_at IS NULL AND r.refund_id <> ALL (o.failed_refunds)

-- at: orphan_acts.go Charger.SettleOrphan
-- args: 'ch_01a22be6-d4cc-7325-a5e4-08b85cc85b90'
UPDATE payment.orphans SET settled_at = now(), due_at = NULL WHERE provider_id = $1 AND settled_at IS NULL AND refund_id IS NULL

-- at: orphan_acts.go Charger.ShowOrphan
-- args: 'ch_01a22be6-d4c5-743b-9b7b-690d2b9a5167'
SELECT id, act, by, reason, result, at FROM payment.orphan_acts WHERE provider_id = $1 ORDER BY at DESC, id DESC LIMIT 100

-- at: orphan_acts.go Charger.ShowOrphan
-- args: 'ch_01a22be6-d4c5-743b-9b7b-690d2b9a5167'
SELECT provider_id, provider, account, kind, found, order_id, key, amount_minor, currency, found_at, due_at, attempted_at, tries,
error_answers, cardinality(failed_refunds), last_error, coalesce(refund_id, ''), refunded_at, settled_at FROM payment.orphans WHERE provider_id = $1

-- at: orphan_acts.go Charger.claimOrphan
-- args: 'ch_01a22be6-d4c5-743b-9b7b-690d2b9a5167', '60000'
UPDATE payment.orphans SET attempted_at = coalesce(attempted_at, now()), tries = tries + 1, due_at = now() + $2 * interval '1 millisecond'
WHERE provider_id = $1 AND refund_id IS NULL AND settled_at IS NULL

-- at: orphan_acts.go Charger.noteOrphan
-- args: 'ch_01a22be6-d4c5-743b-9b7b-690d2b9a5167', 'the provider answered with an error balance_insufficient', '1'
UPDATE payment.orphans SET last_error = $2, error_answers = error_answers + $3 WHERE provider_id = $1

-- at: orphan_acts.go actOnOrphanSQL
-- args: id(9500), 'ch_01a22be6-d4c5-743b-9b7b-690d2b9a5167', 'refund', 'olga', '', 'the provider answered with an error balance_insufficient'
INSERT INTO payment.orphan_acts (id, provider_id, act, by, reason, result) VALUES ($1, $2, $3, $4, $5, $6)

-- at: overview.go Charger.Show
-- args: id(9500)
SELECT p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method, p.provider, p.account,
coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), coalesce(p.opened_as, ''), p.reason, p.undo_cause IS NOT NULL,
p.tries, (SELECT count(*) FROM payment.attempts a WHERE a.order_id = p.order_id), p.error_answers,
cardinality(p.failed_refunds), p.state = 'REFUNDING' AND cardinality(p.failed_refunds) > 3, p.last_error,
CASE WHEN p.state IN ('REFUNDING', 'REFUNDED') THEN p.refund_attempted_at ELSE p.attempted_at END, p.owed_since,
coalesce(p.leased_until > now(), false), p.due_at, p.created_at, p.changed_at FROM payment.payments p WHERE p.order_id = $1

-- at: overview.go disputedSQL
-- args: '00000000-0000-0000-0000-000000000000', '2'
SELECT p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method, p.provider, p.account,
coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), coalesce(p.opened_as, ''), p.reason, p.undo_cause IS NOT NULL,
p.tries, (SELECT count(*) FROM payment.attempts a WHERE a.order_id = p.order_id), p.error_answers,
cardinality(p.failed_refunds), p.state = 'REFUNDING' AND cardinality(p.failed_refunds) > 3, p.last_error,
CASE WHEN p.state IN ('REFUNDING', 'REFUNDED') THEN p.refund_attempted_at ELSE p.attempted_at END, p.owed_since,
coalesce(p.leased_until > now(), false), p.due_at, p.created_at, p.changed_at FROM payment.payments p
WHERE p.order_id > $1 AND p.order_id IN (SELECT order_id FROM payment.disputes WHERE NOT over) ORDER BY p.order_id LIMIT $2

-- at: overview.go listOrphansSQL
-- args: now(), '', 'true', '2'
SELECT provider_id, provider, account, kind, found, order_id, key, amount_minor, currency, found_at, due_at, attempted_at, tries,
error_answers, cardinality(failed_refunds), last_error, coalesce(refund_id, ''), refunded_at, settled_at FROM payment.orphans
WHERE (found_at, provider_id) > ($1, $2) AND (NOT $3 OR refund_id IS NULL AND settled_at IS NULL)
ORDER BY found_at, provider_id LIMIT $4

-- at: overview.go listSQL
-- args: '00000000-0000-0000-0000-000000000000', 'open', '2', '{"sandbox"}', '{"ours"}'
WITH p AS MATERIALIZED (SELECT * FROM payment.payments WHERE due_at IS NOT NULL)
SELECT p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method, p.provider, p.account,
coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), coalesce(p.opened_as, ''), p.reason, p.undo_cause IS NOT NULL,
p.tries, (SELECT count(*) FROM payment.attempts a WHERE a.order_id = p.order_id), p.error_answers,
cardinality(p.failed_refunds), p.state = 'REFUNDING' AND cardinality(p.failed_refunds) > 3, p.last_error,
CASE WHEN p.state IN ('REFUNDING', 'REFUNDED') THEN p.refund_attempted_at ELSE p.attempted_at END, p.owed_since,
coalesce(p.leased_until > now(), false), p.due_at, p.created_at, p.changed_at FROM p
WHERE p.order_id > $1 AND ($2 = 'open' OR p.state = $2 OR $2 = 'failing' AND p.last_error <> ''
                          OR $2 = 'waiting' AND p.provider <> '' AND NOT EXISTS (
                              SELECT FROM unnest($4::text[], $5::text[]) AS k(provider, account) WHERE (k.provider, k.account) = (p.provider, p.account))
                          OR $2 = 'reversed' AND p.failed_refunds <> '{}')
ORDER BY p.order_id LIMIT $3

-- at: overview.go settledSQL
-- args: '00000000-0000-0000-0000-000000000000', '2'
SELECT p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method, p.provider, p.account,
coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), coalesce(p.opened_as, ''), p.reason, p.undo_cause IS NOT NULL,
p.tries, (SELECT count(*) FROM payment.attempts a WHERE a.order_id = p.order_id), p.error_answers,
cardinality(p.failed_refunds), p.state = 'REFUNDING' AND cardinality(p.failed_refunds) > 3, p.last_error,
CASE WHEN p.state IN ('REFUNDING', 'REFUNDED') THEN p.refund_attempted_at ELSE p.attempted_at END, p.owed_since,
coalesce(p.leased_until > now(), false), p.due_at, p.created_at, p.changed_at FROM (SELECT DISTINCT order_id FROM payment.acts WHERE act = 'settle' AND order_id > $1 ORDER BY order_id LIMIT $2) s
JOIN payment.payments p USING (order_id) ORDER BY order_id

-- at: status.go accountsSQL
SELECT provider, account, CASE WHEN k.at IS NULL THEN 'not configured' ELSE 'closed' END,
       coalesce(b.n, 0), coalesce(b.refunding, 0), b.oldest, '',
       CASE WHEN k.at IS NOT NULL THEN jsonb_build_object('by', k.by, 'reason', k.reason, 'at', k.at) END
FROM (SELECT provider, account, count(*) AS n, count(*) FILTER (WHERE state = 'REFUNDING') AS refunding, min(created_at) AS oldest
      FROM payment.payments WHERE due_at IS NOT NULL AND provider <> '' GROUP BY provider, account) b
FULL JOIN payment.closed_accounts k USING (provider, account) ORDER BY provider, account

-- at: status.go statusSQL
-- args: '1'
SELECT count(*) FILTER (WHERE state = 'PENDING'), count(*) FILTER (WHERE state = 'UNKNOWN'), count(*) FILTER (WHERE state = 'REFUNDING'),
       count(*) FILTER (WHERE attempted_at <= now() - $1 * interval '1 millisecond' AND state <> 'REFUNDING' AND undo_cause IS NULL),
       count(*) FILTER (WHERE last_error <> ''), count(*) FILTER (WHERE failed_refunds <> '{}'),
       count(*) FILTER (WHERE cardinality(failed_refunds) > 3),
       (SELECT count(*) FROM payment.disputes WHERE NOT over), min(created_at)
FROM payment.payments WHERE due_at IS NOT NULL

-- at: store.go claimSQL
-- args: '256', '30000', '82800000', '{"sandbox", ""}', '{"sku 9500", ""}', '660000'
UPDATE payment.payments p
SET leased_until = now() + $2 * interval '1 millisecond', claim = p.claim + 1, tries = p.tries + 1,
    attempted_at = coalesce(p.attempted_at, now()),
    provider = ($4::text[])[1], account = ($5::text[])[1],
    refund_attempted_at = CASE WHEN p.state = 'REFUNDING' THEN coalesce(p.refund_attempted_at, now()) END
FROM (SELECT w.order_id FROM unnest($4::text[], $5::text[]) AS a(provider, account) CROSS JOIN (VALUES ('-infinity'::timestamptz, now()), (now() + $6 * interval '1 millisecond', 'infinity')) AS r(above, until)
      CROSS JOIN LATERAL (
          SELECT order_id, due_at FROM payment.payments
          WHERE provider = a.provider AND account = a.account AND due_at > r.above AND due_at <= r.until
            AND (leased_until IS NULL OR leased_until <= now() OR leased_until > now() + $2 * interval '10 milliseconds')
          ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) AS w
      ORDER BY w.due_at LIMIT $1) AS due
WHERE p.order_id = due.order_id
RETURNING p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method,
coalesce(p.opened_as, ''), coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), p.reason, p.cause, p.traceparent,
coalesce(p.undo_cause, '00000000-0000-0000-0000-000000000000'), p.undo_traceparent,
p.attempted_at IS NOT NULL, p.tries, p.failed_refunds, p.reversals, p.error_answers, p.last_error, p.provider, p.account, p.claim, p.leased_until IS NOT NULL, p.attempted_at > now() - $3 * interval '1 millisecond'

-- at: store.go claimSQL
-- args: '1', '30000', '82800000', '{"sandbox", ""}', '{"sku 9500", ""}', id(9500)
UPDATE payment.payments p
SET leased_until = now() + $2 * interval '1 millisecond', claim = p.claim + 1, tries = p.tries + 1,
    attempted_at = coalesce(p.attempted_at, now()),
    provider = ($4::text[])[1], account = ($5::text[])[1],
    refund_attempted_at = CASE WHEN p.state = 'REFUNDING' THEN coalesce(p.refund_attempted_at, now()) END
FROM (SELECT w.order_id FROM unnest($4::text[], $5::text[]) AS a(provider, account)
      CROSS JOIN LATERAL (
          SELECT order_id, due_at FROM payment.payments
          WHERE provider = a.provider AND account = a.account AND order_id = $6 AND due_at IS NOT NULL
            AND (leased_until IS NULL OR leased_until <= now() OR leased_until > now() + $2 * interval '10 milliseconds')
          ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) AS w
      ORDER BY w.due_at LIMIT $1) AS due
WHERE p.order_id = due.order_id
RETURNING p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method,
coalesce(p.opened_as, ''), coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), p.reason, p.cause, p.traceparent,
coalesce(p.undo_cause, '00000000-0000-0000-0000-000000000000'), p.undo_traceparent,
p.attempted_at IS NOT NULL, p.tries, p.failed_refunds, p.reversals, p.error_answers, p.last_error, p.provider, p.account, p.claim, p.leased_until IS NOT NULL, p.attempted_at > now() - $3 * interval '1 millisecond'

-- at: store.go insertSQL
-- args: ids(9500, 10), '{"PENDING"}', '{"optimistic"}', '{"1275"}', '{"GBP"}', '{"pm_error_once"}', '{"charge-01a22b7d-efa3-7c5b-8254-7904170185a4"}', '{"refund-01a22b7d-efa3-7c5b-8254-7904170185a4"}', ids(9500, 10), '{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}', ids(9500, 10), '{""}', '00000000-0000-0000-0000-000000000000', '0'
INSERT INTO payment.payments (order_id, state, strategy, amount_minor, currency, payment_method, charge_key, refund_key,
                              cause, traceparent, undo_cause, undo_traceparent, due_at)
SELECT order_id, state, strategy, amount, currency, method, charge_key, refund_key,
       cause, trace, nullif(undo, $13), undo_trace, CASE WHEN state = 'PENDING' THEN now() + $14 * interval '1 millisecond' END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::uuid[], $10::text[], $11::uuid[], $12::text[])
     AS w(order_id, state, strategy, amount, currency, method, charge_key, refund_key, cause, trace, undo, undo_trace)
ORDER BY order_id
ON CONFLICT (order_id) DO NOTHING
RETURNING order_id

-- at: store.go keepOpened
-- args: id(9500), '3', 'pi_e1611335-a08c-4f7e-9950-d1e38bef97c0'
UPDATE payment.payments SET opened_as = $3, changed_at = now()
WHERE order_id = $1 AND claim = $2 AND leased_until IS NOT NULL AND opened_as IS NULL

-- at: store.go lockSQL
-- args: ids(9500, 10)
SELECT p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method,
coalesce(p.opened_as, ''), coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), p.reason, p.cause, p.traceparent,
coalesce(p.undo_cause, '00000000-0000-0000-0000-000000000000'), p.undo_traceparent,
p.attempted_at IS NOT NULL, p.tries, p.failed_refunds, p.reversals, p.error_answers, p.last_error, p.provider, p.account, p.claim, p.leased_until IS NOT NULL FROM payment.payments p WHERE p.order_id = ANY($1) ORDER BY p.order_id FOR UPDATE

-- at: store.go updateSQL
-- args: ids(9500, 10), '{"SUCCESS"}', '{"ch_01a22c30-5622-7d41-bb1a-1268c14fb4e6"}', '{""}', '{""}', ids(9500, 10), '{""}', '{"1"}', '{"235"}', '{"false"}', '00000000-0000-0000-0000-000000000000', '{"0"}', '{""}', '{""}', '{"0"}'
UPDATE payment.payments p
SET state = c.state, charge_id = nullif(c.charge_id, ''), refund_id = nullif(c.refund_id, ''), reason = c.reason,
    undo_cause = nullif(c.undo, $11), undo_traceparent = c.undo_trace, tries = c.tries, error_answers = c.error_answers, last_error = c.last_error,
    due_at = CASE WHEN c.state IN ('PENDING', 'UNKNOWN', 'REFUNDING') THEN now() + c.due_in * interval '1 millisecond' END,
    owed_since = CASE WHEN c.state = 'REFUNDING' THEN coalesce(p.owed_since, now()) END,
    refund_attempted_at = CASE WHEN c.state = 'REFUNDED' THEN coalesce(p.refund_attempted_at, now()) ELSE p.refund_attempted_at END,
    failed_refunds = CASE WHEN c.failed = '' THEN p.failed_refunds ELSE array_append(p.failed_refunds, c.failed) END, reversals = c.reversals,
    leased_until = CASE WHEN c.keep_lease THEN p.leased_until END, changed_at = now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::int[], $9::bigint[], $10::bool[], $12::int[], $13::text[],
            $14::text[], $15::int[])
     AS c(order_id, state, charge_id, refund_id, reason, undo, undo_trace, tries, due_in, keep_lease, error_answers, last_error, failed, reversals)
WHERE p.order_id = c.order_id

-- at: unmade.go failures.note
-- args: '{"orphan -4"}', '{"the provider answered with an error"}', '{1}'
UPDATE payment.orphans o SET last_error = f.error, error_answers = o.error_answers + f.answered
FROM unnest($1::text[], $2::text[], $3::int[]) AS f(id, error, answered) WHERE o.provider_id = f.id
