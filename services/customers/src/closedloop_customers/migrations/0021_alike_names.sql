-- Accounts of alike names are found by keys of the kind "like", which their writer makes ("like:<huadongjing"); a scan
-- of all writes those anew that the rules of today would give.

DROP INDEX account_key_core;
DROP INDEX account_key_head;
DROP INDEX account_key_tail;
