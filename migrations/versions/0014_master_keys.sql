-- Master keys and rotations. History: this file does not change any more once it is released.

CREATE TABLE master_keys (
    name text NOT NULL,
    proof bytea NOT NULL,
    state text NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz,
    CONSTRAINT pk_master_keys PRIMARY KEY (name),
    CONSTRAINT ck_master_keys_state CHECK (state IN ('current', 'former', 'retired')),
    CONSTRAINT ck_master_keys_retired CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX uq_master_keys_current ON master_keys (state) WHERE state = 'current';

CREATE TABLE key_rotations (
    id uuid NOT NULL,
    kind text NOT NULL,
    tenant uuid,
    step text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    due_at timestamptz,
    rests_until timestamptz,
    ended_at timestamptz,
    total bigint NOT NULL,
    done bigint NOT NULL,
    problem text NOT NULL,
    CONSTRAINT pk_key_rotations PRIMARY KEY (id),
    CONSTRAINT ck_key_rotations_kind CHECK (kind IN ('master', 'rewrap', 'data', 'emergency')),
    CONSTRAINT ck_key_rotations_tenant CHECK ((kind = 'data') OR tenant IS NULL),
    CONSTRAINT ck_key_rotations_ended CHECK ((step = 'done') = (ended_at IS NOT NULL))
);
CREATE INDEX ix_key_rotations_open ON key_rotations (asked_at) WHERE ended_at IS NULL
