-- Every INSERT and UPDATE of an order leaves a row here, also one that changes
-- nothing. Nobody but the owner of the tables may touch them.
CREATE TABLE audit (
    seq      bigserial PRIMARY KEY,
    order_id bigint NOT NULL,
    step     text NOT NULL
);

CREATE FUNCTION audit_order() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit (order_id, step) VALUES (NEW.id, NEW.status);
    ELSE
        INSERT INTO audit (order_id, step) VALUES (NEW.id, OLD.status || ' → ' || NEW.status);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER audit_order AFTER INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION audit_order();
