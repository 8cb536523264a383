-- Checkpoint content. History: this file does not change any more once it is released.

CREATE TABLE content_policies (
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    policy text NOT NULL,
    suite integer NOT NULL,
    public_key bytea,
    keep_days integer NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pk_content_policies PRIMARY KEY (tenant_id, project_id),
    CONSTRAINT ck_content_policies_policy CHECK (policy IN ('metadata', 'sealed', 'plain')),
    CONSTRAINT ck_content_policies_key CHECK (policy <> 'sealed' OR public_key IS NOT NULL),
    CONSTRAINT ck_content_policies_keep CHECK (keep_days BETWEEN 1 AND 3650),
    CONSTRAINT fk_content_policies_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_content_policies_tenant_id_project_id FOREIGN KEY (tenant_id, project_id)
        REFERENCES projects (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE contents (
    tenant_id uuid NOT NULL,
    checkpoint_id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    project_id uuid NOT NULL,
    session_id uuid NOT NULL,
    policy text NOT NULL,
    size bigint NOT NULL,
    digest bytea NOT NULL,
    suite integer NOT NULL,
    kid text NOT NULL,
    sealed_key bytea NOT NULL,
    created_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    pruned_at timestamptz,
    CONSTRAINT pk_contents PRIMARY KEY (tenant_id, checkpoint_id),
    CONSTRAINT ck_contents_policy CHECK (policy IN ('sealed', 'plain')),
    CONSTRAINT fk_contents_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE INDEX ix_contents_tenant_id_session_id_created_at ON contents (tenant_id, session_id, created_at);

CREATE TABLE content_chunks (
    tenant_id uuid NOT NULL,
    checkpoint_id uuid NOT NULL,
    position integer NOT NULL,
    sha256 bytea NOT NULL,
    size integer NOT NULL,
    CONSTRAINT pk_content_chunks PRIMARY KEY (tenant_id, checkpoint_id, position),
    CONSTRAINT fk_content_chunks_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_content_chunks_tenant_id_checkpoint_id FOREIGN KEY (tenant_id, checkpoint_id)
        REFERENCES contents (tenant_id, checkpoint_id) ON DELETE CASCADE
);

CREATE INDEX ix_content_chunks_tenant_id_sha256 ON content_chunks (tenant_id, sha256);

CREATE TABLE chunks (
    tenant_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    size integer NOT NULL,
    state text NOT NULL,
    touched_at timestamptz NOT NULL,
    CONSTRAINT pk_chunks PRIMARY KEY (tenant_id, sha256),
    CONSTRAINT ck_chunks_state CHECK (state IN ('offered', 'stored', 'committed', 'condemned')),
    CONSTRAINT ck_chunks_sha256 CHECK (length(sha256) = 32),
    CONSTRAINT fk_chunks_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE INDEX ix_chunks_tenant_id_touched_at ON chunks (tenant_id, touched_at)
