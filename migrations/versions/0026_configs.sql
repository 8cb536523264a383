-- Desired configuration. History: this file does not change any more once it is released.

CREATE TABLE configs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    level text NOT NULL,
    scope text NOT NULL,
    project_id uuid,
    runtime_id uuid,
    label text NOT NULL,
    value text NOT NULL,
    rank integer NOT NULL,
    version integer NOT NULL,
    stable integer NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pk_configs PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_configs_level CHECK (level IN ('tenant', 'project', 'label', 'runtime')),
    CONSTRAINT ck_configs_stable CHECK (stable <= version),
    CONSTRAINT fk_configs_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_configs_tenant_id_project_id FOREIGN KEY (tenant_id, project_id)
        REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_configs_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT uq_configs_tenant_id_scope UNIQUE (tenant_id, scope)
);

CREATE TABLE config_versions (
    tenant_id uuid NOT NULL,
    config_id uuid NOT NULL,
    version integer NOT NULL,
    document text NOT NULL,
    note text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_config_versions PRIMARY KEY (tenant_id, config_id, version),
    CONSTRAINT fk_config_versions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_config_versions_tenant_id_config_id FOREIGN KEY (tenant_id, config_id)
        REFERENCES configs (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE config_texts (
    tenant_id uuid NOT NULL,
    config_id uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    text text NOT NULL,
    config_version integer NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_config_texts PRIMARY KEY (tenant_id, config_id, kind, name, version),
    CONSTRAINT ck_config_texts_kind CHECK (kind IN ('prompts', 'skills')),
    CONSTRAINT fk_config_texts_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_config_texts_tenant_id_config_id FOREIGN KEY (tenant_id, config_id)
        REFERENCES configs (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE rollouts (
    tenant_id uuid NOT NULL,
    config_id uuid NOT NULL,
    version integer NOT NULL,
    from_version integer NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    plan jsonb NOT NULL,
    wave integer NOT NULL,
    waves integer NOT NULL,
    waved_through integer NOT NULL,
    answered_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_rollouts PRIMARY KEY (tenant_id, config_id, version),
    CONSTRAINT ck_rollouts_state CHECK (state IN ('running', 'paused', 'finished', 'failed', 'cancelled')),
    CONSTRAINT fk_rollouts_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_rollouts_tenant_id_config_id_version FOREIGN KEY (tenant_id, config_id, version)
        REFERENCES config_versions (tenant_id, config_id, version) ON DELETE CASCADE
);
CREATE UNIQUE INDEX ix_rollouts_open ON rollouts (tenant_id, config_id) WHERE state IN ('running', 'paused');

CREATE TABLE rollout_targets (
    tenant_id uuid NOT NULL,
    config_id uuid NOT NULL,
    version integer NOT NULL,
    runtime_id uuid NOT NULL,
    wave integer NOT NULL,
    outcome text NOT NULL,
    generation bigint,
    error text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT pk_rollout_targets PRIMARY KEY (tenant_id, config_id, version, runtime_id),
    CONSTRAINT ck_rollout_targets_outcome CHECK (
        outcome IN ('planned', 'released', 'fetched', 'applied', 'failed', 'missed')),
    CONSTRAINT fk_rollout_targets_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_rollout_targets_tenant_id_config_id_version FOREIGN KEY (tenant_id, config_id, version)
        REFERENCES rollouts (tenant_id, config_id, version) ON DELETE CASCADE,
    CONSTRAINT fk_rollout_targets_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_rollout_targets_tenant_id_runtime_id ON rollout_targets (tenant_id, runtime_id);

CREATE TABLE config_heads (
    tenant_id uuid NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT pk_config_heads PRIMARY KEY (tenant_id),
    CONSTRAINT fk_config_heads_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE runtime_configs (
    tenant_id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    revision bigint NOT NULL,
    generation bigint NOT NULL,
    hash text NOT NULL,
    document text NOT NULL,
    parts jsonb NOT NULL,
    problem text NOT NULL,
    made_at timestamptz NOT NULL,
    fetched_at timestamptz,
    status text NOT NULL,
    said_generation bigint NOT NULL,
    applied bigint NOT NULL,
    applied_hash text NOT NULL,
    error text NOT NULL,
    drift text[] NOT NULL,
    said_at timestamptz,
    CONSTRAINT pk_runtime_configs PRIMARY KEY (tenant_id, runtime_id),
    CONSTRAINT ck_runtime_configs_status CHECK (status IN ('none', 'applying', 'applied', 'failed')),
    CONSTRAINT fk_runtime_configs_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_runtime_configs_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
)
