-- What the ERP said is kept as it came, whoever writes here: what is learned of its codes may change, and a version goes out of force.
CREATE FUNCTION erp_transaction_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a raw transaction is superseded, never changed or deleted';
END
$$;
CREATE TRIGGER erp_transaction_stays BEFORE DELETE OR TRUNCATE ON erp_transaction
    FOR EACH STATEMENT EXECUTE FUNCTION erp_transaction_stays();
CREATE TRIGGER erp_transaction_said BEFORE UPDATE ON erp_transaction FOR EACH ROW
    WHEN ((OLD.id, OLD.source, OLD.source_id, OLD.version, OLD.digest, OLD.kind, OLD.number, OLD.date, OLD.document,
           OLD.amount_minor, OLD.currency, OLD.order_number, OLD.channel_code, OLD.account_code, OLD.account_name_key,
           OLD.person_code, OLD.unit_code, OLD.product_codes, OLD.opportunity_id, OLD.contract_id, OLD.brought_by,
           OLD.observed_at, OLD.created_at, OLD.in_force OR NOT NEW.in_force)
          IS DISTINCT FROM
          (NEW.id, NEW.source, NEW.source_id, NEW.version, NEW.digest, NEW.kind, NEW.number, NEW.date, NEW.document,
           NEW.amount_minor, NEW.currency, NEW.order_number, NEW.channel_code, NEW.account_code, NEW.account_name_key,
           NEW.person_code, NEW.unit_code, NEW.product_codes, NEW.opportunity_id, NEW.contract_id, NEW.brought_by,
           NEW.observed_at, NEW.created_at, true))
    EXECUTE FUNCTION erp_transaction_stays();
