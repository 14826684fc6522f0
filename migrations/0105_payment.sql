-- +goose Up
CREATE SCHEMA payment;

-- What is to be charged or refunded for an order, and what became of it. The intent is committed before the provider is called,
-- the outcome after. A row VOIDED without ever having been attempted is also the tombstone that a late charge meets.
--
-- Money is at the account of the provider that has charged it, and is asked for, refunded and compared there and nowhere else. A
-- payment is of the account that it was first asked for at.
--
-- A provider may keep its first answer under a key, an error too, and give it again for as long as it remembers the key. So the
-- answers that were errors are counted: what may be asked for again goes under a key that ends with the count.
--
-- Some providers have a charge opened before it is made, under an id of theirs by which it is found ever after, whatever they forget.
-- It is committed before anything can be charged under it, by the newest claim alone, and never becomes another.
--
-- A refund that failed after it was made is owed again: the payment goes back to REFUNDING.
--
-- Rows end when their order is archived.
CREATE TABLE payment.payments (
    order_id            uuid        PRIMARY KEY,
    state               text        NOT NULL CHECK (state IN
                            ('PENDING', 'UNKNOWN', 'SUCCESS', 'DECLINED', 'REFUNDING', 'REFUNDED', 'VOIDED')),
    strategy            text        NOT NULL CHECK (strategy <> ''),
    amount_minor        bigint      NOT NULL CHECK (amount_minor >= 0),      -- 0: paid without the provider
    currency            text        NOT NULL,
    payment_method      text        NOT NULL,
    provider            text        NOT NULL DEFAULT '',     -- the name of the provider that it was first asked for at; empty before that
    account             text        NOT NULL DEFAULT '',     -- the provider's own word for the account, empty as long as provider is
    charge_key          text        NOT NULL,                -- what the provider knows the charge by; never another one
    refund_key          text        NOT NULL,
    opened_as           text        CHECK (opened_as <> ''), -- the provider's id of the charge that was opened, to be made next; null where none is opened first
    charge_id           text        CHECK (charge_id <> ''), -- the provider's id of the one charge that took the money
    refund_id           text        CHECK (refund_id <> ''), -- the provider's id of the one refund that gave all of it back
    failed_refunds      text[]      NOT NULL DEFAULT '{}',   -- the provider's ids of refunds of it that have failed: none of them is believed again
    reversals           int         NOT NULL DEFAULT 0 CHECK (reversals >= 0),   -- how many of these had counted as made: payment.refunded was emitted, and is not emitted again
    reason              text        NOT NULL DEFAULT '',     -- why it was declined, in the provider's word
    cause               uuid        NOT NULL,                -- the fact that made this row
    traceparent         text        NOT NULL DEFAULT '',
    undo_cause          uuid,                                -- the fact that wants it refunded
    undo_traceparent    text        NOT NULL DEFAULT '',
    attempted_at        timestamptz,                         -- before the first charge request: the provider's memory of the key counts from here
    refund_attempted_at timestamptz,                         -- the same for the refund
    owed_since          timestamptz,                         -- since when the customer is owed a refund; null when none is owed
    tries               int         NOT NULL DEFAULT 0 CHECK (tries >= 0),   -- times it was taken up for what is to be done now
    error_answers       int         NOT NULL DEFAULT 0 CHECK (error_answers >= 0),   -- how many answers of the provider about it were errors
    last_error          text        NOT NULL DEFAULT '',     -- why the provider was last asked without learning the outcome; empty once it is known
    claim               bigint      NOT NULL DEFAULT 0 CHECK (claim >= 0),   -- counts the claims: a result counts only for the newest
    leased_until        timestamptz,                         -- a charger is at it; when past, it is taken for dead
    due_at              timestamptz,                         -- when there is something to do; null when there is nothing
    created_at          timestamptz NOT NULL DEFAULT now(),
    changed_at          timestamptz NOT NULL DEFAULT now(),

    -- Keys follow from the order, so one order can have no second charge under another key.
    CONSTRAINT keys_of_the_order CHECK (charge_key = 'charge-' || order_id::text AND refund_key = 'refund-' || order_id::text),
    CONSTRAINT terms_are_whole CHECK (state = 'VOIDED' OR (currency ~ '^[A-Z]{3}$' AND payment_method <> '')),
    CONSTRAINT money_has_a_charge CHECK ((charge_id IS NOT NULL) = (amount_minor > 0 AND state IN ('SUCCESS', 'REFUNDING', 'REFUNDED'))),
    CONSTRAINT refunded_has_a_refund CHECK ((refund_id IS NOT NULL) = (state = 'REFUNDED')),
    CONSTRAINT refund_has_not_failed CHECK (refund_id IS NULL OR refund_id <> ALL (failed_refunds)),
    CONSTRAINT reversed_by_failures CHECK (reversals <= cardinality(failed_refunds)),
    CONSTRAINT nothing_is_not_refunded CHECK (amount_minor > 0 OR state IN ('SUCCESS', 'VOIDED')),
    CONSTRAINT declined_says_why CHECK (state <> 'DECLINED' OR reason <> ''),
    CONSTRAINT attempted_first CHECK (attempted_at IS NOT NULL OR state IN ('PENDING', 'VOIDED') OR amount_minor = 0),
    CONSTRAINT attempted_at_an_account CHECK ((attempted_at IS NULL) = (provider = '') AND (provider = '') = (account = '')),
    CONSTRAINT refund_attempted_first CHECK (refund_attempted_at IS NOT NULL OR state <> 'REFUNDED'),
    CONSTRAINT undone_for_a_cause CHECK (undo_cause IS NOT NULL OR state NOT IN ('REFUNDING', 'REFUNDED', 'VOIDED')),
    CONSTRAINT kept_without_one CHECK (undo_cause IS NULL OR state NOT IN ('SUCCESS', 'DECLINED')),
    CONSTRAINT due_until_settled CHECK ((due_at IS NOT NULL) = (state IN ('PENDING', 'UNKNOWN', 'REFUNDING'))),
    CONSTRAINT leased_while_due CHECK (leased_until IS NULL OR due_at IS NOT NULL)
) WITH (fillfactor = 70);

