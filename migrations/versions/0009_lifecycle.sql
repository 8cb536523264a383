-- Life cycle of tenants. History: this file does not change any more once it is released.

ALTER TABLE tenants
    ADD COLUMN status_message text NOT NULL DEFAULT '',
    ADD COLUMN status_before text NOT NULL DEFAULT '',
    ADD COLUMN status_by text NOT NULL DEFAULT '',
    ADD COLUMN status_since timestamptz,
    ADD COLUMN purge_at timestamptz,
    ADD COLUMN plan text;

CREATE TABLE plan_limits (
    plan text NOT NULL,
    kind text NOT NULL,
    most bigint,
    is_default boolean NOT NULL,
    CONSTRAINT pk_plan_limits PRIMARY KEY (plan, kind)
);

CREATE TABLE limit_overrides (
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    most bigint,
    CONSTRAINT pk_limit_overrides PRIMARY KEY (tenant_id, kind),
    CONSTRAINT fk_limit_overrides_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE usage_counters (
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    used bigint NOT NULL,
    CONSTRAINT pk_usage_counters PRIMARY KEY (tenant_id, kind),
    CONSTRAINT fk_usage_counters_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE exports (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    state text NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz,
    rows bigint NOT NULL,
    size_bytes bigint NOT NULL,
    manifest_sha256 text,
    CONSTRAINT pk_exports PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_exports_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_exports_state ON exports (state);

CREATE TABLE export_parts (
    tenant_id uuid NOT NULL,
    export_id uuid NOT NULL,
    number integer NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT pk_export_parts PRIMARY KEY (tenant_id, export_id, number),
    CONSTRAINT fk_export_parts_tenant_id_export_id FOREIGN KEY(tenant_id, export_id)
        REFERENCES exports (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_export_parts_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
ALTER TABLE export_parts ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE purge_steps (
    tenant uuid NOT NULL,
    step text NOT NULL,
    rows bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT pk_purge_steps PRIMARY KEY (tenant, step)
);

CREATE TABLE tombstones (
    tenant uuid NOT NULL,
    purged_at timestamptz NOT NULL,
    certificate jsonb NOT NULL,
    CONSTRAINT pk_tombstones PRIMARY KEY (tenant)
)
