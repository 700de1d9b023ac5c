-- Every INSERT, UPDATE and DELETE of an order leaves a row here, also one that changes
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
    -- OLD is null for an INSERT, and NEW for a DELETE.
    INSERT INTO chaos_audit (order_id, old, new) VALUES (coalesce(NEW.id, OLD.id), OLD.status, NEW.status);
    RETURN NULL;
END $$;

CREATE TRIGGER chaos_audit AFTER INSERT OR UPDATE OR DELETE ON orders
    FOR EACH ROW EXECUTE FUNCTION chaos_audit();
