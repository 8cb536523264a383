-- A tenant's directory: its tokens, what it says of people and groups, what of its requests was refused.

CREATE TABLE scim_tokens (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    connection_id uuid NOT NULL,
    name text NOT NULL,
    token_hash bytea NOT NULL,
    hint text NOT NULL,
    rotated_from uuid,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    last_used_from text,
    synced_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_scim_tokens PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_scim_tokens_tenant_id_token_hash UNIQUE (tenant_id, token_hash),
    CONSTRAINT fk_scim_tokens_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_scim_tokens_tenant_id_connection_id ON scim_tokens (tenant_id, connection_id);

CREATE TABLE scim_errors (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    connection_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    status integer NOT NULL,
    scim_type text NOT NULL,
    detail text NOT NULL,
    request_id text NOT NULL,
    CONSTRAINT pk_scim_errors PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_scim_errors_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_scim_errors_tenant_id_connection_id_id ON scim_errors (tenant_id, connection_id, id);

ALTER TABLE users ALTER COLUMN account_id DROP NOT NULL;
ALTER TABLE users
    ADD COLUMN source text DEFAULT 'local' NOT NULL,
    ADD COLUMN external_id text,
    ADD COLUMN version bigint DEFAULT 1 NOT NULL,
    ADD COLUMN changed_at timestamptz,
    ADD COLUMN user_name text,
    ADD COLUMN user_name_norm text COLLATE "C",
    ADD COLUMN login_norm text COLLATE "C" GENERATED ALWAYS AS (coalesce(user_name_norm, email_norm)) STORED NOT NULL,
    ADD COLUMN directory json;
ALTER TABLE users ADD CONSTRAINT uq_users_tenant_id_login_norm UNIQUE (tenant_id, login_norm);
CREATE INDEX ix_users_tenant_id_external_id ON users (tenant_id, external_id);

ALTER TABLE groups
    ADD COLUMN source text DEFAULT 'local' NOT NULL,
    ADD COLUMN external_id text,
    ADD COLUMN version bigint DEFAULT 1 NOT NULL,
    ADD COLUMN changed_at timestamptz
