-- What came in before there were facts (0006) wants them: one row, taken away when the work has begun.
CREATE TABLE facts_of_old (source text PRIMARY KEY);
INSERT INTO facts_of_old SELECT 'erp' WHERE EXISTS (SELECT FROM erp_transaction);
