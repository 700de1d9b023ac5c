-- Every INSERT and UPDATE of an order leaves a row here, also one that changes
-- nothing. The program reads them and deletes what it has read. Nobody but the owner of
-- the tables may touch them.
CREATE TABLE chaos_audit (
    seq      bigserial PRIMARY KEY,
    order_id bigint NOT NULL,
    old      text,
    new      text,
    by       text NOT NULL DEFAULT current_setting('application_name'),
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION chaos_audit() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO chaos_audit (order_id, new) VALUES (NEW.id, NEW.status);
    ELSE
        INSERT INTO chaos_audit (order_id, old, new) VALUES (NEW.id, OLD.status, NEW.status);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER chaos_audit AFTER INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION chaos_audit();
