-- What the tests add to a database: the worker's role has its rights, and every
-- INSERT and UPDATE of an order leaves a row in audit, also one that changes
-- nothing. The rows of one order are in their true sequence: its row lock orders
-- the writers.
GRANT SELECT, UPDATE (status, updated_at) ON orders TO orders_worker;

CREATE TABLE audit (
    seq      bigserial PRIMARY KEY,
    order_id bigint NOT NULL,
    old      text,
    new      text NOT NULL,
    xid      bigint NOT NULL DEFAULT txid_current(),
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION audit_order() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit (order_id, new) VALUES (NEW.id, NEW.status);
    ELSE
        INSERT INTO audit (order_id, old, new) VALUES (NEW.id, OLD.status, NEW.status);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER audit_order AFTER INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION audit_order();
