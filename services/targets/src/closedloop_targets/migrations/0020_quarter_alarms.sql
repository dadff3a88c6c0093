-- A missed quarter is a cause of its own: the next one's is not counted on this one's alarm (S8).
UPDATE alarm SET cause_key = cause_key || period, subject = period
 WHERE kind = 'low_attainment' AND subject = '' AND state IN ('open', 'answered');
