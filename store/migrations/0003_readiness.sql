-- One row (id 1), which `/readyz` writes to prove that a write can be committed. `writes` counts: a write that changes nothing may not
-- reach the disk.
CREATE TABLE readiness (
    id     BIGINT NOT NULL PRIMARY KEY,
    writes BIGINT NOT NULL
);
