-- What is shown of an attempt so far, whatever a person makes of the rest. What was graded is that; older code leaves it out.
ALTER TABLE drill_attempt ADD COLUMN least_grade double precision NOT NULL DEFAULT 0;
UPDATE drill_attempt SET least_grade = grade WHERE grade IS NOT NULL;
