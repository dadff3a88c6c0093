-- A first response missed after the alarm had put the yellow light over the red one, and the alarm's task outlived the answer.

UPDATE lead SET response_light = 'red'
 WHERE response_light = 'yellow' AND responded_at IS NULL AND alarm_at <= updated_at;
