-- Budgets. History: this file does not change any more once it is released.

CREATE TABLE budgets (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    level text NOT NULL,
    project_id uuid,
    runtime_id uuid,
    unit text NOT NULL,
    amount bigint NOT NULL,
    period text NOT NULL,
    zone text NOT NULL,
    warn_at integer[] NOT NULL,
    action text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pk_budgets PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_budgets_level CHECK (level IN ('tenant', 'project', 'runtime')),
    CONSTRAINT ck_budgets_unit CHECK (unit IN ('tokens', 'micro_usd')),
    CONSTRAINT ck_budgets_period CHECK (period IN ('day', 'week', 'month', 'total')),
    CONSTRAINT ck_budgets_action CHECK (action IN ('warn', 'pause')),
    CONSTRAINT ck_budgets_amount CHECK (amount >= 0),
    CONSTRAINT fk_budgets_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_budgets_tenant_id_project_id FOREIGN KEY (tenant_id, project_id)
        REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_budgets_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE budget_heads (
    tenant_id uuid NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT pk_budget_heads PRIMARY KEY (tenant_id),
    CONSTRAINT fk_budget_heads_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE budget_slices (
    tenant_id uuid NOT NULL,
    budget_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    runtime_id uuid NOT NULL,
    ends_at timestamptz NOT NULL,
    amount bigint NOT NULL,
    used bigint NOT NULL,
    counted boolean NOT NULL,
    leased_at timestamptz NOT NULL,
    said_at timestamptz NOT NULL,
    CONSTRAINT pk_budget_slices PRIMARY KEY (tenant_id, budget_id, starts_at, runtime_id),
    CONSTRAINT ck_budget_slices_amount CHECK (amount >= 0 AND used >= 0),
    CONSTRAINT fk_budget_slices_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_slices_tenant_id_budget_id FOREIGN KEY (tenant_id, budget_id)
        REFERENCES budgets (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_slices_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE budget_talks (
    tenant_id uuid NOT NULL,
    runtime_id uuid NOT NULL,
    store_id uuid NOT NULL,
    number bigint NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT pk_budget_talks PRIMARY KEY (tenant_id, runtime_id),
    CONSTRAINT fk_budget_talks_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_talks_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE budget_notices (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    budget_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    runtime_id uuid,
    state text NOT NULL,
    percent integer NOT NULL,
    used bigint NOT NULL,
    amount bigint NOT NULL,
    code text NOT NULL,
    line text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT pk_budget_notices PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_budget_notices_state CHECK (state IN ('warned', 'exhausted', 'unenforced', 'released')),
    CONSTRAINT fk_budget_notices_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_notices_tenant_id_budget_id FOREIGN KEY (tenant_id, budget_id)
        REFERENCES budgets (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_notices_tenant_id_runtime_id FOREIGN KEY (tenant_id, runtime_id)
        REFERENCES runtimes (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_budget_notices_tenant_id_budget_id_id ON budget_notices (tenant_id, budget_id, id);
CREATE UNIQUE INDEX ix_budget_notices_warned ON budget_notices (tenant_id, budget_id, starts_at, percent)
    WHERE state = 'warned';
