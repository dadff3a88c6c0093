CREATE TABLE said (line text NOT NULL);
