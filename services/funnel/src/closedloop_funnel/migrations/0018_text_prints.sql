-- Prints of what logs say, so that a colleague's copy is found among millions; kept as long as copies are looked for.

CREATE TABLE text_print (
    print       bigint NOT NULL,
    at          timestamptz NOT NULL,
    activity_id uuid NOT NULL REFERENCES activity,
    owner_id    text NOT NULL,
    PRIMARY KEY (print, at, activity_id)
);
CREATE INDEX text_print_activity ON text_print (activity_id);
CREATE INDEX text_print_at ON text_print (at);
