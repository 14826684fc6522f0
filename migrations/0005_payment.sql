-- +goose Up
CREATE SCHEMA payment;

-- What is to be charged or given back for an order, and what became of it. The intent is committed before the provider is
-- called, the outcome after. A row VOIDED without ever having been attempted is also the tombstone that a late charge meets.
CREATE TABLE payment.payments (
    order_id            uuid        PRIMARY KEY,
    state               text        NOT NULL CHECK (state IN
                            ('PENDING', 'UNKNOWN', 'SUCCESS', 'DECLINED', 'REFUNDING', 'REFUNDED', 'VOIDED')),
    strategy            text        NOT NULL CHECK (strategy <> ''),
    amount_minor        bigint      NOT NULL CHECK (amount_minor >= 0),      -- 0: paid without the provider
    currency            text        NOT NULL,
    payment_method      text        NOT NULL,
    charge_key          text        NOT NULL,                -- what the provider knows the charge by; never another one
    refund_key          text        NOT NULL,
    charge_id           text        CHECK (charge_id <> ''), -- the provider's id of the one charge that took the money
    refund_id           text        CHECK (refund_id <> ''), -- the provider's id of the one refund that gave all of it back
    reason              text        NOT NULL DEFAULT '',     -- why it was declined, in the provider's word
    cause               uuid        NOT NULL,                -- the fact that made this row
    traceparent         text        NOT NULL DEFAULT '',
    undo_cause          uuid,                                -- the fact that wants it given back
    undo_traceparent    text        NOT NULL DEFAULT '',
    attempted_at        timestamptz,                         -- before the first charge request: the provider's memory of the key counts from here
    refund_attempted_at timestamptz,                         -- the same for the refund
    tries               int         NOT NULL DEFAULT 0 CHECK (tries >= 0),   -- times it was taken up for what is to be done now
    claim               bigint      NOT NULL DEFAULT 0 CHECK (claim >= 0),   -- counts the claims: a result counts only for the newest
    leased_until        timestamptz,                         -- somebody is at it; when past, he is taken for dead
    due_at              timestamptz,                         -- when there is something to do; null when there is nothing
    created_at          timestamptz NOT NULL DEFAULT now(),
    changed_at          timestamptz NOT NULL DEFAULT now(),

    -- Keys follow from the order, so one order can have no second charge under another key.
    CONSTRAINT keys_of_the_order CHECK (charge_key = 'charge-' || order_id::text AND refund_key = 'refund-' || order_id::text),
    CONSTRAINT terms_are_whole CHECK (state = 'VOIDED' OR (currency ~ '^[A-Z]{3}$' AND payment_method <> '')),
    CONSTRAINT money_has_a_charge CHECK ((charge_id IS NOT NULL) = (amount_minor > 0 AND state IN ('SUCCESS', 'REFUNDING', 'REFUNDED'))),
    CONSTRAINT refunded_has_a_refund CHECK ((refund_id IS NOT NULL) = (state = 'REFUNDED')),
    CONSTRAINT nothing_is_not_refunded CHECK (amount_minor > 0 OR state IN ('SUCCESS', 'VOIDED')),
    CONSTRAINT declined_says_why CHECK (state <> 'DECLINED' OR reason <> ''),
    CONSTRAINT attempted_first CHECK (attempted_at IS NOT NULL OR state IN ('PENDING', 'VOIDED') OR amount_minor = 0),
    CONSTRAINT refund_attempted_first CHECK (refund_attempted_at IS NOT NULL OR state <> 'REFUNDED'),
    CONSTRAINT undone_for_a_cause CHECK (undo_cause IS NOT NULL OR state NOT IN ('REFUNDING', 'REFUNDED', 'VOIDED')),
    CONSTRAINT kept_without_one CHECK (undo_cause IS NULL OR state NOT IN ('SUCCESS', 'DECLINED')),
    CONSTRAINT due_until_settled CHECK ((due_at IS NOT NULL) = (state IN ('PENDING', 'UNKNOWN', 'REFUNDING'))),
    CONSTRAINT leased_while_due CHECK (leased_until IS NULL OR due_at IS NOT NULL)
) WITH (fillfactor = 70); -- a claim changes no indexed column and stays on its page

CREATE INDEX payments_due ON payment.payments (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX payments_by_charge ON payment.payments (charge_id) WHERE charge_id IS NOT NULL;
CREATE UNIQUE INDEX payments_by_refund ON payment.payments (refund_id) WHERE refund_id IS NOT NULL;

-- +goose Down
DROP SCHEMA payment CASCADE;
