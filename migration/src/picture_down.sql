-- Forgets the pictures; their objects stay.
DROP TABLE spool.picture;