-- Each account's payments are taken up apart, so that those of one that cannot be reached hold up no others.
CREATE INDEX payments_due ON payment.payments (provider, account, due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX payments_by_charge ON payment.payments (charge_id) WHERE charge_id IS NOT NULL;
CREATE UNIQUE INDEX payments_by_refund ON payment.payments (refund_id) WHERE refund_id IS NOT NULL;

-- Every call to a payment provider, and what it answered. The claims of payment.payments that have no row here are those whose process
-- died before the answer.
-- Rows end --inbox-retention after the call.
CREATE TABLE payment.attempts (
    order_id uuid        NOT NULL,
    claim    bigint      NOT NULL CHECK (claim > 0),                                               -- of payment.payments
    n        smallint    NOT NULL CHECK (n > 0),                                                   -- which call of that claim
    call     text        NOT NULL CHECK (call IN ('open', 'charge', 'refund', 'lookup', 'close')),
    verdict  text        NOT NULL DEFAULT '',                                                      -- '' when the answer was lost, or none
    error    text,                                                                                 -- why the call came to nothing
    ms       int         NOT NULL CHECK (ms >= 0),
    at       timestamptz NOT NULL,                                                                 -- when the call began
    PRIMARY KEY (order_id, claim, n)
);
CREATE INDEX attempts_by_time ON payment.attempts (at);

-- The ledger of money: every transfer that a provider has made for an order, each from one account (credit) to another (debit), so
-- that the entries of an order, and of all orders in a currency, sum to zero at every moment. Insert only.
--
--   customer  what customers have given: the credit side of every charge
--   provider  what the provider holds for us: charges less refunds
--   outside   what operators have refunded by another way than the provider, which still holds the charge
--   refunds   what customers got back; what a refund that failed had given back comes from here to the provider again
--
-- Rows end when their order is archived.
CREATE TABLE payment.transfers (
    provider_id  text        PRIMARY KEY CHECK (provider_id <> ''),   -- the provider's id of the charge or refund; 'reversal-' before a failed one's
    order_id     uuid        NOT NULL,
    kind         text        NOT NULL,
    credit       text        NOT NULL,
    debit        text        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    provider     text        NOT NULL CHECK (provider <> ''),         -- and our account there
    account      text        NOT NULL CHECK (account <> ''),
    cause        uuid        NOT NULL,                                -- the fact that wanted it
    at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT transfers_kind_check CHECK (kind IN ('charge', 'refund', 'reversal')),
    CONSTRAINT accounts_of_the_kind CHECK ((kind, credit, debit) IN
        (('charge', 'customer', 'provider'), ('refund', 'provider', 'refunds'), ('refund', 'outside', 'refunds'), ('reversal', 'refunds', 'provider'))),
    CONSTRAINT reversals_name_a_refund CHECK ((kind = 'reversal') = (provider_id LIKE 'reversal-%'))
);
CREATE UNIQUE INDEX transfers_one_charge ON payment.transfers (order_id) WHERE kind = 'charge';
CREATE INDEX transfers_by_order ON payment.transfers (order_id);
CREATE INDEX transfers_by_time ON payment.transfers (provider, account, at, provider_id);

-- What is append-only leaves for the archive alone, which says so in its transaction.
-- +goose StatementBegin
CREATE FUNCTION payment.transfers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('holdfast.archiving', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the ledger of money is append-only: % of payment.transfers', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER transfers_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.transfers
    FOR EACH STATEMENT EXECUTE FUNCTION payment.transfers_stay();

-- No order is refunded more than it was charged, in the same currency, and no more comes back than was refunded. The writer has locked
-- the order's payment, so that two refunds do not pass each other by.
-- +goose StatementBegin
CREATE FUNCTION payment.refunds_within_charge() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept     bigint; -- of what was charged
    returned bigint; -- to the customer
BEGIN
    SELECT coalesce(sum(CASE kind WHEN 'refund' THEN -amount_minor ELSE amount_minor END), -1),
           coalesce(sum(CASE kind WHEN 'refund' THEN amount_minor WHEN 'reversal' THEN -amount_minor ELSE 0 END), 0)
        INTO kept, returned FROM payment.transfers WHERE order_id = NEW.order_id AND currency = NEW.currency;
    IF kept < 0 THEN
        RAISE EXCEPTION 'order % would be given back more than it was charged', NEW.order_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_within_charge';
    END IF;
    IF returned < 0 THEN
        RAISE EXCEPTION 'more of order % would come back than was given back', NEW.order_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reversals_within_refunds';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER refunds_within_charge AFTER INSERT ON payment.transfers
    FOR EACH ROW WHEN (NEW.kind IN ('refund', 'reversal')) EXECUTE FUNCTION payment.refunds_within_charge();

-- The same as double entries: what an account got is above zero, what it gave below.
CREATE VIEW payment.entries AS
    SELECT t.provider_id, t.order_id, t.kind, e.account, e.amount_minor, t.currency, t.at
    FROM payment.transfers t
    CROSS JOIN LATERAL (VALUES (t.debit, t.amount_minor), (t.credit, -t.amount_minor)) AS e (account, amount_minor);

-- What was charged, refunded and kept of each order.
CREATE VIEW payment.balances AS
    SELECT order_id, currency,
           (-sum(amount_minor) FILTER (WHERE account = 'customer'))::bigint              AS charged,
           coalesce(sum(amount_minor) FILTER (WHERE account = 'refunds'), 0)::bigint     AS refunded,
           coalesce(sum(amount_minor) FILTER (WHERE account = 'provider'), 0)::bigint    AS kept
    FROM payment.entries GROUP BY order_id, currency;

-- What operators have done about payments. Insert only.
-- Rows end when their order is archived.
CREATE TABLE payment.acts (
    id       uuid        PRIMARY KEY,
    order_id uuid        NOT NULL,
    act      text        NOT NULL CHECK (act IN ('retry', 'close', 'adopt', 'settle')),
    by       text        NOT NULL CHECK (by <> ''),                 -- whose token it was
    reason   text        NOT NULL DEFAULT '',
    outcome  text,                                                  -- settle: what is true outside; null with other acts
    state    text        NOT NULL,                                  -- of the payment, after it
    at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT settled_for_a_reason CHECK (act <> 'settle' OR reason <> ''),
    CONSTRAINT outcome_of_a_settlement CHECK (outcome IS NULL OR act = 'settle' AND outcome IN ('charged', 'not_charged', 'refunded'))
);
CREATE INDEX acts_by_order ON payment.acts (order_id);
-- What was charged can be settled once more when a refund is owed.
CREATE UNIQUE INDEX acts_settled ON payment.acts (order_id, coalesce(outcome, 'refunded')) WHERE act = 'settle';

-- +goose StatementBegin
CREATE FUNCTION payment.acts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('holdfast.archiving', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'what operators have done is append-only: % of payment.acts', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER acts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.acts FOR EACH STATEMENT EXECUTE FUNCTION payment.acts_stay();

-- Accounts that are gone for good, by the word of an operator. Insert only. One that is configured again counts as configured.
-- Rows stay, one for each account that was closed.
CREATE TABLE payment.closed_accounts (
    provider text        NOT NULL CHECK (provider <> ''),
    account  text        NOT NULL CHECK (account <> ''),
    by       text        NOT NULL CHECK (by <> ''),     -- whose token it was
    reason   text        NOT NULL CHECK (reason <> ''),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, account)
);
CREATE TRIGGER closed_accounts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.closed_accounts FOR EACH STATEMENT EXECUTE FUNCTION payment.acts_stay();

-- A refund that the provider made, or was making, and that has failed: the customer has not got the money. Insert only.
-- Rows stay: none of these refunds may ever count as made.
CREATE TABLE payment.failed_refunds (
    refund_id    text        PRIMARY KEY CHECK (refund_id <> ''),     -- the provider's
    provider     text        NOT NULL CHECK (provider <> ''),
    account      text        NOT NULL CHECK (account <> ''),          -- of ours at it
    charge_id    text        NOT NULL DEFAULT '',                     -- what it was to refund
    order_id     uuid,                                                -- whose payment it is; null: no payment's
    effect       text        NOT NULL CHECK (effect IN
                     ('owed again',                                   -- it had counted as made
                      'still owed',                                   -- it had not, and is asked for
                      'none')),                                       -- it is neither wanted here nor counted on
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    reason       text        NOT NULL DEFAULT '',                     -- in the provider's word
    failed_at    timestamptz NOT NULL,                                -- on the provider's clock
    told_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX failed_refunds_by_order ON payment.failed_refunds (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX failed_refunds_by_time ON payment.failed_refunds (told_at, refund_id);

-- A customer has had their bank take a charge back. The row is how the dispute stands, by the last notice on the provider's clock.
-- Rows stay: the auditor compares them with the provider's.
CREATE TABLE payment.disputes (
    dispute_id   text        PRIMARY KEY CHECK (dispute_id <> ''),    -- the provider's
    provider     text        NOT NULL CHECK (provider <> ''),
    account      text        NOT NULL CHECK (account <> ''),          -- of ours at it
    charge_id    text        NOT NULL,
    order_id     uuid,                                                -- whose payment it is; null: no payment's
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    reason       text        NOT NULL DEFAULT '',
    status       text        NOT NULL CHECK (status <> ''),           -- in the provider's word
    over         boolean     NOT NULL,                                -- nothing can become of it any more
    funds        text        NOT NULL CHECK (funds IN ('kept', 'withdrawn', 'reinstated')),   -- moves forward only, whatever the order of the notices
    as_of        timestamptz NOT NULL,                                -- of the last notice, on the provider's clock
    told_at      timestamptz NOT NULL DEFAULT now(),                  -- when the first notice came
    changed_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX disputes_by_order ON payment.disputes (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX disputes_by_time ON payment.disputes (told_at, dispute_id);
CREATE INDEX disputes_open ON payment.disputes (told_at, dispute_id) WHERE NOT over;

-- How far the provider's books and ours have been compared with each other.
-- Rows stay, one for each account of a provider.
CREATE TABLE payment.hunts (
    provider  text        NOT NULL,
    account   text        NOT NULL,
    mark      text        NOT NULL DEFAULT '',            -- where its list was read to, in its own words
    at        timestamptz NOT NULL DEFAULT '-infinity',   -- our transfers were looked for in it up to here,
    at_id     text        NOT NULL DEFAULT '',            -- and up to this one of that moment
    ran_at    timestamptz NOT NULL DEFAULT now(),         -- when it was last read to its end
    PRIMARY KEY (provider, account)
);

-- What stands in the provider's list and has not met our transfer of it yet.
-- Rows end when both books have been read past them.
CREATE TABLE payment.statement (
    provider_id text PRIMARY KEY CHECK (provider_id <> '')
);

-- Money that only one side knows of.
-- Rows stay: the provider's list names these charges and refunds for ever.
CREATE TABLE payment.orphans (
    provider_id    text        PRIMARY KEY CHECK (provider_id <> ''),   -- of the charge or refund
    provider       text        NOT NULL,
    account        text        NOT NULL,                -- of ours at it
    kind           text        NOT NULL CHECK (kind IN ('charge', 'refund')),
    found          text        NOT NULL CHECK (found IN ('stray', 'no order', 'foreign', 'wrong', 'missing')),
    order_id       text        NOT NULL,                -- as the provider has it
    key            text        NOT NULL,
    amount_minor   bigint      NOT NULL,
    currency       text        NOT NULL,
    found_at       timestamptz NOT NULL DEFAULT now(),
    due_at         timestamptz,                         -- when to refund it; null: an operator must see to it, or it is done
    attempted_at   timestamptz,                         -- before the refund was first asked for
    tries          int         NOT NULL DEFAULT 0 CHECK (tries >= 0),   -- how often its refund was asked for
    error_answers  int         NOT NULL DEFAULT 0 CHECK (error_answers >= 0),
    last_error     text        NOT NULL DEFAULT '',     -- why its refund was last not made; empty when it was made or never asked for
    refund_id      text        UNIQUE CHECK (refund_id <> ''),
    refunded_at    timestamptz,
    failed_refunds text[]      NOT NULL DEFAULT '{}',
    settled_at     timestamptz,                         -- when an operator has seen to it by another way than a refund of the provider's
    CONSTRAINT charges_are_given_back CHECK (kind = 'charge' OR (due_at IS NULL AND refund_id IS NULL)),
    CONSTRAINT refunded_by_a_refund CHECK ((refund_id IS NULL) = (refunded_at IS NULL)),
    CONSTRAINT orphans_refund_has_not_failed CHECK (refund_id IS NULL OR refund_id <> ALL (failed_refunds)),
    CONSTRAINT settled_is_not_given_back CHECK (settled_at IS NULL OR (due_at IS NULL AND refund_id IS NULL))
);
CREATE INDEX orphans_due ON payment.orphans (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX orphans_by_time ON payment.orphans (found_at, provider_id);
CREATE INDEX orphans_by_order ON payment.orphans (order_id);

-- What operators have done about money that only one side knows of. Insert only.
-- Rows stay, with their orphan.
CREATE TABLE payment.orphan_acts (
    id          uuid        PRIMARY KEY,
    provider_id text        NOT NULL REFERENCES payment.orphans,
    act         text        NOT NULL CHECK (act IN ('refund', 'settle')),
    by          text        NOT NULL CHECK (by <> ''),                 -- whose token it was
    reason      text        NOT NULL DEFAULT '',
    result      text        NOT NULL,                                  -- what came of it
    at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT settled_for_a_reason CHECK (act <> 'settle' OR reason <> '')
);
CREATE INDEX orphan_acts_by_orphan ON payment.orphan_acts (provider_id);
CREATE UNIQUE INDEX orphan_acts_settled ON payment.orphan_acts (provider_id) WHERE act = 'settle';
CREATE TRIGGER orphan_acts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.orphan_acts FOR EACH STATEMENT EXECUTE FUNCTION payment.acts_stay();

-- What stays of an archived order's payment: the provider may send notices of it, and list it, at any time. Its keys are made of the
-- order's id.
-- Rows stay.
CREATE TABLE payment.archived (
    order_id     uuid   PRIMARY KEY,
    month        date   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('SUCCESS', 'DECLINED', 'REFUNDED', 'VOIDED')),
    amount_minor bigint NOT NULL,
    currency     text   NOT NULL,
    provider     text,              -- null, as the account, where it was never asked for, which no proof of a month counts
    account      text,
    opened_as    text,
    charge_id    text,
    refund_id    text,
    settled      text               -- what was true outside by the word of the operator who settled it last; null mostly, which no proof of a month counts
);
CREATE INDEX archived_settled ON payment.archived (order_id) WHERE settled IS NOT NULL;
CREATE UNIQUE INDEX archived_by_charge ON payment.archived (charge_id) WHERE charge_id IS NOT NULL;
CREATE UNIQUE INDEX archived_by_refund ON payment.archived (refund_id) WHERE refund_id IS NOT NULL;

-- +goose Down
DROP SCHEMA payment CASCADE;
