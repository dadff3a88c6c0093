-- Invoices of before their lines were told with what the goods cost: the last of each product is wanted told again.
CREATE TABLE costs_of_old (source text PRIMARY KEY);
INSERT INTO costs_of_old SELECT 'erp' WHERE EXISTS (SELECT FROM erp_transaction WHERE kind = 'invoice');
