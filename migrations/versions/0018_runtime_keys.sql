-- Keys of runtimes that speak the protocol of the existing client, and whether the tenant lets them.

CREATE TABLE runtime_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    key_hash bytea NOT NULL,
    hint text NOT NULL,
    rotated_from uuid,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    last_used_from text,
    revoked_at timestamptz,
    CONSTRAINT pk_runtime_keys PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_runtime_keys_tenant_id_key_hash UNIQUE (tenant_id, key_hash),
    CONSTRAINT fk_runtime_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_runtime_keys_tenant_id_runtime_id FOREIGN KEY(tenant_id, runtime_id) REFERENCES runtimes (tenant_id, id)
);
CREATE INDEX ix_runtime_keys_tenant_id_runtime_id_id ON runtime_keys (tenant_id, runtime_id, id);

ALTER TABLE tenants ADD COLUMN unsealed_reads boolean DEFAULT false NOT NULL;
ALTER TABLE leases ADD COLUMN unsealed boolean DEFAULT false NOT NULL
