-- Data keys. History: this file does not change any more once it is released.

CREATE TABLE data_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    master text NOT NULL,
    wrapped bytea,
    state text NOT NULL,
    created_at timestamptz NOT NULL,
    destroyed_at timestamptz,
    CONSTRAINT pk_data_keys PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_data_keys_wrapped CHECK ((state = 'destroyed') = (wrapped IS NULL)),
    CONSTRAINT fk_data_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_data_keys_tenant_id_kind_subject ON data_keys (tenant_id, kind, subject)
    WHERE state = 'primary';

CREATE TABLE platform_data_keys (
    id uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    master text NOT NULL,
    wrapped bytea,
    state text NOT NULL,
    created_at timestamptz NOT NULL,
    destroyed_at timestamptz,
    CONSTRAINT pk_platform_data_keys PRIMARY KEY (id),
    CONSTRAINT ck_platform_data_keys_wrapped CHECK ((state = 'destroyed') = (wrapped IS NULL))
);
CREATE UNIQUE INDEX ix_platform_data_keys_kind_subject ON platform_data_keys (kind, subject)
    WHERE state = 'primary'
